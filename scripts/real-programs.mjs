// Programs that nobody here wrote, bare and in the sandbox, with read access to their data and nothing else: the results must be
// the same. `node scripts/real-programs.mjs [PYTHON]`, after `npm install`; a few minutes, and packages from PyPI.
//
// PYTHON needs the `test` package of the standard library (Debian: libpython3-testsuite).
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { Failure, main, platformDir, run } from "./lib.mjs";

const cli = path.join(platformDir, "python-ipc-bun");
const base = process.argv[2] ?? "python3";

const unittests = (...modules) => `import unittest; unittest.main(module=None, argv=["unittest", ${modules.map((name) => `"test.${name}"`).join(", ")}])`;
// No cache and no plugins, which would want to write; the order of the tests is the files' own.
const pytest = (...args) => `import pytest, sys; sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", ${args.map((arg) => JSON.stringify(arg)).join(", ")}]))`;

const programs = (data) => [
  ["CPython: json", unittests("test_json")],
  ["CPython: re", unittests("test_re")],
  ["CPython: decimal", unittests("test_decimal")],
  ["CPython: collections", unittests("test_collections")],
  ["CPython: asyncio", unittests(...["futures", "locks", "queues", "taskgroups", "timeouts", "runners"].map((name) => `test_asyncio.test_${name}`))],
  ["CPython: itertools, functools, dataclasses, typing", unittests("test_itertools", "test_functools", "test_dataclasses", "test_typing")],
  ["CPython: struct, zlib, hashlib, math, statistics", unittests("test_struct", "test_zlib", "test_hashlib", "test_math", "test_statistics")],
  ["CPython: threading primitives, contextlib, weakref, gc", unittests("test_contextlib", "test_weakref", "test_queue", "test_sched")],
  ["numpy: core numerics", pytest("--pyargs", "numpy._core.tests.test_numeric", "numpy.linalg.tests.test_linalg", "numpy.fft")],
  ["pandas: frames and CSV", `import pandas as pd\nframe = pd.read_csv(${JSON.stringify(path.join(data, "data.csv"))})\nprint(frame.groupby("kind").agg(["mean", "sum"]).round(6).to_string())\nprint(frame.describe().round(6).to_string())`],
  ["pandas: its own tests of groupby", pytest("--pyargs", "pandas.tests.groupby.test_counting", "pandas.tests.reshape.test_cut")],
  ["sympy: integrals", `from sympy import *\nx = symbols("x")\nfor f in (sin(x)**2, exp(-x**2), 1/(1+x**4), x*log(x), sqrt(1-x**2), 1/(x**3+1), atan(x), exp(x)*cos(x), x**5*exp(-x), 1/(x*sqrt(x**2-1))):\n    print(f, "->", integrate(f, x))\nprint(integrate(exp(-x**2), (x, -oo, oo)), integrate(sin(x)/x, (x, 0, oo)))`],
];

main(async () => {
  const place = mkdtempSync(path.join(os.tmpdir(), "buntime-real-"));
  try {
    console.log("making a virtual environment with numpy, pandas, sympy");
    run(base, ["-m", "venv", path.join(place, "venv")]);
    const python = path.join(place, "venv", "bin", "python");
    run(python, ["-m", "pip", "install", "--quiet", "numpy", "pandas", "sympy", "pytest", "hypothesis"]);
    const data = path.join(place, "data");
    spawnSync("mkdir", [data]);
    const rows = Array.from({ length: 5000 }, (_, i) => `${"abcde"[i % 5]},${(i * 7919) % 1000},${Math.sin(i).toFixed(6)}`);
    writeFileSync(path.join(data, "data.csv"), `kind,whole,real\n${rows.join("\n")}\n`);
    let different = 0;
    for (const [name, code] of programs(data)) {
      const bare = execute(python, ["-c", code], place);
      const inside = execute(cli, ["run", "--interpreter", python, `--allow-read=${data}`, "-c", code], place);
      const same = bare.status === inside.status && bare.text === inside.text;
      if (!same) different += 1;
      const said = bare.text.trim().split("\n").at(-1);
      console.log(`${same ? "same     " : "DIFFERENT"} ${name.padEnd(54)} bare ${bare.seconds} s, sandbox ${inside.seconds} s: ${said}`);
      if (!same) console.log(difference(bare, inside));
    }
    if (different > 0) throw new Failure(`${different} programs differ`);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});

function execute(command, args, cwd) {
  const before = Date.now();
  // Set and dict orders are to be the same on both sides.
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, PYTHONHASHSEED: "0" };
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", cwd, env, maxBuffer: 1 << 28 });
  return { status, text: normal(stdout + stderr), seconds: ((Date.now() - before) / 1000).toFixed(1) };
}

/** What a run says, without times and addresses. */
function normal(text) {
  return text
    .replace(/in \d+\.\d+s( \(\d+:\d+:\d+\))?/g, "in T")
    .replace(/0x[0-9a-f]{6,}/g, "0xA")
    .replace(/\[ *\d+%\]/g, "");
}

function difference(bare, inside) {
  const there = new Set(bare.text.split("\n"));
  const lines = inside.text.split("\n").filter((line) => !there.has(line));
  return `  exit ${bare.status} bare, ${inside.status} in the sandbox; only there:\n${lines.slice(0, 40).map((line) => `    ${line}`).join("\n")}`;
}
