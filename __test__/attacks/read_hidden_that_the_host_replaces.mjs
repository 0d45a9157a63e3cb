import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { eventually } from "../support/index.mjs";

export function before(arena) {
  for (const name of ["granted/sub", "granted/sub/hidden", "granted/answers"]) {
    mkdirSync(arena.path(name));
    chmodSync(arena.path(name), 0o777);
  }
  for (const name of ["hidden/secret", "key", "gone"]) arena.file(`granted/sub/${name}`, "of old");
}

export async function during(arena) {
  await eventually(() => existsSync(arena.path("granted/answers/ready")), "its wait");
  arena.file("granted/sub/unfinished", arena.secret);
  renameSync(arena.path("granted/sub/unfinished"), arena.path("granted/sub/key"));
  rmSync(arena.path("granted/sub/gone"));
  arena.file("granted/sub/gone", arena.secret);
  rmSync(arena.path("granted/sub/hidden"), { recursive: true });
  mkdirSync(arena.path("granted/sub/hidden"));
  arena.file("granted/sub/hidden/secret", arena.secret);
  arena.file("granted/answers/done", "");
}
