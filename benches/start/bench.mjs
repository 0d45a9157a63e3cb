// Start-up, and one execution there and back, against a rival in the same run.
//
//   node benches/start/bench.mjs [--interpreter /usr/bin/python3]
//   bun  benches/start/bench.mjs
//
// The rival is what people build by hand: a child process with the same interpreter, and messages on its stdin and stdout,
// each with its length as a u32 in front. Medians; the machine's noise is in both, so trust the ratios.

import { spawn } from "node:child_process";
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Supervisor } from "../../index.js";

const named = process.argv.indexOf("--interpreter");
const interpreter = named > 0 ? process.argv[named + 1] : "/usr/bin/python3";

const ECHO = `
import sys
read, write, flush = sys.stdin.buffer.read, sys.stdout.buffer.write, sys.stdout.buffer.flush
while True:
    length = read(4)
    if len(length) < 4:
        break
    text = read(int.from_bytes(length, "little"))
    write(length + text)
    flush()
`;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

const micros = (since) => Number(process.hrtime.bigint() - since) / 1000;

/** A session whose outputs and ends can be awaited one by one. */
async function openSession() {
  const supervisor = new Supervisor({ interpreter });
  const waiting = { output: [], exec_end: [] };
  supervisor.onEvent((event) => {
    const kind = event.type === "output" ? "output" : event.type === "state" ? event.data.worker : undefined;
    waiting[kind]?.shift()?.(event);
  });
  const next = (kind) => new Promise((resolve) => waiting[kind].push(resolve));
  await supervisor.start();
  return { supervisor, next };
}

/** A child that sends each message back. */
function openEcho() {
  const child = spawn(interpreter, ["-I", "-S", "-c", ECHO], { stdio: ["pipe", "pipe", "inherit"] });
  let received = Buffer.alloc(0);
  let waiting;
  child.stdout.on("data", (chunk) => {
    received = received.length ? Buffer.concat([received, chunk]) : chunk;
    while (received.length >= 4 && received.length >= 4 + received.readUInt32LE(0)) {
      const end = 4 + received.readUInt32LE(0);
      const text = received.toString("utf8", 4, end);
      received = received.subarray(end);
      waiting?.(text);
    }
  });
  const trip = (text) =>
    new Promise((resolve) => {
      waiting = resolve;
      const message = Buffer.alloc(4 + Buffer.byteLength(text));
      message.writeUInt32LE(message.length - 4);
      message.write(text, 4);
      child.stdin.write(message);
    });
  return { trip, close: () => child.stdin.end() };
}

async function spawnToFirstOutput() {
  const before = process.hrtime.bigint();
  const child = spawn(interpreter, ["-I", "-S", "-c", "print(1, flush=True)"], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  const took = micros(before);
  await new Promise((resolve) => child.once("close", resolve));
  return took;
}

async function startToReady() {
  const supervisor = new Supervisor({ interpreter });
  const before = process.hrtime.bigint();
  await supervisor.start();
  const took = micros(before);
  await supervisor.stop();
  return took;
}

const rows = [];
const row = (what, ours, rival, bar) =>
  rows.push({ what, "ours (us)": ours.toFixed(0), "rival (us)": rival?.toFixed(0) ?? "", ratio: rival ? (ours / rival).toFixed(2) : "", bar });

// Correctness first.
{
  const { supervisor, next } = await openSession();
  const output = next("output");
  assert.equal(supervisor.sendCode("print(1)"), true);
  assert.equal((await output).data, "1\n");
  await supervisor.stop();
  const echo = openEcho();
  assert.equal(await echo.trip("print(1)"), "print(1)");
  echo.close();
}

const starts = [];
const spawns = [];
for (let i = 0; i < 40; i++) {
  starts.push(await startToReady());
  spawns.push(await spawnToFirstOutput());
}
row("start() to ready; rival: spawn to first byte", median(starts), median(spawns), "<= 20000 us");

const { supervisor, next } = await openSession();
const echo = openEcho();
for (const gap of [0, 5]) {
  const ours = [];
  const rival = [];
  // In short turns, so that a change of the machine's speed meets both alike.
  for (let turn = 0; turn < 20; turn++) {
    for (let i = 0; i < (gap ? 20 : 100); i++) {
      if (gap) await sleep(gap);
      const output = next("output");
      const ended = next("exec_end");
      const before = process.hrtime.bigint();
      supervisor.sendCode("print(1)");
      await output;
      ours.push(micros(before));
      await ended;
    }
    for (let i = 0; i < (gap ? 20 : 100); i++) {
      if (gap) await sleep(gap);
      const before = process.hrtime.bigint();
      await echo.trip("print(1)");
      rival.push(micros(before));
    }
  }
  row(`print(1) to output, ${gap ? `${gap} ms apart` : "back to back"}; rival: framed echo`, median(ours), median(rival), "<= 3 x");
}

const count = 20_000;
const rates = {};
for (const [name, inFlight] of [["one at a time", 1], ["pipelined", 64]]) {
  const before = process.hrtime.bigint();
  let sent = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (sent < count) {
        sent++;
        const ended = next("exec_end");
        supervisor.sendCode("x = 1");
        await ended;
      }
    }),
  );
  rates[name] = Math.round(count / (micros(before) / 1e6));
}
echo.close();
await supervisor.stop();

console.log(`${process.versions.bun ? `Bun ${process.versions.bun}` : `Node ${process.versions.node}`}, ${interpreter}`);
console.table(rows);
console.log(`executions a second in one session: ${rates["one at a time"]} one at a time, ${rates.pipelined} pipelined (bar: >= 5000)`);
