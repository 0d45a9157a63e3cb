import { symlinkSync } from "node:fs";
import { layOutHidden } from "../support/hidden.mjs";

export function before(arena) {
  layOutHidden(arena);
  symlinkSync("hidden/secret", arena.path("granted/sub/of-the-host"));
}
