// What is denied inside of what is granted, judged by what the kernel lets through.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";

import { Supervisor } from "python-ipc-bun";

import { Recorder, TIMEOUT, eventually, execute, spawnHost } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };
const SECRET = "a secret of the host\n";
const ODD = "odd \n\u00e4\u{1f40d} $(x)";
const LONG = "l".repeat(200);

/** A project with secrets in it. */
function project(t) {
  const dir = mkdtempSync(path.join(tmpdir(), "permissions-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  for (const name of ["secret/open/deep", "part", ODD, `${LONG}/${LONG}`]) mkdirSync(path.join(dir, name), { recursive: true });
  for (const name of ["plain", "key", "secret/key", "secret/open/deep/file", "part/file", `${ODD}/key`, `${LONG}/${LONG}/key`]) {
    writeFileSync(path.join(dir, name), SECRET);
  }
  symlinkSync("secret", path.join(dir, "link"));
  return dir;
}

/** What Python, and a process that it forks, can do; by plain system calls, so that nothing but the kernel judges. */
const LOOK = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def opens(path, flags):
    fd = libc.open(os.fsencode(path), flags, 0o600)
    if fd >= 0:
        os.close(fd)
    return fd >= 0
def look(reads, writes):
    return "".join("y" if opens(p, os.O_RDONLY) else "n" for p in reads) + "/" + "".join(
        "y" if opens(p, os.O_WRONLY) else "n" for p in writes)
def both(reads, writes):
    here = look(reads, writes)
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, look(reads, writes).encode())
        os._exit(0)
    os.wait()
    print(here, os.read(r, 4096).decode())
`;

async function effect(dir, options, reads, writes = []) {
  // A lone surrogate is Python's way to write a byte that is no UTF-8.
  // Python's word for the byte 0xff in a name: a lone surrogate, which Bun's strings lose.
  const list = (names) => JSON.stringify(names.map((name) => path.join(dir, name))).replaceAll("{ff}", "\\udcff");
  const { stdout, stderr, error } = await execute(`${LOOK}\nboth(${list(reads)}, ${list(writes)})`, options);
  assert.equal(error, undefined, stderr);
  const [python, child] = stdout.trim().split(" ");
  assert.equal(child, python, "a child can do what Python can");
  return python;
}

function policy(t, dir, rules) {
  const file = `${dir}.json`;
  writeFileSync(file, JSON.stringify({ version: 1, fs: { rules } }));
  t.after(() => rmSync(file));
  return file;
}

for (const by of ["flags", "policy file"]) {
  test(`files and directories are hidden inside a read grant, by ${by}`, timeout, async (t) => {
    const dir = project(t);
    const names = ["key", "link", ODD, `${LONG}/${LONG}/key`];
    const denied = names.map((name) => path.join(dir, name));
    const reads = ["plain", "key", "secret/key", "secret", "link/key", `${ODD}/key`, `${LONG}/${LONG}/key`, LONG];
    assert.equal(await effect(dir, { permissions: { allowRead: [dir] } }, reads), "yyyyyyyy/", "control");
    const options =
      by === "flags"
        ? { permissions: { allowRead: [dir], denyRead: denied } }
        : {
            policyPath: policy(t, dir, [
              { action: "allow", path: dir, perms: ["read_file", "read_dir"] },
              ...denied.map((name) => ({ action: "deny", path: name, perms: ["read_file", "read_dir"] })),
            ]),
          };
    assert.equal(await effect(dir, options, reads), "ynnnnnny/");
  });
}

test("what a flag allows inside of what the file denies is shown, and nothing beside it", timeout, async (t) => {
  const dir = project(t);
  const file = policy(t, dir, [
    { action: "allow", path: dir, perms: ["read_file", "read_dir"] },
    { action: "deny", path: path.join(dir, "secret"), perms: ["read_file", "read_dir"] },
  ]);
  const reads = ["plain", "secret/key", "secret", "secret/open/deep/file", "secret/open/deep"];
  assert.equal(await effect(dir, { policyPath: file }, reads), "ynnnn/");
  const permissions = { allowRead: [path.join(dir, "secret/open/deep")] };
  assert.equal(await effect(dir, { policyPath: file, permissions }, reads), "ynnyy/");
});

test("a part of a write grant stays read-only, and cannot be moved away", timeout, async (t) => {
  const dir = project(t);
  const part = path.join(dir, "part");
  const permissions = { allowRead: [dir], allowWrite: [dir] };
  const [reads, writes] = [["part/file"], ["plain", "part/file"]];
  assert.equal(await effect(dir, { permissions }, reads, writes), "y/yy", "control");
  permissions.denyWrite = [part];
  assert.equal(await effect(dir, { permissions }, reads, writes), "y/yn");
  const name = (of) => `os.fsencode(${JSON.stringify(of)})`;
  const move = `${LOOK}
print(libc.rename(${name(part)}, ${name(`${part}2`)}), libc.chmod(${name(`${part}/file`)}, 0), libc.unlink(${name(`${part}/file`)}),
      libc.mkdir(${name(`${part}/new`)}, 0o700), libc.mkdir(${name(`${dir}/new`)}, 0o700))
`;
  assert.equal((await execute(move, { permissions })).stdout, "-1 -1 -1 -1 0\n");
  assert.equal(readFileSync(path.join(part, "file"), "utf8"), SECRET);
  const told = await execute(`open(${JSON.stringify(`${part}/file`)}, "w")`, { permissions });
  assert.match(told.stderr, /NotCapable: Requires write access to ".*part\/file"/);
});

test("what is hidden cannot be written, moved, linked or opened by any name", timeout, async (t) => {
  const dir = project(t);
  const at = (name) => JSON.stringify(path.join(dir, name));
  const code = `${LOOK}
def attempt(name, done):
    print(name, "worked" if done else "refused")
def call(name, *args):
    return getattr(libc, name)(*(os.fsencode(arg) if type(arg) is str else arg for arg in args)) >= 0
attempt("control", call("rename", ${at("plain")}, ${at("moved")}))
attempt("rename", call("rename", ${at("key")}, ${at("key2")}))
attempt("replace", call("rename", ${at("moved")}, ${at("key")}))
attempt("unlink", call("unlink", ${at("key")}))
attempt("hard link", call("link", ${at("key")}, ${at("key3")}))
attempt("chmod", call("chmod", ${at("key")}, 0o644))
attempt("list", opens(${at("secret")}, os.O_RDONLY))
attempt("chdir", call("chdir", ${at("secret")}))
fd = libc.open(os.fsencode(${at("key")}), os.O_PATH)
attempt("by descriptor", opens(f"/proc/self/fd/{fd}", os.O_RDONLY))
attempt("by root", opens("/proc/self/root" + ${at("key")}, os.O_RDONLY))
attempt("by dots", opens(${at("key")}.replace("/key", "/part/../key"), os.O_RDONLY))
attempt("to write", opens(${at("key")}, os.O_RDWR))
`;
  const permissions = { allowRead: [dir], allowWrite: [dir], denyRead: [path.join(dir, "key"), path.join(dir, "secret")] };
  const { stdout, stderr } = await execute(code, { permissions });
  const lines = stdout.trim().split("\n");
  assert.equal(lines.length, 12, stderr);
  assert.equal(lines.shift(), "control worked");
  for (const line of lines) assert.match(line, /refused$/);
  assert.equal(readFileSync(path.join(dir, "key"), "utf8"), SECRET);
});

test("globs allow and deny what they match on the disk, whatever its bytes", timeout, async (t) => {
  const dir = project(t);
  for (const name of ["a.key", "a.txt", "part/b.key", "part/c.txt", "secret/d.txt"]) writeFileSync(path.join(dir, name), SECRET);
  // By a shell: Bun makes no file whose name is no UTF-8.
  execFileSync("sh", ["-c", `printf %s "$1" >"$0/part/$(printf '\\377').key"`, dir, SECRET]);
  symlinkSync("part/c.txt", path.join(dir, "link.key"));
  const reads = ["a.key", "a.txt", "part/b.key", "part/c.txt", "part/{ff}.key", "secret/d.txt", "link.key"];
  const at = (pattern) => path.join(dir, pattern);
  const effects = async (allowRead, denyRead) => effect(dir, { permissions: { allowRead: allowRead.map(at), denyRead: denyRead.map(at) } }, reads);
  assert.equal(await effects(["."], []), "yyyyyyy/", "control");
  assert.equal(await effects(["."], ["**/*.key"]), "nynyny" + "y/", "a symlink is judged by what it leads to");
  assert.equal(await effects(["."], ["*.key"]), "nyyyyyy/");
  assert.equal(await effects(["*.txt"], []), "nynnnnn/");
  assert.equal(await effects(["p*"], ["part/?.key"]), "nnnynnn/");
  assert.equal(await effects(["**/*.txt"], ["secret/*"]), "nynynnn/");
});

/** Each right over `d/sub` and `d/file`, by plain system calls; the letters of those that work. */
const RIGHTS = `${LOOK}
def attempts(dir):
    def call(name, *args):
        return getattr(libc, name)(*(os.fsencode(arg) if type(arg) is str else arg for arg in args)) == 0
    def made(path):
        fd = libc.open(os.fsencode(path), os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o600)
        return fd >= 0
    return "".join(letter if done() else "-" for letter, done in [
        ("r", lambda: opens(dir + "/file", os.O_RDONLY)), ("l", lambda: opens(dir, os.O_RDONLY | os.O_DIRECTORY)),
        ("w", lambda: opens(dir + "/file", os.O_WRONLY)), ("t", lambda: call("truncate", dir + "/file", 1)),
        ("f", lambda: call("mknod", dir + "/new-file", 0o100600, 0)), ("d", lambda: call("mkdir", dir + "/new-dir", 0o700)),
        ("s", lambda: call("symlink", "x", dir + "/new-link")), ("p", lambda: call("mkfifo", dir + "/new-pipe", 0o600)),
        ("u", lambda: call("unlink", dir + "/old-file")), ("m", lambda: call("rmdir", dir + "/old-dir")),
        ("v", lambda: call("rename", dir + "/moved", dir + "/sub/moved"))])
`;

test("each right of a policy is its own", timeout, async (t) => {
  const every = ["write_file", "write_dir", "remove_dir", "remove_file", "make_dir", "make_reg", "make_sock", "make_fifo", "make_sym"];
  for (const [perms, expected] of [
    [["read_file", "read_dir", ...every], "rlwtfdspumv"],
    [["read_file"], "r----------"],
    [["read_dir"], "-l---------"],
    [["write_file"], "--wt-------"],
    [["make_dir"], "-----d-----"],
    [["make_reg"], "----f------"],
    [["make_sym", "make_fifo"], "------sp---"],
    [["remove_file"], "--------u--"],
    [["remove_dir", "read_dir"], "-l-------m-"],
    [["make_reg", "remove_file"], "----f---u--"],
    [["make_reg", "remove_file", "write_dir"], "----f---u-v"],
    [every, "--wtfdspumv"],
  ]) {
    const dir = project(t);
    for (const name of ["sub", "old-dir"]) mkdirSync(path.join(dir, name));
    for (const name of ["file", "old-file", "moved"]) writeFileSync(path.join(dir, name), SECRET);
    const policyPath = policy(t, dir, [{ action: "allow", path: dir, perms }]);
    const { stdout, stderr } = await execute(`${RIGHTS}\nprint(attempts(${JSON.stringify(dir)}))`, { policyPath });
    assert.equal(stdout.trim(), expected, `${perms}: ${stderr}`);
  }
});

test("a file may be written and not read beside others that may be read", timeout, async (t) => {
  const dir = project(t);
  const key = path.join(dir, "key");
  const permissions = { allowRead: [dir], denyRead: [key], allowWrite: [key] };
  assert.equal(await effect(dir, { permissions }, ["plain", "key", "part/file", "part", "."], ["plain", "key"]), "ynyyy/ny");
  permissions.allowWrite = [dir];
  assert.equal(await effect(dir, { permissions }, ["plain", "key"], ["plain", "key"]), "yn/yn", "hidden, since no rule names it for writing");
});

test("everything but what is denied, where the default allows", timeout, async (t) => {
  const dir = project(t);
  const file = `${dir}.json`;
  t.after(() => rmSync(file));
  const rules = [
    { action: "deny", path: path.join(dir, "secret"), perms: ["read_file", "read_dir"] },
    { action: "deny", path: path.join(dir, "part"), perms: ["write_file", "make_reg", "make_dir", "make_sym", "make_fifo", "make_sock", "remove_file", "remove_dir", "write_dir"] },
  ];
  writeFileSync(file, JSON.stringify({ version: 1, defaults: { fs: "allow" }, fs: { rules } }));
  const reads = ["plain", "secret/key", "secret/open/deep/file", "part/file"];
  assert.equal(await effect(dir, { policyPath: file }, reads, ["plain", "secret/key", "part/file"]), "ynny/ynn");
  const permissions = { allowRead: [path.join(dir, "secret/open")], denyRead: [path.join(dir, "plain")] };
  assert.equal(await effect(dir, { policyPath: file, permissions }, reads, ["plain"]), "nnyy/n");
  const open = { allowRead: [path.join(dir, "secret/open/deep/file")] };
  assert.equal(await effect(dir, { policyPath: file, permissions: open }, ["secret/open/deep/file", "secret/open/deep", "secret/open", "secret"]), "ynnn/", "what leads there is not listed");
  const { stdout } = await execute("import os; print('etc' in os.listdir('/'))", { policyPath: file });
  assert.equal(stdout, "True\n", "the root can be listed");
});

test("a grant of what does not exist is told, grants nothing, and makes nothing", timeout, async (t) => {
  const dir = project(t);
  const missing = path.join(dir, "none/at/all");
  const { recorder, stdout } = await execute(`import os
try: os.makedirs(${JSON.stringify(missing)})
except OSError as error: print(type(error).__mro__[1].__name__)`, { permissions: { allowWrite: [missing, path.join(dir, "*.none")] } });
  assert.equal(stdout, "PermissionError\n");
  const told = recorder.data("warn").join("\n");
  assert.match(told, /none\/at\/all does not exist: nothing is granted/);
  assert.match(told, /\*\.none \(.*\): nothing matches/);
  assert.deepEqual(readdirSync(dir).includes("none"), false);
});

test("a working directory that is denied exists, empty", timeout, async (t) => {
  const dir = project(t);
  const cwd = path.join(dir, "secret");
  const permissions = { allowRead: [dir], denyRead: [cwd] };
  const code = `import os\nprint(os.getcwd() == ${JSON.stringify(cwd)})\ntry: open("key")\nexcept OSError as error: print(error.errno in (2, 13))`;
  assert.equal((await execute(code, { cwd, permissions })).stdout, "True\nTrue\n");
});

test("a denial in a read grant holds whatever the host does, and what else the host does shows", timeout, async (t) => {
  const dir = project(t);
  const at = (name) => path.join(dir, name);
  const permissions = { allowRead: [dir], denyRead: ["key", "secret", "part/.env"].map(at) };
  const names = ["plain", "key", "secret/key", "part/file", "part/.env", "part/new"];
  const recorder = new Recorder({ permissions });
  const look = async (number) => {
    recorder.supervisor.sendCode(number === 1 ? LOOK : "");
    recorder.supervisor.sendCode(`for name in ${JSON.stringify(names.map(at))}:
    try: print(open(name).read().strip()[:20], end=";")
    except OSError: print("-", end=";")
print()`);
    await eventually(() => recorder.states().filter(({ worker }) => worker === "exec_end").length === 2 * number, "the end", 20_000);
    return recorder.text("stdout").trim().split("\n")[number - 1];
  };
  const replace = (name, text) => {
    writeFileSync(at("unfinished"), text);
    renameSync(at("unfinished"), at(name));
  };
  t.after(() => recorder.supervisor.stop({ graceMs: 0 }));
  await recorder.supervisor.start();
  const secret = SECRET.trim();
  assert.equal(await look(1), `${secret};-;-;${secret};-;-;`);
  for (const name of ["plain", "key", "part/file", "part/.env", "part/new"]) replace(name, `${name} replaced`);
  renameSync(at("secret"), at("moved"));
  mkdirSync(at("secret"));
  writeFileSync(at("secret/key"), "made again");
  assert.equal(await look(2), "plain replaced;-;-;part/file replaced;-;part/new replaced;");
  rmSync(at("part/new"));
  rmSync(at("key"));
  writeFileSync(at("key"), "made again");
  assert.equal(await look(3), "plain replaced;-;-;part/file replaced;-;-;");
});

const rootAlone = { ...timeout, skip: process.getuid() !== 0 && "root alone mounts" };
test("file systems mounted inside a grant show, with what is denied in them and around them", rootAlone, async (t) => {
  const dir = project(t);
  const host = `
const [dir] = process.argv.slice(2);
const denyRead = ["key", "part/key", "part/none"].map((name) => dir + "/" + name);
const supervisor = new Supervisor({ permissions: { allowRead: [dir], denyRead } });
supervisor.onEvent((event) => {
  if (event.type === "output") console.log(event.data.trim());
  if (event.type === "warn" && event.data.includes("mounted below")) console.log("told");
});
await supervisor.start();
supervisor.sendCode(\`
def reads(name):
    try: return open(\${JSON.stringify(dir)} + "/" + name).read().strip()
    except OSError: return "-"
print(*map(reads, ["plain", "key", "part/shown", "part/key", "part/none", "part/file"]), sep=";")\`);
await supervisor.stop({ graceMs: 30_000 });
`;
  const mount = 'mount -t tmpfs tmpfs "$0/part" && echo nested | tee "$0/part/shown" > "$0/part/key" && exec "$@"';
  const under = ["unshare", "--mount", "--propagation", "shared", "sh", "-c", mount, dir];
  const { stdout, stderr } = await spawnHost(host, { args: [dir], under }).ended;
  assert.equal(stdout, `told\n${SECRET.trim()};-;nested;-;-;-\n`, stderr);
});

test("a denial that cannot be enforced is refused at start", timeout, async (t) => {
  const dir = project(t);
  const refused = async (options, message) => {
    const supervisor = new Supervisor(options);
    t.after(() => supervisor.stop({ graceMs: 0 }));
    await assert.rejects(supervisor.start(), (error) => error.code === "ERR_BUNTIME_VIEW" && message.test(error.message));
  };
  const missing = path.join(dir, "missing");
  await refused({ permissions: { allowRead: [dir], allowWrite: [dir], denyRead: [missing] } }, /missing does not exist.*create it first/);
  const policyPath = policy(t, dir, [
    { action: "allow", path: dir, perms: ["read_file", "make_dir", "make_reg"] },
    { action: "deny", path: path.join(dir, "part"), perms: ["make_dir"] },
  ]);
  await refused({ policyPath }, /deny make_dir .*part \(.*fs\.rules\[1\]\) cannot be carved out of allow read_file,make_dir,make_reg .*fs\.rules\[0\]/);
  const part = path.join(dir, "part");
  await refused({ permissions: { allowRead: [dir], denyRead: [part], allowWrite: [part] } }, /cannot be carved out of/);
});

test("what is denied below a name that does not exist is refused where the worker may make it, and never shown where not", timeout, async (t) => {
  const dir = project(t);
  const denied = path.join(dir, "new/secret");
  for (const deny of [denied, path.join(dir, "new/*.key")]) {
    const permissions = { allowRead: [dir], allowWrite: [dir], denyWrite: [deny] };
    await assert.rejects(execute("1", { permissions }), { code: "ERR_BUNTIME_VIEW", message: /new does not exist/ });
  }
  const recorder = new Recorder({ permissions: { allowRead: [dir], denyRead: [denied] } });
  await recorder.supervisor.start();
  mkdirSync(path.join(dir, "new"));
  writeFileSync(denied, SECRET);
  const names = JSON.stringify([denied, path.join(dir, "plain")]);
  recorder.supervisor.sendCode(`${LOOK}\nprint(look(${names}, []))`);
  await recorder.untilState("exec_end");
  await recorder.supervisor.stop();
  assert.equal(recorder.text("stdout"), "ny/\n", recorder.text());
});

test("a glob denies in what is shown for another reason than a rule about files", timeout, async (t) => {
  const dir = project(t);
  writeFileSync(path.join(dir, "part/a.key"), SECRET);
  const allowFfi = [path.join(dir, "part")];
  assert.equal(await effect(dir, { permissions: { allowFfi } }, ["part/a.key", "part/file"]), "yy/", "control");
  assert.equal(await effect(dir, { permissions: { allowFfi, denyRead: [path.join(dir, "part/*.key")] } }, ["part/a.key", "part/file"]), "ny/");
});
