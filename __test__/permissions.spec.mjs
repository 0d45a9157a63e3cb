// What is denied inside of what is granted, judged by what the kernel lets through.
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";

import { Supervisor } from "python-ipc-bun";

import { TIMEOUT, execute } from "./support/index.mjs";

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
  const list = (names) => JSON.stringify(names.map((name) => path.join(dir, name)));
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

test("a denial that cannot be enforced is refused at start", timeout, async (t) => {
  const dir = project(t);
  const refused = (denyRead, code, message) =>
    assert.rejects(
      new Supervisor({ permissions: { allowRead: [dir], denyRead: [path.join(dir, denyRead)] } }).start(),
      (error) => error.code === code && message.test(error.message),
    );
  await refused("missing", "ERR_BUNTIME_VIEW", /missing does not exist.*create it first/);
  await refused("*.key", "ERR_BUNTIME_UNSUPPORTED", /globs are not supported yet/);
});
