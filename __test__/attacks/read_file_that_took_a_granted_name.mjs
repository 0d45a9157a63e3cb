import { readFileSync, renameSync } from "node:fs";
import { eventually } from "../support/index.mjs";

export async function during(arena) {
  await eventually(() => readFileSync(arena.path("granted/mine"), "utf8") === "ready", "its wait");
  arena.file("granted/new", arena.secret);
  renameSync(arena.path("granted/new"), arena.path("granted/mine"));
}
