// The network from the command line: flags, variables, policy files, and what is said of a refusal.
import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { after } from "node:test";

import { TIMEOUT, root, temporaryDirectory } from "./support/index.mjs";
import { ADDRESS, PYTHON, World, missing } from "./support/network.mjs";

const reason = missing();
const world = reason ? undefined : await World.open();
after(() => world?.close());

const tested = (name, body) => test(name, { timeout: TIMEOUT }, async (t) => (reason ? t.skip(reason) : body(t)));
const COMMAND = path.join(root, "npm", `linux-${process.arch}-gnu`, "python-ipc-bun");
const GET = (url) => `import urllib.request; print(urllib.request.urlopen("${url}", timeout=20).read().decode().split()[-1])`;

/** The command inside the world, with flags, on a line of Python. */
async function run(flags, code, env) {
  await world.take();
  const result = await world.run([COMMAND, "run", `--interpreter=${PYTHON}`, ...flags, "-c", code], { env });
  return { ...result, seen: await world.take() };
}

const WEB = "http://web.example.com/";

tested("a host that a flag allows is reached, and no other; the refusal names the flag", async () => {
  const allowed = await run(["--allow-net=web.example.com,api.example.com:80"], GET(WEB));
  assert.deepEqual([allowed.status, allowed.stdout], [0, `${ADDRESS.web}:80\n`], allowed.stderr);
  const denied = await run(["--allow-net=web.example.com"], GET("http://evil.example.net/"));
  assert.notEqual(denied.status, 0);
  assert.match(denied.stderr, /--allow-net=evil\.example\.net/);
  assert.deepEqual([denied.seen.reached, denied.seen.asked], [[], []]);
});

tested("without a flag there is no network", async () => {
  const { status, seen } = await run([], GET(WEB));
  assert.notEqual(status, 0);
  assert.deepEqual([seen.reached, seen.asked], [[], []]);
});

tested("without a value all that is public is allowed, and a denial of the same source wins", async () => {
  assert.equal((await run(["--allow-net"], GET(WEB))).status, 0);
  const denied = await run(["--allow-net", "--deny-net=web.example.com"], GET(WEB));
  assert.notEqual(denied.status, 0);
  assert.deepEqual(denied.seen.reached, []);
  const privately = await run(["--allow-net"], GET("http://inside.example.com/"));
  assert.notEqual(privately.status, 0);
  assert.deepEqual(privately.seen.reached, []);
});

tested("the host's own public address is the host, and not the public internet", async () => {
  const [byAddress, byName] = [`http://${ADDRESS.own}/`, "http://own.example.com/"];
  for (const [flag, url] of [["--allow-net", byAddress], ["--allow-net", byName], ["--allow-net=*.example.com", byName]]) {
    const denied = await run([flag], GET(url));
    assert.notEqual(denied.status, 0, `${flag} ${url}`);
    assert.deepEqual(denied.seen.reached, [], `${flag} ${url}`);
  }
  for (const [flag, url] of [[`--allow-net=${ADDRESS.own}`, byAddress], ["--allow-net=own.example.com", byName]]) {
    const named = await run([flag], GET(url));
    assert.deepEqual([named.status, named.stdout], [0, `${ADDRESS.own}:80\n`], `${flag} ${url}: ${named.stderr}`);
  }
});

tested("the record of calls names hosts, with what the policy says of each", async () => {
  const audit = path.join(temporaryDirectory(), "audit.jsonl");
  const code = `import socket
socket.create_connection(("web.example.com", 80), 20).close()
for peer in (("web.example.com", 81), ("${ADDRESS.evil}", 80)):
    try: socket.create_connection(peer, 20)
    except OSError: pass`;
  const policy = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policy, JSON.stringify({ version: 1, audit: { enabled: true, events: ["connect"] } }));
  const { status, stderr } = await run([`--policy=${policy}`, `--audit=${audit}`, "--allow-net=web.example.com:80"], code);
  assert.equal(status, 0, stderr);
  const lines = readFileSync(audit, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  const seen = lines.map(({ target, decision }) => `${decision} ${target}`);
  for (const line of ["allow web.example.com:80", "deny web.example.com:81", `deny ${ADDRESS.evil}:80`]) assert.ok(seen.includes(line), seen.join("; "));
});

tested("variables say the same, and flags stand above them", async () => {
  const env = { POD_ALLOW_NET: "web.example.com" };
  assert.equal((await run([], GET(WEB), env)).status, 0);
  const denied = await run(["--deny-net=web.example.com"], GET(WEB), env);
  assert.notEqual(denied.status, 0);
  assert.deepEqual(denied.seen.reached, []);
});

tested("a policy file says the same, in both spellings, and flags stand above it", async () => {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  const files = {
    list: { version: 1, net: { rules: [{ action: "allow", host: "web.example.com", ports: "80" }] } },
    lambda: { version: 1, rules: { net: { allow: ["web.example.com:80"], mode: "allow" } } },
    empty: { version: 1, rules: { net: { allow: [], mode: "allow" } } },
  };
  for (const [name, policy] of Object.entries(files)) writeFileSync(path.join(directory, `${name}.json`), JSON.stringify(policy), { mode: 0o644 });
  for (const name of ["list", "lambda"]) {
    const { status, stderr } = await run([`--policy=${path.join(directory, `${name}.json`)}`], GET(WEB));
    assert.equal(status, 0, stderr);
  }
  for (const flags of [["--policy=" + path.join(directory, "empty.json")], ["--policy=" + path.join(directory, "list.json"), "--deny-net=web.example.com"]]) {
    const { status, seen } = await run(flags, GET(WEB));
    assert.notEqual(status, 0);
    assert.deepEqual([seen.reached, seen.asked], [[], []], flags.join(" "));
  }
  const POD_POLICY_JSON = Buffer.from(JSON.stringify(files.list)).toString("base64");
  assert.equal((await run([], GET(WEB), { POD_POLICY_JSON })).status, 0);
});

tested("what cannot be a host is refused before anything starts", async () => {
  for (const value of ["", "http://web.example.com/", "web.example.com:", "web.example.com:99999", "a.*.com", "user@web.example.com", "web.example.com/path", "10.0.0.0/33", "[::1", "web example.com", "0x7f.1", "web..example.com", "xn--\u0000.com".replace("\u0000", "%00"), "fe80::1%eth0"]) {
    const { status, stderr, stdout } = await run([`--allow-net=${value}`], "print('ran')");
    assert.equal(stdout, "", `--allow-net=${value} ran`);
    assert.notEqual(status, 0, value);
    assert.match(stderr, /--allow-net/, value);
  }
});

tested("what the policy says of a host is told without running anything", async () => {
  const { stdout, stderr, status } = await world.run([COMMAND, "policy", "explain", "--allow-net=web.example.com:443", "--deny-net=45.33.32.0/24", "net", "web.example.com:443"]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /allow/);
  const denied = await world.run([COMMAND, "policy", "explain", "--allow-net=web.example.com:443", "net", "web.example.com:80"]);
  assert.match(denied.stdout, /den(y|ied)/, denied.stderr);
});

tested("variables name the proxy where the configuration asks for them, and nowhere else", async () => {
  const config = path.join(temporaryDirectory(), "config.json");
  writeFileSync(config, JSON.stringify({ network: { proxy_variables: true } }));
  chmodSync(config, 0o644);
  const code = `import os; print(sorted(name for name in os.environ if name.lower().endswith("_proxy")))\n${GET(WEB)}`;
  const asked = await run([`--config=${config}`, "--allow-net=web.example.com"], code);
  const both = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "http_proxy", "https_proxy", "no_proxy"];
  assert.equal(asked.stdout, `[${both.map((name) => `'${name}'`).join(", ")}]\n${ADDRESS.web}:80\n`, asked.stderr);
  const unasked = await run(["--allow-net=web.example.com"], code);
  assert.equal(unasked.stdout, `[]\n${ADDRESS.web}:80\n`, unasked.stderr);
});

tested("the sandbox's own resolv.conf and hosts can be read where there is a network", async () => {
  const code = `print(open("/etc/resolv.conf").read().split(), "localhost" in open("/etc/hosts").read())`;
  const read = await run(["--allow-net=web.example.com"], code);
  assert.deepEqual([read.stdout, read.stderr], ["['nameserver', '169.254.1.1'] True\n", ""]);
});

tested("a refused connection is put into words by the name that was asked for", async () => {
  const code = `import socket
socket.create_connection(("web.example.com", 81), 20)`;
  const refused = await run(["--allow-net=web.example.com:80"], code);
  assert.match(refused.stderr, /^NotCapable: Requires net access to "web\.example\.com:81", run again with --allow-net=web\.example\.com:81$/m);
  assert.match(refused.stderr, /net web\.example\.com:81 \(connect\) +allow with --allow-net=web\.example\.com:81/);
});

tested("learn names each host and port that was reached, and the run passes again by that", async () => {
  const directory = temporaryDirectory();
  const [script, policy] = ["main.py", "policy.json"].map((name) => path.join(directory, name));
  writeFileSync(script, `${GET(WEB)}\nimport socket; socket.create_connection(("${ADDRESS.private}", 80), 20).close()\n`);
  for (const place of [script, directory]) chmodSync(place, 0o777);
  const learn = await world.run([COMMAND, "learn", `--interpreter=${PYTHON}`, `--output=${policy}`, script]);
  assert.equal(learn.status, 0, learn.stderr);
  assert.deepEqual(JSON.parse(readFileSync(policy, "utf8")).net.rules, [
    { action: "allow", proto: "tcp", cidr: `${ADDRESS.private}/32`, ports: "80" },
    { action: "allow", host: "web.example.com", proto: "tcp", ports: "80" },
  ]);
});
