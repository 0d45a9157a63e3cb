// The face of Supervisor itself: what it accepts, refuses, and in what order it speaks.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { PolicyError, SandboxError, SandboxSetupError, Supervisor } from "python-ipc-bun";
import * as everything from "python-ipc-bun";

import { Recorder, TIMEOUT, execute, sleep, spawnHost, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };

test("the exports are found by name", () => {
  for (const name of ["Supervisor", "loadConfig", "loadPolicy", "mergePolicies", "SandboxError", "PolicyError", "SandboxSetupError"]) {
    assert.equal(typeof everything[name], "function", name);
  }
  assert.ok(new PolicyError("x") instanceof SandboxError);
  assert.ok(new SandboxSetupError("x") instanceof SandboxError);
  assert.ok(new SandboxError("x") instanceof Error);
});

test("an option that cannot be used is named with its value and what was expected", () => {
  const refused = [
    [{ shmSize: "1mb" }, /option "shmSize": expected a whole number of bytes from \d+ to \d+, found "1mb"/],
    [{ shmSize: 1 }, /option "shmSize": .* found 1$/],
    [{ shmSize: Number.NaN }, /options\.shmSize is NaN/],
    [{ shmSize: 1e6 + 0.5 }, /option "shmSize": /],
    [{ workerType: "ruby" }, /option "workerType": expected "python" or "bun", found "ruby"/],
    [{ sandboxEnabled: "no" }, /option "sandboxEnabled": expected true or false, found "no"/],
    [{ policyPath: "" }, /option "policyPath": /],
    [{ policyPath: null }, /option "policyPath": .* found null/],
    [{ env: { A: 1 } }, /option "env\.A": expected a string, found 1/],
    [{ args: ["a", 2] }, /option "args\[1\]": expected a string, found 2/],
    [{ permissions: { allowRead: "/tmp" } }, /option "permissions\.allowRead": expected true or a list of strings, found "\/tmp"/],
    [{ cwd: () => "/" }, /options\.cwd is a function/],
    ["lambda", /option "options": expected an object, found "lambda"/],
  ];
  for (const [options, message] of refused) {
    assert.throws(() => new Supervisor(options), (error) => {
      assert.ok(error instanceof PolicyError, String(error));
      assert.equal(error.code, "ERR_BUNTIME_OPTION");
      assert.match(error.message, message);
      return true;
    });
  }
});

test("an unknown option is an error that tells the nearest name", () => {
  const hint = (options) => {
    try {
      new Supervisor(options);
    } catch (error) {
      return `${error.message}; ${error.hint}`;
    }
    return "accepted";
  };
  assert.equal(hint({ shmsize: 1 << 20 }), 'unknown option "shmsize"; did you mean "shmSize"?');
  assert.equal(hint({ permisions: {} }), 'unknown option "permisions"; did you mean "permissions"?');
  assert.match(hint({ colour: "red" }), /unknown option "colour"; known: policyPath, /);
  assert.equal(hint({ permissions: { allowReed: [] } }), 'unknown permission "allowReed"; did you mean "allowRead"?');
});

test("undefined options are absent ones", () => {
  new Supervisor();
  new Supervisor(undefined);
  new Supervisor({ policyPath: undefined, env: { A: undefined } });
});

test("wrong arguments are TypeErrors", async () => {
  const supervisor = new Supervisor();
  assert.throws(() => supervisor.onEvent("ready"), TypeError);
  assert.throws(() => supervisor.sendCode(5), TypeError);
  assert.throws(() => supervisor.sendCode(), TypeError);
  await assert.rejects(supervisor.stop({ grace: 1 }), { code: "ERR_BUNTIME_OPTION" });
  await assert.rejects(supervisor.stop({ graceMs: -1 }), { code: "ERR_BUNTIME_OPTION" });
});

test("sendCode is false before start and after the end, true between", timeout, async () => {
  const supervisor = new Supervisor();
  assert.equal(supervisor.sendCode("print(1)"), false);
  await supervisor.start();
  assert.equal(supervisor.sendCode("print(1)"), true);
  await supervisor.stop();
  assert.equal(supervisor.sendCode("print(1)"), false);
});

test("a supervisor starts once", timeout, async () => {
  const supervisor = new Supervisor();
  const first = supervisor.start();
  await assert.rejects(supervisor.start(), { name: "SandboxError", code: "ERR_BUNTIME_STATE" });
  await first;
  await supervisor.stop();
  await assert.rejects(supervisor.start(), { name: "SandboxError", code: "ERR_BUNTIME_STATE" });
});

test("stop before start resolves, and ends the supervisor", async () => {
  const supervisor = new Supervisor();
  await supervisor.stop();
  await supervisor.stop();
  await assert.rejects(supervisor.start(), { code: "ERR_BUNTIME_STATE" });
});

test("stop is idempotent, also while it waits", timeout, async () => {
  const supervisor = new Supervisor();
  await supervisor.start();
  await Promise.all([supervisor.stop(), supervisor.stop({ graceMs: 0 }), supervisor[Symbol.asyncDispose]()]);
});

test("events come in their order: enforcement, ready, then output, exec_end", timeout, async () => {
  const { recorder } = await execute("print('hello')");
  const names = recorder.events
    .map((event) => (event.type === "state" ? `state ${event.data.worker}` : event.type))
    .filter((name) => name !== "memory" && name !== "warn");
  const order = ["enforcement", "ready", "state exec_start", "output", "state exec_end"].map((name) => names.indexOf(name));
  assert.ok(!order.includes(-1), names.join(", "));
  assert.deepEqual(order, [...order].sort((a, b) => a - b), names.join(", "));
  assert.equal(names.filter((name) => name === "state exec_end").length, 1);
});

test("whoever awaits start() has seen ready", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  assert.equal(recorder.data("ready").length, 1);
  await recorder.supervisor.stop();
});

test("an exception is told as output, error, exec_end, exception, in this order", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  recorder.supervisor.sendCode("raise ValueError('x')");
  await recorder.untilState("exception");
  await recorder.supervisor.stop();
  const names = recorder.events.map((event) => (event.type === "state" ? event.data.worker : event.type));
  const order = ["output", "error", "exec_end", "exception"].map((name) => names.indexOf(name));
  assert.ok(!order.includes(-1), names.join(", "));
  assert.deepEqual(order, [...order].sort((a, b) => a - b), names.join(", "));
  assert.deepEqual(recorder.data("error"), ["ValueError: x"]);
  assert.match(recorder.text("stderr"), /^Traceback [\s\S]*raise ValueError\('x'\)[\s\S]*ValueError: x\n$/);
  const end = recorder.states().find((state) => state.worker === "exec_end");
  assert.equal(end.exitCode, 1);
  assert.equal(end.exit_code, 1);
  assert.equal(end.success, false);
});

test("listeners are called in order; an unsubscribed one no more, also in the middle of a dispatch", timeout, async () => {
  const supervisor = new Supervisor();
  const calls = [];
  let offSecond;
  const offFirst = supervisor.onEvent(({ type }) => {
    if (type !== "ready") return;
    calls.push("first");
    offSecond();
    offSecond();
  });
  offSecond = supervisor.onEvent(({ type }) => type === "ready" && calls.push("second"));
  const same = ({ type }) => type === "ready" && calls.push("same");
  const offSame = supervisor.onEvent(same);
  supervisor.onEvent(same);
  supervisor.onEvent(({ type }) => type === "ready" && calls.push("last"));
  await supervisor.start();
  assert.deepEqual(calls, ["first", "same", "same", "last"]);
  offFirst();
  offSame();
  offSame();
  await supervisor.stop();
});

test("a listener that is added during a dispatch sees the next event", timeout, async () => {
  const supervisor = new Supervisor();
  const seen = [];
  let added = false;
  supervisor.onEvent((event) => {
    if (event.type !== "output" || added) return;
    added = true;
    supervisor.onEvent((later) => later.type === "output" && seen.push(later.data));
  });
  await supervisor.start();
  supervisor.sendCode("print('one')");
  supervisor.sendCode("print('two')");
  await supervisor.stop();
  assert.equal(seen.join(""), "two\n");
});

test("events are never dispatched from within a call", timeout, async () => {
  const supervisor = new Supervisor();
  let inside = false;
  let reentered = false;
  supervisor.onEvent(() => {
    reentered ||= inside;
  });
  await supervisor.start();
  for (let i = 0; i < 50; i++) {
    inside = true;
    supervisor.sendCode(`print(${i})`);
    inside = false;
    await sleep(1);
  }
  await supervisor.stop();
  assert.equal(reentered, false);
});

test("short executions, one after the other, tell everything once and in order", timeout, async () => {
  // sendCode may look for their first news itself; nothing of it may get lost, doubled or late.
  const recorder = new Recorder();
  await recorder.supervisor.start();
  const kinds = [
    ["print(1)", ["code_received", "exec_start", "output", "exec_end"]],
    ["pass", ["code_received", "exec_start", "exec_end"]],
    ["import os; os.write(1, b'x\\n') and None", ["code_received", "exec_start", "output", "exec_end"]],
    ["print(1, end='')\nprint(2)", ["code_received", "exec_start", "output", "exec_end"]],
    ["raise ValueError", ["code_received", "exec_start", "output", "error", "exec_end", "exception"]],
    ["import time; print(1); time.sleep(0.002); print(2)", ["code_received", "exec_start", "output", "output", "exec_end"]],
  ];
  for (let round = 0; round < 60; round += 1) {
    const [code, expected] = kinds[round % kinds.length];
    const before = recorder.events.length;
    let ended;
    const end = new Promise((resolve) => (ended = resolve));
    const last = expected.at(-1);
    const stop = recorder.supervisor.onEvent(({ type, data }) => type === "state" && data.worker === last && ended());
    assert.equal(recorder.supervisor.sendCode(code), true);
    assert.equal(recorder.events.length, before, "no listener from within sendCode");
    await end;
    stop();
    if (round % 3 === 0) await sleep(2);
    const told = recorder.events.slice(before).filter(({ type }) => type !== "memory").map(({ type, data }) => (type === "state" ? data.worker : type));
    // Pieces of output may come together.
    const together = (names) => names.filter((name, at) => name !== "output" || names[at - 1] !== "output");
    assert.deepEqual(together(told), together(expected), code);
  }
  await recorder.supervisor.stop();
});

test("an execution that is quiet for long is told of at its start, also after short ones", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  for (let round = 1; round <= 3; round += 1) {
    const started = (number) => recorder.until(() => recorder.states().filter(({ worker }) => worker === "exec_start").length === number);
    recorder.supervisor.sendCode("1");
    await started(2 * round - 1);
    await sleep(5);
    recorder.supervisor.sendCode("import time; time.sleep(60)");
    await started(2 * round);
    assert.deepEqual(await recorder.supervisor.interrupt(), { stateLost: false });
  }
  await recorder.supervisor.stop();
});

test("a listener that throws silences no other, and its error is an uncaughtException", timeout, async () => {
  const host = spawnHost(`
    const supervisor = new Supervisor();
    process.on("uncaughtException", (error) => console.log("uncaught", error.message));
    supervisor.onEvent(({ type }) => { if (type === "output") throw new Error("of a listener"); });
    supervisor.onEvent((event) => { if (event.type === "output") console.log("heard", event.data); });
    await supervisor.start();
    supervisor.sendCode("print('hello')");
    await supervisor.stop();
    console.log("stopped");
  `);
  const { code, stdout, stderr } = await host.ended;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /heard hello/);
  assert.match(stdout, /uncaught of a listener/);
  assert.match(stdout, /stopped/);
});

test("globals persist between executions, and the value of a last expression is shown", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  recorder.supervisor.sendCode("x = 20");
  recorder.supervisor.sendCode("x + 1");
  await recorder.supervisor.stop();
  assert.equal(recorder.text("stdout"), "21\n");
  assert.equal(recorder.states().filter((state) => state.worker === "exec_end").length, 2);
});

test("sys.exit(n) is an exec_end with exitCode n", timeout, async () => {
  const { exitCode } = await execute("import sys; sys.exit(3)");
  assert.equal(exitCode, 3);
});

test("args and env reach the worker", timeout, async () => {
  const { stdout } = await execute("import os, sys; print(sys.argv[1:], os.environ['A'])", { args: ["", "ü"], env: { A: "ß" } });
  assert.equal(stdout, "['', 'ü'] ß\n");
});

test("getSnapshot tells state, policy and enforcement", timeout, async () => {
  const supervisor = new Supervisor();
  assert.equal(supervisor.getSnapshot().enforcement, null);
  await supervisor.start();
  const { state, policy, enforcement } = supervisor.getSnapshot();
  assert.equal(state.worker, "ready");
  assert.equal(policy.version, 1);
  assert.equal(policy.defaults.fs, "deny");
  assert.equal(enforcement.seccomp, true);
  assert.ok(enforcement.landlock.abi >= 1);
  assert.deepEqual(new Set(Object.values(enforcement.namespaces)), new Set([true]));
  await supervisor.stop();
});

test("getSnapshot tells the last state, in both spellings of its exit code, after the end", timeout, async () => {
  const supervisor = new Supervisor();
  await supervisor.start();
  await supervisor.stop();
  const { state } = supervisor.getSnapshot();
  assert.deepEqual(state, { worker: "stopped", exitCode: 0, exit_code: 0 });
});

test("without a sandbox the enforcement event claims no limit and no absence of a network", timeout, async () => {
  const { recorder } = await execute("1", { sandboxEnabled: false });
  const [{ tier, limits, network, landlock }] = recorder.data("enforcement");
  assert.deepEqual({ tier, limits, network, landlock }, { tier: "none", limits: "none", network: "host", landlock: null });
});

test("stop() ends a start whose interpreter hangs, and start() says so", timeout, async () => {
  const interpreter = path.join(temporaryDirectory(), "python3");
  writeFileSync(interpreter, "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
  const recorder = new Recorder({ interpreter });
  const started = assert.rejects(recorder.supervisor.start(), /stopped/);
  await recorder.untilState("starting");
  const before = Date.now();
  await recorder.supervisor.stop();
  assert.ok(Date.now() - before < 1000, `${Date.now() - before} ms`);
  await started;
  assert.equal(recorder.states().at(-1).worker, "stopped");
});

test("a missing interpreter is a SandboxSetupError with code and hint", timeout, async () => {
  const supervisor = new Supervisor({ interpreter: "/nonexistent/python3" });
  await assert.rejects(supervisor.start(), (error) => {
    assert.ok(error instanceof SandboxSetupError, String(error));
    assert.match(error.code, /^ERR_BUNTIME_/);
    assert.match(error.message, /\/nonexistent\/python3/);
    return true;
  });
});
