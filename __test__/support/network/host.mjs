// The supervisor's side inside the world: a process that obeys lines of JSON on its standard input, one answer a line.
//
//   open {key, options, config}   starts a sandbox             exec {key, code}   runs code in it, to its end
//   close {key}                   stops it                     self               descriptors, threads, memory, namespaces of this process
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import readline from "node:readline";

import { Recorder } from "../index.mjs";

const sandboxes = new Map();
const KEPT = new Set(["net", "denied", "warn", "error", "enforcement"]);

const operations = {
  async open({ key, options, config }) {
    const recorder = new Recorder(options);
    try {
      await recorder.supervisor.start(config ?? undefined);
    } catch (error) {
      await recorder.supervisor.stop();
      return { refused: { code: error.code, message: error.message, hint: error.hint } };
    }
    sandboxes.set(key, recorder);
    return { enforcement: recorder.data("enforcement")[0] };
  },

  async exec({ key, code }) {
    const recorder = sandboxes.get(key);
    const from = recorder.events.length;
    const ended = new Promise((resolve) => {
      const remove = recorder.supervisor.onEvent(({ type, data }) => {
        if (type !== "state" || data.worker !== "exec_end") return;
        remove();
        resolve(data);
      });
    });
    recorder.supervisor.sendCode(code);
    const end = await ended;
    return { end, from };
  },

  // What it said from an event on; the flows of an execution may be told a little after its end.
  async events({ key, from }) {
    const events = sandboxes.get(key).events.slice(from);
    const text = (stream) => events.filter((event) => event.type === "output" && event.stream === stream).map(({ data }) => data).join("");
    const of = Object.fromEntries([...KEPT].map((type) => [type, events.filter((event) => event.type === type).map(({ data }) => data)]));
    return { stdout: text("stdout"), stderr: text("stderr"), ...of };
  },

  // Returns what it said to its last event: flows that were open then have ended with it.
  async close({ key, graceMs }) {
    await sandboxes.get(key)?.supervisor.stop({ graceMs });
    const told = await operations.events({ key, from: 0 });
    sandboxes.delete(key);
    return told;
  },

  async self() {
    globalThis.gc?.();
    const descriptors = readdirSync("/proc/self/fd").flatMap((name) => {
      try {
        return [readlinkSync(`/proc/self/fd/${name}`)];
      } catch {
        return []; // the one that this listing was made by
      }
    });
    const status = readFileSync("/proc/self/status", "latin1");
    const number = (field) => Number(status.match(new RegExp(`^${field}:\\s*(\\d+)`, "m"))[1]);
    return { pid: process.pid, descriptors: descriptors.length, sockets: descriptors.filter((link) => link.startsWith("socket:")).length, threads: number("Threads"), memoryKb: number("VmRSS") };
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { id, op, ...rest } = JSON.parse(line);
  // Not awaited: many may be under way.
  operations[op](rest).then(
    (result = null) => answer({ id, result }),
    (error) => answer({ id, error: error.stack }),
  );
}
// Its tests are over.
process.exit(0);

function answer(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
