import { execFileSync } from "node:child_process";
import path from "node:path";
import { PYTHON } from "../support/attacks.mjs";

// Each is world-readable, and the attacker knows its name.
const MAKE = `
import ctypes, os, sys
name, key, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
libc = ctypes.CDLL(None)
with open("/dev/shm/" + name, "wb") as file:
    file.write(secret)
os.chmod("/dev/shm/" + name, 0o666)
libc.shmat.restype = ctypes.c_void_p
ctypes.memmove(libc.shmat(libc.shmget(key, 4096, 0o1666), None, 0), secret, len(secret))
queue = libc.mq_open(b"/" + name.encode(), os.O_RDWR | os.O_CREAT, 0o666, None)
libc.mq_send(queue, secret, len(secret), 0)`;
const REMOVE = `
import ctypes, os, sys
name, key = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None)
os.unlink("/dev/shm/" + name)
libc.shmctl(libc.shmget(key, 0, 0), 0, None)
libc.mq_unlink(b"/" + name.encode())`;

function run(code, arena) {
  execFileSync(PYTHON, ["-c", code, path.basename(arena.directory), String(arena.victim.pid), arena.secret]);
}

export const before = (arena) => run(MAKE, arena);

export const after = (arena) => run(REMOVE, arena);
