import { chmodSync, copyFileSync, linkSync, mkdirSync } from "node:fs";

import { libraryOfHost } from "../support/libraries.mjs";

/** An allowed library, with a second name where the worker may write. */
export function before(arena) {
  mkdirSync(arena.path("granted/allowed"));
  mkdirSync(arena.path("granted/drop"));
  copyFileSync(libraryOfHost("libz.so.1"), arena.path("granted/allowed/libmine.so"));
  linkSync(arena.path("granted/allowed/libmine.so"), arena.path("granted/drop/libmine.so"));
  for (const name of ["allowed", "allowed/libmine.so", "drop"]) chmodSync(arena.path(`granted/${name}`), 0o777);
}
