import { layOutLibrary } from "../support/libraries.mjs";

/** A library that is allowed, and a file with a function (mov eax, 42; ret) that can be read. */
export function before(arena) {
  layOutLibrary(arena);
  arena.file("granted/code", Buffer.concat([Buffer.from("b82a000000c3", "hex"), Buffer.alloc(4090)]), 0o755);
}
