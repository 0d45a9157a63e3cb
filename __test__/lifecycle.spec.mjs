// When processes end: the host's by itself and not too early, the sandbox's always.
import assert from "node:assert/strict";
import test from "node:test";

import { Recorder, TIMEOUT, alive, descendants, eventually, execute, isBun, sleep, spawnHost } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };

/** A process that does nothing more must be gone well within this. */
const SOON = 3000;

async function endsSoon(host, ms = SOON) {
  const ended = await Promise.race([host.ended, sleep(ms)]);
  if (ended === undefined) host.child.kill("SIGKILL");
  assert.ok(ended, `the process still lives after ${ms} ms: ${host.stdout} ${host.stderr}`);
  return ended;
}

test("stop right after sendCode still prints hello", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  recorder.supervisor.sendCode("print('hello')");
  await recorder.supervisor.stop();
  assert.equal(recorder.text(), "hello\n");
  assert.equal(recorder.states().find((state) => state.worker === "exec_end").exitCode, 0);
});

test("code that was sent while the worker starts is executed", timeout, async () => {
  const recorder = new Recorder();
  const started = recorder.supervisor.start();
  assert.equal(recorder.supervisor.sendCode("print('early')"), true);
  await started;
  await recorder.supervisor.stop();
  assert.equal(recorder.text(), "early\n");
});

test("stop waits no longer than its grace, and what runs still ends in one exec_end", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  recorder.supervisor.sendCode("while True: pass");
  await recorder.untilState("exec_start");
  const started = Date.now();
  await recorder.supervisor.stop({ graceMs: 200 });
  const took = Date.now() - started;
  assert.ok(took >= 150 && took < 2000, `${took} ms`);
  const ends = recorder.states().filter((state) => state.worker === "exec_end");
  assert.equal(ends.length, 1);
  assert.notEqual(ends[0].exitCode, 0);
});

test("no event comes after stop", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  recorder.supervisor.sendCode("import time\nwhile True: print('x', flush=True); time.sleep(0.001)");
  await recorder.untilState("exec_start");
  await recorder.supervisor.stop({ graceMs: 50 });
  const count = recorder.events.length;
  await sleep(200);
  assert.equal(recorder.events.length, count);
});

test("a worker that dies by itself ends its execution and the supervisor", timeout, async () => {
  const { exitCode, end } = await execute("import os; os.abort()");
  assert.equal(exitCode, 134);
  assert.equal(end.outcome, "signal");
  const recorder = new Recorder();
  await recorder.supervisor.start();
  recorder.supervisor.sendCode("import os, signal; os.kill(os.getpid(), signal.SIGKILL)");
  assert.equal((await recorder.untilState("exec_end")).data.exitCode, 137);
  await eventually(() => !recorder.supervisor.sendCode("print(1)"), "false from sendCode");
  await recorder.supervisor.stop();
});

test("interrupt stops an endless loop, and the session goes on", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  recorder.supervisor.sendCode("x = 5");
  recorder.supervisor.sendCode("print('in')\nwhile True: pass");
  await recorder.until((event) => event.type === "output" && event.data.includes("in"));
  assert.deepEqual(await recorder.supervisor.interrupt(), { stateLost: false });
  await recorder.untilState("interrupted");
  recorder.supervisor.sendCode("print(x)");
  await recorder.until((event) => event.type === "output" && event.data === "5\n");
  await recorder.supervisor.stop();
});

test("interrupt does nothing when nothing runs", timeout, async () => {
  const recorder = new Recorder();
  assert.deepEqual(await recorder.supervisor.interrupt(), { stateLost: false });
  await recorder.supervisor.start();
  assert.deepEqual(await recorder.supervisor.interrupt(), { stateLost: false });
  recorder.supervisor.sendCode("print('fine')");
  await recorder.supervisor.stop();
  assert.equal(recorder.text(), "fine\n");
});

test("the process ends by itself after stop", timeout, async () => {
  const host = spawnHost(`
    const supervisor = new Supervisor();
    supervisor.onEvent((event) => event.type === "output" && console.log(event.data.trim()));
    await supervisor.start();
    supervisor.sendCode("print('hello')");
    await supervisor.stop();
    console.log("stopped");
  `);
  await host.said("stopped");
  const { code, stdout } = await endsSoon(host);
  assert.equal(code, 0);
  assert.equal(stdout, "hello\nstopped\n");
});

test("the process does not end in the middle of an execution", timeout, async () => {
  const host = spawnHost(`
    const supervisor = new Supervisor();
    supervisor.onEvent((event) => {
      if (event.type === "output") console.log(event.data.trim());
      if (event.type === "state" && event.data.worker === "exec_end") supervisor.stop().then(() => console.log("stopped"));
    });
    supervisor.start();
    supervisor.sendCode("import time; time.sleep(1); print('late')");
  `);
  const { code, stdout, stderr } = await host.ended;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "late\nstopped\n");
});

test("the process ends by itself when the worker has died", timeout, async () => {
  const host = spawnHost(`
    const supervisor = new Supervisor();
    supervisor.onEvent((event) => event.type === "state" && console.log(event.data.worker));
    await supervisor.start();
    supervisor.sendCode("import os; os.abort()");
  `);
  await host.said("exec_end");
  assert.equal((await endsSoon(host)).code, 0);
});

test("the process ends by itself when start fails, or never was", timeout, async () => {
  const host = spawnHost(`
    new Supervisor().onEvent(() => {});
    const failing = new Supervisor({ interpreter: "/nonexistent/python3" });
    failing.onEvent(() => {});
    await failing.start().catch((error) => console.log(error.name));
  `);
  await host.said("SandboxSetupError");
  assert.equal((await endsSoon(host)).code, 0);
});

test("unref lets the process end, and ref takes that back", timeout, async () => {
  const unrefed = spawnHost(`
    const supervisor = new Supervisor();
    supervisor.unref();
    await supervisor.start();
    console.log("started");
    supervisor.sendCode("while True: pass");
  `);
  await unrefed.said("started");
  const below = descendants(unrefed.pid);
  assert.equal((await endsSoon(unrefed)).code, 0);
  await eventually(() => alive(below).length === 0, "the end of the sandbox", 1000);

  const held = spawnHost(`
    const supervisor = new Supervisor();
    supervisor.unref();
    await supervisor.start();
    supervisor.ref();
    console.log("started");
  `);
  await held.said("started");
  await sleep(700);
  assert.equal(held.child.exitCode, null);
  held.child.kill("SIGKILL");
  await held.ended;
});

/** Ways for a host to die in the middle of an execution: code that it runs, or a signal that it gets. */
const DEATHS = [
  { name: "process.exit()", code: "process.exit(7);", expected: { code: 7 } },
  { name: "a throw", code: 'setTimeout(() => { throw new Error("x"); });', expected: { code: 1 } },
  { name: "SIGINT", signal: "SIGINT" },
  { name: "SIGTERM", signal: "SIGTERM" },
  { name: "SIGKILL", signal: "SIGKILL" },
];

for (const { name, code = "", signal, expected } of DEATHS) {
  test(`a host that dies by ${name} leaves no process within a second`, timeout, async () => {
    const host = spawnHost(`
      const supervisor = new Supervisor();
      let go;
      supervisor.onEvent((event) => {
        if (event.type === "output" && event.data.includes("running")) console.log("running");
      });
      await supervisor.start();
      supervisor.sendCode("import os\\nos.fork()\\nprint('running')\\nwhile True: pass");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      ${code}
    `);
    await host.said("running");
    const below = descendants(host.pid);
    // The positive control: helper, worker and the worker's child are found while they live.
    assert.ok(below.length >= 3, JSON.stringify(below));
    assert.equal(alive(below).length, below.length);
    if (signal) host.child.kill(signal);
    const ended = await host.ended;
    if (expected) assert.equal(ended.code, expected.code);
    else if (!isBun) assert.equal(ended.signal, signal);
    await eventually(() => alive(below).length === 0, "the end of the sandbox", 1000);
  });
}
