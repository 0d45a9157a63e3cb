// What may leave, by name and by address: rules, names and what they lead to, and what the worker is told. Judged by what servers and
// the packet socket of the world saw (support/network.mjs).
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { after } from "node:test";

import { TIMEOUT, temporaryDirectory } from "./support/index.mjs";
import { ADDRESS, World, missing } from "./support/network.mjs";
import { PRELUDE } from "./support/network/clients.mjs";

const reason = missing();
const world = reason ? undefined : await World.open();
after(() => world?.close());

const tested = (name, body) => test(name, { timeout: TIMEOUT }, async (t) => (reason ? t.skip(reason) : body(t)));

const ANY_IPV4 = "0.0.0.0/0";
const NO_SUCH_NAME = { refused: "gaierror", code: -2 };
const TRY_AGAIN = { refused: "gaierror", code: -3 };
const DENIED = { refused: "PermissionError", code: 13 };
/** A name that leads where nothing is allowed: what it leads to is known when it is asked for, or when it is used. */
const HELD = [NO_SUCH_NAME, DENIED];

/** The kernel's own answers: by the C library, past the harness's hook; blocking, and not. */
const connectsPlainly = (places) => `
import ctypes, errno, json, os, select, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def tried(host, port, blocking):
    v6 = ":" in host
    fd = libc.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM | (0 if blocking else socket.SOCK_NONBLOCK), 0)
    head = struct.pack("=H", socket.AF_INET6 if v6 else socket.AF_INET) + struct.pack("!H", port)
    where = head + (bytes(4) + socket.inet_pton(socket.AF_INET6, host) + bytes(4) if v6 else socket.inet_aton(host) + bytes(8))
    code = 0 if libc.connect(fd, where, len(where)) == 0 else ctypes.get_errno()
    with socket.socket(fileno=fd) as one:
        if code == errno.EINPROGRESS:
            select.select([], [one], [])
            code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0 and not blocking:
            # The handshake is the relay's; what became of the connection shows in the first read.
            select.select([one], [], [], 20)
            try: one.recv(1)
            except BlockingIOError: pass
            except OSError as error: code = error.errno
    return errno.errorcode.get(code, code)
for host, port in json.loads(${JSON.stringify(JSON.stringify(places))}):
    print(json.dumps([tried(host, port, True), tried(host, port, False)]))
`;

/** Connects to each `host port`, and prints what came of each: the address and the port that answered, or the error. */
const connects = (places) => `${PRELUDE}
def get(host, port):
    with socket.create_connection((host, port), timeout=20) as one:
        one.sendall(b"GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
        return one.makefile("rb").read().decode().rpartition(" ")[2]
for host, port in json.loads(${JSON.stringify(JSON.stringify(places))}):
    tried(lambda: get(host, port))
`;

const lines = (text) => text.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));

/** A policy file that the world's supervisors may read. */
function policyFile(policy) {
  const file = path.join(temporaryDirectory(), "policy.json");
  chmodSync(path.dirname(file), 0o755);
  writeFileSync(file, JSON.stringify({ version: 1, ...policy }), { mode: 0o644 });
  return file;
}

/** What came of connecting to each of `places`, with all that was seen and told. */
async function reach(options, places) {
  await world.take();
  const run = await world.execute(connects(places), options);
  assert.ok(run.ok, run.stderr);
  return { ...run, results: lines(run.stdout), seen: await world.take() };
}

/** The results are those expected, and exactly those places were reached by the host that the results name. */
async function expectReach(options, expected) {
  const places = expected.map(([host, port]) => [host, port]);
  const { results, seen, ...run } = await reach(options, places);
  for (const [index, [host, port, result]] of expected.entries()) {
    const wanted = typeof result === "string" ? { got: result } : [result].flat().find((one) => one.refused === results[index].refused);
    assert.deepEqual(results[index], wanted ?? result, `${host} ${port}: ${run.stderr}`);
  }
  assert.equal(results.length, expected.length);
  const reached = expected.flatMap(([, , result]) => (typeof result === "string" ? [`tcp ${result}`] : [])).sort();
  assert.deepEqual(seen.reached.filter((place) => !reached.includes(place)), [], "nothing else was reached");
  assert.deepEqual(reached.filter((place) => !seen.reached.includes(place)), [], "all of it was reached");
  return { results, seen, ...run };
}

const web = (port = 80) => `${ADDRESS.web}:${port}`;
const allowNet = (...list) => ({ permissions: { allowNet: list } });

tested("what is in force is told, and the sandbox sees lo alone", async () => {
  const sandbox = await world.sandbox(allowNet("web.example.com"));
  try {
    assert.match(sandbox.enforcement.network, /^(tproxy|redirect|notify)$/);
    const { stdout, stderr } = await sandbox.exec(`
import ctypes, socket
print(socket.if_nameindex())
# As the C library reads it, and all that use its resolver.
libc, buffer = ctypes.CDLL(None), ctypes.create_string_buffer(4096)
libc.read(libc.open(b"/etc/resolv.conf", 0), buffer, 4095)
print([line for line in buffer.value.decode().splitlines() if line and not line.startswith("#")])
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
    one.connect(("web.example.com", 80))
    print(one.getsockname()[0], one.getpeername()[1])
`);
    const [interfaces, resolver, ends] = stdout.trim().split("\n");
    assert.equal(interfaces, "[(1, 'lo')]", stderr);
    assert.match(resolver, /^\['nameserver 169\.254\.1\.1'/);
    assert.doesNotMatch(resolver, /search|domain/);
    assert.equal(ends, "169.254.1.2 80");
  } finally {
    await sandbox.close();
  }
});

tested("without a rule nothing is reached, and no name is asked for", async () => {
  for (const options of [{}, allowNet(), { permissions: { allowNet: ["web.example.com"], denyNet: true } }, { ...allowNet("web.example.com"), config: { network: { enabled: false } } }]) {
    const { results, seen } = await reach(options, [["web.example.com", 80], [ADDRESS.web, 80], ["127.0.0.1", 8000]]);
    for (const result of results) assert.ok(result.refused, JSON.stringify(result));
    assert.deepEqual([seen.reached, seen.asked], [[], []], JSON.stringify(options));
  }
});

tested("a host is reached on the port that a rule names, on every port where it names none, and on no other", async () => {
  await expectReach(allowNet("web.example.com:80", "api.example.com"), [
    ["web.example.com", 80, web()],
    ["web.example.com", 8000, DENIED],
    ["api.example.com", 80, `${ADDRESS.api}:80`],
    ["api.example.com", 8000, `${ADDRESS.api}:8000`],
    ["evil.example.net", 80, NO_SUCH_NAME],
    [ADDRESS.evil, 80, DENIED],
    [ADDRESS.web, 80, DENIED],
  ]);
});

tested("a name is one whatever its spelling", async () => {
  await expectReach(allowNet("WEB.example.COM.", "bücher.example.com"), [
    ["web.example.com", 80, web()],
    ["Web.EXAMPLE.com", 80, web()],
    ["web.example.com.", 80, web()],
    ["xn--bcher-kva.example.com", 80, web()],
    ["bücher.example.com", 80, web()],
  ]);
});

tested("a wildcard covers any depth below, and not the host itself", async () => {
  const { seen } = await expectReach(allowNet("*.wild.example.com"), [
    ["a.wild.example.com", 80, web()],
    ["a.b.c.wild.example.com", 80, web()],
    ["wild.example.com", 80, NO_SUCH_NAME],
    ["notwild.example.com", 80, NO_SUCH_NAME],
    ["web.example.com", 80, NO_SUCH_NAME],
  ]);
  assert.deepEqual(seen.asked, ["a.b.c.wild.example.com", "a.wild.example.com"]);
});

tested("two names behind one address stay apart", async () => {
  const { seen } = await expectReach(allowNet("one.example.com"), [
    ["one.example.com", 80, `${ADDRESS.shared}:80`],
    ["two.example.com", 80, NO_SUCH_NAME],
    [ADDRESS.shared, 80, DENIED],
  ]);
  assert.deepEqual(seen.asked, ["one.example.com"]);
});

tested("aliases are followed, and names of the host's own file are honoured", async () => {
  const { seen } = await expectReach(allowNet("alias.example.com", "pinned.example.com", "inside-by-file"), [
    ["alias.example.com", 80, web()],
    ["pinned.example.com", 80, web()],
    ["inside-by-file", 80, `${ADDRESS.private}:80`],
  ]);
  assert.ok(!seen.asked.includes("pinned.example.com"));
});

tested("hosts with IPv6 alone, and with both", async () => {
  const { results, seen } = await reach(allowNet("six.example.com", "both.example.com", `[${ADDRESS.six}]:8000`), [
    ["six.example.com", 80], ["both.example.com", 80], [ADDRESS.six, 8000], [ADDRESS.six, 9229], [ADDRESS.evilSix, 80],
  ]);
  assert.deepEqual(results.slice(2), [{ got: `${ADDRESS.six}:8000` }, DENIED, DENIED]);
  assert.deepEqual(results[0], { got: `${ADDRESS.six}:80` });
  assert.ok([`${ADDRESS.six}:80`, web()].includes(results[1].got), JSON.stringify(results[1]));
  assert.deepEqual(seen.reached.filter((place) => place.includes(ADDRESS.evilSix) || place.endsWith(":9229")), []);
});

tested("addresses: single ones, networks, and a denial within", async () => {
  await expectReach({ permissions: { allowNet: [ANY_IPV4], denyNet: ["45.33.32.0/24", `${ADDRESS.api}:8000`] } }, [
    [ADDRESS.web, 80, web()],
    [ADDRESS.evil, 80, DENIED],
    [ADDRESS.api, 80, `${ADDRESS.api}:80`],
    [ADDRESS.api, 8000, DENIED],
    [`::ffff:${ADDRESS.evil}`, 80, DENIED],
    [`::ffff:${ADDRESS.web}`, 80, web()],
  ]);
  await expectReach(allowNet(`${ADDRESS.web}:80`), [[ADDRESS.web, 80, web()], [ADDRESS.web, 8000, DENIED], [ADDRESS.api, 80, DENIED]]);
});

tested("ports by list and range, of a policy file", async () => {
  const policyPath = policyFile({
    net: {
      rules: [
        { action: "allow", host: "web.example.com", ports: "80,8000-9000" },
        { action: "deny", host: "web.example.com", ports: "8000" },
        { action: "allow", proto: "tcp", cidr: `${ADDRESS.api}/32`, ports: "7-80" },
      ],
    },
  });
  await expectReach({ policyPath }, [
    ["web.example.com", 80, web()],
    ["web.example.com", 8000, DENIED],
    ["web.example.com", 9229, DENIED],
    [ADDRESS.api, 80, `${ADDRESS.api}:80`],
    [ADDRESS.api, 8000, DENIED],
  ]);
});

tested("deny wins, by name and by what a name leads to", async () => {
  await expectReach({ permissions: { allowNet: true, denyNet: ["api.example.com", "45.33.32.0/24"] } }, [
    ["web.example.com", 80, web()],
    ["api.example.com", 80, NO_SUCH_NAME],
    ["strays.example.com", 80, HELD],
    ["evil.example.net", 80, HELD],
  ]);
});

tested("everything means the public internet: nothing private, nothing of the host's", async () => {
  await expectReach({ permissions: { allowNet: true } }, [
    ["web.example.com", 80, web()],
    [ADDRESS.web, 8000, web(8000)],
    ["inside.example.com", 80, HELD],
    ["metadata.example.com", 80, HELD],
    ["loop.example.com", 8000, HELD],
    ["mapped.example.com", 8000, HELD],
    [ADDRESS.private, 80, DENIED],
    [ADDRESS.metadata, 80, DENIED],
  ]);
});

tested("a private address: for a host that a rule names, and for a rule that names the address", async () => {
  await expectReach(allowNet("db.internal:80"), [["db.internal", 80, `${ADDRESS.private}:80`], ["inside.example.com", 80, NO_SUCH_NAME], [ADDRESS.private, 80, DENIED]]);
  await expectReach(allowNet("*.example.com", "10.0.0.0/8"), [["inside.example.com", 80, `${ADDRESS.private}:80`], [ADDRESS.private, 80, `${ADDRESS.private}:80`]]);
  await expectReach(allowNet("*.example.com"), [["inside.example.com", 80, HELD]]);
});

tested("the metadata address: by its number alone", async () => {
  await expectReach(allowNet("metadata.example.com"), [["metadata.example.com", 80, HELD], [ADDRESS.metadata, 80, DENIED]]);
  await expectReach(allowNet("metadata.example.com", `${ADDRESS.metadata}:80`), [["metadata.example.com", 80, `${ADDRESS.metadata}:80`], [ADDRESS.metadata, 80, `${ADDRESS.metadata}:80`]]);
});

tested("a port of the host's own is reached where a rule names it, and the rest of loopback is the worker's", async () => {
  for (const rule of ["localhost:8000", "127.0.0.1:8000"]) {
    const { results, seen } = await reach(allowNet(rule), [["127.0.0.1", 8000], ["127.0.0.1", 9229], ["127.0.0.1", 80], ["127.0.0.2", 8000], ["0.0.0.0", 9229]]);
    assert.deepEqual(results[0], { got: "127.0.0.1:8000" }, rule);
    for (const result of results.slice(1)) assert.ok(result.refused, JSON.stringify(result));
    assert.deepEqual(seen.requests.map(({ address, port }) => `${address}:${port}`), ["127.0.0.1:8000"]);
  }
  const { results } = await reach(allowNet("localhost:8000"), [["localhost", 8000]]);
  assert.match(results[0].got, /^(127\.0\.0\.1|::1):8000$/);
});

tested("the worker is told what the peer said: refused, unreachable, no such name, no answer", async () => {
  const { results, seen } = await reach(allowNet("missing.example.com", "silent.example.com"), [["missing.example.com", 80], ["silent.example.com", 80]]);
  assert.deepEqual(results, [NO_SUCH_NAME, TRY_AGAIN]);
  assert.deepEqual(seen.reached, []);
  const places = [[ADDRESS.web, 81], [ADDRESS.six, 81], ["9.9.9.9", 80], [ADDRESS.evil, 80], [ADDRESS.evilSix, 80]];
  const { stdout, stderr } = await world.execute(connectsPlainly(places), allowNet(ADDRESS.web, `[${ADDRESS.six}]`, "9.9.9.9"));
  const RESET = "ECONNRESET";
  const answers = [["ECONNREFUSED", RESET], ["ECONNREFUSED", RESET], ["ENETUNREACH", RESET], ["EACCES", "EACCES"], ["EACCES", "EACCES"]];
  assert.deepEqual(lines(stdout), answers, stderr);
  // It was the peer that said so.
  assert.deepEqual((await world.take()).reached, [`tcp ${ADDRESS.web}:81`, `tcp [${ADDRESS.six}]:81`]);
});

tested("what is refused is an event with its rule and a flag that allows it; what is allowed is a flow", async () => {
  const { denied, net, ...run } = await reach({ permissions: { allowNet: ["web.example.com"], denyNet: ["web.example.com:8000"] } }, [["web.example.com", 80], ["web.example.com", 8000], ["evil.example.net", 80], [ADDRESS.evil, 25]]);
  const of = (target) => denied.find((one) => one.target === target);
  assert.deepEqual(denied.map(({ kind }) => kind), denied.map(() => "net"), run.stderr);
  assert.match(of("web.example.com:8000").rule, /web\.example\.com:8000/);
  assert.equal(of("web.example.com:8000").operation, "connect");
  assert.equal(of("evil.example.net").operation, "resolve");
  assert.equal(of("evil.example.net").rule, null);
  assert.deepEqual(of("evil.example.net").hint, { flag: "--allow-net=evil.example.net" });
  assert.deepEqual(of(`${ADDRESS.evil}:25`).hint, { flag: `--allow-net=${ADDRESS.evil}:25` });
  const flow = net.find(({ verdict }) => verdict === "allow");
  assert.deepEqual({ host: flow.host, address: flow.address, port: flow.port, proto: flow.proto }, { host: "web.example.com", address: ADDRESS.web, port: 80, proto: "tcp" });
  assert.match(flow.rule, /web\.example\.com/);
  assert.ok(flow.bytesOut >= "GET / HTTP/1.0\r\nHost: x\r\n\r\n".length && flow.bytesIn > 0 && flow.ms >= 0, JSON.stringify(flow));
});

tested("a warning lets through, and is told", async () => {
  const policyPath = policyFile({ net: { rules: [{ action: "warn", host: "web.example.com", ports: "80" }] } });
  const { warn, net } = await expectReach({ policyPath }, [["web.example.com", 80, web()]]);
  assert.ok(warn.some((text) => text.includes("web.example.com")), JSON.stringify(warn));
  assert.equal(net[0].verdict, "warn");
});

tested("config.network is one more ceiling", async () => {
  const permissions = { allowNet: ["web.example.com", "api.example.com"] };
  await expectReach({ permissions, config: { network: { allow_list: ["web.example.com"] } } }, [["web.example.com", 80, web()], ["api.example.com", 80, NO_SUCH_NAME]]);
  await expectReach({ permissions, config: { network: { deny_list: ["web.example.com"] } } }, [["web.example.com", 80, NO_SUCH_NAME], ["api.example.com", 80, `${ADDRESS.api}:80`]]);
  for (const network of [{ policy: "deny_all" }, { allow_list: [] }]) {
    const { results, seen } = await reach({ permissions, config: { network } }, [["web.example.com", 80], [ADDRESS.web, 80]]);
    for (const result of results) assert.ok(result.refused, JSON.stringify(result));
    assert.deepEqual([seen.reached, seen.asked], [[], []]);
  }
});

tested("a name that is bound again leads nowhere new", async () => {
  await world.setZone({ "rebound.example.com": { ttl: 0, turns: [[ADDRESS.web], ["127.0.0.1"], [ADDRESS.private], [ADDRESS.metadata]] } });
  await world.take();
  const round = connects([["rebound.example.com", 8000]]);
  // Answers hold for a second even where they say that they do not.
  const { stdout, stderr } = await world.execute([round, round, "import time; time.sleep(1.2)", round, "time.sleep(1.2)", round, "time.sleep(1.2)", round].join("\n"), allowNet("*.example.com"));
  const results = lines(stdout);
  assert.equal(results.length, 5, stderr);
  const seen = await world.take();
  assert.deepEqual(seen.requests.filter(({ address }) => address !== ADDRESS.web), [], stdout);
  assert.ok(seen.requests.length > 0 && seen.of("question").length > 1, "it was asked for again");
  assert.ok(results.some(({ refused }) => /^(PermissionError|gaierror)$/.test(refused)), JSON.stringify(results));
});
