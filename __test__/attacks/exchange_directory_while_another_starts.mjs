import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { PYTHON } from "../support/attacks.mjs";
import { Recorder, eventually } from "../support/index.mjs";

const READ = `
import sys
for _ in range(200):
    for path in (sys.argv[1], "secret"):
        try:
            print(open(path).read())
        except OSError:
            pass`;

export function before(arena) {
  mkdirSync(arena.path("granted/sub"));
  chmodSync(arena.path("granted/sub"), 0o777);
  arena.file("granted/sub/secret", "harmless");
}

async function readInSandbox(arena, path) {
  const permissions = { allowRead: [path], allowWrite: [arena.path("granted")] };
  const other = new Recorder({ interpreter: PYTHON, args: [path], permissions, cwd: arena.path("granted/sub") });
  // A link in the way is refused with an error.
  await other.supervisor.start().then(() => other.supervisor.sendCode(READ), () => {});
  await other.supervisor.stop({ graceMs: 5000 });
  return other.text();
}

export async function during(arena, supervisor) {
  await eventually(() => existsSync(arena.path("granted/ready")), "the exchanges");
  const path = arena.path("granted/sub/secret");
  arena.seen = "";
  for (let start = 0; start < 8; start++) {
    arena.seen += supervisor ? await readInSandbox(arena, path) : execFileSync(PYTHON, ["-c", READ, path]);
  }
  arena.file("granted/done", "");
}

export const after = (arena) => (arena.seen.includes(arena.secret) ? ["reads"] : []);
