import { chmodSync, copyFileSync } from "node:fs";

import { layOutLibrary } from "../support/libraries.mjs";

/** A directory of libraries that is allowed, with a program in it. */
export function before(arena) {
  layOutLibrary(arena);
  copyFileSync("/usr/bin/printf", arena.path("granted/allowed/program"));
  chmodSync(arena.path("granted/allowed/program"), 0o755);
}
