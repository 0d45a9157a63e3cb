// Where a Python may lie, made offline from those that this machine has. scripts/interpreters.mjs is the long version.
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { TIMEOUT, temporaryDirectory } from "./support/index.mjs";
import { FORK, TELL, USE_PACKAGES, addPackages, bare, installedPythons, makeShims, makeVenv, packagesUsed, reads, sandbox, sandboxes, script, sitePackages } from "./support/interpreters.mjs";

// Each temporary directory goes at the end of the process.
process.setMaxListeners(100);

const timeout = { timeout: TIMEOUT };
const SYSTEM = "/usr/bin/python3";

/** In the sandbox it is what it is without one, but for site, which waits until it is needed. */
function assertSame(python, told) {
  assert.equal(told.outcome, "ok", JSON.stringify(told));
  const [early, late] = JSON.parse(told.stdout);
  const expected = bare(python);
  assert.deepEqual(late, expected);
  const { path: before, site, ...rest } = early;
  const { path: all, ...same } = expected;
  assert.deepEqual(rest, same, "before site");
  assert.equal(site, false);
  assert.deepEqual(before, all.slice(0, before.length));
  return expected;
}

/** That, and its packages can be used. Found on PATH where `env` has one. */
async function assertEnvironment(python, env) {
  const interpreter = env ? undefined : python;
  const [told, used] = await sandboxes([{ interpreter, code: TELL }, { interpreter, code: USE_PACKAGES }], { env });
  assert.equal(used.outcome, "ok", JSON.stringify(used));
  assert.deepEqual(JSON.parse(used.stdout), packagesUsed(python));
  return assertSame(python, told);
}

/** A directory with an environment in it, its packages, and files that are nobody's business. */
function environment(name = "venv", ...options) {
  const home = temporaryDirectory();
  const prefix = path.join(home, name);
  const python = makeVenv(SYSTEM, prefix, ...options);
  addPackages(SYSTEM, prefix);
  return { home, prefix, python };
}

function sentinels(directories) {
  return directories.map((directory) => {
    const file = path.join(directory, "sentinel.txt");
    writeFileSync(file, "secret");
    return file;
  });
}

for (const [version, python] of installedPythons()) {
  const supported = version === "3.9" || version.length > 3;
  test(`Python ${version}, ${python}, ${supported ? "is in the sandbox what it is without" : "is refused, and told why"}`, timeout, async () => {
    if (supported) {
      const [told, forked] = await sandboxes([TELL, FORK].map((code) => ({ interpreter: python, code })));
      assert.equal(forked.stdout, "fork 42\n", JSON.stringify(forked));
      return void assertSame(python, told);
    }
    const refused = await sandbox({ interpreter: python, code: "" });
    assert.equal(refused.refused, "ERR_BUNTIME_INTERPRETER", JSON.stringify(refused));
    assert.match(refused.message, new RegExp(`it is Python ${version}, expected 3.9 or newer`));
  });
}

test("the first python3 on PATH is taken, through a symlinked prefix with spaces in its name", timeout, async () => {
  const { home, prefix } = environment("real prefix");
  symlinkSync(prefix, path.join(home, "a link"));
  const bin = path.join(home, "a link/bin");
  const env = { PATH: `${path.join(home, "nothing")}:${bin}:${process.env.PATH}` };
  const { executable } = await assertEnvironment(path.join(bin, "python3"), env);
  assert.equal(executable, path.join(home, "a link/bin/python3"));
});

test("packages of a virtual environment need no flag, their shared libraries neither; .pth files wait for them", timeout, async () => {
  const { python } = environment();
  await assertEnvironment(python);
});

test("nothing around an environment can be read, nor is it listed", timeout, async () => {
  const { home, prefix, python } = environment();
  const files = sentinels([home, prefix, path.join(prefix, "bin"), path.join(prefix, "lib")]);
  const inside = sentinels([sitePackages(prefix)]);
  const { stdout } = await sandbox({ interpreter: python, code: reads([...files, ...inside]) });
  assert.deepEqual(JSON.parse(stdout), inside);
  const control = await sandbox({ interpreter: python, code: reads(files), sandboxEnabled: false });
  assert.deepEqual(JSON.parse(control.stdout), files);
});

test("an environment made of copies, nested in another, and moved", timeout, async () => {
  const outer = environment("outer");
  const inner = path.join(outer.prefix, "inner");
  makeVenv(outer.python, inner, "--copies");
  addPackages(SYSTEM, inner);
  await assertEnvironment(path.join(inner, "bin/python3"));
  const moved = path.join(outer.home, "moved");
  renameSync(inner, moved);
  const python = path.join(moved, "bin/python3");
  const { prefix } = await assertEnvironment(python);
  assert.equal(prefix, moved);
});

test("an environment that sees the system's packages", timeout, async () => {
  const { python } = environment("venv", "--system-site-packages");
  await assertEnvironment(python);
});

test("an environment below a directory that is closed to everybody else", timeout, async () => {
  const { home, python } = environment();
  chmodSync(home, 0o700);
  await assertEnvironment(python);
});

test("a directory that a .pth file names is no part of the closure: it needs a grant, like any other", timeout, async () => {
  const { home, prefix, python } = environment();
  const source = path.join(home, "project");
  mkdirSync(source);
  writeFileSync(path.join(source, "editable.py"), "value = 'editable'\n");
  writeFileSync(path.join(sitePackages(prefix), "__editable__.pth"), `${source}\n`);
  const code = "import editable; print(editable.value)";
  const [without, granted] = await sandboxes([
    { interpreter: python, code },
    { interpreter: python, code, permissions: { allowRead: [source] } },
  ]);
  assert.equal(without.error, "ModuleNotFoundError: No module named 'editable'");
  assert.equal(granted.stdout, "editable\n", JSON.stringify(granted));
});

test("nothing of site-packages runs outside the sandbox", timeout, async () => {
  const { home, prefix, python } = environment();
  const proof = path.join(home, "proof");
  writeFileSync(path.join(sitePackages(prefix), "evil.pth"), `import sys; open(${JSON.stringify(proof)}, 'w').close()\n`);
  writeFileSync(path.join(sitePackages(prefix), "sitecustomize.py"), `open(${JSON.stringify(proof)}, 'w').close()\n`);
  await sandbox({ interpreter: python, code: "import plain" });
  assert.ok(!readdirSync(home).includes("proof"));
  bare(python);
  assert.ok(readdirSync(home).includes("proof"), "the control");
});

test("a shim is asked what it picks here, and again when a version file says otherwise", timeout, async () => {
  const home = temporaryDirectory();
  const { shim, versions } = makeShims(home, SYSTEM);
  const cwd = path.join(home, "project");
  mkdirSync(cwd);
  const cache = temporaryDirectory();
  const run = { interpreter: shim, cwd, code: "import sys; print(sys.prefix, sys.executable)" };
  const none = await sandbox(run, { cache });
  assert.equal(none.refused, "ERR_BUNTIME_INTERPRETER", JSON.stringify(none));
  assert.ok(none.message.includes(shim) && none.message.includes("No version is set for command python3"), none.message);
  for (const [index, name] of ["one", "two", "one"].entries()) {
    writeFileSync(path.join(index < 2 ? home : cwd, ".tool-versions"), `python ${name}\n`);
    const { stdout } = await sandbox(run, { cache });
    const prefix = versions[name === "one" ? 0 : 1];
    assert.equal(stdout, `${prefix} ${prefix}/bin/python3\n`);
  }
});

test("a wrapper that gives its own name, or that starts nothing, is refused with the reason", timeout, async () => {
  const home = temporaryDirectory();
  const wrapper = script(path.join(home, "python3"), `#!/bin/bash\nexec -a "$0" ${SYSTEM} "$@"\n`);
  const refused = await sandbox({ interpreter: wrapper, code: "" });
  assert.equal(refused.refused, "ERR_BUNTIME_INTERPRETER", JSON.stringify(refused));
  assert.match(refused.message, /which is no ELF file; name the program/);
  const gone = script(path.join(home, "gone/python3"), `#!/bin/sh\nexec ${home}/no-such-python "$@"\n`);
  const missing = await sandbox({ interpreter: gone, code: "" });
  assert.ok(missing.message.includes("no-such-python"), JSON.stringify(missing));
});

test("an answer is kept until interpreter or environment is another: path, time, inode", timeout, async () => {
  const { home, prefix, python } = environment("venv", "--copies");
  const cache = temporaryDirectory();
  const run = { interpreter: python, code: "try:\n import outside\n print('seen')\nexcept ImportError:\n print('unseen')" };
  const entries = () => {
    const dir = path.join(cache, "python-ipc-bun");
    return readdirSync(dir).sort().map((name) => [name, statSync(path.join(dir, name)).ino].join()).join(" ");
  };
  const start = async () => {
    const { stdout, message } = await sandbox(run, { cache });
    assert.equal(message, undefined);
    return [stdout, entries()];
  };
  const [said, first] = await start();
  assert.equal(said, "unseen\n");
  assert.equal((await start())[1], first, "it was asked again for nothing");

  const config = path.join(prefix, "pyvenv.cfg");
  const { atime, mtime } = statSync(python);
  const changes = {
    "another time": () => utimesSync(python, new Date(), new Date(mtime.getTime() - 5000)),
    "another inode of the same time": () => {
      copyFileSync(python, path.join(home, "copy"));
      renameSync(path.join(home, "copy"), python);
      utimesSync(python, atime, new Date(mtime.getTime() - 5000));
    },
    "another pyvenv.cfg": () => {
      const text = readFileSync(config, "utf8").replace(/^(include-system-site-packages =).*$/m, "$1 true");
      writeFileSync(config, text);
    },
    "no pyvenv.cfg": () => rmSync(config),
  };
  let last = first;
  for (const [what, change] of Object.entries(changes)) {
    change();
    const [, now] = await start();
    assert.notEqual(now, last, `${what} was not noticed`);
    last = now;
  }
});

test("an interpreter that is replaced under a running host is asked anew", timeout, async () => {
  const home = temporaryDirectory();
  const { versions } = makeShims(home, SYSTEM);
  // A link is as good as a file: what it leads to is another interpreter then.
  const link = path.join(home, "current");
  symlinkSync(versions[0], link);
  rmSync(path.join(versions[1], "bin/python3"));
  copyFileSync(SYSTEM, path.join(versions[1], "bin/python3"));
  chmodSync(path.join(versions[1], "bin/python3"), 0o755);
  addPackages(SYSTEM, versions[1]);
  writeFileSync(path.join(sitePackages(versions[1]), "only_two.py"), "");
  const code = "import only_two";
  const interpreter = path.join(link, "bin/python3");
  const [before] = await sandboxes([{ interpreter, code }, { interpreter, code }]);
  assert.equal(before.error, "ModuleNotFoundError: No module named 'only_two'", JSON.stringify(before));
  rmSync(link);
  symlinkSync(versions[1], link);
  const after = await sandbox({ interpreter, code });
  assert.equal(after.outcome, "ok", JSON.stringify(after));
});
