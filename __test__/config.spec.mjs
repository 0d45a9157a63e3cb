// Configuration and policies from JavaScript.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { PolicyError, Supervisor, loadConfig, loadPolicy, mergePolicies } from "python-ipc-bun";

import { Recorder, TIMEOUT, execute, spawnHost, temporaryDirectory } from "./support/index.mjs";

const timeout = { timeout: TIMEOUT };

const DEFAULTS = {
  security: { mode: "strict" },
  network: { enabled: true, policy: "allow_list", allow_list: ["*"], deny_list: [], rate_limit: 5 },
  filesystem: { allow_write: false },
  resources: { memory_limit: 64, cpu_limit: 50 },
};

function file(name, text) {
  const full = path.join(temporaryDirectory(), name);
  writeFileSync(full, typeof text === "string" ? text : JSON.stringify(text));
  return full;
}

test("loadConfig gives the guide's defaults where there is no config.json", timeout, async () => {
  const host = spawnHost(
    `
    import { loadConfig } from ${JSON.stringify(new URL("../index.js", import.meta.url).href)};
    console.log(JSON.stringify(await loadConfig()));
  `,
    { cwd: temporaryDirectory() },
  );
  const { stdout, stderr, code } = await host.ended;
  assert.equal(code, 0, stderr);
  const config = JSON.parse(stdout);
  for (const [section, values] of Object.entries(DEFAULTS)) {
    for (const [key, value] of Object.entries(values)) assert.deepEqual(config[section][key], value, `${section}.${key}`);
  }
});

test("loadConfig merges a named file over the defaults", async () => {
  const config = await loadConfig(file("config.json", { resources: { memory_limit: 128 } }));
  assert.equal(config.resources.memory_limit, 128);
  assert.equal(config.resources.cpu_limit, 50);
});

test("loadConfig rejects a missing file, broken JSON and an unknown key, and names the file", async () => {
  for (const name of [
    "/nonexistent/config.json",
    file("config.json", "{"),
    file("config.json", { resources: { memroy_limit: 1 } }),
    file("config.json", { resources: { memory_limit: "much" } }),
  ]) {
    await assert.rejects(loadConfig(name), (error) => {
      assert.ok(error instanceof PolicyError, String(error));
      assert.match(error.code, /^ERR_BUNTIME_/);
      assert.ok(error.message.includes(name), error.message);
      return true;
    });
  }
  await assert.rejects(loadConfig(5), TypeError);
});

test("loadPolicy reads shipped policies by name, and files", async () => {
  const shipped = await loadPolicy("lambda");
  assert.equal(shipped.version, 1);
  assert.ok(shipped.fs.rules.some((rule) => rule.path === "/tmp" && rule.action === "allow"));
  assert.deepEqual((await loadPolicy("default")).defaults, { fs: "deny", net: "deny", exec: "deny" });

  const own = file("policy.json", {
    version: 1,
    fs: { rules: [{ action: "allow", path: "/data", perms: ["read_file"] }] },
  });
  assert.equal((await loadPolicy(own)).fs.rules[0].path, "/data");
});

test("loadPolicy rejects what is no policy, and names the file and the place", async () => {
  const broken = file("policy.json", { version: 1, fs: { rules: [{ acton: "allow", path: "/data", perms: ["read_file"] }] } });
  await assert.rejects(loadPolicy(broken), (error) => {
    assert.ok(error instanceof PolicyError, String(error));
    assert.ok(error.message.includes(broken), error.message);
    assert.match(error.message, /fs\.rules\[0\]/);
    assert.match(`${error.message} ${error.hint}`, /did you mean "action"/);
    return true;
  });
  await assert.rejects(loadPolicy(file("policy.json", { version: 2 })), /2/);
  await assert.rejects(loadPolicy("/nonexistent/policy.json"), PolicyError);
  await assert.rejects(loadPolicy(), TypeError);
});

test("mergePolicies: rules follow each other, the strictest default holds", () => {
  const rule = (path) => ({ action: "allow", path, perms: ["read_file"] });
  const merged = mergePolicies([
    { version: 1, defaults: { fs: "allow" }, fs: { rules: [rule("/a")] } },
    { version: 1, defaults: { fs: "deny" }, fs: { rules: [rule("/b")] } },
  ]);
  assert.equal(merged.defaults.fs, "deny");
  assert.deepEqual(merged.fs.rules.map(({ path }) => path), ["/a", "/b"]);
  assert.throws(() => mergePolicies({}), PolicyError);
  assert.throws(() => mergePolicies([{ version: 3 }]), /policies\[0\]/);
});

test("start rejects a policy file that is missing", timeout, async () => {
  await assert.rejects(
    async () => {
      const supervisor = new Supervisor({ policyPath: "/nonexistent/policy.json" });
      await supervisor.start();
    },
    (error) => error instanceof PolicyError && error.message.includes("/nonexistent/policy.json"),
  );
});

test("start rejects a rule that nothing enforces", timeout, async () => {
  const policyPath = file("policy.json", {
    version: 1,
    exec: { rules: [{ action: "allow", path: "/usr/bin/*", sha256: "0".repeat(64) }] },
  });
  await assert.rejects(
    async () => {
      const supervisor = new Supervisor({ policyPath });
      await supervisor.start();
    },
    (error) => error instanceof PolicyError && /name that one/.test(error.message),
  );
});

test("start rejects a network that cannot be meant, and names the key", timeout, async () => {
  for (const network of [{ rate_limit: 0 }, { allow_list: ["http://example.com"] }, { deny_list: ["127.1"] }, { policy: "open" }]) {
    await assert.rejects(new Supervisor().start({ network }), (error) => {
      assert.equal(error.code, "ERR_BUNTIME_CONFIG");
      assert.ok(error.message.includes(`network.${Object.keys(network)[0]}`), error.message);
      return true;
    });
  }
});

test("a config.json that was found and is broken is told of and left alone", timeout, async () => {
  const cwd = temporaryDirectory();
  writeFileSync(path.join(cwd, "config.json"), "{");
  const { recorder, exitCode } = await execute("1", { cwd });
  assert.equal(exitCode, 0);
  assert.ok(recorder.data("warn").some((text) => text.includes("config.json")), JSON.stringify(recorder.data("warn")));
});

test("a config.json that was found, and not named, does not turn the sandbox off", timeout, async () => {
  const cwd = temporaryDirectory();
  writeFileSync(path.join(cwd, "config.json"), JSON.stringify({ security: { mode: "monitor" } }));
  const { recorder, stdout } = await execute("try: open('/etc/hostname')\nexcept OSError: print('denied')", { cwd });
  assert.equal(stdout, "denied\n");
  assert.equal(recorder.data("config-loaded")[0].security.mode, "strict");
  assert.ok(recorder.data("warn").some((text) => /config\.json: security\.mode = "monitor"/.test(text)), JSON.stringify(recorder.data("warn")));
});

test("resources.tmpfs_size is the size of the private /tmp", timeout, async () => {
  const code = "try: open('/tmp/x', 'wb').write(bytes(3 << 20)); print('written')\nexcept OSError as error: print(error.strerror)";
  const withSize = async (tmpfs_size) => (await execute(code, {}, { filesystem: { allow_write: true }, resources: { tmpfs_size } })).stdout;
  assert.equal(await withSize(4), "written\n");
  assert.equal(await withSize(2), "No space left on device\n");
  assert.equal(await withSize(1e-9), "No space left on device\n");
});

test("start rejects an override that is no configuration", timeout, async () => {
  for (const override of [{ resources: { memroy_limit: 1 } }, { security: { mode: "lax" } }, "strict", [1]]) {
    await assert.rejects(new Supervisor().start(override), PolicyError, JSON.stringify(override));
  }
});

test("policy-loaded and config-loaded tell what is in force", timeout, async () => {
  const { recorder } = await execute("1", { policyPath: "lambda" });
  const [policy] = recorder.data("policy-loaded");
  assert.ok(policy.fs.rules.some((rule) => rule.path === "/tmp"));
  const [config] = recorder.data("config-loaded");
  assert.equal(config.security.mode, "strict");
});

test("plugins.landlock: false leaves Landlock out, where mounts and filter hold all that the policy says", timeout, async () => {
  const policyPath = file("policy.json", { version: 1, plugins: { landlock: false } });
  const code = `
import os
def tried(action):
    try: action(); print("done")
    except OSError: print("denied")
tried(lambda: open("/etc/hostname"))
tried(lambda: open("/usr/planted", "w"))
tried(lambda: os.execv("/bin/sh", ["sh"]))
`;
  const { recorder, stdout } = await execute(code, { policyPath });
  assert.equal(stdout, "denied\n".repeat(3));
  const [enforcement] = recorder.data("enforcement");
  assert.deepEqual([enforcement.tier, enforcement.landlock, enforcement.seccomp], ["none", null, true]);
  assert.deepEqual([...new Set(Object.values(enforcement.namespaces))], [true]);
  assert.ok(enforcement.notes.some((note) => /plugins\.landlock/.test(note)), JSON.stringify(enforcement.notes));

  const refused = async (options, expected) => {
    await assert.rejects(new Supervisor(options).start(), (error) => {
      assert.ok(error instanceof PolicyError, String(error));
      assert.match(error.message, expected);
      return true;
    });
  };
  await refused({ policyPath, permissions: { allowRead: ["/srv"] } }, /allow read \/srv \(--allow-read=\/srv\): plugins\.landlock = false, and without Landlock/);
  await refused({ policyPath: file("policy.json", { version: 1, plugins: { seccomp: false } }) }, /plugins\.seccomp = false is not supported: /);
  await refused({ policyPath: file("policy.json", { version: 1, plugins: { namespaces: false } }) }, /plugins\.namespaces = false is not supported: /);
  await refused({ policyPath, minTier: "landlock" }, /minTier = "landlock" cannot be had with plugins\.landlock = false/);
  await refused({ sandboxEnabled: false, minTier: "nested" }, /minTier = "nested" cannot be had with sandboxEnabled: false/);
});

test("minTier is met by every layer, or by what the policy leaves", timeout, async () => {
  const policyPath = file("policy.json", { version: 1, plugins: { landlock: false }, minTier: "none" });
  for (const options of [{ minTier: "full" }, { minTier: "none" }, { policyPath }, { policyPath, minTier: "none" }]) {
    assert.equal((await execute("1", options)).exitCode, 0, JSON.stringify(options));
  }
  assert.throws(() => new Supervisor({ minTier: "ful" }), /option "minTier": expected "full", "nested", "landlock" or "none", found "ful"/);
});

test("the guide's spelling of a shipped policy means the shipped one, with a warning", timeout, async () => {
  const { recorder } = await execute("1", { policyPath: "src/policies/lambda.json", cwd: "/" });
  assert.equal(recorder.data("policy-loaded").length, 1);
  assert.ok(recorder.data("warn").some((text) => text.includes("src/policies/lambda.json")), JSON.stringify(recorder.data("warn")));
});

test("activePolicyPath and activePolicyMetaPath receive the policy in force", timeout, async () => {
  const directory = temporaryDirectory();
  const activePolicyPath = path.join(directory, "active.json");
  const activePolicyMetaPath = path.join(directory, "meta.json");
  const recorder = new Recorder({ policyPath: "lambda", activePolicyPath, activePolicyMetaPath });
  await recorder.supervisor.start();
  const policy = JSON.parse(readFileSync(activePolicyPath, "utf8"));
  assert.equal(policy.version, 1);
  const meta = JSON.parse(readFileSync(activePolicyMetaPath, "utf8"));
  assert.equal(meta.source, "boot");
  assert.equal(typeof meta.rules.total, "number");
  assert.deepEqual(recorder.supervisor.getSnapshot().policyMeta, meta);
  await recorder.supervisor.stop();
});

test("nothing is written into the working directory", timeout, async () => {
  const cwd = temporaryDirectory();
  await execute("print(1)", { cwd });
  for (const name of ["active.json", "config.json", "policy.json"]) assert.equal(existsSync(path.join(cwd, name)), false);
});
