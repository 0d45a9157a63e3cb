import { chmodSync, mkdirSync, symlinkSync } from "node:fs";

export function before(arena) {
  mkdirSync(arena.path("granted/sub"));
  mkdirSync(arena.path("granted/sub/hidden"));
  for (const name of ["granted/sub", "granted/sub/hidden"]) chmodSync(arena.path(name), 0o777);
  arena.file("granted/sub/hidden/secret", arena.secret);
  arena.file("granted/sub/key", arena.secret);
  symlinkSync("hidden/secret", arena.path("granted/sub/of-the-host"));
}
