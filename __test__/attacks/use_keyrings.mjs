// Puts the secret into the keyring of the user, which all processes of that user share, and takes it out again.
import { execFileSync } from "node:child_process";

import { PYTHON } from "../support/attacks.mjs";

const ADD = `
import ctypes, sys
libc = ctypes.CDLL(None)
name, secret = (text.encode() for text in sys.argv[1:])
key = libc.syscall(248, b"user", name, secret, len(secret), -4)
libc.syscall(250, 5, key, 0x3f3f0000)
print(key)`;
const UNLINK = `import ctypes, sys; ctypes.CDLL(None).syscall(250, 9, int(sys.argv[1]), -4)`;

export function before(arena) {
  const words = ["-I", "-c", ADD, `buntime-${arena.proof}`, arena.secret];
  arena.key = execFileSync(PYTHON, words, { encoding: "utf8" }).trim();
}

export function after(arena) {
  execFileSync(PYTHON, ["-I", "-c", UNLINK, arena.key]);
}
