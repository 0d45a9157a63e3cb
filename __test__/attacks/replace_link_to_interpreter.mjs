import { symlinkSync } from "node:fs";
import { PYTHON } from "../support/attacks.mjs";
import { runTwice } from "./replace_interpreter_of_venv.mjs";

export const before = (arena) => symlinkSync(PYTHON, arena.path("granted/python3"));

export const during = (arena, supervisor, ended) =>
  runTwice(arena, supervisor, "replace_link_to_interpreter", { interpreter: arena.path("granted/python3") }, ended);
