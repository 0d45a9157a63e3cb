import { chmodSync, mkdirSync } from "node:fs";

export function before(arena) {
  mkdirSync(arena.path("granted/both"));
  chmodSync(arena.path("granted/both"), 0o777);
  arena.file("granted/private", arena.secret);
}
