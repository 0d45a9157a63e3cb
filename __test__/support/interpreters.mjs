// Layouts of Python installations, and what is asked of each: for interpreters.spec.mjs, and scripts/interpreters.mjs.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { spawnHost, temporaryDirectory } from "./index.mjs";

/** Runs code in sandboxes of a process of its own, whose cache of interpreters is `cache`; one result per run. */
export async function sandboxes(runs, { cache = temporaryDirectory(), env = {} } = {}) {
  const host = spawnHost(HOST, { args: [JSON.stringify(runs)], env: { ...process.env, XDG_CACHE_HOME: cache, ...env } });
  const { code, stdout, stderr } = await host.ended;
  if (code !== 0) throw new Error(`the host ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

export const sandbox = async (run, options) => (await sandboxes([run], options))[0];

/** The process of its own: runs as JSON in, results as JSON out; after an import of `Supervisor`. */
export const HOST = `
const results = [];
for (const { code, ...options } of JSON.parse(process.argv[2])) {
  const supervisor = new Supervisor(options);
  const result = { stdout: "", stderr: "", warnings: "" };
  let finish;
  const end = new Promise((resolve) => (finish = resolve));
  supervisor.onEvent(({ type, data, stream }) => {
    if (type === "output") result[stream] += data;
    if (type === "warn") result.warnings += data;
    if (type === "state" && data.worker === "exec_end") finish(Object.assign(result, { outcome: data.outcome, error: data.error }));
  });
  try {
    await supervisor.start();
    result.started = true;
    supervisor.sendCode(code);
    await end;
  } catch (error) {
    Object.assign(result, { refused: error.code, message: error.message, hint: error.hint });
  }
  await supervisor.stop({ graceMs: 500 });
  results.push(result);
}
process.stdout.write(JSON.stringify(results));
`;

/** What a plain interpreter says of itself. */
const SELF = `
import sys
def myself():
    names = ("executable", "prefix", "exec_prefix", "base_prefix", "base_exec_prefix")
    return dict({name: getattr(sys, name) for name in names}, path=[p for p in sys.path if p], version=list(sys.version_info[:3]))
`;

/** The modules whose libraries lie all over the system. */
export const MODULES = "import json, ssl, sqlite3, ctypes, zlib, decimal, asyncio";

/** As bare `python3 -I` has it. */
export function bare(python, code = "") {
  const text = `${SELF}\n${code}\nimport json; print(json.dumps(myself()))`;
  return JSON.parse(execFileSync(python, ["-I", "-c", text], { encoding: "utf8", cwd: "/", stdio: ["ignore", "pipe", "ignore"] }));
}

/** The same in a sandbox: before site, which nothing has asked for yet, and after. */
export const TELL = `${SELF}
early = dict(myself(), site="site" in sys.modules)
${MODULES}
assert "site" not in sys.modules
import site
print(json.dumps([early, myself()]))
`;

/** Names of `files` that the C library, past all hooks, can open. */
export const reads = (files) => `
import ctypes, json, os
libc = ctypes.CDLL(None)
print(json.dumps([name for name in json.loads(${JSON.stringify(JSON.stringify(files))}) if libc.open(name.encode(), os.O_RDONLY) >= 0]))
`;

/** Every Python of this machine from 3.9 on that this user can run, by version: the first of each. */
export function installedPythons() {
  const list = (dir, fits) => {
    try {
      return readdirSync(dir).filter((name) => fits.test(name)).sort().map((name) => path.join(dir, name));
    } catch {
      return [];
    }
  };
  const found = new Map();
  const candidates = [
    "/usr/bin/python3",
    ...["/usr/bin", "/usr/local/bin"].flatMap((dir) => list(dir, /^python3(\.\d+)?$/)),
    ...[path.join(os.homedir(), ".pyenv"), "/opt"].flatMap((dir) => list(path.join(dir, "versions"), /./)).map((dir) => path.join(dir, "bin/python3")),
    ...(process.env.INTERPRETERS ?? "").split(path.delimiter).filter(Boolean),
  ];
  for (const python of candidates.filter(existsSync)) {
    try {
      const version = execFileSync(python, ["-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
      if (!found.has(version)) found.set(version, python);
    } catch {
      // Not one that starts.
    }
  }
  return found;
}

/** `python -m venv`, without what Debian leaves out. */
export function makeVenv(python, directory, ...options) {
  execFileSync(python, ["-I", "-m", "venv", "--without-pip", ...options, directory], { stdio: ["ignore", "ignore", "inherit"], cwd: "/" });
  return path.join(directory, "bin/python3");
}

export function sitePackages(prefix) {
  const lib = path.join(prefix, "lib");
  return path.join(lib, readdirSync(lib).find((name) => name.startsWith("python3")), "site-packages");
}

/**
 * Packages into a virtual environment: `plain`; `native`, which has a shared library of its own beside it and an extension
 * module; and a .pth file whose import line sets `sys.marked`.
 */
export function addPackages(python, prefix) {
  const packages = sitePackages(prefix);
  const put = (name, text) => {
    mkdirSync(path.dirname(path.join(packages, name)), { recursive: true });
    writeFileSync(path.join(packages, name), text);
  };
  put("plain.py", "value = 'plain'\n");
  put("marker.pth", "import sys; sys.marked = getattr(sys, 'marked', 0) + 1\n");
  put("native/__init__.py", `
import ctypes, glob, importlib, os
here = os.path.dirname(__file__)
libraries = [ctypes.CDLL(name) for name in glob.glob(glob.escape(here) + "/../native.libs/*.so")]
extension = importlib.import_module(".array", __name__)
value = len(libraries), extension.array("i", [1, 2]).tolist()
`);
  const find = "import glob, sys; print(glob.glob(next(p for p in sys.path if p.endswith('lib-dynload')) + '/array.*.so')[0])";
  const extension = tryRun(python, ["-I", "-c", find]);
  if (extension) cpSync(extension, path.join(packages, "native", path.basename(extension)));
  else put("native/array.py", "from array import array\n"); // built in
  mkdirSync(path.join(packages, "native.libs"));
  const library = path.join(packages, "native.libs/libown.so");
  put("own.c", "int own(void) { return 42; }\n");
  // Without a compiler: any library will do.
  if (tryRun("cc", ["-shared", "-fPIC", "-o", library, path.join(packages, "own.c")]) === undefined) {
    const some = tryRun(python, ["-I", "-c", "import ctypes; print(next(l.split()[5] for l in open('/proc/self/maps') if '.so' in l))"]);
    cpSync(realpathSync(some), library);
  }
}

function tryRun(program, args) {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

/** What `addPackages` has put there, used with no flag; the .pth file's line runs when site-packages is first needed. */
export const USE_PACKAGES = `
import json, sys
before = getattr(sys, "marked", 0)
import plain
import native
print(json.dumps([before, sys.marked, plain.value, native.value]))
`;

/** What that prints, with `python`: CPython's site goes through some directories twice. */
export function packagesUsed(python) {
  const marked = JSON.parse(execFileSync(python, ["-I", "-c", "import sys; print(sys.marked)"], { encoding: "utf8", cwd: "/" }));
  return [0, marked, "plain", [1, [1, 2]]];
}

/** An executable file. */
export function script(file, text) {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  return file;
}

/** A directory with version managers' shims and two "versions" behind them, each a link to `python`'s environment. */
export function makeShims(directory, python) {
  const versions = ["one", "two"].map((name) => {
    const prefix = path.join(directory, "installs", name);
    makeVenv(python, prefix);
    return prefix;
  });
  // What asdf's own does, as far as a shim of it is concerned: looks for a version from the working directory upwards.
  script(path.join(directory, "bin/asdf"), `#!/bin/sh
shift
dir=$PWD
while [ -n "$dir" ] && [ ! -f "$dir/.tool-versions" ]; do dir=\${dir%/*}; done
version=$(sed -n 's/^python //p' "$dir/.tool-versions" 2>/dev/null)
if [ -z "$version" ]; then
  echo "No version is set for command $1" >&2
  echo "Consider adding one of the following versions in your config file" >&2
  exit 126
fi
name=$1; shift
exec "${directory}/installs/$version/bin/$name" "$@"
`);
  const shim = script(path.join(directory, "shims/python3"), `#!/usr/bin/env bash\n# asdf-plugin: python\nexec "${directory}/bin/asdf" exec "python3" "$@"\n`);
  return { shim, versions };
}

/** A child by `multiprocessing`, with its default way of starting one. */
export const FORK = `
import multiprocessing
queue = multiprocessing.SimpleQueue()
process = multiprocessing.Process(target=lambda: queue.put(42))
process.start()
print(multiprocessing.get_start_method(), queue.get())
process.join()
`;
