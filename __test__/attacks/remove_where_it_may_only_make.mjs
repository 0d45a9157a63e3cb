import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { allowing } from "../support/attacks.mjs";

export function before(arena) {
  mkdirSync(arena.path("granted/empty"));
  chmodSync(arena.path("granted/empty"), 0o777);
}

export function options(arena) {
  return allowing(arena, "granted", ["read_dir", "make_reg", "make_dir", "make_sym", "write_file"]);
}

export function after(arena) {
  const kept = existsSync(arena.path("granted/mine")) && readFileSync(arena.path("granted/mine"), "utf8") === "mine" && existsSync(arena.path("granted/empty"));
  return kept ? [] : ["writes"];
}
