import { chmodSync, mkdirSync } from "node:fs";

export function before(arena) {
  for (const name of ["granted/sub", "granted/sub.key"]) {
    mkdirSync(arena.path(name));
    chmodSync(arena.path(name), 0o777);
  }
  for (const name of ["granted/top.key", "granted/sub/in.key", "granted/sub.key/in"]) arena.file(name, arena.secret);
}
