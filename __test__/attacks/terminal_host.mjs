// For companions: the same as nested_host.mjs, in a terminal of its own.
import { PYTHON } from "../support/attacks.mjs";
import { effectsOf, nestedCommand, runNested } from "./nested_host.mjs";

/** Runs a command in a terminal and shows what appeared there; then says whether the terminal is as it was. */
const TERMINAL = `
import fcntl, os, pty, sys, termios
def state():
    return termios.tcgetattr(master), fcntl.ioctl(master, termios.TIOCGWINSZ, bytes(8))
ready, go = os.pipe()
pid, master = pty.fork()
if pid == 0:
    os.read(ready, 1)
    os.execv(sys.argv[1], sys.argv[1:])
before = state()
os.write(go, b"x")
while True:
    try:
        os.write(1, os.read(master, 4096))
    except OSError:
        break
print("terminal:", "kept" if state() == before else "changed")
`;

export async function inTerminal(arena, supervisor, name) {
  const output = await runNested([PYTHON, "-I", "-c", TERMINAL, ...nestedCommand(arena, supervisor, name)]);
  return [...effectsOf(arena, output), ...(output.includes("terminal: kept") ? [] : ["changes the host"])];
}
