// What attacks on denials inside grants find.
import { chmodSync, mkdirSync } from "node:fs";

/** In granted/sub a file and a directory with the secret in them. */
export function layOutHidden(arena) {
  for (const name of ["granted/sub", "granted/sub/hidden"]) {
    mkdirSync(arena.path(name));
    chmodSync(arena.path(name), 0o777);
  }
  for (const name of ["hidden/secret", "key"]) arena.file(`granted/sub/${name}`, arena.secret);
}
