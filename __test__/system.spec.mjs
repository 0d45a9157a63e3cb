// What a worker sees of the system: by system calls of its own and of its children, since these are what is answered.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";

import { Recorder, TIMEOUT, execute, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };

/** Prints JSON of what Python, and a child of its, are told. */
const LOOK = `
import ctypes, json, os, struct
libc = ctypes.CDLL(None, use_errno=True)
def look():
    info = ctypes.create_string_buffer(128)
    assert libc.sysinfo(info) == 0
    uptime, *loads = struct.unpack_from("=q3Q", info)
    total, free = struct.unpack_from("=2Q", info, 32)
    mask = ctypes.create_string_buffer(1024)
    size = libc.syscall(204, 0, 1024, mask)
    name = os.uname()
    return dict(release=name.release, version=name.version, host=name.nodename, machine=name.machine, uptime=uptime, loads=loads,
                total=total, free=free, processors=sum(bin(byte).count("1") for byte in mask.raw[:size]),
                uid=os.getuid(), gid=os.getgid())
r, w = os.pipe()
if os.fork() == 0:
    os.write(w, json.dumps(look()).encode())
    os._exit(0)
os.wait()
print(json.dumps([look(), json.loads(os.read(r, 65536))]))
`;

async function look(permissions) {
  const { stdout, stderr, exitCode, recorder } = await execute(LOOK, { permissions });
  assert.equal(exitCode, 0, stderr);
  const [worker, child] = JSON.parse(stdout);
  for (const key of ["uptime", "loads", "free"]) delete child[key];
  assert.deepEqual({ ...worker, ...child }, worker, "a child is told the same");
  assert.equal(recorder.data("enforcement")[0].tier, "full");
  return worker;
}

const real = { release: os.release(), version: os.version(), host: os.hostname(), total: os.totalmem(), processors: os.availableParallelism() };

test("everything about the system is hidden, whatever is allowed besides", timeout, async () => {
  for (const permissions of [{}, { allowSys: ["inspector"] }, { allowRead: ["/usr/share"], allowRun: ["/usr/bin/env"] }, { denySys: true }]) {
    const told = await look(permissions);
    assert.notEqual(told.release, real.release);
    assert.notEqual(told.version, real.version);
    assert.deepEqual(
      [told.host, told.machine, told.uptime, told.loads, told.total, told.free, told.processors, told.uid, told.gid],
      ["sandbox", os.machine(), 0, [0, 0, 0], 2 ** 30, 2 ** 29, 1, 1000, 1000],
      JSON.stringify(permissions),
    );
  }
});

test("a program that is started is told the same", timeout, async () => {
  const code = `
import subprocess
print(subprocess.run(["uname", "-rn"], capture_output=True, text=True).stdout.strip())
print(subprocess.run(["nproc"], capture_output=True, text=True).stdout.strip())`;
  const allowRun = ["uname", "nproc"];
  assert.equal((await execute(code, { permissions: { allowRun } })).stdout, "sandbox 6.1.0\n1\n");
  const all = (await execute(code, { permissions: { allowRun, allowSys: ["osRelease", "cpus"] } })).stdout;
  assert.equal(all, `sandbox ${real.release}\n${real.processors}\n`);
});

test("what is refused fails as it does where nothing is hidden", timeout, async () => {
  const code = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.execv(b"/usr/bin/true", (ctypes.c_char_p * 2)(b"true"))
print(ctypes.get_errno())
ctypes.set_errno(0)
print(libc.uname(8), ctypes.get_errno())`;
  const { ENOSYS, EPERM } = os.constants.errno;
  for (const permissions of [{}, { allowSys: true }]) {
    const { stdout } = await execute(code, { permissions });
    assert.equal(stdout.split("\n")[0], String(ENOSYS), JSON.stringify(permissions));
  }
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policyPath, JSON.stringify({ version: 1, antiEscape: { denySyscalls: ["uname"] } }));
  assert.equal((await execute(code, { policyPath })).stdout, `${ENOSYS}\n-1 ${EPERM}\n`, "what the policy denies is not made up");
});

test("warn rules show the truth, and what was looked at is told once", timeout, async () => {
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  const rules = ["osRelease", "systemMemoryInfo"].map((name) => ({ action: "warn", name }));
  writeFileSync(policyPath, JSON.stringify({ version: 1, sys: { rules: [...rules, { action: "allow", name: "loadavg" }] } }));
  const { stdout, recorder } = await execute(LOOK, { policyPath });
  const [told, child] = JSON.parse(stdout);
  for (const { release, host, total, processors, uptime } of [told, child]) {
    assert.deepEqual([release, host, total, processors, uptime], [real.release, "sandbox", real.total, 1, 0]);
  }
  await recorder.supervisor.stop();
  const warnings = recorder.data("warn").filter((text) => text.startsWith("sys "));
  const by = (name, index) => `sys ${name}: let through by warn sys ${name} (${policyPath}: sys.rules[${index}])`;
  assert.deepEqual(warnings.sort(), [by("osRelease", 0), by("systemMemoryInfo", 1)]);
});

test("what a warn rule is about and nobody looks at is not told", timeout, async () => {
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policyPath, JSON.stringify({ version: 1, sys: { rules: [{ action: "warn", name: "cpus" }] } }));
  const { recorder } = await execute("1", { policyPath });
  await recorder.supervisor.stop();
  assert.deepEqual(recorder.data("warn").filter((text) => text.startsWith("sys ")), []);
});

test("each name shows what it stands for, and nothing else", timeout, async () => {
  const hidden = await look({ denySys: true });
  const cases = {
    hostname: ["host"], osRelease: ["release", "version"], osUptime: ["uptime"], os: ["release", "version", "uptime"], loadavg: ["loads"],
    systemMemoryInfo: ["total", "free"], cpus: ["processors"],
  };
  for (const [name, fields] of Object.entries(cases)) {
    const told = await look({ allowSys: [name] });
    const visible = { ...hidden };
    for (const field of fields) visible[field] = told[field];
    assert.deepEqual(told, visible, `${name} shows more`);
    for (const field of fields.filter((field) => field in real)) assert.equal(told[field], real[field], `${name}: ${field}`);
    if (fields.includes("uptime")) assert.ok(Math.abs(told.uptime - os.uptime()) < 60, name);
  }
});

test("a denial beside an allowance of everything", timeout, async () => {
  const told = await look({ allowSys: true, denySys: ["systemMemoryInfo", "hostname"] });
  assert.deepEqual([told.release, told.host, told.total, told.processors], [real.release, "sandbox", 2 ** 30, real.processors]);
});

test("everything is shown where everything is allowed, with no call asked about", timeout, async () => {
  const told = await look({ allowSys: true });
  const { release, version, host, total, processors } = told;
  assert.deepEqual({ release, version, host, total, processors }, real);
});

test("an ordinary caller's ids are shown where they may be seen", timeout, async () => {
  const told = await look({ allowSys: ["uid", "gid"] });
  const own = process.getuid() === 0 ? [1000, 1000] : [process.getuid(), process.getgid()];
  assert.deepEqual([told.uid, told.gid], own, "root's worker has an id of nobody's");
});

test("answers that cannot be written fail, and programs go on", timeout, async () => {
  const { stdout } = await execute(
    `
import ctypes, os, threading
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    return libc.syscall(*arguments), ctypes.get_errno()
print(call(63, 8), call(99, 8), call(204, 0, 1024, 8), call(204, 0, 4, 0))
buffer = ctypes.create_string_buffer(512)
def flood():
    for _ in range(500): assert libc.uname(buffer) == 0
threads = [threading.Thread(target=flood) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(os.cpu_count(), len(os.sched_getaffinity(0)))`,
  );
  const { EFAULT, EINVAL } = os.constants.errno;
  assert.equal(stdout, `(-1, ${EFAULT}) (-1, ${EFAULT}) (-1, ${EFAULT}) (-1, ${EINVAL})\n1 1\n`);
});

test("an unknown name is told with those that are known", timeout, async () => {
  const recorder = new Recorder({ permissions: { allowSys: ["hostnam"] } });
  await assert.rejects(recorder.supervisor.start(), (error) => /hostnam/.test(error.message) && /"hostname"/.test(error.message));
});
