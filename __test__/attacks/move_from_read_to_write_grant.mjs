import { chmodSync, mkdirSync } from "node:fs";
import { after, before as remember } from "./write_to_readable_file.mjs";

export function before(arena) {
  mkdirSync(arena.path("granted/scratch"));
  chmodSync(arena.path("granted/scratch"), 0o777);
  remember(arena);
}
export { after };
