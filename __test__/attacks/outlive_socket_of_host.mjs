// A host of its own whose sockets are shut for writing, as if it had closed them. It is stopped, so that it does nothing about it.
import { execFileSync, spawn } from "node:child_process";

import { PYTHON } from "../support/attacks.mjs";
import { alive, descendants, eventually } from "../support/index.mjs";
import { nestedCommand } from "./nested_host.mjs";

const SHUT = `
import ctypes, os, socket, sys
libc, pid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
process = os.pidfd_open(pid)
for name in os.listdir(f"/proc/{pid}/fd"):
    if int(name) > 2 and os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
        fd = libc.syscall(438, process, int(name), 0)  # pidfd_getfd
        assert fd >= 0, os.strerror(ctypes.get_errno())
        try:
            socket.socket(fileno=fd).shutdown(socket.SHUT_WR)
        except OSError as error:
            print(name, error, file=sys.stderr)`;

export async function during(arena, supervisor) {
  const [command, ...args] = nestedCommand(arena, supervisor, "outlive_socket_of_host");
  const host = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  host.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  await eventually(() => output.includes("ready"), "the nested attack's start", 20_000);
  const started = descendants(host.pid);
  host.kill("SIGSTOP");
  execFileSync(PYTHON, ["-c", SHUT, String(host.pid)]);
  const gone = await eventually(() => alive(started).length === 0, "the end", 1500).catch(() => false);
  host.kill("SIGKILL");
  arena.nested = gone ? [] : ["survives"];
}

export const after = (arena) => arena.nested;
