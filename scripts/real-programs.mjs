// Programs that nobody here wrote, bare and in the sandbox, with read access to their data and nothing else. Each test must end
// the same way in both, save those whose own message says that they were denied something (to execute a program, to write a file),
// and those of KNOWN, whose message does not.
//
//   node scripts/real-programs.mjs [PYTHON]     after `npm install`; some minutes, and packages from PyPI
//
// PYTHON needs the `test` package of the standard library (Debian: libpython3-testsuite).
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import { Failure, main, platformDir, run } from "./lib.mjs";

const cli = path.join(platformDir, "python-ipc-bun");
const base = process.argv[2] ?? "python3";

const TIME_LIMIT_MS = 300_000;

/** Marks the lines that are compared, among what the tests themselves print. */
const MARK = "test:";

/** What a test's message or its reason to be skipped tells of a denial by. */
const DENIALS = `
DENIED = ("NotCapable", "Function not implemented", "Operation not permitted", "Permission denied", "Read-only file system",
          "No usable temporary directory", "Protocol not supported", "Address family not supported")
def say(how, name, text=""):
    denied = "denied" if any(word in text for word in DENIED) else ""
    print("\\n${MARK}", how, name.replace(" ", "_"), denied, flush=True)
    if denied == "" and how in ("failed", "error"):
        print(text, file=sys.stderr, flush=True)
`;
/** Runs tests, and prints one line for each: how it ended, its name, and whether its message tells of a denial. */
const UNITTEST = `
import os, sys, tempfile, unittest
# Tests write where they are.
scratch = tempfile.TemporaryDirectory()
os.chdir(scratch.name)
${DENIALS}
class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.subtests = []
    # A test ends as the worst of its parts; only one of it is told of.
    def addSubTest(self, test, subtest, error):
        if error is not None: self.subtests.append(self._exc_info_to_string(error, test))
    def stopTest(self, test):
        super().stopTest(test)
        if self.subtests: say("failed", test.id(), "".join(self.subtests))
    def addSuccess(self, test): say("ok", test.id())
    def addSkip(self, test, reason): say("skipped", test.id(), reason)
    def addFailure(self, test, error): say("failed", test.id(), self._exc_info_to_string(error, test))
    def addError(self, test, error): say("failed", test.id(), self._exc_info_to_string(error, test))
    def addExpectedFailure(self, test, error): say("ok", test.id())
    def addUnexpectedSuccess(self, test): say("failed", test.id(), "unexpected success")
unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:]).run(Result())
`;
/** The same for pytest. */
const PYTEST = `
import sys, pytest
${DENIALS}
class Lines:
    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            say(report.outcome, report.nodeid, str(report.longrepr) if report.longrepr else "")
pytest.main(["-s", "-p", "no:terminal", "-p", "no:cacheprovider", "--pyargs", *sys.argv[1:]], plugins=[Lines()])
`;

/** Tests that may end otherwise in the sandbox, how, and why. */
const KNOWN = [
  { tests: /^test\.test_shutil\.TestWhich(Bytes)?\.test_(absolute_cmd|basic|environ_path\w*|relative_\w+)$/, bare: "ok", inside: "failed", why: "a program in scratch space, where none can be executed, is none" },
  { tests: /^test\.test_tempfile\.TestMkstempInner\.test_noinherit$/, bare: "ok", inside: "failed", why: "a program cannot be executed, which it sees by an exit code" },
  { tests: /^test\.test_shutil\.TestArchives\.test_(tarfile_vs_tar|unzip_zipfile|zipfile_vs_zip)$/, bare: "ok", inside: "skipped", why: "the host's programs are not there" },
  // Where the bare one is root.
  { tests: /^test\.test_shutil\.TestCopy\.test_copy2?_?xattr/, bare: "ok", inside: "skipped", why: "attributes that are root's alone" },
  { tests: /^test\.test_tempfile\..*\.test_read_only_directory$/, bare: "skipped", inside: "ok", why: "nothing is read-only for root" },
  { tests: /^test\.test_shutil\.TestRmTree\.test_(on_error|on_exc|both_onerror_and_onexc)$/, bare: "skipped", inside: "ok", why: "nothing is read-only for root" },
  { tests: /^test\.test_shutil\.TestWhich\w*\.test_non_matching_mode$/, bare: "skipped", inside: "ok", why: "nothing is read-only for root" },
];

const programs = (data) => [
  ["CPython: json, re, decimal", UNITTEST, ["test.test_json", "test.test_re", "test.test_decimal"]],
  ["CPython: collections, itertools, functools, typing", UNITTEST, ["test.test_collections", "test.test_itertools", "test.test_functools", "test.test_typing", "test.test_dataclasses"]],
  ["CPython: asyncio", UNITTEST, ["futures", "locks", "queues", "taskgroups", "timeouts", "runners"].map((name) => `test.test_asyncio.test_${name}`)],
  ["CPython: struct, zlib, hashlib, math, statistics", UNITTEST, ["test.test_struct", "test.test_zlib", "test.test_hashlib", "test.test_math", "test.test_statistics"]],
  ["CPython: contextlib, weakref, queue, sched", UNITTEST, ["test.test_contextlib", "test.test_weakref", "test.test_queue", "test.test_sched"]],
  ["CPython: io, tempfile, pathlib, shutil", UNITTEST, ["test.test_io", "test.test_tempfile", "test.test_pathlib", "test.test_shutil"]],
  ["CPython: threading, sqlite3, pickle, csv", UNITTEST, ["test.test_queue", "test.test_sqlite3", "test.test_pickle", "test.test_csv"]],
  ["numpy: core and linear algebra", PYTEST, ["numpy._core.tests.test_numeric", "numpy.linalg.tests.test_linalg", "numpy.fft"]],
  ["pandas: counting and cutting", PYTEST, ["pandas.tests.groupby.test_counting", "pandas.tests.reshape.test_cut"]],
  ["pandas: frames from a CSV", `
import pandas as pd
frame = pd.read_csv(${JSON.stringify(path.join(data, "data.csv"))})
print(frame.groupby("kind").agg(["mean", "sum"]).round(6).to_string())
print(frame.describe().round(6).to_string())`, []],
  ["sympy: integrals", `
from sympy import *
x = symbols("x")
for f in (sin(x)**2, exp(-x**2), 1/(1+x**4), x*log(x), sqrt(1-x**2), 1/(x**3+1), atan(x), exp(x)*cos(x), x**5*exp(-x), 1/(x*sqrt(x**2-1))):
    print(f, "->", integrate(f, x))
print(integrate(exp(-x**2), (x, -oo, oo)), integrate(sin(x)/x, (x, 0, oo)))`, []],
];

main(async () => {
  // Not below /tmp: a grant there takes the place of a private /tmp.
  const place = mkdtempSync("/var/tmp/buntime-real-");
  try {
    console.log("making a virtual environment with numpy, pandas, sympy");
    run(base, ["-m", "venv", path.join(place, "venv")]);
    const python = path.join(place, "venv", "bin", "python");
    run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy", "pandas", "sympy", "pytest", "hypothesis"]);
    const data = path.join(place, "data");
    mkdirSync(data);
    const rows = Array.from({ length: 5000 }, (_, i) => `${"abcde"[i % 5]},${(i * 7919) % 1000},${Math.sin(i).toFixed(6)}`);
    writeFileSync(path.join(data, "data.csv"), `kind,whole,real\n${rows.join("\n")}\n`);
    // Private scratch space; nothing of the host's.
    const config = path.join(place, "config.json");
    writeFileSync(config, '{"filesystem": {"allow_write": true}}');
    let wrong = 0;
    const total = { same: 0, denied: 0, known: 0 };
    for (const [name, code, args] of programs(data)) {
      const bare = execute(python, ["-c", code, ...args], data);
      const inside = execute(cli, ["run", "--interpreter", python, `--allow-read=${data}`, "--config", config, "-c", code, ...args], data);
      const { same, denied, known, others } = compare(linesOf(bare.stdout, args), linesOf(inside.stdout, args));
      // What is not there without a sandbox either, or not in time, is compared with nothing.
      const unloaded = linesOf(bare.stdout, args).filter((line) => line.includes("unittest.loader._FailedTest"));
      const wrongHere = others.length > 0 || same.length === 0 || unloaded.length > 0 || bare.signal || inside.signal;
      if (wrongHere) wrong += 1;
      total.same += same.length;
      total.denied += denied.length;
      total.known += known.length;
      console.log(`${wrongHere ? "DIFFERENT" : "same     "} ${name.padEnd(52)} ${same.length} lines the same${ends(same, args)}, ${denied.length} denied, ${known.length} known; bare ${bare.seconds} s, sandbox ${inside.seconds} s`);
      for (const line of denied) console.log(`  denied  ${line}`);
      for (const line of known) console.log(`  known   ${line}`);
      for (const line of unloaded) console.log(`  not there  ${line}`);
      for (const line of others.slice(0, 40)) console.log(`  ${line}`);
      if (others.length > 0) console.log(inside.stderr.split("\n").slice(-60).join("\n"));
    }
    console.log(`${total.same} lines the same, ${total.denied} denied, ${total.known} known to differ`);
    if (wrong > 0) throw new Failure(`${wrong} programs differ`);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});

function execute(command, args, cwd) {
  const before = Date.now();
  // Set and dict orders are to be the same on both sides.
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, PYTHONHASHSEED: "0", LANG: "C.UTF-8" };
  const { stdout, stderr, signal } = spawnSync(command, args, { encoding: "utf8", cwd, env, maxBuffer: 1 << 28, timeout: TIME_LIMIT_MS, killSignal: "SIGKILL" });
  if (signal) console.log(`${command} was ended by ${signal} after ${TIME_LIMIT_MS} ms: what it had not come to is not compared`);
  return { stdout, stderr, signal, seconds: ((Date.now() - before) / 1000).toFixed(1) };
}

/** The lines that count: of programs with tests as arguments, those that are marked. Addresses are no difference. */
function linesOf(text, tests) {
  const lines = text.split("\n").map((line) => line.trimEnd().replace(/0x[0-9a-f]+/g, "0xA")).filter(Boolean);
  return tests.length === 0 ? lines : lines.filter((line) => line.startsWith(MARK)).map((line) => line.slice(MARK.length + 1));
}

/** How the tests of these lines ended. */
function ends(lines, tests) {
  if (tests.length === 0) return "";
  const count = (...how) => lines.filter((line) => how.includes(line.split(" ")[0])).length;
  return ` (${count("ok", "passed")} succeed, ${count("skipped")} skipped, ${count("failed", "error")} fail in both)`;
}

/** Lines of both, and those of one alone: denied in the sandbox, where it says so, or different for no such reason. */
function compare(there, inside) {
  const [here, before] = [new Set(inside), new Set(there)];
  const name = (line) => line.split(" ")[1];
  const missing = there.filter((line) => !here.has(line));
  const lost = new Set(missing.map(name));
  // An error beside tests that end as they should, as of a module's end.
  const added = inside.filter((line) => !before.has(line) && !lost.has(name(line)));
  const denied = new Set(inside.filter((line) => line.endsWith(" denied")).map(name));
  const ofDenied = (line) => denied.has(name(line));
  const found = { same: there.filter((line) => here.has(line)), denied: [...missing, ...added].filter(ofDenied), known: [], others: [] };
  for (const line of missing.filter((line) => !ofDenied(line))) {
    const now = inside.find((other) => name(other) === name(line)) ?? "nothing";
    const how = (line) => line.split(" ")[0];
    const known = KNOWN.find((one) => one.tests.test(name(line)) && one.bare === how(line) && one.inside === how(now));
    if (known) found.known.push(`${line}, ${how(now)} in the sandbox: ${known.why}`);
    else found.others.push(`${line}   (sandbox: ${now})`);
  }
  found.others.push(...added.filter((line) => !ofDenied(line)).map((line) => `nothing   (sandbox: ${line})`));
  return found;
}
