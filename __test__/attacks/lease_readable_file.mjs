// The kernel lists who holds up whom in /proc/locks, by inode.
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { eventually } from "../support/index.mjs";

export function before(arena) {
  mkdirSync(arena.path("granted/signs"));
  chmodSync(arena.path("granted/signs"), 0o777);
}

export async function during(arena) {
  await eventually(() => existsSync(arena.path("granted/signs/ready")), "the attempt");
  arena.held = readFileSync("/proc/locks", "latin1").includes(`:${statSync(arena.path("granted/mine")).ino} `);
  arena.file("granted/signs/done", "");
}

export const after = (arena) => (arena.held ? ["changes the host"] : []);
