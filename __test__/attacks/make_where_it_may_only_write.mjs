import { readdirSync } from "node:fs";
import { allowing } from "../support/attacks.mjs";

export function options(arena) {
  return allowing(arena, "granted", ["read_dir", "write_file"]);
}

export function after(arena) {
  return readdirSync(arena.path("granted")).sort().join() === "link,linked,listener.sock,mine" ? [] : ["writes"];
}
