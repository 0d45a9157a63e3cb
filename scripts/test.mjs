// Runs the tests and counts them: `npm test`, or `npm test -- node bun` for some parts, or with names of spec files.
//
// Each part must have run something: a runner that finds no test says "0 failed" and would pass for ever.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

import { Failure, findBun, main, platformDir, root, run } from "./lib.mjs";

const PARTS = ["rust", "python", "node", "bun"];

const named = process.argv.slice(2);
const parts = named.filter((name) => PARTS.includes(name));
const files = named.filter((name) => !PARTS.includes(name));

main(async () => {
  const wanted = parts.length > 0 ? parts : files.length > 0 ? ["node", "bun"] : PARTS;
  const specs = findSpecs();
  const counts = [];
  if (wanted.includes("rust")) {
    // The sources may be newer than what was built of them, and the specs are to judge the sources.
    run(process.execPath, [path.join(root, "scripts", "build.mjs")]);
    counts.push(await rust());
  }
  if (wanted.includes("python")) counts.push(await python());
  const perRuntime = {};
  for (const runtime of ["node", "bun"].filter((name) => wanted.includes(name))) {
    perRuntime[runtime] = await runSpecs(runtime, specs);
    counts.push(total(runtime, perRuntime[runtime]));
  }
  report(counts, differences(perRuntime));
});

/** Named one by one: `node --test DIR` can run nothing and succeed. */
function findSpecs() {
  const all = readdirSync(path.join(root, "__test__")).filter((name) => name.endsWith(".spec.mjs")).sort();
  const chosen = files.length === 0 ? all : all.filter((name) => files.some((file) => name.startsWith(path.basename(file))));
  if (chosen.length === 0) throw new Failure(`no spec file among ${all.join(", ")} is named ${files.join(", ")}`);
  return chosen;
}

async function rust() {
  const nextest = spawnSync("cargo", ["nextest", "--version"], { cwd: root }).status === 0;
  const args = nextest
    ? ["nextest", "run", "--workspace", "--no-fail-fast", "--status-level", "fail", "--final-status-level", "fail"]
    : ["test", "--workspace", "--no-fail-fast", "--quiet"];
  // Those that run a sandbox need the helper, which only the build above makes static.
  const { status, output } = await stream("cargo", args, { BUNTIME_INIT_PATH: path.join(platformDir, "buntime-init") });
  if (nextest) {
    const summary = output.match(/(\d+) tests? run: .*/)?.[0] ?? "";
    return count("rust", status, summary, { pass: /(\d+) passed/, fail: /(\d+) (?:failed|timed out)/, skip: /(\d+) skipped/ });
  }
  const sum = (what) => [...output.matchAll(new RegExp(`(\\d+) ${what}`, "g"))].reduce((n, match) => n + Number(match[1]), 0);
  return { part: "rust", status, pass: sum("passed"), fail: sum("failed"), skip: sum("ignored") };
}

async function python() {
  const folder = path.join("__test__", "harness");
  if (!existsSync(path.join(root, folder))) return { part: "python", status: 1, pass: 0, fail: 0, skip: 0 };
  const { status, output } = await stream("python3", ["-B", "-m", "unittest", "discover", "-s", folder, "-t", folder]);
  const ran = Number(output.match(/^Ran (\d+) tests?/m)?.[1] ?? 0);
  const of = (what) => Number(output.match(new RegExp(`${what}=(\\d+)`))?.[1] ?? 0);
  const fail = of("failures") + of("errors");
  return { part: "python", status, pass: ran - fail - of("skipped"), fail, skip: of("skipped") };
}

/** Each file in a process of its own, one after the other: some of them count descriptors and measure time. */
async function runSpecs(runtime, specs) {
  const results = [];
  for (const spec of specs) {
    const file = `./__test__/${spec}`;
    results.push({ spec, ...(await (runtime === "node" ? nodeSpec(file) : bunSpec(file))) });
  }
  return results;
}

async function nodeSpec(file) {
  const { status, output } = await stream(process.execPath, ["--test", "--test-reporter=spec", file]);
  return count(file, status, output, { pass: /^ℹ pass (\d+)/m, fail: /^ℹ (?:fail) (\d+)/m, skip: /^ℹ skipped (\d+)/m });
}

async function bunSpec(file) {
  const bun = findBun();
  if (bun === undefined) throw new Failure("Bun is not in node_modules: run `npm install`");
  // Its default limit is five seconds a test; the tests have limits of their own.
  const { status, output } = await stream(bun, ["test", "--timeout", "300000", file]);
  return count(file, status, output, { pass: /^\s*(\d+) pass$/m, fail: /^\s*(\d+) fail$/m, skip: /^\s*(\d+) skip$/m });
}

function count(part, status, output, patterns) {
  const read = (pattern) => Number(output.match(pattern)?.[1] ?? 0);
  return { part, status, pass: read(patterns.pass), fail: read(patterns.fail), skip: read(patterns.skip) };
}

function total(part, results) {
  const sum = (key) => results.reduce((n, result) => n + result[key], 0);
  return { part, status: Math.max(...results.map((result) => result.status)), pass: sum("pass"), fail: sum("fail"), skip: sum("skip") };
}

/** Specs that did not run the same number of tests on both runtimes, or none. */
function differences({ node, bun }) {
  const tests = (result) => result.pass + result.fail + result.skip;
  const found = [];
  for (const [index, { spec }] of (node ?? bun ?? []).entries()) {
    const counts = [node, bun].filter(Boolean).map((results) => tests(results[index]));
    if (counts.includes(0)) found.push(`${spec}: no test ran`);
    else if (new Set(counts).size > 1) found.push(`${spec}: ${counts[0]} tests on Node, ${counts[1]} on Bun`);
  }
  return found;
}

function report(counts, found) {
  console.log("");
  for (const { part, status, pass, fail, skip } of counts) {
    const verdict = status === 0 && fail === 0 && pass > 0 ? "ok" : "FAILED";
    console.log(`${part.padEnd(7)} ${String(pass).padStart(4)} passed ${String(fail).padStart(3)} failed ${String(skip).padStart(3)} skipped   ${verdict}`);
    if (status !== 0 || fail > 0) found.push(`${part} failed`);
    else if (pass === 0) found.push(`${part} ran no test`);
  }
  if (found.length > 0) throw new Failure(found.join("; "));
}

/** Runs a command, shows its output as it comes, and keeps it. */
function stream(command, args, env = {}) {
  console.log(`\n$ ${[command === process.execPath ? "node" : path.basename(command), ...args].join(" ")}`);
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, FORCE_COLOR: "0", NO_COLOR: "1", ...env },
    });
    let output = "";
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      from.setEncoding("utf8").on("data", (text) => {
        output += text;
        to.write(text);
      });
    }
    child.on("error", (error) => resolve({ status: 1, output: String(error) }));
    child.on("close", (status) => resolve({ status: status ?? 1, output }));
  });
}
