import { execFileSync } from "node:child_process";

// One that everybody may read, so that nothing but the mount is asked.
export function before(arena) {
  if (process.getuid() === 0) execFileSync("mknod", ["-m", "666", arena.path("granted/zeros"), "c", "1", "5"]);
}
