import { chmodSync, mkdirSync } from "node:fs";

export function before(arena) {
  mkdirSync(arena.path("granted/out"));
  chmodSync(arena.path("granted/out"), 0o777);
  arena.file("granted/drop", arena.secret);
}
