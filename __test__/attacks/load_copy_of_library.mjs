import { chmodSync, copyFileSync, mkdirSync } from "node:fs";

import { libraryOfHost } from "../support/libraries.mjs";

/** One library that is allowed, and one that is not. */
export function before(arena) {
  mkdirSync(arena.path("granted/allowed"));
  for (const name of ["granted/allowed/libmine.so", "granted/libother.so"]) {
    copyFileSync(libraryOfHost("libz.so.1"), arena.path(name));
    chmodSync(arena.path(name), 0o755);
  }
  chmodSync(arena.path("granted/allowed"), 0o755);
  mkdirSync(arena.path("granted/drop"));
  chmodSync(arena.path("granted/drop"), 0o777);
}
