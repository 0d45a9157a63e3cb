import { chmodSync, copyFileSync, linkSync, mkdirSync } from "node:fs";

/** An allowed program that does nothing, with a second name where the worker may write. */
export function before(arena) {
  for (const name of ["granted/bin", "granted/drop"]) {
    mkdirSync(arena.path(name));
    chmodSync(arena.path(name), 0o777);
  }
  copyFileSync("/bin/true", arena.path("granted/bin/tool"));
  chmodSync(arena.path("granted/bin/tool"), 0o777);
  linkSync(arena.path("granted/bin/tool"), arena.path("granted/drop/tool"));
}
