import { chownSync } from "node:fs";

/** The grant is another user's, to whom its worker is mapped; in it lies a file of root's. */
export function before(arena) {
  if (process.getuid() !== 0) return;
  arena.file("granted/private", arena.secret, 0o600);
  chownSync(arena.path("granted"), 54_321, 54_321);
}
