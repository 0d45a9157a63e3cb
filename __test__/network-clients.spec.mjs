// Clients that nobody here wrote, with no proxy and nothing else set for them: what is allowed by name works, and what is denied by
// name, by address or by port fails as the kernel lets a connection fail. The servers and the packet socket of the world are the judge.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import test, { after } from "node:test";

import { TIMEOUT, temporaryDirectory } from "./support/index.mjs";
import { ADDRESS, CLIENTS as INTERPRETER, PYTHON, World, missing } from "./support/network.mjs";
import { CLIENTS, PRELUDE } from "./support/network/clients.mjs";

const timeout = { timeout: TIMEOUT };
const reason = missing();
const world = reason ? undefined : await World.open();
after(() => world?.close());

const EACCES = 13;
const EAI_NONAME = -2;
const ca = () => path.join(world.directory, "ca.pem");
const last = (text) => JSON.parse(text.trim().split("\n").at(-1));

/** Why a client cannot be tried here. */
function lacks({ module }) {
  if (reason) return reason;
  if (!module) return undefined;
  if (!existsSync(INTERPRETER)) return `${module} is not installed: node scripts/network-clients.mjs, or name an interpreter that has it with BUNTIME_TEST_CLIENTS`;
  const { status, stderr } = spawnSync(INTERPRETER, ["-I", "-c", `import ${module}`], { encoding: "utf8" });
  return status === 0 ? undefined : `${INTERPRETER}: ${stderr.trim().split("\n").at(-1)}`;
}

for (const [name, client] of Object.entries(CLIENTS)) {
  test(`${name}: allowed by name, denied by name, by address and by port`, timeout, async (t) => {
    const why = lacks(client);
    if (why) return t.skip(why);
    const { port } = client;
    const interpreter = client.module ? INTERPRETER : PYTHON;
    const code = (host, at) => `${PRELUDE}\n${client.code({ host, port: at, ca: ca() })}`;
    await world.take();
    const sandbox = await world.sandbox({ interpreter, permissions: { allowNet: [`web.example.com:${port}`], allowRead: [ca()] } });
    try {
      const allowed = await sandbox.exec(code("web.example.com", port));
      assert.match(last(allowed.stdout).got ?? allowed.stdout + allowed.stderr, /secret-\w+ web\.example\.com|value from redis/);
      assert.deepEqual((await world.take()).reached, [`tcp ${ADDRESS.web}:${port}`]);

      const denied = { name: ["evil.example.net", port], address: [ADDRESS.evil, port], port: ["web.example.com", 8000] };
      for (const [by, [host, at]] of Object.entries(denied)) {
        const { stdout, stderr, denied: events } = await sandbox.exec(code(host, at));
        const { refused, code: errno } = last(stdout);
        if (by === "name") assert.deepEqual([refused, errno], ["gaierror", EAI_NONAME], `by ${by}: ${stdout}${stderr}`);
        else assert.deepEqual([refused, errno], ["PermissionError", EACCES], `by ${by}: ${stdout}${stderr}`);
        const seen = await world.take();
        assert.deepEqual(seen.reached, [], `by ${by}: nothing may arrive anywhere`);
        if (by === "name") assert.deepEqual(seen.asked, [], "nobody is asked for a denied name");
        assert.ok(events.some(({ kind, target }) => kind === "net" && target.includes(host)), `by ${by}: ${JSON.stringify(events)}`);
      }
    } finally {
      await sandbox.close();
    }
    // The control: all of it arrives without a sandbox.
    for (const [host, at] of [["web.example.com", port], ["evil.example.net", port], [ADDRESS.evil, port]]) {
      await world.python(code(host, at), { interpreter });
      assert.notDeepEqual((await world.take()).reached, [], `${host} without a sandbox`);
    }
  });
}

/** The real files of programs, where they are installed; git finds its parts by itself. */
function programs(name) {
  const found = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
  if (!found) return undefined;
  if (name !== "git") return [found];
  const parts = spawnSync("git", ["--exec-path"], { encoding: "utf8" }).stdout.trim();
  return [found, path.join(parts, "git"), path.join(parts, "git-remote-http")];
}

const runs = (...command) => `import subprocess\nresult = subprocess.run(${JSON.stringify(command)}, capture_output=True, text=True)\nprint(result.returncode, result.stdout, result.stderr)`;

test("curl, as a program that may be executed", timeout, async (t) => {
  const files = programs("curl");
  if (reason || !files) return t.skip(reason ?? "there is no curl");
  await world.take();
  const sandbox = await world.sandbox({ permissions: { allowNet: ["web.example.com:80", "web.example.com:443"], allowRun: files, allowRead: [ca()] } });
  try {
    const get = (...args) => sandbox.exec(runs(files[0], "--silent", "--show-error", "--max-time", "20", ...args));
    const { stdout, stderr } = await get("http://web.example.com/");
    assert.match(stdout, /^0 secret-\w+ web\.example\.com/, stderr);
    assert.match((await get("--cacert", ca(), "https://web.example.com/")).stdout, /^0 secret-/);
    await world.take();
    const COULD_NOT_RESOLVE = 6;
    const COULD_NOT_CONNECT = 7;
    assert.match((await get("http://evil.example.net/")).stdout, new RegExp(`^${COULD_NOT_RESOLVE} `));
    assert.match((await get(`http://${ADDRESS.evil}/`)).stdout, new RegExp(`^${COULD_NOT_CONNECT} `));
    assert.match((await get("http://web.example.com:8000/")).stdout, new RegExp(`^${COULD_NOT_CONNECT} `));
    const seen = await world.take();
    assert.deepEqual([seen.reached, seen.asked], [[], []]);
  } finally {
    await sandbox.close();
  }
});

test("git clones over HTTP", timeout, async (t) => {
  const files = programs("git");
  if (reason || !files || !world.hasGit) return t.skip(reason ?? "there is no git");
  const clone = (host) => `${runs("git", "-C", "/tmp", "clone", "--quiet", `http://${host}/git/project.git`, host)}
print(subprocess.run(["git", "-C", "/tmp/${host}", "log", "--format=%s"], capture_output=True, text=True).stdout)`;
  await world.take();
  const sandbox = await world.sandbox({ permissions: { allowNet: ["web.example.com"], allowRun: files }, config: { filesystem: { allow_write: true } } });
  try {
    const { stdout, stderr } = await sandbox.exec(clone("web.example.com"));
    assert.match(stdout, /^0 [^]*the first/, stderr);
    assert.deepEqual((await world.take()).reached, [`tcp ${ADDRESS.web}:80`]);
    const denied = await sandbox.exec(clone("evil.example.net"));
    assert.match(denied.stdout, /^128 [^]*Could not resolve host/);
    const seen = await world.take();
    assert.deepEqual([seen.reached, seen.asked], [[], []]);
  } finally {
    await sandbox.close();
  }
});

test("pip downloads from a package index", timeout, async (t) => {
  const why = lacks({ module: "pip" });
  if (why) return t.skip(why);
  const place = temporaryDirectory();
  const download = (host) => `
import contextlib, io, os, sys
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
    from pip._internal.cli.main import main
    code = main(["download", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--retries=0", "--progress-bar=off", "--dest=${place}", "--index-url=http://${host}/simple", "--trusted-host=${host}", "parcel"])
print(code, os.listdir("${place}"), out.getvalue())`;
  await world.take();
  const sandbox = await world.sandbox({
    interpreter: INTERPRETER,
    cwd: place,
    permissions: { allowNet: ["index.example.com"], allowWrite: [place], allowRead: [place] },
    // What pip and everybody else gets who asks for nothing.
    config: { network: { rate_limit: 5 }, filesystem: { allow_write: true } },
  });
  try {
    const denied = await sandbox.exec(download("evil.example.net"));
    assert.match(denied.stdout, /^1 \[\]/, denied.stderr);
    let seen = await world.take();
    assert.deepEqual([seen.reached, seen.asked], [[], []]);
    const { stdout, stderr } = await sandbox.exec(download("index.example.com"));
    assert.match(stdout, /^0 \['parcel-1\.0-py3-none-any\.whl'\]/, stderr);
    seen = await world.take();
    assert.deepEqual(seen.requests.map(({ target }) => target), ["/simple/parcel/", "/files/parcel-1.0-py3-none-any.whl"]);
  } finally {
    await sandbox.close();
  }
});

