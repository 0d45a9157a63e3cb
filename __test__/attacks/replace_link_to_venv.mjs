import { execFileSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import path from "node:path";
import { PYTHON } from "../support/attacks.mjs";
import { temporaryDirectory } from "../support/index.mjs";
import { runTwice } from "./replace_interpreter_of_venv.mjs";

export function before(arena) {
  const venv = path.join(temporaryDirectory(), "venv");
  execFileSync(PYTHON, ["-m", "venv", "--without-pip", venv]);
  symlinkSync(venv, arena.path("granted/.venv"));
}

export const during = (arena, supervisor) =>
  runTwice(arena, supervisor, "replace_link_to_venv", { interpreter: arena.path("granted/.venv/bin/python3") });
