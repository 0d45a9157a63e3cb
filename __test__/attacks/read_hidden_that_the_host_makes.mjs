import { chmodSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { eventually } from "../support/index.mjs";

export function before(arena) {
  for (const name of ["granted/sub", "granted/answers"]) {
    mkdirSync(arena.path(name));
    chmodSync(arena.path(name), 0o777);
  }
}

export async function during(arena) {
  await eventually(() => existsSync(arena.path("granted/answers/ready")), "its wait");
  arena.file("granted/sub/unfinished", arena.secret);
  renameSync(arena.path("granted/sub/unfinished"), arena.path("granted/sub/key"));
  arena.file("granted/sub/gone", arena.secret);
  mkdirSync(arena.path("granted/sub/hidden"));
  arena.file("granted/sub/hidden/secret", arena.secret);
  arena.file("granted/answers/done", "");
}
