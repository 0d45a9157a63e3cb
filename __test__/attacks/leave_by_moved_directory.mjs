import { chmodSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { eventually } from "../support/index.mjs";

export function before(arena) {
  mkdirSync(arena.path("granted/sub"));
  chmodSync(arena.path("granted/sub"), 0o777);
}

export async function during(arena) {
  await eventually(() => existsSync(arena.path("granted/sub/ready")), "its wait");
  renameSync(arena.path("granted/sub"), arena.path("closed/sub"));
  arena.file("closed/sub/moved", "");
  // A sandbox may refuse to make files there from now on.
  await eventually(() => existsSync(arena.path("closed/sub/done")), "its end", 1000).catch(() => {});
  renameSync(arena.path("closed/sub"), arena.path("granted/sub"));
}
