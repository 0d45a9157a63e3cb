// Output and code of any size and from any source, byte for byte.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { Recorder, TIMEOUT, execute, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };
const MEGABYTE = 1024 * 1024;

/** What `python3 -u script > file 2>&1` writes. */
function reference(script) {
  const directory = temporaryDirectory();
  const source = path.join(directory, "script.py");
  const target = path.join(directory, "output");
  writeFileSync(source, script);
  const file = openSync(target, "w");
  execFileSync("python3", ["-u", source], { stdio: ["ignore", file, file] });
  closeSync(file);
  return readFileSync(target, "utf8");
}

/**
 * Many writes from every source that Python has, in an order that is mixed but the same each time. Descriptor 2 is written to by
 * `sys.stderr` only: of two pipes that a program writes to behind our back, nobody can tell which was first.
 */
const interleaved = (writes) => `
import ctypes, os, random, sys
libc = ctypes.CDLL(None)
random.seed(7)
for i in range(${writes}):
    source = random.choices("peocf", [40, 25, 20, 14, 1])[0]
    text = source + str(i) + "é" * random.randrange(12)
    if source == "p":
        print(text)
    elif source == "e":
        sys.stderr.write(text + "\\n")
    elif source == "o":
        os.write(1, (text + "\\n").encode())
    elif source == "c":
        libc.printf(b"%s\\n", text.encode())
        libc.fflush(None)
    else:
        child = os.fork()
        if child == 0:
            os.write(1, (text + "\\n").encode())
            os._exit(0)
        os.waitpid(child, 0)
`;

test("10,000 interleaved writes equal what python3 -u writes to one file", timeout, async () => {
  const script = interleaved(10_000);
  const expected = reference(script);
  const { output, exitCode, stderr } = await execute(script);
  assert.equal(exitCode, 0, stderr.slice(-500));
  assert.equal(expected.split("\n").length, 10_001);
  if (output !== expected) {
    const at = [...expected].findIndex((character, index) => character !== output[index]);
    assert.fail(`differs at ${at}: ${JSON.stringify(output.slice(at - 40, at + 40))}, expected ${JSON.stringify(expected.slice(at - 40, at + 40))}`);
  }
});

test("the streams are told apart", timeout, async () => {
  const { stdout, stderr } = await execute("import os, sys\nprint('a')\nprint('b', file=sys.stderr)\nos.write(1, b'c\\n')\n_ = os.write(2, b'd\\n')");
  assert.equal(stdout, "a\nc\n");
  assert.equal(stderr, "b\nd\n");
});

test("a character whose bytes come apart arrives whole", timeout, async () => {
  const { output } = await execute(`
import os, time
for character in ["é", "€", "🐍"]:
    for byte in character.encode():
        os.write(1, bytes([byte]))
        time.sleep(0.02)
`);
  assert.equal(output, "é€🐍");
});

test("bytes that are no UTF-8 become replacement characters, and nothing is lost around them", timeout, async () => {
  const { output } = await execute(String.raw`import os; os.write(1, b"a\xffb\xe2\x82c\n"); print("d\udc80e")`);
  assert.equal(output.replaceAll("\ufffd", "?").replace(/\?+/g, "?").replace(/\\udc80/, "?"), "a?b?c\nd?e\n");
});

test("text without a newline at its end arrives", timeout, async () => {
  const { output } = await execute("print('no newline', end='')");
  assert.equal(output, "no newline");
});

test("one print is one event, up to its newline", timeout, async () => {
  const { recorder } = await execute("for i in range(100): print('line', i)");
  for (const text of recorder.data("output")) assert.ok(text.endsWith("\n"), JSON.stringify(text));
});

test("50 MB of output arrive whole, by print and by os.write", { timeout: 240_000 }, async () => {
  const line = `${"0123456789".repeat(99)}012345678\n`;
  const count = 25_000;
  const recorder = new Recorder();
  await recorder.supervisor.start();
  recorder.supervisor.sendCode(`
import os
line = "0123456789" * 99 + "012345678"
for i in range(${count}): print(line)
data = (line + "\\n").encode()
for i in range(${count}):
    rest = data
    while rest: rest = rest[os.write(1, rest):]
`);
  const { data: end } = await recorder.untilState("exec_end");
  assert.equal(end.exitCode, 0);
  await recorder.supervisor.stop();
  const hash = createHash("sha256");
  let length = 0;
  for (const text of recorder.data("output")) {
    hash.update(text);
    length += text.length;
  }
  assert.equal(length, 2 * count * line.length);
  const expected = createHash("sha256");
  for (let i = 0; i < 2 * count; i++) expected.update(line);
  assert.equal(hash.digest("hex"), expected.digest("hex"));
});

test("60 MiB of code go through a segment of 1 MiB", { timeout: 240_000 }, async () => {
  const size = 60 * MEGABYTE;
  const { stdout, stderr } = await execute(`text = "${"é".repeat(size / 2)}"\nprint(len(text), set(text))`, { shmSize: MEGABYTE });
  assert.equal(stdout, `${size / 2} {'é'}\n`, stderr.slice(-500));
});

test("code beyond the limit is refused with size and limit", timeout, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  assert.throws(() => recorder.supervisor.sendCode("#".repeat(64 * MEGABYTE + 1)), (error) => {
    assert.match(error.code, /^ERR_BUNTIME_/);
    assert.match(error.message, /67108865/);
    assert.match(error.message, /67108864/);
    return true;
  });
  await recorder.supervisor.stop();
});

test("the smallest segment works", timeout, async () => {
  const { stdout } = await execute("print('x' * 100000)", { shmSize: 4096 });
  assert.equal(stdout, `${"x".repeat(100_000)}\n`);
});

test("a JavaScript that is busy makes the worker wait, not the memory grow", { timeout: 240_000 }, async () => {
  const recorder = new Recorder();
  await recorder.supervisor.start();
  const before = process.memoryUsage.rss();
  recorder.supervisor.sendCode("chunk = 'x' * 99999\nfor i in range(1000): print(chunk)\nprint('end')");
  const until = Date.now() + 1500;
  while (Date.now() < until);
  const grown = process.memoryUsage.rss() - before;
  assert.ok(grown < 64 * MEGABYTE, `${grown} bytes`);
  await recorder.untilState("exec_end");
  assert.equal(recorder.text().length, 1000 * 100_000 + 4);
  await recorder.supervisor.stop();
});
