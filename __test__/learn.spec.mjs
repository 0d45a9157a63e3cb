// `learn`: the policy that it writes is small, and enough; and `monitor`, which it stands on.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { TIMEOUT, execute, root, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };
const COMMAND = path.join(root, "npm", `linux-${process.arch}-gnu`, "python-ipc-bun");
const PYTHON = "/usr/bin/python3";
const WITH_NUMPY = process.env.BUNTIME_TEST_NUMPY ?? PYTHON;

/** A directory with these files, which any user may read and write. */
function project(files) {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o777);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true, mode: 0o777 });
    chmodSync(path.dirname(path.join(directory, name)), 0o777);
    writeFileSync(path.join(directory, name), text, { mode: 0o666 });
  }
  return directory;
}

function command(directory, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(COMMAND, args, { encoding: "utf8", cwd: directory, env: { ...process.env, ...env } });
  return { status, stdout, stderr };
}

function learn(directory, args, env) {
  const named = args.some((arg) => arg.startsWith("--interpreter")) ? [] : [`--interpreter=${PYTHON}`];
  const result = command(directory, ["learn", ...named, ...args], env);
  const file = path.join(directory, "main.policy.json");
  return { ...result, file, policy: existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined };
}

const allowed = (policy, kind, perm) =>
  (policy[kind]?.rules ?? []).filter((rule) => perm === undefined || rule.perms.includes(perm)).map((rule) => rule.path ?? rule.name);

test("a script that needs nothing gets a policy that allows nothing", timeout, () => {
  const directory = project({ "main.py": "import json, random, datetime\nprint('hello')\n" });
  const { status, stdout, stderr, policy } = learn(directory, ["main.py"]);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "hello\n", "seen once");
  for (const kind of ["fs", "exec", "env", "ffi"]) assert.deepEqual(allowed(policy, kind), [], kind);
  assert.match(stderr, /nothing of the policy is enforced/);
  assert.match(stderr, /the same run passes under main\.policy\.json/);
});

test("one that reads a tree, writes beside it, and looks at a variable", timeout, () => {
  const directory = project({
    "data/a/1": "1", "data/a/b/2": "2", "other/secret": "secret", "settings.ini": "x", "out/there": "", unread: "not needed",
    "main.py": `
import os, sys
total = 0
for place, _, files in os.walk(sys.argv[1]):
    for name in files: total += int(open(os.path.join(place, name)).read())
open("settings.ini").read()
open("out/there", "w").write("x")
os.path.exists("nowhere")
print(total, os.environ.get("WANTED"), os.environ.get("MISSING"), len(dict(os.environ)) > 3)
if os.fork() == 0:
    open("other/secret").read()
    os._exit(0)
os.wait()
`,
  });
  const { status, stdout, stderr, policy, file } = learn(directory, ["main.py", "data"], { WANTED: "yes", UNWANTED: "no" });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "3 yes None True\n");
  const at = (...names) => names.map((name) => path.join(directory, name));
  assert.deepEqual(allowed(policy, "fs", "read_file"), at("data", "other/secret", "settings.ini"));
  assert.deepEqual(allowed(policy, "fs", "write_file"), at("out/there"));
  assert.deepEqual(allowed(policy, "env"), ["WANTED"]);
  assert.match(stderr, /the same run passes under/);
  // The policy is one: it lets this pass, and not more.
  const again = command(directory, ["run", `--interpreter=${PYTHON}`, `--policy=${file}`, "main.py", "data"], { WANTED: "yes" });
  assert.deepEqual([again.status, again.stdout], [0, "3 yes None True\n"]);
  const other = command(directory, ["run", `--interpreter=${PYTHON}`, `--policy=${file}`, "-c", "open('unread')"]);
  assert.notEqual(other.status, 0);
});

test("what it makes takes the directory, and secrets are told of", timeout, () => {
  const directory = project({
    ".env": "TOKEN=1", "main.py": `
import os, tempfile
open(".env").read()
os.makedirs("build/deep", exist_ok=True)
with open("build/deep/file", "w") as file: file.write("x")
os.rename("build/deep/file", "build/moved")
print(open("build/moved").read(), os.listdir("build"))
os.remove("build/moved"); os.rmdir("build/deep"); os.rmdir("build")`,
  });
  const { status, stdout, stderr, policy } = learn(directory, ["main.py"]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^x \[/);
  assert.deepEqual(allowed(policy, "fs", "write_file"), [directory]);
  assert.match(stderr, /\.env, which may hold secrets/);
});

test("a script with numpy", timeout, (t) => {
  if (spawnSync(WITH_NUMPY, ["-c", "import numpy"]).status !== 0) return t.skip(`${WITH_NUMPY} has no numpy: name one that has with BUNTIME_TEST_NUMPY`);
  const directory = project({
    "numbers.csv": "1,2\n3,4\n",
    "main.py": "import numpy\nprint(int(numpy.loadtxt('numbers.csv', delimiter=',').sum()))\n",
  });
  const { status, stdout, stderr, policy } = learn(directory, [`--interpreter=${WITH_NUMPY}`, "main.py"]);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "10\n");
  assert.ok(allowed(policy, "fs", "read_file").includes(path.join(directory, "numbers.csv")));
  assert.match(stderr, /the same run passes under/);
});

test("a script that runs git", timeout, (t) => {
  const git = (...args) => spawnSync("git", ["-c", "user.name=x", "-c", "user.email=x@example.org", ...args], { encoding: "utf8" });
  const directory = project({
    "main.py": "import subprocess\nprint(subprocess.run(['git', '-C', 'repository', 'log', '--format=%s'], capture_output=True, text=True).stdout)\n",
  });
  const repository = path.join(directory, "repository");
  if (git("init", "-q", repository).status !== 0) return t.skip("there is no git");
  git("-C", repository, "commit", "-q", "--allow-empty", "-m", "the first");
  spawnSync("chmod", ["-R", "go+rX", repository]);
  const { status, stdout, stderr, policy } = learn(directory, ["main.py"]);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "the first\n\n");
  assert.ok(allowed(policy, "exec").some((program) => program.endsWith("/git")));
  assert.ok(allowed(policy, "fs", "read_file").some((place) => place.startsWith(repository)));
  assert.match(stderr, /the same run passes under/);
});

test("a run that fails is learned too, and an old policy is not replaced unless that is asked for", timeout, () => {
  const directory = project({ "main.py": "import sys, json\nsys.exit(7)\n" });
  assert.equal(learn(directory, ["main.py"]).status, 7);
  const { status, stderr } = learn(directory, ["main.py"]);
  assert.equal(status, 2);
  assert.match(stderr, /exists already/);
  assert.equal(learn(directory, ["--force", "main.py"]).status, 7);
  assert.equal(learn(directory, ["--output", "elsewhere.json", "main.py"]).status, 7);
  assert.ok(existsSync(path.join(directory, "elsewhere.json")));
});

/** The configuration that monitors. */
const MONITOR = { security: { mode: "monitor" } };

test("monitor denies nothing, in the worker and its descendants, and tells what the policy would deny", timeout, async () => {
  const directory = project({ secret: "a secret", open: "not one" });
  const at = (name) => JSON.stringify(path.join(directory, name));
  const { recorder, stdout, stderr, exitCode } = await execute(
    `
import os, subprocess
print(open(${at("secret")}).read(), open(${at("open")}).read())
open(${at("made")}, "w").close()
os.rename(${at("made")}, ${at("moved")})
print(subprocess.run(["/bin/sh", "-c", "cat ${path.join(directory, "secret")}"], capture_output=True, text=True).stdout)`,
    { permissions: { allowRead: [path.join(directory, "open")] } },
    MONITOR,
  );
  assert.equal(exitCode, 0, stderr);
  assert.equal(stdout, "a secret not one\na secret\n");
  assert.ok(existsSync(path.join(directory, "moved")));
  await recorder.supervisor.stop();
  const warnings = recorder.data("warn");
  assert.match(warnings[0], /^monitor: nothing of the policy is enforced/);
  const would = ["read secret", "write made", "write made -> moved"].map((told) => told.replaceAll(/(\w+)(?= ->|$)/g, `${directory}/$1`));
  for (const told of [...would, "run /bin/sh"].map((told) => `${told}: would be denied by default`)) {
    assert.equal(warnings.filter((warning) => warning === told).length, 1, told);
  }
  assert.ok(!warnings.some((warning) => warning.startsWith(`read ${directory}/open`)));
  const events = recorder.data("audit-events").flat();
  const of = (name) => events.filter((event) => event.target === path.join(directory, name)).map((event) => event.action);
  assert.deepEqual([...new Set(of("secret"))], ["deny"]);
  assert.deepEqual([...new Set(of("open"))], ["allow"]);
  assert.deepEqual([...new Set(of("made"))], ["deny"]);
  assert.deepEqual(recorder.data("denied"), []);
  assert.match(recorder.data("enforcement")[0].notes.join("\n"), /nothing of the policy is enforced/);
});

test("a config.json that was merely found does not monitor; one that is named does", timeout, () => {
  const directory = project({ "config.json": JSON.stringify(MONITOR), secret: "a secret", "main.py": "print(open('secret').read())\n" });
  const found = command(directory, ["run", `--interpreter=${PYTHON}`, "main.py"]);
  assert.equal(found.status, 1);
  assert.equal(found.stdout, "");
  assert.match(found.stderr, /found, not named/);
  const named = command(directory, ["run", `--interpreter=${PYTHON}`, "--config=config.json", "main.py"]);
  assert.deepEqual([named.status, named.stdout], [0, "a secret\n"]);
  assert.match(named.stderr, /warning: monitor: nothing of the policy is enforced/);
});

test("of the host's loopback a monitored worker reaches nothing", timeout, async () => {
  const { stdout } = await execute(
    `
import socket
try: socket.create_connection(("127.0.0.1", 1), 1)
except OSError as error: print(type(error).__name__)
print(open("/proc/net/dev").read() if __import__("os").path.exists("/proc/net/dev") else [name for _, name in socket.if_nameindex()])`,
    {},
    MONITOR,
  );
  assert.equal(stdout, "ConnectionRefusedError\n['lo']\n");
});

test("a variable that the policy keeps away is denied by name where the script asks for it", timeout, () => {
  const directory = project({ "main.py": "import os\nos.environ.get('KEPT'); os.environ.get('NOWHERE'); os.environ.get('GIVEN')\n" });
  const { stderr, status } = command(directory, ["run", `--interpreter=${PYTHON}`, "--denials=json", "--allow-env=GIVEN", "main.py"], {
    KEPT: "1", GIVEN: "2",
  });
  assert.equal(status, 0, stderr);
  const lines = stderr.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ kind, target, operation, hint }) => [kind, target, operation, hint.flag]),
    [["env", "KEPT", "getenv", "--allow-env=KEPT"]],
  );
});
