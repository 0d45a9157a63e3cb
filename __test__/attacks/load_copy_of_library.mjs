import { chmodSync, mkdirSync } from "node:fs";

import { layOutLibrary } from "../support/libraries.mjs";

/** A library that is allowed, and a place to write. */
export function before(arena) {
  layOutLibrary(arena);
  mkdirSync(arena.path("granted/drop"));
  chmodSync(arena.path("granted/drop"), 0o777);
}
