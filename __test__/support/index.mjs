// What the specs share. They run on Node (`node --test`) and on Bun (`bun test`) alike.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { Supervisor } from "python-ipc-bun";

export const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
export const isBun = process.versions.bun !== undefined;

/** By how much this machine is slower than any that the limits here were made for: 10 or so where it is emulated (scripts/guest). */
export const SLOWNESS = Number(process.env.BUNTIME_TEST_SLOWNESS || 1);
if (!(SLOWNESS >= 1)) throw new Error(`BUNTIME_TEST_SLOWNESS is "${process.env.BUNTIME_TEST_SLOWNESS}", expected a number of at least 1`);

/** For the specs' own processes: a limit that only a hang reaches. */
export const TIMEOUT = 120_000 * SLOWNESS;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves with what `probe` returns once that is truthy; rejects after `limit` milliseconds, or more on a slow machine. */
export async function eventually(probe, what, limit = 5000) {
  const ms = limit * SLOWNESS;
  const end = Date.now() + ms;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${ms} ms`);
    await sleep(10);
  }
}

let base;

/**
 * A directory of the test's own, gone soon after the end of this process. Another process removes it: this one may be killed
 * by a time limit, in the middle of anything.
 */
export function temporaryDirectory() {
  if (base === undefined) {
    base = mkdtempSync(path.join(os.tmpdir(), "python-ipc-bun-"));
    // So that permissions here are not what stands in the way of a worker with ids of its own.
    chmodSync(base, 0o711);
    // Reads until this process is gone. In a session of its own, it gets no signal that is meant for this one's group.
    const remover = spawn("sh", ["-c", 'cat; rm -rf "$0"', base], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
    remover.unref();
    remover.stdin.unref?.();
  }
  return mkdtempSync(path.join(base, "test-"));
}

/** A supervisor and all that it said. */
export class Recorder {
  constructor(options) {
    this.supervisor = new Supervisor(options);
    this.events = [];
    this.waiting = new Set();
    this.supervisor.onEvent((event) => {
      this.events.push(event);
      for (const check of this.waiting) check(event);
    });
  }

  /** Resolves with the first event, past or future, that fits. */
  until(fits) {
    const past = this.events.find(fits);
    if (past) return Promise.resolve(past);
    return new Promise((resolve) => {
      const check = (event) => {
        if (!fits(event)) return;
        this.waiting.delete(check);
        resolve(event);
      };
      this.waiting.add(check);
    });
  }

  untilState(worker) {
    return this.until((event) => event.type === "state" && event.data.worker === worker);
  }

  text(stream) {
    return this.events
      .filter((event) => event.type === "output" && (stream === undefined || event.stream === stream))
      .map((event) => event.data)
      .join("");
  }

  states() {
    return this.events.filter((event) => event.type === "state").map((event) => event.data);
  }

  data(type) {
    return this.events.filter((event) => event.type === type).map((event) => event.data);
  }
}

/** One execution in a sandbox of its own. */
export async function execute(code, options, configOverride) {
  const recorder = new Recorder(options);
  try {
    await recorder.supervisor.start(configOverride);
    recorder.supervisor.sendCode(code);
    const { data: end } = await recorder.untilState("exec_end");
    return {
      recorder,
      end,
      exitCode: end.exitCode,
      stdout: recorder.text("stdout"),
      stderr: recorder.text("stderr"),
      output: recorder.text(),
      error: recorder.data("error")[0],
    };
  } finally {
    await recorder.supervisor.stop({ graceMs: 500 });
  }
}

/** What the command says, on both its streams. */
export function command(...args) {
  const { error, stdout, stderr } = spawnSync(path.join(root, "npm", "linux-x64-gnu", "python-ipc-bun"), args, { encoding: "utf8" });
  if (error) throw error;
  return stdout + stderr;
}

/** The same execution in the sandbox and, as a positive control, without one. */
export async function bothWays(code, options = {}) {
  const inside = await execute(code, options);
  const outside = await execute(code, { ...options, sandboxEnabled: false });
  return { inside, outside };
}

/** Runs a module, with `Supervisor` in scope, as a process of its own on the runtime under test; `under` is a command to start it by. */
export function spawnHost(source, { args = [], cwd = root, env = process.env, under = [] } = {}) {
  const file = path.join(temporaryDirectory(), "host.mjs");
  const facade = pathToFileURL(path.join(root, "index.js")).href;
  writeFileSync(file, `import { Supervisor } from ${JSON.stringify(facade)};\n${source}`);
  const [command, ...rest] = [...under, process.execPath, file, ...args];
  const child = spawn(command, rest, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const host = { child, pid: child.pid, stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) {
    child[name].setEncoding("utf8").on("data", (text) => {
      host[name] += text;
    });
  }
  host.ended = new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout: host.stdout, stderr: host.stderr }));
  });
  host.said = (text) => eventually(() => host.stdout.includes(text), `"${text}" from the host (${host.stderr})`, 20_000);
  return host;
}

/** Fields of /proc/PID/stat, or undefined when there is no such process; zombies count as gone. */
function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, parent, ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : { pid, parent: Number(parent), start: rest[17] };
  } catch {
    return undefined;
  }
}

/** All processes below `pid`, as the host sees them, whatever namespaces they are in. */
export function descendants(pid) {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((name) => stat(Number(name))).filter(Boolean);
  const found = [];
  const parents = [pid];
  while (parents.length > 0) {
    const parent = parents.pop();
    for (const child of all.filter((candidate) => candidate.parent === parent)) {
      found.push(child);
      parents.push(child.pid);
    }
  }
  return found;
}

/** Those of `processes` that still live: the same pid with another start time is another process. */
export function alive(processes) {
  return processes.filter(({ pid, start }) => stat(pid)?.start === start);
}

/** A field of /proc/PID/status. */
export function status(pid, field) {
  return readFileSync(`/proc/${pid}/status`, "latin1").match(new RegExp(`^${field}:\\s*(.*)$`, "m"))?.[1];
}
