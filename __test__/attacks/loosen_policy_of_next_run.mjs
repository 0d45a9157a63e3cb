import { chmodSync, copyFileSync, mkdirSync } from "node:fs";
import path from "node:path";
import { PYTHON } from "../support/attacks.mjs";
import { execute, root } from "../support/index.mjs";
import { runTwice } from "./replace_interpreter_of_venv.mjs";

export function before(arena) {
  mkdirSync(arena.path("granted/policies"));
  chmodSync(arena.path("granted/policies"), 0o777);
  copyFileSync(path.join(root, "policies", "default.json"), arena.path("granted/policies/mine.json"));
}

export async function during(arena, supervisor, ended) {
  const policyPath = arena.path("granted/policies/mine.json");
  await runTwice(arena, supervisor, "loosen_policy_of_next_run", { interpreter: PYTHON, policyPath }, ended);
  const options = { interpreter: PYTHON, policyPath, args: [arena.path("secret")] };
  const next = await execute("import sys; print(open(sys.argv[1]).read())", options);
  arena.leaked = next.output.includes(arena.secret);
}

export const after = (arena) => (arena.leaked ? ["reads"] : []);
