// Libraries that a policy allows, judged by whether they can be called: the allowed ones load with what they need, and no other does.
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, linkSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { TIMEOUT, command, execute, temporaryDirectory } from "./support/index.mjs";
import { libraryOfHost } from "./support/libraries.mjs";

const timeout = { timeout: TIMEOUT };

/** A directory with libraries of names of their own, which no interpreter needs. */
function libraries() {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  mkdirSync(path.join(directory, "more"));
  for (const name of ["one.so", "two.so", "more/three.so"]) {
    copyFileSync(libraryOfHost("libz.so.1"), path.join(directory, name));
    chmodSync(path.join(directory, name), 0o755);
  }
  return { directory, one: path.join(directory, "one.so"), two: path.join(directory, "two.so"), three: path.join(directory, "more/three.so") };
}

/** Which of the files can be loaded. */
const load = (...files) => `
import ctypes
for name in ${JSON.stringify(files)}:
    try:
        ctypes.CDLL(name).zlibVersion
        print("loads", name.rpartition("/")[2])
    except OSError as error:
        print("refused", name.rpartition("/")[2], type(error).__name__)
print("end")
`;

/** What loads under some permissions, as words. */
async function loaded(permissions, ...files) {
  const { output, error } = await execute(load(...files), { permissions });
  assert.ok(output.includes("end"), `${output} ${error?.message ?? ""}`);
  return output.split("\n").filter((line) => line.startsWith("loads ")).map((line) => line.slice(6));
}

test("without a rule no library loads but the interpreter's", timeout, async () => {
  const { directory, one, two } = libraries();
  assert.deepEqual(await loaded({ allowRead: [directory] }, one, two, "libz.so.1"), ["libz.so.1"]);
});

test("an allowed library loads, by path and by directory, and what is denied in it does not", timeout, async () => {
  const { directory, one, two, three } = libraries();
  assert.deepEqual(await loaded({ allowFfi: [one], allowRead: [directory] }, one, two, three), ["one.so"]);
  assert.deepEqual(await loaded({ allowFfi: [directory] }, one, two, three), ["one.so", "two.so", "three.so"]);
  assert.deepEqual(await loaded({ allowFfi: [directory], denyFfi: [two, path.join(directory, "more")] }, one, two, three), ["one.so"]);
  assert.deepEqual(await loaded({ allowFfi: [path.join(directory, "*.so")], allowRead: [directory] }, one, two, three), ["one.so", "two.so"]);
});

test("every library is one that can be read and not written", timeout, async () => {
  const { directory, one, two, three } = libraries();
  chmodSync(path.join(directory, "more"), 0o777);
  assert.deepEqual(await loaded({ allowFfi: true }, one, two), []);
  const permissions = { allowFfi: true, allowRead: [directory], allowWrite: [path.join(directory, "more")], denyFfi: [two] };
  assert.deepEqual(await loaded(permissions, one, two, three), ["one.so"]);
});

test("an allowed library finds what it needs", timeout, async () => {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  const library = path.join(directory, "tls.so");
  copyFileSync(libraryOfHost("libssl.so.3"), library);
  chmodSync(library, 0o755);
  const code = `import ctypes\nprint("found", bool(ctypes.CDLL(${JSON.stringify(library)}).TLS_method))`;
  const { output } = await execute(code, { permissions: { allowFfi: [library], denyFfi: ["/usr/lib/python3"] } });
  assert.match(output, /found True/);
});

test("a denial leaves what the interpreter needs", timeout, async () => {
  const hello = `import ssl, ctypes, sqlite3, decimal\nprint("hello")`;
  for (const denyFfi of [true, ["/usr/lib"], ["/"], ["/usr"]]) {
    const { output, error } = await execute(hello, { permissions: { denyFfi } });
    assert.match(output, /hello/, `${JSON.stringify(denyFfi)} ${error?.message ?? ""}`);
  }
  // What is among the system's libraries, and no part of it.
  const other = libraryOfHost("libgomp.so.1");
  const code = `import ctypes\ntry:\n    print("loads", bool(ctypes.CDLL(${JSON.stringify(other)}).omp_get_num_threads))\nexcept OSError:\n    print("refused")`;
  assert.match((await execute(code, { permissions: {} })).output, /loads True/);
  assert.match((await execute(code, { permissions: { denyFfi: ["/usr/lib"] } })).output, /refused/);
});

test("beside --allow-all a denied library does not load", timeout, () => {
  const { one, two } = libraries();
  const loads = (...flags) => command("run", "--allow-all", ...flags, "-c", load(one, two)).split("\n").filter((line) => line.startsWith("loads "));
  assert.deepEqual(loads(), ["loads one.so", "loads two.so"]);
  assert.deepEqual(loads(`--deny-ffi=${two}`), ["loads one.so"]);
  assert.deepEqual(loads("--deny-ffi=/usr/lib"), ["loads one.so", "loads two.so"]);
});

test("a refusal says what would allow it", timeout, async () => {
  const { directory, one, two } = libraries();
  const { output } = await execute(`import ctypes\nctypes.CDLL(${JSON.stringify(two)})`, { permissions: { allowFfi: [one], allowRead: [directory] } });
  assert.match(output, new RegExp(`NotCapable: Requires ffi access to "${two}", run again with --allow-ffi=${two}`));
});

test("a denied library with a second hard link does not load by the name that is denied", timeout, async () => {
  const { directory, one, two, three } = libraries();
  linkSync(two, path.join(directory, "more/link"));
  // A library that has another name is copied as soon as anything may be written.
  const permissions = { allowFfi: [directory], denyFfi: [two], allowWrite: [temporaryDirectory()] };
  assert.deepEqual(await loaded(permissions, one, two, three), ["one.so", "three.so"]);
});

test("warn rules let libraries be loaded and are seen once, in descendants too", timeout, async () => {
  const { directory, one, two, three } = libraries();
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policyPath, JSON.stringify({ version: 1, ffi: { rules: [{ action: "warn", path: directory }] } }));
  const code = `${load(one)}
import os
if os.fork() == 0:
    ctypes.CDLL(${JSON.stringify(three)}).zlibVersion
    os._exit(0)
os.wait()
again = ctypes.CDLL(${JSON.stringify(one)})
ctypes.CDLL("libz.so.1")
open(${JSON.stringify(two)}).close()`;
  const { stdout, recorder } = await execute(code, { policyPath });
  assert.equal(stdout, "loads one.so\nend\n");
  await recorder.supervisor.stop();
  const by = `let through by warn ffi ${directory} (${policyPath}: ffi.rules[0])`;
  const told = recorder.data("warn").filter((text) => text.startsWith("ffi "));
  assert.deepEqual(told.sort(), [`ffi ${three}: ${by}`, `ffi ${one}: ${by}`], "neither the interpreter's nor what was only read");
});

test("a file that is made code after it was mapped is seen, too", timeout, async () => {
  const { directory, one, two } = libraries();
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policyPath, JSON.stringify({ version: 1, ffi: { rules: [{ action: "warn", path: directory }] } }));
  const code = `
import ctypes, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
def map(name):
    return libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_PRIVATE, os.open(name, os.O_RDONLY), ctypes.c_long(0))
print(libc.mprotect(ctypes.c_void_p(map(${JSON.stringify(one)})), ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_EXEC))
read = map(${JSON.stringify(two)})`;
  const { stdout, recorder } = await execute(code, { policyPath });
  assert.equal(stdout, "0\n");
  await recorder.supervisor.stop();
  const told = recorder.data("warn").filter((text) => text.startsWith("ffi "));
  assert.deepEqual(told, [`ffi ${one}: let through by warn ffi ${directory} (${policyPath}: ffi.rules[0])`]);
});

test("monitor tells of the libraries that would not load", timeout, async () => {
  const { directory, one, two } = libraries();
  const options = { permissions: { allowFfi: [two] } };
  const { stdout, recorder } = await execute(load(one, two), options, { security: { mode: "monitor" } });
  assert.equal(stdout, "loads one.so\nloads two.so\nend\n");
  await recorder.supervisor.stop();
  const told = recorder.data("warn").filter((text) => text.startsWith("ffi "));
  assert.deepEqual(told, [`ffi ${one}: would be denied by default`], directory);
});
