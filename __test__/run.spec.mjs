// Programs that a policy allows, judged by what they print: the allowed ones run, wherever they are started, and no other does.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, linkSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { Recorder, TIMEOUT, command, execute, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };

/** Calls of the C library: past the harness's hooks, so that what fails was refused by the kernel. */
const LIBC = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def run(*command, env=()):
    arguments = (ctypes.c_char_p * (len(command) + 1))(*[os.fsencode(part) for part in command])
    variables = (ctypes.c_char_p * (len(env) + 1))(*[os.fsencode(part) for part in env])
    child = libc.fork()
    if child == 0:
        libc.execve(arguments[0], arguments, variables)
        os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
`;
const LOADER = "/lib64/ld-linux-x86-64.so.2";

const run = (code, allowRun, more = {}) => execute(code, { permissions: { allowRun, ...more } });

/** Runs `code` with /bin/echo allowed; the echo at its end shows that the code came that far, and that programs can run. */
async function refused(code, more = {}) {
  const { output } = await run(`${LIBC}\n${code}\nprint("control", run("/bin/echo", "reached"), flush=True)`, ["/bin/echo"], more);
  assert.ok(output.includes("reached") && output.includes("control 0") && !output.includes("PROOF"), output);
}

test("an allowed program runs, by path, by name, and as a child's child", timeout, async () => {
  const started = `
import subprocess
print(subprocess.run(["/bin/echo", "by path"], capture_output=True, text=True).stdout, end="")
print(subprocess.run(["echo", "by name"], capture_output=True, text=True).stdout, end="")
print(subprocess.run(["/usr/bin/env", "/bin/echo", "by env"], capture_output=True, text=True).stdout, end="")
`;
  const { output, exitCode } = await run(started, ["echo", "/usr/bin/env"]);
  assert.equal(exitCode, 0, output);
  assert.match(output, /by path\nby name\nby env\n/);
});

test("a program that is not allowed is refused in the policy's words, and by the kernel", timeout, async () => {
  const { output, exitCode } = await run(`import subprocess\nsubprocess.run(["/bin/cat", "/dev/null"])`, ["/bin/echo"]);
  assert.equal(exitCode, 1);
  assert.match(output, /NotCapable: Requires run access to "\/bin\/cat", run again with --allow-run=\/bin\/cat/);
  await refused(`print(run("/bin/sh", "-c", "echo PR''OOF"), run("/usr/bin/printf", "PRO%s", "OF"))`, { allowRead: ["/bin", "/usr/bin"] });
});

test("without a list no program runs", timeout, async () => {
  const { output } = await execute(`${LIBC}\nprint("code", run("/bin/echo", "PROOF"))`, { permissions: { allowRead: ["/bin", "/usr/bin"] } });
  assert.match(output, /code 99/);
  assert.ok(!output.includes("PROOF"));
});

test("the right `execute` of a rule about files allows and denies as a rule about programs does", timeout, async () => {
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  const rule = (action, file, perms) => ({ action, path: file, perms });
  const outputOf = async (rules, exec = []) => {
    writeFileSync(policyPath, JSON.stringify({ version: 1, fs: { rules }, exec: { rules: exec } }));
    const { output } = await execute(`${LIBC}\nprint("code", run("/bin/echo", "RAN"), run("/bin/true"), flush=True)`, { policyPath });
    return output;
  };
  const echo = realpathSync("/bin/echo");
  const allowed = [rule("allow", echo, ["execute"])];
  assert.match(await outputOf(allowed), /^RAN\ncode 0 99\n$/);
  const programs = [echo, realpathSync("/bin/true")].map((file) => ({ action: "allow", path: file }));
  assert.match(await outputOf([rule("deny", echo, ["read_file", "execute"])], programs), /^code 99 0\n$/);
});

test("an allowed env starts no program that is not allowed", timeout, async () => {
  const code = `${LIBC}\nprint("code", run("/usr/bin/env", "/usr/bin/printf", "PRO%s", "OF"), run("/usr/bin/env", "/bin/echo", "reached"))`;
  const { output } = await run(code, ["/usr/bin/env", "/bin/echo"], { allowRead: ["/bin", "/usr/bin"] });
  assert.match(output, /code 126 0/);
  assert.ok(output.includes("reached") && !output.includes("PROOF"), output);
});

test("the loader runs what is allowed, and nothing that can only be read", timeout, async () => {
  const code = `print(run("${LOADER}", "/usr/bin/printf", "PRO%s", "OF"), run("${LOADER}", "/bin/echo", "loaded"))`;
  await refused(code, { allowRead: ["/bin", "/usr/bin"] });
});

test("the loader runs no program among the interpreter's libraries", timeout, async () => {
  // A virtual environment of its own: its site-packages are the interpreter's, and mapped as code.
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  const venv = path.join(directory, "venv");
  execFileSync("python3", ["-m", "venv", "--without-pip", venv]);
  const packages = execFileSync(path.join(venv, "bin/python"), ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
  const planted = path.join(packages.toString().trim(), "tool");
  copyFileSync("/usr/bin/printf", planted);
  chmodSync(planted, 0o755);
  const code = `${LIBC}\nprint("code", run("${LOADER}", ${JSON.stringify(planted)}, "PRO%s", "OF"), run("/bin/echo", "reached"))`;
  const options = { interpreter: path.join(venv, "bin/python"), permissions: { allowRun: ["/bin/echo"] } };
  const { output } = await execute(code, options);
  assert.ok(output.includes("reached") && output.includes("code 127 0") && !output.includes("PROOF"), output);
  // Allowed by name, the same file runs in the same way.
  const control = await execute(code, { ...options, permissions: { allowRun: ["/bin/echo", planted] } });
  assert.ok(control.output.includes("PROOF"), control.output);
});

test("copies, writable directories and memory hold no program", timeout, async () => {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o777);
  const read = temporaryDirectory();
  chmodSync(read, 0o755);
  copyFileSync("/usr/bin/printf", path.join(read, "copy"));
  chmodSync(path.join(read, "copy"), 0o755);
  const code = `
import shutil
copy = ${JSON.stringify(path.join(directory, "copy"))}
shutil.copyfile("/usr/bin/printf", copy)
os.chmod(copy, 0o755)
fd = os.open("/usr/bin/printf", os.O_RDONLY)
for program in (copy, ${JSON.stringify(path.join(read, "copy"))}, f"/proc/self/fd/{fd}"):
    print(run(program, "PRO%s", "OF"), run("${LOADER}", program, "PRO%s", "OF"))
try:
    memory = os.memfd_create("x", 0)
    os.write(memory, open("/usr/bin/printf", "rb").read())
    print(run(f"/proc/self/fd/{memory}", "PRO%s", "OF"))
except OSError as error:
    print("memfd", error)
`;
  await refused(code, { allowRead: ["/usr/bin", directory, read], allowWrite: [directory] });
});

test("a script needs its interpreter allowed, too", timeout, async () => {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  const script = path.join(directory, "script");
  writeFileSync(script, "#!/bin/sh\necho scripted\n", { mode: 0o755 });
  const code = `${LIBC}\nprint("code", run(${JSON.stringify(script)}))`;
  const without = await run(code, [script]);
  assert.match(without.output, /code 99/);
  const both = await run(code, [script, "/bin/sh"]);
  assert.match(both.output, /scripted\ncode 0/);
});

test("a denial by another name takes a program off the list", timeout, async () => {
  const code = `${LIBC}\nprint("code", run("/bin/sh", "-c", "echo PR''OOF"))`;
  const denied = await run(code, ["/bin/sh", "/bin/echo"], { denyRun: [realpathSync("/bin/sh")], allowRead: ["/bin", "/usr/bin"] });
  assert.match(denied.output, /code 99/);
  const control = await run(code, ["/bin/sh"]);
  assert.match(control.output, /PROOF\ncode 0/);
});

test("a program that the worker may write is an error at start", timeout, async () => {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o777);
  copyFileSync("/bin/echo", path.join(directory, "echo"));
  chmodSync(path.join(directory, "echo"), 0o755);
  await assert.rejects(run("1", [path.join(directory, "echo")], { allowWrite: [directory] }), { code: "ERR_BUNTIME_RUN" });
});

/** A directory with copies of echo under names of their own; the last part of each is what it prints when it is run. */
function programs() {
  const directory = temporaryDirectory();
  mkdirSync(path.join(directory, "deep"));
  chmodSync(directory, 0o755);
  const files = ["one", "two", "three.tool", "deep/four"].map((name) => path.join(directory, name));
  for (const file of files) {
    copyFileSync("/bin/echo", file);
    chmodSync(file, 0o755);
  }
  return { directory, files };
}

/** Which of the files run under some permissions, by the last part of their names. */
async function running(files, permissions, options = {}) {
  const code = `${LIBC}\nfor file in ${JSON.stringify(files)}:\n    run(file, "runs " + file.rpartition("/")[2])\nprint("end")`;
  const { output, error } = await execute(code, { permissions, ...options });
  assert.ok(output.includes("end"), `${output} ${error?.message ?? ""}`);
  return output.split("\n").filter((line) => line.startsWith("runs ")).map((line) => line.slice(5)).sort();
}

test("directories and globs of programs, with denials by path and by name", timeout, async () => {
  const { directory, files } = programs();
  const below = (name) => path.join(directory, name);
  assert.deepEqual(await running(files, { allowRun: [directory] }), ["four", "one", "three.tool", "two"]);
  assert.deepEqual(await running(files, { allowRun: [below("*")] }), ["one", "three.tool", "two"]);
  assert.deepEqual(await running(files, { allowRun: [below("**")] }), ["four", "one", "three.tool", "two"]);
  assert.deepEqual(await running(files, { allowRun: [below("*.tool")], allowRead: [directory] }), ["three.tool"]);
  assert.deepEqual(await running(files, { allowRun: [directory], denyRun: [below("two"), "four"] }), ["one", "three.tool"]);
  assert.deepEqual(await running(files, { allowRun: [directory], denyRun: [below("deep"), below("t*")] }), ["one"]);
});

test("every program is one that can be read and not written, and denials hold", timeout, async () => {
  const { directory, files } = programs();
  const shown = { allowRead: [directory] };
  assert.deepEqual(await running(files, { allowRun: true }), []);
  assert.deepEqual(await running(files, { allowRun: true, ...shown }), ["four", "one", "three.tool", "two"]);
  assert.deepEqual(await running(files, { allowRun: true, denyRun: [files[1], "four"], ...shown }), ["one", "three.tool"]);
  assert.deepEqual(await running(files, { allowRun: true, denyRun: [path.join(directory, "deep"), path.join(directory, "t*")], ...shown }), ["one"]);
  chmodSync(path.join(directory, "deep"), 0o777);
  assert.deepEqual(await running(files, { allowRun: true, allowWrite: [path.join(directory, "deep")], ...shown }), ["one", "three.tool", "two"]);
  const policy = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policy, JSON.stringify({ version: 1, defaults: { exec: "allow" }, exec: { rules: [{ action: "deny", path: files[0] }] } }));
  assert.deepEqual(await running(files, shown, { policyPath: policy }), ["four", "three.tool", "two"]);
});

test("system programs run where every program may, save the denied", timeout, async () => {
  const code = `${LIBC}
print("codes", run("/bin/sh", "-c", "echo from sh", env=["PATH=/usr/bin"]), run("/usr/bin/printf", "x"), run("/usr/bin/env", "printf", "y"), flush=True)
`;
  const all = await run(code, true);
  assert.match(all.output, /from sh\n.*codes 0 0 0/s);
  for (const denyRun of [["sh"], ["/bin/sh"], [realpathSync("/bin/sh")]]) {
    const { output } = await run(code, true, { denyRun });
    assert.match(output, /codes 99 0 0/, `${denyRun} ${output}`);
    assert.ok(!output.includes("from sh"), output);
  }
});

test("beside --allow-all a denied program does not run, by path or by name", timeout, () => {
  const { directory, files } = programs();
  const code = `${LIBC}\nfor file in ${JSON.stringify(files)}:\n    run(file, "runs " + file.rpartition("/")[2])\nrun("/bin/sh", "-c", "echo runs sh")\nprint("end")`;
  const runs = (...flags) => {
    const output = command("run", "--allow-all", ...flags, "-c", code);
    assert.ok(output.includes("end"), output);
    return output.split("\n").filter((line) => line.startsWith("runs ")).map((line) => line.slice(5)).sort();
  };
  assert.deepEqual(runs(), ["four", "one", "sh", "three.tool", "two"]);
  assert.deepEqual(runs(`--deny-run=${files[0]}`, `--deny-run=${directory}/t*`), ["four", "sh"]);
  for (const denied of ["sh", "/bin/sh"]) assert.deepEqual(runs(`--deny-run=${denied}`), ["four", "one", "three.tool", "two"]);
  assert.deepEqual(runs("--deny-run"), []);
});

test("a denial of the interpreter beside programs is refused", timeout, async () => {
  const interpreter = "/usr/bin/python3";
  for (const denied of [interpreter, realpathSync(interpreter), "python3"]) {
    const permissions = { allowRun: ["/bin/echo"], denyRun: [denied] };
    await assert.rejects(execute("1", { interpreter, permissions }), { code: "ERR_BUNTIME_RUN" });
  }
});

/** A policy that pins the content of a program. */
function pinning(file, content) {
  const policy = path.join(temporaryDirectory(), "policy.json");
  const sha256 = createHash("sha256").update(content).digest("hex");
  writeFileSync(policy, JSON.stringify({ version: 1, exec: { rules: [{ action: "allow", path: file, sha256 }] } }));
  return policy;
}

test("a pinned program runs as it was when it was checked", timeout, async () => {
  const { files: [file] } = programs();
  const recorder = new Recorder({ policyPath: pinning(file, readFileSync("/bin/echo")) });
  try {
    await recorder.supervisor.start();
    // In place: the same inode, another content.
    writeFileSync(file, readFileSync("/bin/cat"));
    recorder.supervisor.sendCode(`${LIBC}\nprint("code", run(${JSON.stringify(file)}, "as it was"))`);
    await recorder.untilState("exec_end");
    assert.match(recorder.text(), /as it was\ncode 0/);
  } finally {
    await recorder.supervisor.stop({ graceMs: 500 });
  }
  await assert.rejects(execute("1", { policyPath: pinning(file, readFileSync("/bin/echo")) }), (error) => {
    assert.equal(error.code, "ERR_BUNTIME_RUN");
    assert.match(error.message, /sha256 of .*\/one is [0-9a-f]{64}, expected [0-9a-f]{64}/);
    return true;
  });
});

test("a program with another name in a write grant cannot be changed by that", timeout, async () => {
  const { directory, files: [file] } = programs();
  const drop = path.join(directory, "drop");
  mkdirSync(drop);
  chmodSync(drop, 0o777);
  linkSync(file, path.join(drop, "one"));
  chmodSync(file, 0o777);
  const code = `${LIBC}
with open(${JSON.stringify(path.join(drop, "one"))}, "wb") as other:
    other.write(open("/bin/cat", "rb").read())
print("code", run(${JSON.stringify(file)}, "unchanged"))
`;
  const { output } = await run(code, [file], { allowRead: ["/bin"], allowWrite: [drop] });
  assert.match(output, /unchanged\ncode 0/, output);
});

test("a link that the worker may replace names no program", timeout, async () => {
  const { directory, files: [file] } = programs();
  const drop = path.join(directory, "drop");
  mkdirSync(drop);
  chmodSync(drop, 0o777);
  symlinkSync(file, path.join(drop, "link"));
  await assert.rejects(run("1", [path.join(drop, "link")], { allowWrite: [drop] }), { code: "ERR_BUNTIME_RUN" });
});
