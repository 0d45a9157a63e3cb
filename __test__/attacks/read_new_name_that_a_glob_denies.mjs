import { existsSync, renameSync } from "node:fs";
import { eventually } from "../support/index.mjs";

export async function during(arena) {
  await eventually(() => existsSync(arena.path("granted/ready")), "its wait");
  arena.file("granted/unfinished", arena.secret);
  renameSync(arena.path("granted/unfinished"), arena.path("granted/made.key"));
}
