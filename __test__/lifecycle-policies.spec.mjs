// Other policies, and fresh workers, in a supervisor that runs.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { PolicyError, SandboxError, SandboxSetupError, Supervisor, loadPolicy } from "python-ipc-bun";

import { Recorder, TIMEOUT, alive, descendants, eventually, sleep, spawnHost, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };

const READ = ["read_file", "read_dir"];
const WRITE = ["write_file", "write_dir", "remove_dir", "remove_file", "make_dir", "make_reg", "make_sock", "make_fifo", "make_sym"];

const policy = (rules) => ({ version: 1, fs: { rules } });
const reads = (place) => policy([{ action: "allow", path: place, perms: READ }]);
const writes = (place) => policy([{ action: "allow", path: place, perms: [...READ, ...WRITE] }]);

/** A directory that any user can write to, and a file in it. */
function place() {
  const directory = path.join(temporaryDirectory(), "place");
  mkdirSync(directory, { mode: 0o777 });
  const file = path.join(directory, "file");
  writeFileSync(file, "content");
  return { directory, file };
}

async function started(options) {
  const recorder = new Recorder(options);
  await recorder.supervisor.start();
  return recorder;
}

/** What the worker prints when it executes this. */
async function says(recorder, code) {
  const before = recorder.text().length;
  const ends = recorder.states().filter((state) => state.worker === "exec_end").length;
  assert.equal(recorder.supervisor.sendCode(code), true);
  await eventually(() => recorder.states().filter((state) => state.worker === "exec_end").length > ends, "the end of the code");
  return recorder.text().slice(before);
}

const reading = (file) => `try: print(open(${JSON.stringify(file)}).read())\nexcept OSError as error: print(error.errno)`;
const DENIED = /^(13|2)\n$/;

test("a policy that is applied allows what it says, and one after it denies that again", timeout, async () => {
  const { directory, file } = place();
  const recorder = await started();
  assert.match(await says(recorder, reading(file)), DENIED);

  const meta = await recorder.supervisor.applyPolicySet({ policies: [reads(directory)], policyKeys: ["mine"] });
  const { appliedAt, ...rest } = meta;
  assert.ok(Math.abs(Date.parse(appliedAt) - Date.now()) < 60_000, appliedAt);
  assert.deepEqual(rest.policyKeys, ["mine"]);
  assert.deepEqual([rest.policyCount, rest.rules.fs, rest.source], [1, 1, "apply"]);
  assert.equal(await says(recorder, reading(file)), "content\n");
  assert.deepEqual(recorder.supervisor.getSnapshot().policyMeta, meta);
  assert.equal(recorder.supervisor.getSnapshot().policy.fs.rules[0].path, directory);

  assert.equal((await recorder.supervisor.applyPolicySet({ policies: [] }, "run")).source, "run");
  assert.match(await says(recorder, reading(file)), DENIED);
  await recorder.supervisor.stop();
});

test("policies that are applied together are merged, under the permissions and in the place of the file", timeout, async () => {
  const [one, two, three, four] = [place(), place(), place(), place()];
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policyPath, JSON.stringify(reads(four.directory)));
  const recorder = await started({ policyPath, permissions: { allowRead: [three.directory] } });
  assert.equal(await says(recorder, reading(four.file)), "content\n", "the file's grant");
  await recorder.supervisor.applyPolicySet({ policies: [reads(one.directory), reads(two.directory)] });
  for (const { file } of [one, two, three]) assert.equal(await says(recorder, reading(file)), "content\n");
  assert.match(await says(recorder, reading(four.file)), DENIED);
  // What is in force stays so when the worker is replaced.
  await recorder.supervisor.restartWorker();
  assert.equal(await says(recorder, reading(one.file)), "content\n");
  assert.match(await says(recorder, reading(four.file)), DENIED);
  // A shipped policy comes by way of loadPolicy.
  await recorder.supervisor.applyPolicySet({ policies: [await loadPolicy("default")], policyKeys: ["default"] });
  assert.match(await says(recorder, reading(one.file)), DENIED);
  await recorder.supervisor.stop();
});

test("the events of a change, in their order; whoever awaits it has seen them", timeout, async () => {
  const recorder = await started();
  const news = async (change) => {
    const before = recorder.events.length;
    await change();
    return recorder.events
      .slice(before)
      .map((event) => (event.type === "state" ? `state ${event.data.worker}` : event.type))
      .filter((name) => name !== "memory" && name !== "warn");
  };
  const ready = ["enforcement", "ready", "state ready"];
  assert.deepEqual(await news(() => recorder.supervisor.applyPolicySet({ policies: [] })), [
    "state restarting", "policy-loaded", "policy-set-loaded", ...ready,
  ]);
  assert.deepEqual(await news(() => recorder.supervisor.restartWorker()), ["state restarting", ...ready]);
  await recorder.supervisor.stop();
  assert.equal(recorder.states().filter((state) => state.worker === "stopped").length, 1);
});

test("a set that cannot be used changes nothing", timeout, async () => {
  const recorder = await started();
  await says(recorder, "x = 5");
  const before = recorder.events.length;
  const { supervisor } = recorder;
  const refused = async (set, expected, source) => {
    await assert.rejects(supervisor.applyPolicySet(set, source), (error) => {
      assert.ok(error instanceof PolicyError, String(error));
      assert.match(error.message, expected);
      return true;
    });
  };
  await refused({ policies: [{ version: 2 }] }, /policies\[0\].*version/);
  await refused({ policies: [policy([]), policy([{ action: "alow", path: "/", perms: READ }])] }, /policies\[1\].*fs\.rules\[0\]/);
  await refused({ policies: [{ version: 1, plugins: { seccomp: false } }] }, /plugins\.seccomp/);
  await refused({ policies: {} }, /option "policies": expected a list/);
  await refused({}, /option "policies": expected a list/);
  await refused(undefined, /option "set": expected an object/);
  await refused({ policies: [], policyKey: [] }, /unknown key of a policy set "policyKey"/);
  await refused({ policies: [policy([])], policyKeys: [] }, /policyKeys has 0 names for 1 policies/);
  await refused({ policies: [] }, /option "source": expected "run" or "apply", found "boot"/, "boot");
  assert.equal(recorder.events.length, before, "no events");
  assert.equal(await says(recorder, "print(x)"), "5\n");
  await supervisor.stop();
});

test("a sandbox that cannot be built leaves the old one as it is", timeout, async () => {
  const { directory, file } = place();
  const activePolicyPath = path.join(temporaryDirectory(), "state", "active.json");
  mkdirSync(path.dirname(activePolicyPath));
  const recorder = await started({ activePolicyPath });
  await says(recorder, "x = 5");
  const before = readFileSync(activePolicyPath, "utf8");
  renameSync(path.dirname(activePolicyPath), `${path.dirname(activePolicyPath)}.away`);
  await assert.rejects(recorder.supervisor.applyPolicySet({ policies: [reads(directory)] }), (error) => {
    assert.ok(error instanceof SandboxSetupError, String(error));
    assert.equal(error.code, "ERR_BUNTIME_ACTIVE_POLICY");
    return true;
  });
  assert.equal(await says(recorder, "print(x)"), "5\n");
  assert.match(await says(recorder, reading(file)), DENIED);
  renameSync(`${path.dirname(activePolicyPath)}.away`, path.dirname(activePolicyPath));
  assert.equal(readFileSync(activePolicyPath, "utf8"), before);
  await recorder.supervisor.stop();
});

test("the files of the policy in force follow it", timeout, async () => {
  const { directory } = place();
  const state = temporaryDirectory();
  const [activePolicyPath, activePolicyMetaPath] = ["policy.json", "meta.json"].map((name) => path.join(state, name));
  const recorder = await started({ activePolicyPath, activePolicyMetaPath });
  assert.deepEqual(JSON.parse(readFileSync(activePolicyPath, "utf8")).fs.rules, []);
  const meta = await recorder.supervisor.applyPolicySet({ policies: [reads(directory)] });
  assert.equal(JSON.parse(readFileSync(activePolicyPath, "utf8")).fs.rules[0].path, directory);
  assert.deepEqual(JSON.parse(readFileSync(activePolicyMetaPath, "utf8")), meta);
  await recorder.supervisor.stop();
});

test("a worker cannot lead the file of the next policy astray", timeout, async () => {
  const { directory } = place();
  const elsewhere = temporaryDirectory();
  const state = path.join(directory, "state");
  const activePolicyPath = path.join(state, "active.json");
  mkdirSync(state, { mode: 0o777 });
  const recorder = await started({ activePolicyPath });
  await recorder.supervisor.applyPolicySet({ policies: [writes(directory)] });
  const swap = `import os\nos.rename(${JSON.stringify(state)}, ${JSON.stringify(`${state}.away`)})\nos.symlink(${JSON.stringify(elsewhere)}, ${JSON.stringify(state)})\nprint("swapped")`;
  assert.equal(await says(recorder, swap), "swapped\n");
  // The next sandbox could not have made that link: it is the old one that counts.
  await assert.rejects(recorder.supervisor.applyPolicySet({ policies: [] }), (error) => {
    assert.equal(error.code, "ERR_BUNTIME_ACTIVE_POLICY");
    assert.match(error.message, /symlink/);
    return true;
  });
  assert.equal(existsSync(path.join(elsewhere, "active.json")), false);
  await recorder.supervisor.stop();
  // The control: what nobody in a sandbox could have made is followed.
  const caller = await started({ activePolicyPath });
  await caller.supervisor.applyPolicySet({ policies: [] });
  assert.equal(existsSync(path.join(elsewhere, "active.json")), true);
  await caller.supervisor.stop();
});

test("a variable that the next policy does not allow is nowhere in the memory of the next worker", timeout, async () => {
  const finds = `
import os, re
memory = os.open("/proc/self/mem", os.O_RDONLY)
found = False
for start, end in re.findall(r"^(\\w+)-(\\w+) r", open("/proc/self/maps").read(), re.MULTILINE):
    try: found |= re.search(b"secret-[o]f-the-host", os.pread(memory, int(end, 16) - int(start, 16), int(start, 16))) is not None
    except (OSError, OverflowError): pass
print(found)
`;
  // A process of its own: Bun keeps what a program sets in process.env to itself.
  const host = spawnHost(
    `
    const supervisor = new Supervisor();
    supervisor.onEvent((event) => event.type === "output" && console.log(event.data.trim()));
    await supervisor.start();
    for (const name of ["TOKEN", "OTHER"]) {
      await supervisor.applyPolicySet({ policies: [{ version: 1, env: { rules: [{ action: "allow", name }] } }] });
      supervisor.sendCode(${JSON.stringify(finds)});
    }
    await supervisor.stop({ graceMs: 30_000 });
  `,
    { env: { ...process.env, TOKEN: "secret-of-the-host" } },
  );
  const { stdout, stderr } = await host.ended;
  assert.equal(stdout, "True\nFalse\n", `found where it is allowed, as a control, and not where it is not: ${stderr}`);
});

test("nothing of the old sandbox is left when the new policy holds", timeout, async () => {
  const { directory, file } = place();
  const beat = path.join(directory, "beat");
  const recorder = await started();
  await recorder.supervisor.applyPolicySet({ policies: [writes(directory)] });
  // A child that lives on, and a thread that keeps the worker from ending by itself.
  await says(recorder, `
import os, threading, time
def beats():
    while True:
        open(${JSON.stringify(beat)}, "a").write("x")
        time.sleep(0.01)
if os.fork() == 0:
    os.setsid()
    beats()
threading.Thread(target=beats).start()
`);
  const length = () => readFileSync(beat).length;
  const first = await eventually(() => existsSync(beat) && length(), "the first beat");
  await eventually(() => length() > first, "the control: a beat while it lives");
  await recorder.supervisor.applyPolicySet({ policies: [reads(directory)] });
  const then = length();
  assert.equal(await says(recorder, reading(file)), "content\n");
  await sleep(200);
  assert.equal(length(), then);
  await recorder.supervisor.stop();
});

test("under load each execution ends once, in order, under one policy or the next", timeout, async () => {
  const { directory, file } = place();
  const recorder = await started();
  const changes = [];
  const COUNT = 300;
  for (let number = 0; number < COUNT; number++) {
    assert.equal(recorder.supervisor.sendCode(`${reading(file)}\nprint(${number})`), true);
    if (number % 60 === 30) {
      const policies = changes.length % 2 === 0 ? [reads(directory)] : [];
      changes.push(recorder.supervisor.applyPolicySet({ policies }));
    }
    if (number % 10 === 0) await sleep(5);
  }
  await Promise.all(changes);
  await eventually(() => recorder.states().filter((state) => state.worker === "exec_end").length === COUNT, "the last end", 30_000);
  assert.equal(await says(recorder, reading(file)), "content\n", "the fifth change allows");
  await recorder.supervisor.stop({ graceMs: 30_000 });
  const ends = recorder.states().filter((state) => state.worker === "exec_end");
  assert.equal(ends.length, COUNT + 1);
  assert.deepEqual(ends.filter((end) => !end.success), []);
  const lines = recorder.text().trim().split("\n").slice(0, -1);
  assert.deepEqual(lines.filter((_, index) => index % 2 === 1), [...Array(COUNT).keys()].map(String));
  const told = lines.filter((_, index) => index % 2 === 0);
  const turns = told.filter((line, index) => index > 0 && line !== told[index - 1]).length;
  assert.ok(turns <= changes.length, `${turns} turns: ${told.join(" ")}`);
});

test("a restart is a way out of code that does not end", timeout, async () => {
  const recorder = await started();
  await says(recorder, "x = 5");
  recorder.supervisor.sendCode("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass");
  await eventually(() => recorder.states().at(-1).worker === "exec_start", "the loop");
  recorder.supervisor.sendCode("print('x' in globals())");
  const begun = Date.now();
  await recorder.supervisor.restartWorker();
  const took = Date.now() - begun;
  assert.ok(took > 1500, `${took} ms`);
  const ends = () => recorder.states().filter((state) => state.worker === "exec_end");
  await eventually(() => ends().length === 3, "the ends");
  assert.deepEqual(ends().map((end) => end.exitCode), [0, 137, 0]);
  assert.equal(recorder.text(), "False\n");
  await recorder.supervisor.stop();
});

test("an interrupt reaches the new worker", timeout, async () => {
  const recorder = await started();
  await says(recorder, "pass");
  await recorder.supervisor.restartWorker();
  recorder.supervisor.sendCode("while True: pass");
  await eventually(() => recorder.states().at(-1).worker === "exec_start", "the loop");
  assert.deepEqual(await recorder.supervisor.interrupt(), { stateLost: false });
  assert.equal(await says(recorder, "print('on')"), "on\n");
  await recorder.supervisor.stop();
});

test("a worker cannot be replaced before the start, while it stops, or after the end", timeout, async () => {
  const state = (error) => error instanceof SandboxError && error.code === "ERR_BUNTIME_STATE";
  const supervisor = new Supervisor();
  await assert.rejects(supervisor.restartWorker(), state);
  await assert.rejects(supervisor.applyPolicySet({ policies: [] }), state);
  await supervisor.start();
  const stopped = supervisor.stop();
  await assert.rejects(supervisor.restartWorker(), state);
  await assert.rejects(supervisor.applyPolicySet({ policies: [] }), state);
  await stopped;
  await assert.rejects(supervisor.restartWorker(), state);
});

test("a worker may be replaced while it starts", timeout, async () => {
  const { directory, file } = place();
  const recorder = new Recorder();
  const start = recorder.supervisor.start();
  const applied = recorder.supervisor.applyPolicySet({ policies: [reads(directory)] });
  await Promise.all([start, applied]);
  assert.equal(await says(recorder, reading(file)), "content\n");
  await recorder.supervisor.stop();
});

for (const how of ["SIGKILL", "stop"]) {
  test(`a host that ends in the middle of a change by ${how} leaves no process`, timeout, async () => {
    const host = spawnHost(`
      const supervisor = new Supervisor();
      await supervisor.start();
      supervisor.sendCode("import time\\nwhile True: time.sleep(1)");
      const changed = supervisor.restartWorker().catch((error) => console.log(error.code));
      await new Promise((resolve) => setTimeout(resolve, 300));
      console.log("changing");
      ${how === "stop" ? "await supervisor.stop({ graceMs: 100 });" : "await changed;"}
    `);
    await host.said("changing");
    const below = descendants(host.pid);
    assert.ok(below.length >= 3, JSON.stringify(below));
    if (how === "SIGKILL") host.child.kill("SIGKILL");
    await host.ended;
    await eventually(() => alive(below).length === 0, "the end of the sandboxes", 1000);
  });
}
