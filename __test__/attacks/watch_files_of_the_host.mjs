import { existsSync, rmSync } from "node:fs";
import { eventually } from "../support/index.mjs";

export async function during(arena) {
  await eventually(() => existsSync(arena.path("granted/ready")), "the watch");
  arena.file(`closed/${arena.secret}`, "");
  rmSync(arena.path(`closed/${arena.secret}`));
  arena.file("granted/done", "");
}
