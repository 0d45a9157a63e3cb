// Every flag x {absent, bare, with a value} of its allowing and its denying form x {Python, a child of its} x {flag, variable,
// policy file, API}, judged by what can be done.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";

import { TIMEOUT, root, spawnHost, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };
const command = path.join(root, "npm", `linux-${process.arch}-gnu`, "python-ipc-bun");
const library = ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/usr/lib"]
  .map((dir) => `${dir}/libutil.so.1`)
  .find((file) => existsSync(file));

const READ = ["read_file", "read_dir"];
const WRITE = [
  ...["write_file", "write_dir", "remove_dir", "remove_file", "make_dir", "make_reg", "make_sock", "make_fifo", "make_sym"],
];

/** A place with two of everything. What is allowed is the place; what is denied is the second thing in it. */
function place() {
  const dir = temporaryDirectory();
  const open = (name, mode) => chmodSync(path.join(dir, name), mode);
  for (const name of [".", "read", "write", "run", "ffi"]) {
    mkdirSync(path.join(dir, name), { recursive: true });
    open(name, 0o777);
  }
  for (const number of ["first", "second"]) {
    for (const kind of ["read", "write"]) writeFileSync(path.join(dir, kind, number), "of the host", { mode: 0o666 });
    for (const kind of ["read", "write"]) open(`${kind}/${number}`, 0o666);
    copyFileSync("/bin/true", path.join(dir, "run", number));
    open(`run/${number}`, 0o755);
    copyFileSync(library, path.join(dir, "ffi", number));
  }
  return dir;
}

/** For each kind: what its rule in a file looks like, what is allowed, the two things, of which the second is denied. */
const KINDS = {
  read: { rule: (path) => ["fs", { path, perms: READ }], all: "/", of: (dir) => [`${dir}/read`, `${dir}/read/first`, `${dir}/read/second`] },
  write: { rule: (path) => ["fs", { path, perms: WRITE }], all: "/", of: (dir) => [`${dir}/write`, `${dir}/write/first`, `${dir}/write/second`] },
  run: { rule: (path) => ["exec", { path }], all: "/", of: (dir) => [`${dir}/run`, `${dir}/run/first`, `${dir}/run/second`] },
  ffi: { rule: (path) => ["ffi", { path }], all: "/", of: (dir) => [`${dir}/ffi`, `${dir}/ffi/first`, `${dir}/ffi/second`] },
  env: { rule: (name) => ["env", { name }], all: "*", of: () => ["TABLE_*", "TABLE_FIRST", "TABLE_SECOND"] },
  sys: { rule: (name) => ["sys", { name }], all: "*", of: () => ["hostname,osRelease", "hostname", "osRelease"] },
};

/** Tries both things of a kind, by Python's own means and, in a child, by the C library's. */
const ATTEMPTS = `
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
kind, first, second, machine = json.loads(sys.argv[1])
def by_python(target):
    try:
        if kind == "read":
            return open(target).read() == "of the host"
        if kind == "write":
            return open(target, "a").write(".") == 1
        if kind == "run":
            import subprocess
            return subprocess.run([target]).returncode == 0
        if kind == "ffi":
            return ctypes.CDLL(target) is not None
        if kind == "env":
            return os.environ.get(target) == "of the host"
        import platform, socket
        return {"hostname": socket.gethostname, "osRelease": lambda: os.uname().release}[target]() == machine[target]
    except OSError:
        return False
def by_libc(target):
    if kind == "read":
        fd = libc.open(os.fsencode(target), os.O_RDONLY)
        return fd >= 0 and os.read(fd, 11) == b"of the host"
    if kind == "write":
        fd = libc.open(os.fsencode(target), os.O_WRONLY | os.O_APPEND)
        return fd >= 0 and os.write(fd, b".") == 1
    if kind == "run":
        arguments = (ctypes.c_char_p * 2)(os.fsencode(target), None)
        child = libc.fork()
        if child == 0:
            libc.execve(arguments[0], arguments, (ctypes.c_char_p * 1)(None))
            os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    if kind == "ffi":
        libc.dlopen.restype = ctypes.c_void_p
        return libc.dlopen(os.fsencode(target), os.RTLD_NOW) is not None
    if kind == "env":
        memory = open("/proc/self/environ", "rb").read()
        return f"{target}=of the host".encode() in memory.split(b"\\0")
    names = ctypes.create_string_buffer(65 * 6)
    libc.uname(names)
    return names.raw[65 * {"hostname": 1, "osRelease": 2}[target]:].partition(b"\\0")[0].decode() == machine[target]
def both(attempt):
    return "".join("y" if attempt(target) else "n" for target in (first, second))
reader, writer = os.pipe()
child = libc.fork()
if child == 0:
    os.write(writer, both(by_libc).encode())
    os._exit(0)
os.waitpid(child, 0)
print("result", both(by_python), os.read(reader, 10).decode(), flush=True)
`;

/** A program or library that no rule names has to be shown by another: that everything may be run shows nothing. */
const shown = (kind, allow) => allow === true && (kind === "run" || kind === "ffi");

/** How a cell's allowing and denying value is said, by source. Each resolves with what the script wrote. */
const SOURCES = {
  flag: (kind, { allow, deny }, run) => {
    const flag = (name, value) => (value === undefined ? [] : [value === true ? `--${name}-${kind}` : `--${name}-${kind}=${value}`]);
    return cli([...flag("allow", allow), ...flag("deny", deny), ...(shown(kind, allow) ? [`--allow-read=${run.dir}`] : [])], run);
  },
  variable: (kind, { allow, deny }, run) => {
    const all = KINDS[kind].all;
    const set = (name, value) => (value === undefined ? {} : { [`POD_${name}_${kind.toUpperCase()}`]: value === true ? all : value });
    const read = shown(kind, allow) ? { POD_ALLOW_READ: run.dir } : {};
    return cli([], run, { ...set("ALLOW", allow), ...set("DENY", deny), ...read });
  },
  "policy file": (kind, { allow, deny }, run) => {
    const policy = { version: 1 };
    for (const [action, value] of Object.entries({ allow, deny })) {
      if (value === undefined) continue;
      for (const target of value === true ? [KINDS[kind].all] : value.split(",")) {
        const [list, rule] = KINDS[kind].rule(target);
        (policy[list] ??= { rules: [] }).rules.push({ action, ...rule });
      }
    }
    if (shown(kind, allow)) policy.fs = { rules: [{ action: "allow", path: run.dir, perms: READ }] };
    const file = path.join(temporaryDirectory(), "policy.json");
    writeFileSync(file, JSON.stringify(policy));
    return cli(["--policy", file], run);
  },
  API: async (kind, { allow, deny }, { script, question, env, dir }) => {
    const permissions = {};
    const name = kind[0].toUpperCase() + kind.slice(1);
    const value = (text) => (text === true ? true : text.split(","));
    if (allow !== undefined) permissions[`allow${name}`] = value(allow);
    if (deny !== undefined) permissions[`deny${name}`] = value(deny);
    if (shown(kind, allow)) permissions.allowRead = [dir];
    const options = { permissions, args: [question], cwd: path.dirname(script) };
    const host = spawnHost(HOST, { args: [JSON.stringify(options), readFileSync(script, "utf8")], env: { ...process.env, ...env } });
    const { stdout, stderr } = await host.ended;
    return stdout + stderr;
  },
};

/** A host of its own, for a runtime may keep changes of its environment to itself. */
const HOST = `
const [options, code] = process.argv.slice(2);
const supervisor = new Supervisor(JSON.parse(options));
supervisor.onEvent((event) => {
  if (event.type === "output") process.stdout.write(event.data);
});
await supervisor.start();
supervisor.sendCode(code);
await supervisor.stop({ graceMs: 30_000 });
`;

async function cli(flags, { script, question, env }, more) {
  const child = spawn(command, ["run", ...flags, script, question], {
    env: { ...process.env, ...env, ...more },
    cwd: path.dirname(script),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  await new Promise((resolve) => child.on("close", resolve));
  return output;
}

for (const source of Object.keys(SOURCES)) {
  for (const kind of Object.keys(KINDS)) {
    test(`${kind} by ${source}`, timeout, async () => {
      const dir = place();
      const script = path.join(temporaryDirectory(), "attempts.py");
      writeFileSync(script, ATTEMPTS);
      const [all, first, second] = KINDS[kind].of(dir);
      const question = JSON.stringify([kind, first, second, { hostname: os.hostname(), osRelease: os.release() }]);
      const run = { script, question, dir, env: { TABLE_FIRST: "of the host", TABLE_SECOND: "of the host" } };
      for (const allow of [undefined, true, all]) {
        for (const deny of [undefined, true, second]) {
          for (const name of ["first", "second"]) {
            if (kind === "read" || kind === "write") writeFileSync(path.join(dir, kind, name), "of the host");
          }
          const output = await SOURCES[source](kind, { allow, deny }, run);
          const granted = allow === undefined || deny === true ? "nn" : deny === undefined ? "yy" : "yn";
          const said = output.match(/^result (..) (..)$/m);
          assert.ok(said, `allow ${allow}, deny ${deny}: ${output}`);
          assert.deepEqual([said[1], said[2]], [granted, granted], `allow ${allow}, deny ${deny}: ${output}`);
          if (kind === "write") {
            const written = ["first", "second"].map((name) => readFileSync(path.join(dir, kind, name), "utf8").length > 11);
            assert.equal(written.map((is) => (is ? "y" : "n")).join(""), granted, "as the host sees it");
          }
        }
      }
    });
  }
}
