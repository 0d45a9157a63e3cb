// Whatever the sandbox makes or has in the grant is its caller's.
import { lstatSync, readdirSync } from "node:fs";

export function after(arena) {
  const entries = [".", ...readdirSync(arena.path("granted"))].map((name) => lstatSync(arena.path(`granted/${name}`)));
  return entries.every(({ uid, gid }) => uid === process.getuid() && gid === process.getgid()) ? [] : ["writes"];
}
