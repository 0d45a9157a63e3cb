// A whole run of a small script, from the shell: bare, in our sandbox, and in bubblewrap's with the same parts of the host.
//
//   node benches/launch/whole.mjs [PYTHON]
//
// In turns, so that a change of the machine's speed meets all alike. Output first: each must say the same.
import { spawnSync } from "node:child_process";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const python = process.argv[2] ?? "/usr/bin/python3";
const place = mkdtempSync(path.join(os.tmpdir(), "buntime-whole-"));
const script = path.join(place, "hello.py");
writeFileSync(script, 'import sys\nprint("hello from", sys.version_info[:2])\n');

const binds = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/ssl"].flatMap((name) => ["--ro-bind-try", name, name]);
const turns = {
  "bare python3": [python, script],
  "python-ipc-bun run": [path.join(root, "npm", "linux-x64-gnu", "python-ipc-bun"), "run", "--interpreter", python, script],
  "bwrap --unshare-all": ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", ...binds, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", script, "/hello.py", python, "/hello.py"],
};

const run = ([command, ...args]) => {
  const before = process.hrtime.bigint();
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  const took = Number(process.hrtime.bigint() - before) / 1e6;
  if (error) throw error;
  assert.equal(status, 0, stderr);
  return { took, stdout };
};

try {
  const names = Object.keys(turns);
  const said = names.map((name) => run(turns[name]).stdout);
  assert.deepEqual(said, names.map(() => said[0]));
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < 100; round++) for (const name of names) times[name].push(run(turns[name]).took);
  const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
  const bare = median(times[names[0]]);
  console.table(names.map((name) => ({ run: name, "median ms": median(times[name]).toFixed(1), "x bare": (median(times[name]) / bare).toFixed(2) })));
} finally {
  rmSync(place, { recursive: true });
}
