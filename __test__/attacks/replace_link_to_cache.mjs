import { symlinkSync } from "node:fs";
import { temporaryDirectory } from "../support/index.mjs";
import { after, attack, fill } from "./poison_cache_of_interpreters.mjs";

export async function before(arena) {
  symlinkSync(temporaryDirectory(), arena.path("granted/cache"));
  await fill(arena);
}

export async function during(arena, supervisor) {
  if (supervisor) await attack(arena, "replace_link_to_cache");
}

export { after };
