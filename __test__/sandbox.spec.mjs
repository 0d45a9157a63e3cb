// What sandboxed code can do to the host: judged from the host's side, each with a positive control that has no sandbox.
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import test from "node:test";

import { Recorder, TIMEOUT, bothWays, descendants, execute, spawnHost, status, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };
const python = (value) => JSON.stringify(value);

/**
 * Calls of the C library, past all of Python: the harness's hooks, which explain denials, see nothing of them, and are in force
 * without the sandbox too. So what fails here was refused by the kernel, and what succeeds in the control was not.
 */
const LIBC = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def read(path):
    return os.read(check(libc.open(path.encode(), os.O_RDONLY)), 1 << 20).decode()
def write(path, text):
    os.write(check(libc.open(path.encode(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)), text.encode())
def run(*command):
    arguments = (ctypes.c_char_p * (len(command) + 1))(*[part.encode() for part in command])
    child = check(libc.fork())
    if child == 0:
        libc.execv(arguments[0], arguments)
        libc._exit(99)
    status = ctypes.c_int()
    check(libc.waitpid(child, ctypes.byref(status), 0))
    return os.waitstatus_to_exitcode(status.value)
`;

/** A directory that any user may read and write, so that nothing but the sandbox stands in the way. */
function openDirectory() {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o777);
  return directory;
}

function sentinel() {
  const directory = openDirectory();
  const file = path.join(directory, "sentinel");
  const secret = `secret-${Math.random()}`;
  writeFileSync(file, secret, { mode: 0o644 });
  return { directory, file, secret };
}

test("a file of the host's cannot be read", timeout, async () => {
  const { file, secret } = sentinel();
  const { inside, outside } = await bothWays(`${LIBC}\nprint(read(${python(file)}))`);
  assert.ok(!inside.output.includes(secret));
  assert.equal(inside.exitCode, 1);
  assert.equal(outside.stdout, `${secret}\n`);
});

test("a file that is allowed can be read, its neighbour cannot", timeout, async () => {
  const { directory, file, secret } = sentinel();
  const neighbour = path.join(directory, "neighbour");
  writeFileSync(neighbour, "other-secret");
  const code = `${LIBC}\nprint(read(${python(file)}))\nprint(read(${python(neighbour)}))`;
  const result = await execute(code, { permissions: { allowRead: [file] } });
  assert.equal(result.stdout, `${secret}\n`);
  assert.equal(result.exitCode, 1);
  assert.ok(!result.output.includes("other-secret"));
});

test("a link out of an allowed directory leads nowhere", timeout, async () => {
  const { file, secret } = sentinel();
  const allowed = openDirectory();
  const code = `${LIBC}
check(libc.symlink(${python(file)}.encode(), ${python(path.join(allowed, "link"))}.encode()))
print(read(${python(path.join(allowed, "link"))}))`;
  const result = await execute(code, { permissions: { allowRead: [allowed], allowWrite: [allowed] } });
  assert.ok(existsSync(path.join(allowed, "link")));
  assert.ok(!result.output.includes(secret));
  assert.equal(result.exitCode, 1);
});

test("nothing can be written on the host", timeout, async () => {
  const directory = openDirectory();
  const file = path.join(directory, "written");
  const { inside } = await bothWays(`${LIBC}\nwrite(${python(file)}, "x")`);
  // Both ran: the control comes second, and what it wrote proves that the place could be written to.
  assert.equal(inside.exitCode, 1);
  assert.equal(readFileSync(file, "utf8"), "x");
});

test("a directory that is allowed can be written to", timeout, async () => {
  const directory = openDirectory();
  const file = path.join(directory, "written");
  const result = await execute(`${LIBC}\nwrite(${python(file)}, "x")`, { permissions: { allowWrite: [directory] } });
  assert.equal(result.exitCode, 0, result.stderr);
  assert.equal(readFileSync(file, "utf8"), "x");
});

test("read permission is no write permission", timeout, async () => {
  const { directory, file, secret } = sentinel();
  const result = await execute(`${LIBC}\nwrite(${python(file)}, "x")`, { permissions: { allowRead: [directory] } });
  assert.equal(result.exitCode, 1);
  assert.equal(readFileSync(file, "utf8"), secret);
});

test("no connection reaches a port of the host's", timeout, async () => {
  let connections = 0;
  const server = net.createServer((socket) => {
    connections += 1;
    socket.on("error", () => {}).destroy();
  });
  await new Promise((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address();
  const addresses = ["127.0.0.1", ...Object.values(os.networkInterfaces()).flat().filter(({ family }) => family === "IPv4").map(({ address }) => address)];
  const code = `
import socket
for address in ${python([...new Set(addresses)])}:
    try:
        socket.create_connection((address, ${port}), 2).close()
        print("connected")
    except OSError as error:
        print(type(error).__name__)`;
  const inside = await execute(code);
  assert.equal(connections, 0);
  assert.ok(!inside.stdout.includes("connected"), inside.stdout);
  const outside = await execute(code, { sandboxEnabled: false });
  assert.ok(outside.stdout.includes("connected"), outside.output);
  assert.ok(connections > 0);
  await new Promise((resolve) => server.close(resolve));
});

test("no unix socket of the host's can be reached, named or abstract", timeout, async () => {
  const directory = openDirectory();
  const named = path.join(directory, "socket");
  const abstract = `python-ipc-bun-${process.pid}`;
  // Listened on by Python: Node has no abstract sockets.
  const listener = new Recorder({ sandboxEnabled: false, permissions: { allowRead: [directory], allowWrite: [directory] } });
  await listener.supervisor.start();
  listener.supervisor.sendCode(`${LIBC}
import socket
listeners = [socket.socket(socket.AF_UNIX) for _ in range(2)]
for one, address in zip(listeners, [${python(named)}, "\\0${abstract}"]):
    one.bind(address)
    one.listen()
check(libc.chmod(${python(named)}.encode(), 0o777))`);
  const { data: listening } = await listener.untilState("exec_end");
  assert.equal(listening.exitCode, 0, listener.text());
  const code = `
import socket
for address in [${python(named)}, "\\0${abstract}"]:
    try:
        one = socket.socket(socket.AF_UNIX)
        one.connect(address)
        print("connected")
    except OSError as error:
        print(type(error).__name__)`;
  const { inside, outside } = await bothWays(code, { permissions: { allowRead: [directory] } });
  await listener.supervisor.stop();
  assert.ok(!inside.stdout.includes("connected"), inside.output);
  assert.equal(outside.stdout, "connected\nconnected\n");
});

test("no other program can be started", timeout, async () => {
  const directory = openDirectory();
  const file = path.join(directory, "by-shell");
  const command = `echo x > ${file}`;
  const attempts = [
    `print(run("/bin/sh", "-c", ${python(command)}))`,
    `print(libc.system(${python(command)}.encode()))`,
    `import sys\nprint(run(sys.executable, "-c", ${python(`open(${python(file)}, "w")`)}))`,
    `import subprocess\nsubprocess.run(["/bin/sh", "-c", ${python(command)}])`,
  ];
  for (const code of attempts) {
    await execute(LIBC + code, { permissions: { allowWrite: [directory] } });
    assert.equal(existsSync(file), false, code);
  }
  for (const code of attempts.slice(0, 3)) {
    const { output } = await execute(LIBC + code, { sandboxEnabled: false });
    assert.equal(existsSync(file), true, code + output);
    rmSync(file);
  }
});

test("processes of the host are not seen and get no signal", timeout, async () => {
  const code = `${LIBC}
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
print(${process.pid} in pids, len(pids))
try:
    check(libc.kill(${process.pid}, 0))
    print("reached")
except OSError as error:
    print(type(error).__name__)`;
  const { inside, outside } = await bothWays(code);
  const [, seen, count] = inside.stdout.match(/^(\w+) (\d+)\n/);
  // Another process may have the same number inside; then at least there are few.
  assert.ok(seen === "False" || Number(count) < 10, inside.stdout);
  assert.ok(Number(count) < 10, inside.stdout);
  if (process.pid > 20) assert.match(inside.stdout, /ProcessLookupError/);
  assert.match(outside.stdout, /^True \d+\nreached\n/);
});

test("the host's name is not told", timeout, async () => {
  const { inside, outside } = await bothWays("import socket; print(socket.gethostname())");
  assert.equal(inside.stdout, "sandbox\n");
  assert.equal(outside.stdout, `${os.hostname()}\n`);
});

test("the environment of the host does not reach the worker", timeout, async () => {
  // In a host of its own, which is born with the variable: what is assigned to `process.env` later, Bun keeps to itself.
  const host = spawnHost(
    `
    for (const permissions of [{}, { allowEnv: ["SPEC_SECRET"] }]) {
      const supervisor = new Supervisor({ permissions });
      supervisor.onEvent(({ type, data }) => type === "output" && console.log(data.trim()));
      await supervisor.start();
      supervisor.sendCode('import os; print(os.environ.get("SPEC_SECRET"))');
      await supervisor.stop();
    }
  `,
    { env: { ...process.env, SPEC_SECRET: "of-the-host" } },
  );
  const { stdout, stderr } = await host.ended;
  assert.equal(stdout, "None\nof-the-host\n", stderr);
});

test("the accounts of the host are not told", timeout, async () => {
  const { inside, outside } = await bothWays(`${LIBC}\nprint(read("/etc/passwd"))`);
  const accounts = readFileSync("/etc/passwd", "utf8");
  assert.equal(outside.stdout, `${accounts}\n`);
  assert.ok(inside.stdout.split("\n").length < 8, inside.stdout);
});

test("shared memory and temporary files stay inside", timeout, async () => {
  const name = `python-ipc-bun-spec-${process.pid}`;
  const places = [`/dev/shm/${name}`, `/tmp/${name}`];
  const code = `${LIBC}
for path in ${python(places)}:
    try:
        write(path, "x")
    except OSError as error:
        print(type(error).__name__)`;
  await execute(code);
  for (const place of places) assert.equal(existsSync(place), false, place);
  await execute(code, { sandboxEnabled: false });
  for (const place of places) {
    assert.equal(existsSync(place), true, place);
    rmSync(place);
  }
});

test("the worker has no privilege, as the kernel tells the host", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  const below = descendants(process.pid);
  const worker = below.find(({ pid }) => /^python/.test(status(pid, "Name")));
  assert.ok(worker, JSON.stringify(below.map(({ pid }) => status(pid, "Name"))));
  const facts = Object.fromEntries(
    ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid"].map((field) => [field, status(worker.pid, field)]),
  );
  await recorder.supervisor.stop();
  for (const field of ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"]) assert.match(facts[field], /^0+$/, field);
  assert.equal(facts.NoNewPrivs, "1");
  assert.equal(facts.Seccomp, "2");
  // Not the host's root, whoever the caller is: root of the host may write /proc/sys/kernel with no capability at all.
  assert.ok(facts.Uid.split("\t").every((uid) => uid !== "0"), facts.Uid);

  const control = new Recorder({ sandboxEnabled: false });
  await control.supervisor.start();
  const free = descendants(process.pid).find(({ pid }) => /^python/.test(status(pid, "Name")));
  assert.equal(status(free.pid, "NoNewPrivs"), status(process.pid, "NoNewPrivs"));
  assert.equal(status(free.pid, "Seccomp"), status(process.pid, "Seccomp"));
  await control.supervisor.stop();
});

test("no namespace can be made, no process traced, nothing mounted", timeout, async () => {
  const code = `${LIBC}
print("unshare", libc.unshare(0x10000000))
print("ptrace", libc.ptrace(0, 0, 0, 0))`;
  const { inside, outside } = await bothWays(code);
  assert.equal(inside.stdout, "unshare -1\nptrace -1\n", inside.stderr);
  assert.equal(outside.stdout, "unshare 0\nptrace 0\n", outside.stderr);
  // Without a control, which would mount something on this machine.
  const mount = await execute(`${LIBC}\nprint(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None))`);
  assert.equal(mount.stdout, "-1\n", mount.stderr);
});

test("what was denied is reported with the flag that would allow it", timeout, async () => {
  const { file } = sentinel();
  const { recorder } = await execute(`open(${python(file)})`);
  const denial = recorder.data("denied").find(({ target }) => target === file);
  assert.ok(denial, JSON.stringify(recorder.data("denied")));
  assert.equal(denial.kind, "read");
  assert.equal(denial.hint.flag, `--allow-read=${file}`);
  assert.equal(typeof denial.time, "number");
});

test("two sandboxes do not see each other's scratch files", timeout, async () => {
  const shared = `/dev/shm/python-ipc-bun-two-${process.pid}`;
  const first = new Recorder();
  const second = new Recorder();
  await Promise.all([first.supervisor.start(), second.supervisor.start()]);
  first.supervisor.sendCode(`open(${python(shared)}, "w").write("x"); import os; print(os.path.exists(${python(shared)}))`);
  await first.untilState("exec_end");
  second.supervisor.sendCode(`import os; print(os.path.exists(${python(shared)}))`);
  await second.untilState("exec_end");
  assert.equal(first.text("stdout"), "True\n", first.text());
  assert.equal(second.text("stdout"), "False\n");
  await Promise.all([first.supervisor.stop(), second.supervisor.stop()]);
});

// Systemd shares the mounts of a host, and a copy of a shared mount is its peer. Only root has copies made on the host's side.
test("a host whose mounts are shared has none of the sandbox's", { ...timeout, skip: process.getuid() !== 0 && "root alone" }, async () => {
  const dir = temporaryDirectory();
  mkdirSync(path.join(dir, "below"));
  const host = `
import { readFileSync } from "node:fs";
const [dir] = process.argv.slice(2);
const mounted = () => readFileSync("/proc/self/mountinfo", "utf8").split("\\n").filter((line) => line.includes(dir));
const supervisor = new Supervisor({ permissions: { allowRead: [dir], allowWrite: [dir + "/below"] } });
supervisor.onEvent((event) => {
  if (event.type === "output") console.log("inside", event.data.trim());
});
await supervisor.start();
console.log("outside", mounted().length, /shared:/.test(readFileSync("/proc/self/mountinfo", "utf8")));
supervisor.sendCode("print(sum(" + JSON.stringify(dir) + " in line for line in open('/proc/self/mountinfo')))");
await supervisor.stop({ graceMs: 30_000 });
`;
  const { stdout, stderr } = await spawnHost(host, { args: [dir], under: ["unshare", "--mount", "--propagation", "shared"] }).ended;
  assert.equal(stdout, "outside 0 true\ninside 2\n", stderr);
  rmdirSync(path.join(dir, "below"));
});
