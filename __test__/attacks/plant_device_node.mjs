import { lstatSync, readdirSync } from "node:fs";

export function after(arena) {
  const kinds = readdirSync(arena.path("granted")).map((name) => lstatSync(arena.path(`granted/${name}`)));
  return kinds.some((kind) => kind.isCharacterDevice() || kind.isBlockDevice()) ? ["writes"] : [];
}
