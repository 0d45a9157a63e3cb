import { execFileSync } from "node:child_process";
import { chmodSync, symlinkSync } from "node:fs";
import path from "node:path";
import { PYTHON } from "../support/attacks.mjs";
import { temporaryDirectory } from "../support/index.mjs";
import { runTwice } from "./replace_interpreter_of_venv.mjs";

export function before(arena) {
  const home = temporaryDirectory();
  // With the host's file tree in sight, a worker with ids of its own is to come as far as the environment, too.
  chmodSync(home, 0o755);
  const venv = path.join(home, "venv");
  execFileSync(PYTHON, ["-m", "venv", "--without-pip", venv]);
  symlinkSync(venv, arena.path("granted/.venv"));
}

export const during = (arena, supervisor, ended) =>
  runTwice(arena, supervisor, "replace_link_to_venv", { interpreter: arena.path("granted/.venv/bin/python3") }, ended);
