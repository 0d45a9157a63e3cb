// Reading 10,000 small files: bare, in the sandbox with a grant for their directory, and in the sandbox with each `openat`
// recorded; beside the last, `strace -f` that does the same, where it is installed. Timed inside Python, over
// `open(name).read()`, so that no start counts.
//
//   node benches/permissions/files.mjs [PYTHON]
//
// In turns, so that a change of the machine's speed meets all alike. What was read comes first: each must say the same.
import { spawnSync } from "node:child_process";
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const command = path.join(root, "npm", "linux-x64-gnu", "python-ipc-bun");
const python = process.argv[2] ?? "/usr/bin/python3";
const FILES = 10_000;
const TURNS = 15;

const place = mkdtempSync(path.join(os.tmpdir(), "buntime-files-"));
chmodSync(place, 0o755);
const data = path.join(place, "data");
for (let directory = 0; directory < 100; directory++) {
  const below = path.join(data, `d${directory}`);
  mkdirSync(below, { recursive: true });
  for (let file = 0; file < FILES / 100; file++) writeFileSync(path.join(below, `f${file}.txt`), `text ${directory} ${file}\n`);
}
const script = path.join(place, "read.py");
writeFileSync(
  script,
  `
import sys, time
names = [f"{sys.argv[1]}/d{d}/f{f}.txt" for d in range(100) for f in range(${FILES / 100})]
def read_all():
    total = 0
    for name in names:
        with open(name) as file:
            total += len(file.read())
    return total
total = read_all()
before = time.perf_counter_ns()
assert read_all() == total
print(total, (time.perf_counter_ns() - before) // len(names))
`,
);

const turns = {
  bare: [python, script, data],
  sandboxed: [command, "run", "--interpreter", python, `--allow-read=${data}`, script, data],
  "no kernel layers": [command, "run", "--no-sandbox", "--interpreter", python, `--allow-read=${data}`, script, data],
};

const audit = path.join(place, "audit.jsonl");
const policy = path.join(place, "audit.json");
writeFileSync(policy, JSON.stringify({ version: 1, audit: { enabled: true, events: ["openat"] } }));
turns.audited = [command, "run", "--interpreter", python, "--policy", policy, `--audit=${audit}`, `--allow-read=${data}`, script, data];
if (spawnSync("strace", ["-V"]).status === 0) {
  turns["strace -f"] = ["strace", "-f", "-e", "trace=openat", "-o", path.join(place, "strace.txt"), python, script, data];
}

const run = ([program, ...args]) => {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (error) throw error;
  assert.equal(status, 0, stderr);
  return stdout.trim().split(" ").map(Number);
};

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

try {
  const names = Object.keys(turns);
  const totals = names.map((name) => run(turns[name])[0]);
  assert.deepEqual(totals, names.map(() => totals[0]));
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let turn = 0; turn < TURNS; turn++) for (const name of names) times[name].push(run(turns[name])[1]);
  const bare = median(times.bare);
  console.table(names.map((name) => ({ run: name, "median us a file": (median(times[name]) / 1000).toFixed(2), "x bare": (median(times[name]) / bare).toFixed(2) })));
} finally {
  rmSync(place, { recursive: true });
}
