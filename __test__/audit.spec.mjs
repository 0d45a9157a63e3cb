// The record of system calls: whole, not to be forged, bounded, and in nobody's way.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { Recorder, SLOWNESS, TIMEOUT, eventually, execute, root, sleep, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };
const COMMAND = path.join(root, "npm", `linux-${process.arch}-gnu`, "python-ipc-bun");

/** A policy with an audit of these calls, as a file. */
function policyFile(events, more = {}) {
  const file = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(file, JSON.stringify({ version: 1, audit: { enabled: true, events }, ...more }));
  return file;
}

const audited = (recorder) => recorder.data("audit-events").flat();

/** The command, with its record. */
function record(code, ...flags) {
  const log = path.join(temporaryDirectory(), "audit.jsonl");
  const { status, stdout, stderr } = spawnSync(COMMAND, ["run", `--audit=${log}`, ...flags, "-c", code], { encoding: "utf8" });
  return { status, stdout, stderr, log, lines: readFileSync(log, "utf8").split("\n").slice(0, -1).map((line) => JSON.parse(line)) };
}

/** Calls of the C library: what descendants and threads do that no hook of Python's sees. */
const LIBC = `
import ctypes, os, threading
libc = ctypes.CDLL(None, use_errno=True)
def look(path):
    fd = libc.open(path, os.O_RDONLY)
    if fd >= 0: libc.close(fd)
    return ctypes.get_errno() if fd < 0 else 0
`;

test("all threads and descendants are recorded, whatever they open", timeout, async () => {
  const { recorder, stdout, exitCode } = await execute(
    `${LIBC}
threads = [threading.Thread(target=look, args=(b"/from/thread/%d" % n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if os.fork() == 0:
    if os.fork() == 0:
        look(b"/from/grandchild")
        os._exit(0)
    os.wait()
    look(b"relative")
    os._exit(0)
os.wait()
print(look(b"/etc/hostname"))`,
    { policyPath: policyFile(["openat"]) },
  );
  assert.equal(exitCode, 0);
  assert.equal(stdout, "2\n", "what is recorded is carried out by the kernel all the same: nothing is there");
  await recorder.supervisor.stop();
  const targets = audited(recorder).map((event) => event.target);
  const expected = [...Array(8).keys()].map((n) => `/from/thread/${n}`);
  for (const target of [...expected, "/from/grandchild", path.join(process.cwd(), "relative"), "/etc/hostname"]) {
    assert.equal(targets.filter((found) => found === target).length, 1, target);
  }
  const [event] = audited(recorder).filter((event) => event.target === "/etc/hostname");
  assert.deepEqual(
    { ...event, time: 0, pid: 0 },
    { time: 0, pid: 0, syscall: "openat", target: "/etc/hostname", action: "deny", source: "default" },
  );
  assert.deepEqual(recorder.data("audit-enabled"), [["openat"]]);
  const { buckets, counts } = recorder.data("syscalls").at(-1);
  assert.deepEqual(buckets, ["openat"]);
  assert.equal(counts[0], targets.length, "each call is counted once");
  assert.equal(recorder.data("enforcement")[0].tier, "full");
});

test("a call is judged by the rule that it falls under", timeout, async () => {
  const directory = temporaryDirectory();
  writeFileSync(path.join(directory, "file"), "x");
  const { recorder, stdout } = await execute(`${LIBC}\nprint(look(${JSON.stringify(path.join(directory, "file"))}.encode()))`, {
    policyPath: policyFile(["openat"]),
    permissions: { allowRead: [directory] },
  });
  assert.equal(stdout, "0\n");
  await recorder.supervisor.stop();
  const { action, rule, source } = audited(recorder).find((event) => event.target === path.join(directory, "file"));
  assert.deepEqual({ action, rule, source }, { action: "allow", rule: `allow read ${directory}`, source: `--allow-read=${directory}` });
});

test("refused calls are recorded, and refused", timeout, async () => {
  const { recorder, stdout } = await execute(
    `${LIBC}
def call(*arguments):
    ctypes.set_errno(0)
    libc.syscall(*arguments)
    return ctypes.get_errno()
argv = (ctypes.c_char_p * 2)(b"sh", None)
print(call(101, 0), call(319, b"x", 0), call(59, b"/bin/sh", argv, None), call(39), call(56, 0x10000011, 0, 0, 0, 0))`,
    { policyPath: policyFile(["ptrace", "memfd_create", "execve", "getpid", "clone"], { antiEscape: { denySyscalls: ["getpid"] } }) },
  );
  const { EPERM, ENOSYS } = (await import("node:os")).constants.errno;
  assert.equal(stdout, `${[EPERM, ENOSYS, EPERM, EPERM, EPERM].join(" ")}\n`, "ptrace, memfd_create, execve, getpid, clone");
  await recorder.supervisor.stop();
  const denied = audited(recorder).filter((event) => event.action === "deny");
  assert.deepEqual(
    denied.map(({ syscall, source }) => [syscall, source]),
    [
      ["ptrace", "the list of system calls"],
      ["memfd_create", "the list of system calls"],
      ["execve", "default"],
      ["getpid", "antiEscape.denySyscalls"],
      ["clone", "the list of system calls"],
    ],
  );
  assert.equal(denied[2].target, "/bin/sh");
});

test("a refused call is recorded as denied though a rule allows its file", timeout, async () => {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o777);
  const file = path.join(directory, "kept");
  writeFileSync(file, "");
  const { recorder, stdout } = await execute(`${LIBC}\nprint(libc.unlink(${JSON.stringify(file)}.encode()))`, {
    policyPath: policyFile(["unlink"], { antiEscape: { denySyscalls: ["unlink"] } }),
    permissions: { allowWrite: [directory] },
  });
  assert.equal(stdout, "-1\n");
  await recorder.supervisor.stop();
  const [{ action, source, target }] = audited(recorder);
  assert.deepEqual({ action, source, target }, { action: "deny", source: "antiEscape.denySyscalls", target: file });
});

test("calls that the helper itself needs for the start can be recorded too", timeout, async () => {
  const events = ["sendmsg", "recvmsg", "futex", "read", "write", "close", "dup3", "setsid", "rt_sigprocmask", "mmap", "execve", "poll"];
  const { recorder, stdout, exitCode } = await execute("print('here')", { policyPath: policyFile(events) });
  assert.deepEqual([stdout, exitCode], ["here\n", 0]);
  await recorder.supervisor.stop();
  assert.ok(audited(recorder).some((event) => event.syscall === "mmap"));
});

test("a file's name forges neither a line nor a decision", timeout, () => {
  const names = ["/n\n{\"decision\":\"allow\"}", '/q","decision":"allow', "/u\u2028\u2029\u0085", "/b\u202egpj.exe", "/e\u001b[2J\r"];
  const { lines, log, status } = record(`${LIBC}\nfor name in ${JSON.stringify(names)}: look(name.encode())\nlook(b"/raw\\xff")`, "--denials=off");
  assert.equal(status, 0);
  const text = readFileSync(log, "utf8");
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
  for (const name of names) {
    const found = lines.filter((line) => line.target === name);
    assert.deepEqual(found.map((line) => line.decision), ["deny"], JSON.stringify(name));
  }
  const raw = lines.find((line) => line.raw !== undefined);
  assert.deepEqual([raw.target, raw.raw], ["/raw\ufffd", "2f726177ff"]);
  assert.deepEqual(new Set(lines.map((line) => line.session)).size, 1);
});

test("the record is added to, never led elsewhere, and not the worker's to write", timeout, () => {
  const directory = temporaryDirectory();
  const log = path.join(directory, "audit.jsonl");
  const run = (file, ...more) => spawnSync(COMMAND, ["run", `--audit=${file}`, ...more], { encoding: "utf8" });
  assert.equal(run(log, "-c", "1").status, 0);
  const { size } = statSync(log);
  const { status, stdout } = run(log, `--allow-read=${directory}`, `--allow-write=${directory}`, "-c", `
try: open(${JSON.stringify(log)}, "w")
except OSError as error: print(type(error).__name__)
import os
try: os.rename(${JSON.stringify(log)}, ${JSON.stringify(`${log}.old`)})
except OSError as error: print("kept")
open(${JSON.stringify(path.join(directory, "other"))}, "w").close()`);
  assert.equal(status, 0);
  assert.match(stdout, /^\w+\nkept\n$/);
  assert.ok(statSync(log).size > size && existsSync(path.join(directory, "other")));
  symlinkSync("elsewhere", path.join(directory, "link"));
  const linked = run(path.join(directory, "link"), "-c", "print('ran')");
  assert.deepEqual([linked.status, linked.stdout], [125, ""]);
  assert.match(linked.stderr, /symbolic link/);
  assert.ok(!existsSync(path.join(directory, "elsewhere")));
});

test("a record that can no longer be written ends the run", timeout, () => {
  const { status, stderr } = spawnSync(COMMAND, ["run", "--audit=/dev/full", "-c", "import time; time.sleep(60)"], { encoding: "utf8" });
  assert.equal(status, 125);
  assert.match(stderr, /the record cannot be written/);
});

test("a flood slows the worker, and neither this process nor another sandbox", timeout, async () => {
  const flood = new Recorder({ policyPath: policyFile(["openat"]) });
  const other = new Recorder();
  await Promise.all([flood.supervisor.start(), other.supervisor.start()]);
  flood.supervisor.sendCode(`${LIBC}
import time
end = time.monotonic() + 3
def go():
    while time.monotonic() < end:
        for n in range(200): libc.open(b"/nothing", 0)
threads = [threading.Thread(target=go) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()`);
  await sleep(500);
  const before = process.cpuUsage();
  const begun = process.hrtime.bigint();
  const waits = [];
  for (let n = 0; n < 10; n++) {
    const start = performance.now();
    const ends = other.states().filter((state) => state.worker === "exec_end").length;
    other.supervisor.sendCode("1");
    await eventually(() => other.states().filter((state) => state.worker === "exec_end").length > ends, "the end");
    waits.push(performance.now() - start);
    await sleep(100);
  }
  const { user, system } = process.cpuUsage(before);
  const share = (user + system) / (Number(process.hrtime.bigint() - begun) / 1000);
  await flood.untilState("exec_end");
  await Promise.all([flood.supervisor.stop(), other.supervisor.stop()]);
  const total = flood.data("syscalls").at(-1).counts[0];
  const told = audited(flood).length + flood.events.reduce((sum, event) => sum + (event.dropped ?? 0), 0);
  assert.equal(told, total, "what was not kept is counted");
  assert.ok(share < 0.9, `${share} of a processor`);
  waits.sort((a, b) => a - b);
  assert.ok(waits[5] < 100 * SLOWNESS, `the other sandbox answered after ${waits[5]} ms`);
  const kinds = flood.data("syscalls").length;
  assert.ok(kinds <= 5 * 6, `${kinds} events of counts`);
});

test("a supervisor that is killed takes its watched sandbox along", timeout, async () => {
  const directory = temporaryDirectory();
  mkdirSync(path.join(directory, "out"));
  const ticks = path.join(directory, "out", "ticks");
  const code = `
import os, time
for process in range(2): os.fork()
while True:
    with open(${JSON.stringify(ticks)}, "a") as file: file.write("x")
    time.sleep(0.005)`;
  const out = path.dirname(ticks);
  const child = spawn(COMMAND, ["run", `--audit=${path.join(directory, "log")}`, `--allow-read=${out}`, `--allow-write=${out}`, "-c", code], { stdio: "ignore" });
  await eventually(() => existsSync(ticks) && statSync(ticks).size > 50, "ticking", 20_000);
  child.kill("SIGKILL");
  await new Promise((resolve) => child.on("close", resolve));
  await sleep(300 * SLOWNESS);
  const { size } = statSync(ticks);
  await sleep(300 * SLOWNESS);
  assert.equal(statSync(ticks).size, size);
});

test("another sandbox begins a record of its own", timeout, async () => {
  const recorder = new Recorder({ policyPath: policyFile(["openat"]) });
  await recorder.supervisor.start();
  recorder.supervisor.sendCode(`${LIBC}\nlook(b"/first")`);
  await recorder.untilState("exec_end");
  await recorder.supervisor.restartWorker();
  const audit = { enabled: true, events: ["openat", "connect"] };
  await recorder.supervisor.applyPolicySet({ policies: [{ version: 1, audit }] });
  const ends = recorder.states().filter((state) => state.worker === "exec_end").length;
  recorder.supervisor.sendCode(`${LIBC}\nlook(b"/last")`);
  await eventually(() => recorder.states().filter((state) => state.worker === "exec_end").length > ends, "the end");
  await recorder.supervisor.stop();
  const told = recorder.events.filter((event) => ["audit-enabled", "audit-reset"].includes(event.type)).map(({ type, data }) => [type, data]);
  assert.deepEqual(told, [
    ["audit-enabled", ["openat"]],
    ["audit-reset", undefined],
    ["audit-enabled", ["openat"]],
    ["audit-reset", undefined],
    ["audit-enabled", ["openat", "connect"]],
  ]);
  const resets = recorder.events.map((event) => event.type).lastIndexOf("audit-reset");
  const at = (target) => recorder.events.findIndex((event) => event.type === "audit-events" && event.data.some((one) => one.target === target));
  assert.ok(at("/first") !== -1 && at("/first") < resets && at("/last") > resets);
});

test("nothing is recorded unless that was asked for", timeout, async () => {
  const { recorder } = await execute("1");
  await recorder.supervisor.stop();
  for (const type of ["audit-enabled", "audit-events", "syscalls", "audit-reset"]) assert.deepEqual(recorder.data(type), []);
});

/** A directory of this kind of rule, with a file in it. */
function ruled(action, perms = ["read_file", "read_dir"]) {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o777);
  writeFileSync(path.join(directory, "file"), "what is in it", { mode: 0o666 });
  const rules = [{ action, path: directory, perms }];
  const file = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(file, JSON.stringify({ version: 1, fs: { rules } }));
  return { directory, policyPath: file };
}

test("warn rules let through and are seen, in descendants too", timeout, async () => {
  const { directory, policyPath } = ruled("warn");
  const { recorder, stdout, exitCode } = await execute(
    `${LIBC}
for n in range(50): text = open(${JSON.stringify(path.join(directory, "file"))}).read()
print(text)
if os.fork() == 0:
    os.listdir(${JSON.stringify(directory)})
    os._exit(0)
os.wait()
print(look(b"/etc/hostname"))`,
    { policyPath },
  );
  assert.deepEqual([stdout, exitCode], ["what is in it\n2\n", 0]);
  await recorder.supervisor.stop();
  const by = `let through by warn read ${directory} (${policyPath}: fs.rules[0])`;
  assert.deepEqual(
    recorder.data("warn"),
    [`read ${directory}/file: ${by}`, `read ${directory}: ${by}`],
    "each once, and nothing of the interpreter's own",
  );
  assert.deepEqual(recorder.data("audit-events"), [], "nobody asked for an audit");
});

test("a warn rule for reading lets nothing be written", timeout, async () => {
  const { directory, policyPath } = ruled("warn");
  const file = path.join(directory, "file");
  const { recorder, stdout } = await execute(`${LIBC}\nprint(libc.open(${JSON.stringify(file)}.encode(), os.O_RDWR))`, { policyPath });
  assert.equal(stdout, "-1\n");
  await recorder.supervisor.stop();
  assert.equal(readFileSync(file, "utf8"), "what is in it");
});

test("a variable that a warn rule lets through is told at the start", timeout, () => {
  const directory = temporaryDirectory();
  const policy = path.join(directory, "policy.json");
  writeFileSync(policy, JSON.stringify({ version: 1, env: { rules: [{ action: "warn", name: "TOLD_*" }] } }));
  const { stdout, stderr } = spawnSync(COMMAND, ["run", `--policy=${policy}`, "-c", "import os; print(os.environ['TOLD_ONE'], 'OTHER' in os.environ)"], {
    encoding: "utf8",
    env: { ...process.env, TOLD_ONE: "1", OTHER: "2" },
  });
  assert.equal(stdout, "1 False\n");
  assert.match(stderr, /warning: env TOLD_ONE: let through by warn env TOLD_\*/);
});

test("what a descendant is denied is told where calls are watched", timeout, async () => {
  const directory = temporaryDirectory();
  const { recorder } = await execute(
    `${LIBC}
if os.fork() == 0:
    for n in range(3): look(${JSON.stringify(`${directory}/secret`)}.encode())
    look(b"/etc/nowhere")
    os._exit(0)
os.wait()`,
    { policyPath: policyFile(["openat", "open"]) },
  );
  await recorder.supervisor.stop();
  const denials = recorder.data("denied").filter((denial) => denial.target.startsWith(directory) || denial.target === "/etc/nowhere");
  assert.deepEqual(new Set(denials.map((denial) => denial.target)), new Set([`${directory}/secret`]), "looking for the system's files is no news");
  const { kind, operation, rule, source, hint, count } = denials.at(-1);
  assert.deepEqual(
    { kind, operation, rule, source, hint, count },
    { kind: "read", operation: "openat", rule: null, source: "default", hint: { flag: `--allow-read=${directory}/secret` }, count: 3 },
  );
});
