import { execFileSync } from "node:child_process";
import { PYTHON } from "../support/attacks.mjs";

// A semaphore that every user may change, at zero; what it is at the end.
const MAKE = `
import ctypes, sys
assert ctypes.CDLL(None).semget(int(sys.argv[1]), 1, 0o1666) >= 0`;
const REMOVE = `
import ctypes, sys
libc = ctypes.CDLL(None)
semaphores = libc.semget(int(sys.argv[1]), 0, 0)
print(libc.semctl(semaphores, 0, 12))  # GETVAL
libc.semctl(semaphores, 0, 0)  # IPC_RMID`;

const run = (code, arena) => execFileSync(PYTHON, ["-c", code, String(arena.victim.pid)], { encoding: "utf8" });

export function before(arena) {
  run(MAKE, arena);
}

export const after = (arena) => (run(REMOVE, arena).trim() === "0" ? [] : ["changes the host"]);
