import { chmodSync, linkSync, mkdirSync } from "node:fs";

import { layOutLibrary } from "../support/libraries.mjs";

/** An allowed library, with a second name where the worker may write. */
export function before(arena) {
  layOutLibrary(arena);
  mkdirSync(arena.path("granted/drop"));
  linkSync(arena.path("granted/allowed/libmine.so"), arena.path("granted/drop/libmine.so"));
  for (const name of ["allowed", "allowed/libmine.so", "drop"]) chmodSync(arena.path(`granted/${name}`), 0o777);
}
