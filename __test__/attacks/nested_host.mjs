// For companions: a host process of its own, with descriptors, terminal and environment as the attack wants them of its
// caller. In the sandbox's turn it is the command, whose script is the attack; in the control's the interpreter itself.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";

import { PYTHON } from "../support/attacks.mjs";
import { readAttack } from "../support/heads.mjs";
import { root } from "../support/index.mjs";

const COMMAND = path.join(root, "npm", `linux-${process.arch}-gnu`, "python-ipc-bun");
const END = "tried to its end";

/** Writes the attack down as a script; returns the words that run it. By `sys.argv[2:]` it sees that it is nested. */
export function nestedCommand(arena, supervisor, name) {
  const prelude = readFileSync(path.join(root, "__test__", "support", "attack.py"), "utf8");
  const parts = [prelude, readAttack(name).source, `os.write(2, b"${END}")`];
  arena.file("granted/attack.py", parts.join("\n"));
  const script = [arena.path("granted/attack.py"), arena.told(), "nested"];
  // Without the block of denials, which repeats the command line, and with it what the attack was told.
  return supervisor ? [COMMAND, "run", "--denials=off", `--interpreter=${PYTHON}`, ...script] : [PYTHON, ...script];
}

/** Runs it. Resolves with all that it put out, when that shows that the attack came to its end. */
export async function runNested(command, { stdio = ["ignore", "pipe", "pipe"], env = process.env } = {}) {
  const child = spawn(command[0], command.slice(1), { stdio, env, cwd: "/" });
  let output = "";
  for (const stream of child.stdio.slice(1)) stream?.setEncoding("utf8").on("data", (text) => (output += text));
  await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (!output.includes(END)) throw new Error(`the nested attack did not come to its end: ${output}`);
  return output;
}

/** What its output shows. */
export function effectsOf(arena, output) {
  const signs = { reads: arena.secret, proves: arena.proof };
  return Object.keys(signs).filter((effect) => output.includes(signs[effect]));
}
