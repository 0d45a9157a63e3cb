import { allowing } from "../support/attacks.mjs";

export function before(arena) {
  arena.file(`granted/${arena.secret}`, "");
}

export function options(arena) {
  return allowing(arena, "granted", ["read_file"]);
}
