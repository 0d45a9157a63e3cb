import { chmodSync, copyFileSync } from "node:fs";

import { layOutLibrary } from "../support/libraries.mjs";

/** One library that is allowed, and one that is not. */
export function before(arena) {
  layOutLibrary(arena);
  copyFileSync(arena.path("granted/allowed/libmine.so"), arena.path("granted/libother.so"));
  chmodSync(arena.path("granted/libother.so"), 0o755);
}
