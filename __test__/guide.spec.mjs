// The integration guide's two examples, as they stand there save the import path.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { TIMEOUT, isBun, root, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };

const basic = readFileSync(path.join(root, "__test__/support/guide-basic.mts"), "utf8");
const lambda = readFileSync(path.join(root, "__test__/support/guide-lambda.mts"), "utf8");

/** The lambda example with other code to execute, and other lines after it. */
function lambdaWith(code, { afterSend = "" } = {}) {
  const [example] = lambda.split("// Usage\n");
  const sent = "  supervisor.sendCode(code);\n";
  assert.ok(example.includes(sent));
  return `${example.replace(sent, sent + afterSend)}
const result = await executeUntrustedCode(${JSON.stringify(code)});
console.log(JSON.stringify(result));
`;
}

/** Runs TypeScript in a project of its own, which has the package in its node_modules. Node 20 runs it compiled. */
async function runTypeScript(source) {
  const project = temporaryDirectory();
  mkdirSync(path.join(project, "node_modules"));
  symlinkSync(root, path.join(project, "node_modules", "python-ipc-bun"));
  writeFileSync(path.join(project, "main.mts"), source);
  if (!isBun) {
    const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc");
    const options = ["--module", "nodenext", "--target", "es2022", "--strict", "--types", "node"];
    const typeRoots = path.join(root, "node_modules", "@types");
    execFileSync(process.execPath, [tsc, ...options, "--typeRoots", typeRoots, "main.mts"], { cwd: project, encoding: "utf8" });
  }
  const child = spawn(process.execPath, [isBun ? "main.mts" : "main.mjs"], { cwd: project, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const started = Date.now();
  const [code, signal] = await new Promise((resolve) => child.on("close", (...how) => resolve(how)));
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr);
  return { stdout, stderr, ms: Date.now() - started };
}

test("the basic example prints what the guide says, and its process ends", timeout, async () => {
  const { stdout } = await runTypeScript(basic);
  assert.equal(stdout, "Worker ready\nOutput: hello\n\n");
});

test("the lambda example prints what the guide says, and its process ends", timeout, async () => {
  const { stdout } = await runTypeScript(lambda);
  assert.equal(stdout, '{"message": "hello world"}\n\n');
});

test("lambda: an uncaught exception sets error and exitCode 1", timeout, async () => {
  const { stdout } = await runTypeScript(lambdaWith('raise ValueError("x")'));
  const result = JSON.parse(stdout);
  assert.equal(result.error, "ValueError: x");
  assert.equal(result.exitCode, 1);
  assert.match(result.output, /ValueError: x/);
});

test("lambda: returns when the worker aborts", timeout, async () => {
  const { stdout } = await runTypeScript(lambdaWith("import os; print('before'); os.abort()"));
  const result = JSON.parse(stdout);
  assert.equal(result.exitCode, 134);
  assert.equal(result.output, "before\n");
});

test("lambda: returns from an endless loop that is interrupted", timeout, async () => {
  const { stdout } = await runTypeScript(
    lambdaWith("while True: pass", { afterSend: "  setTimeout(() => void supervisor.interrupt(), 300);\n" }),
  );
  const result = JSON.parse(stdout);
  assert.equal(result.exitCode, 130);
  assert.match(result.output, /KeyboardInterrupt/);
});
