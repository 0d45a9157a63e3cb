import { chmodSync, copyFileSync, mkdirSync } from "node:fs";

import { libraryOfHost } from "../support/libraries.mjs";

/** A library that is allowed, and a file with a function (mov eax, 42; ret) that can be read. */
export function before(arena) {
  mkdirSync(arena.path("granted/allowed"));
  chmodSync(arena.path("granted/allowed"), 0o755);
  copyFileSync(libraryOfHost("libz.so.1"), arena.path("granted/allowed/libmine.so"));
  chmodSync(arena.path("granted/allowed/libmine.so"), 0o755);
  arena.file("granted/code", Buffer.concat([Buffer.from("b82a000000c3", "hex"), Buffer.alloc(4090)]), 0o755);
}
