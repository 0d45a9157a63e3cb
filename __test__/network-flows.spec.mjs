// What is allowed flows as it would without a sandbox: both ways, to the last byte, at the pace of who reads; datagrams by rule; the
// worker's own servers; the HTTP proxy; and bounds. Judged by the servers of the world (support/network.mjs).
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { after } from "node:test";

import { TIMEOUT, eventually, temporaryDirectory } from "./support/index.mjs";
import { ADDRESS, World, missing } from "./support/network.mjs";
import { PRELUDE } from "./support/network/clients.mjs";

const reason = missing();
const world = reason ? undefined : await World.open();
after(() => world?.close());

const tested = (name, body) => test(name, { timeout: TIMEOUT }, async (t) => (reason ? t.skip(reason) : body(t)));
const allowNet = (...list) => ({ permissions: { allowNet: list } });
const lines = (text) => text.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));

function policyFile(policy) {
  const file = path.join(temporaryDirectory(), "policy.json");
  chmodSync(path.dirname(file), 0o755);
  writeFileSync(file, JSON.stringify({ version: 1, ...policy }), { mode: 0o644 });
  return file;
}

/** Runs in a sandbox and, as its control, without one; both must print the same. */
async function sameBothWays(code, options) {
  const bare = await world.python(code);
  assert.equal(bare.status, 0, bare.stderr);
  const run = await world.execute(code, options);
  assert.equal(run.stdout, bare.stdout, run.stderr);
  return run;
}

const MEGABYTES = 48;

tested("a half that is closed leaves the other open", async () => {
  await sameBothWays(`
import socket
with socket.create_connection(("web.example.com", 7)) as one:
    one.sendall(b"first\\n" * 1000)
    one.shutdown(socket.SHUT_WR)
    text = one.makefile("rb").read()
    print(len(text), text[-17:])
`, allowNet("web.example.com:7"));
});

tested("large transfers arrive whole, in both directions and at once", async () => {
  const { net } = await sameBothWays(`
import hashlib, http.client, socket, threading
SIZE = ${MEGABYTES} << 20
block = bytes(range(251)) * 261
def down():
    client = http.client.HTTPConnection("web.example.com")
    client.request("GET", f"/bytes?n={SIZE}")
    response, digest, size = client.getresponse(), hashlib.sha256(), 0
    while data := response.read(1 << 16):
        digest.update(data); size += len(data)
    return size, digest.hexdigest()
def up():
    client = http.client.HTTPConnection("web.example.com")
    digest, left = hashlib.sha256(), SIZE
    client.putrequest("POST", "/digest"); client.putheader("Content-Length", str(SIZE)); client.endheaders()
    while left:
        part = block[:left]; digest.update(part); client.send(part); left -= len(part)
    return client.getresponse().read().decode() == digest.hexdigest()
def both():
    with socket.create_connection(("web.example.com", 7)) as one:
        sent, received = hashlib.sha256(), hashlib.sha256()
        def send():
            for index in range(200):
                sent.update(block); one.sendall(block)
            one.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=send); thread.start()
        text = one.makefile("rb").read(); thread.join()
        received.update(text[:-17])
        return sent.hexdigest() == received.hexdigest()
print(down(), up(), both())
`, allowNet("web.example.com"));
  const flows = net.filter(({ port }) => port === 80).sort((one, other) => one.bytesIn - other.bytesIn);
  assert.equal(flows.length, 2, JSON.stringify(net));
  assert.ok(flows[0].bytesOut > MEGABYTES << 20 && flows[1].bytesIn > MEGABYTES << 20, JSON.stringify(flows));
});

tested("who does not read is not sent to: the peer waits, and nothing heaps up in between", async () => {
  await world.counts(true);
  const host = await world.host();
  const before = (await host.ask("self")).memoryKb;
  const sandbox = await world.sandbox(allowNet("web.example.com"));
  try {
    await sandbox.exec(`
import socket, time
kept = []
for _ in range(4):
    one = socket.create_connection(("web.example.com", 80))
    one.sendall(b"GET /bytes?n=1000000000 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    kept.append(one)
time.sleep(2)
`);
    // What sockets' and pipes' buffers hold on the way, of the four billion bytes asked for.
    const { sent } = await world.counts();
    assert.ok(sent > 0 && sent < 4 * (32 << 20), `the server could send ${sent} bytes`);
    const { memoryKb } = await host.ask("self");
    assert.ok(memoryKb - before < 64 << 10, `the supervisor grew by ${memoryKb - before} KiB`);
    // And it goes on when it is read.
    const { stdout, stderr } = await sandbox.exec(`print(sum(len(one.recv(1 << 20, socket.MSG_WAITALL)) for one in kept))`);
    assert.equal(stdout.trim(), String(4 << 20), stderr);
  } finally {
    await sandbox.close();
  }
});

tested("a peer that vanishes is an end or a reset for the worker, and the worker's end one for the peer", async () => {
  await world.counts(true);
  const sandbox = await world.sandbox(allowNet("web.example.com"));
  const open = async (count) => eventually(async () => (await world.counts()).now === count, `${count} connections at the server`, 20_000);
  try {
    // The server's own time limit does not exist: it ends by the other side's death alone.
    await sandbox.exec(`
import os, socket, signal
pid = os.fork()
if pid == 0:
    one = socket.create_connection(("web.example.com", 9))
    one.sendall(b"x")
    other = socket.create_connection(("web.example.com", 80))
    other.sendall(b"GET /bytes?n=1000000000 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    signal.pause()
    os._exit(0)
`);
    await open(2);
    await sandbox.exec("os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)");
    await open(0);
    const { stdout, stderr } = await sandbox.exec(`
one = socket.create_connection(("web.example.com", 80))
one.sendall(b"this is no request\\r\\n\\r\\n")
print(b"400" in one.makefile("rb").read())
`);
    assert.equal(stdout.trim(), "True", stderr);
    await open(0);
  } finally {
    await sandbox.close();
  }
});

tested("stopped with connections open, nothing is left of them: in the host, in the kernel, at the peer", async () => {
  await world.counts(true);
  const host = await world.host();
  const one = await world.sandbox(allowNet("web.example.com"));
  await one.exec("import socket\nsocket.create_connection(('web.example.com', 80)).close()");
  await one.close();
  const before = await host.ask("self");
  for (let round = 0; round < 3; round++) {
    const sandbox = await world.sandbox(allowNet("web.example.com"));
    await sandbox.exec(`
import socket
kept = [socket.create_connection(("web.example.com", 9)) for _ in range(50)]
`);
    assert.equal((await world.counts()).now, 50);
    await sandbox.close();
    await eventually(async () => (await world.counts()).now === 0, "the end of all connections", 20_000);
  }
  await eventually(async () => (await host.ask("self")).descriptors <= before.descriptors, `${before.descriptors} descriptors as before`, 20_000);
});

tested("datagrams by rule, and unreachable without one", async () => {
  const ask = (places) => `${PRELUDE}
def get(host, port, count):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.settimeout(15)
        one.connect((host, port))
        for index in range(count):
            one.send(b"%d" % index)
            assert one.recv(100) == b"%d" % index
        with socket.socket(family, socket.SOCK_DGRAM) as other:
            other.settimeout(15)
            other.sendto(b"unconnected", (host, port))
            answer, sender = other.recvfrom(100)
            return answer.decode() == "unconnected" and sender[1] == port
for host, port in json.loads(${JSON.stringify(JSON.stringify(places))}):
    tried(lambda: get(host, port, 20))
`;
  const policyPath = policyFile({
    net: {
      rules: [
        { action: "allow", proto: "udp", host: "web.example.com", ports: "7" },
        { action: "allow", proto: "udp", cidr: `${ADDRESS.six}/128`, ports: "7" },
        { action: "allow", host: "evil.example.net", proto: "tcp", ports: "443" },
      ],
    },
  });
  await world.take();
  const sandbox = await world.sandbox({ policyPath });
  const { stdout, stderr } = await sandbox.exec(ask([["web.example.com", 7], [ADDRESS.six, 7], ["web.example.com", 123], ["evil.example.net", 443], [ADDRESS.evil, 7]]));
  const { net } = await sandbox.close();
  const results = lines(stdout);
  assert.deepEqual(results.slice(0, 2), [{ got: true }, { got: true }], stdout + stderr);
  for (const { refused } of results.slice(2)) assert.match(refused ?? "", /^(PermissionError|ConnectionRefusedError|OSError)$/, stdout);
  const seen = await world.take();
  assert.deepEqual(seen.reached, [`udp ${ADDRESS.web}:7`, `udp [${ADDRESS.six}]:7`].sort());
  const flows = net.filter(({ proto, host, address, port, verdict }) => proto === "udp" && host === "web.example.com" && address === ADDRESS.web && port === 7 && verdict === "allow");
  // One for each socket of the worker's.
  assert.equal(flows.length, 2, JSON.stringify(net));
  assert.deepEqual(flows.map(({ bytesIn }) => bytesIn).sort((one, other) => one - other), ["unconnected".length, [...Array(20).keys()].join("").length], JSON.stringify(flows));
});

tested("a rule for TCP allows no datagram, and one for datagrams no TCP", async () => {
  const policyPath = policyFile({ net: { rules: [{ action: "allow", proto: "udp", host: "web.example.com", ports: "7" }] } });
  await world.take();
  const { stdout } = await world.execute(`${PRELUDE}\ntried(lambda: socket.create_connection(("web.example.com", 7)).close())`, { policyPath });
  assert.equal(lines(stdout)[0].refused, "PermissionError");
  assert.deepEqual((await world.take()).reached, []);
});

tested("the worker's own servers, on loopback and its own address, are its own", async () => {
  await world.take();
  const { stdout, stderr } = await world.execute(`
import socket, threading
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.9.9.9"), (socket.AF_INET6, "::1"), (socket.AF_INET, "169.254.1.2")):
    for port in (0, 8000):  # 8000: where the host has one, too
        server = socket.create_server((host, port), family=family)
        threading.Thread(target=lambda: server.accept()[0].sendall(b"own"), daemon=True).start()
        with socket.create_connection(server.getsockname()[:2], timeout=20) as one:
            print(host, one.recv(10).decode())
        server.close()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagrams.bind(("127.0.0.1", 0))
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); other.sendto(b"own", datagrams.getsockname())
print(datagrams.recv(10).decode())
`, allowNet("web.example.com"));
  assert.deepEqual(stdout.trim().split("\n"), [...["127.0.0.1", "127.9.9.9", "::1", "169.254.1.2"].flatMap((host) => [`${host} own`, `${host} own`]), "own"], stderr);
  assert.deepEqual((await world.take()).reached, []);
});

tested("questions by TCP and to any server are answered here, and no other server is asked", async () => {
  await world.take();
  const { stdout, stderr } = await world.execute(`
import socket, struct
def question(name, kind=1):
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0" + struct.pack("!HH", kind, 1)
def code_and_count(answer): return answer[3] & 15, struct.unpack_from("!H", answer, 6)[0]
for server in ("169.254.1.1", "${ADDRESS.foreignResolver}", "9.9.9.9"):
    for name in ("web.example.com", "evil.example.net"):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.settimeout(20); one.connect((server, 53)); one.send(question(name))
        by_udp = code_and_count(one.recv(4096))
        with socket.create_connection((server, 53), timeout=20) as stream:
            stream.sendall(struct.pack("!H", len(question(name))) + question(name))
            file = stream.makefile("rb")
            by_tcp = code_and_count(file.read(struct.unpack("!H", file.read(2))[0]))
        print(name, by_udp, by_tcp)
`, allowNet("web.example.com"));
  const answers = stdout.trim().split("\n");
  assert.equal(answers.length, 6, stderr);
  for (const answer of answers) {
    if (answer.startsWith("web")) assert.equal(answer, "web.example.com (0, 1) (0, 1)");
    else assert.match(answer, /^evil\.example\.net \((3|5), 0\) \((3|5), 0\)$/);
  }
  const seen = await world.take();
  assert.deepEqual(seen.reached, []);
  assert.ok(!seen.asked.includes("evil.example.net"));
});

tested("the proxy has the same verdicts, for those that are told to use it", async () => {
  await world.take();
  const { stdout, stderr } = await world.execute(`
import json, ssl, urllib.error, urllib.request
proxy = urllib.request.ProxyHandler({"http": "http://169.254.1.1:8080", "https": "http://169.254.1.1:8080"})
opener = urllib.request.build_opener(proxy, urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile="${world?.directory}/ca.pem")))
for url in ("http://web.example.com/", "http://web.example.com:8000/", "https://web.example.com/", "http://evil.example.net/", "https://evil.example.net/", "http://${ADDRESS.evil}/", "http://web.example.com:9229/", "http://web.example.com:81/"):
    try: print(url, opener.open(url, timeout=20).read().decode().split()[-1])
    except urllib.error.HTTPError as error: print(url, error.code)
    except urllib.error.URLError as error: print(url, error.reason)
`, { permissions: { allowNet: ["web.example.com:80", "web.example.com:443", "web.example.com:8000", "web.example.com:81"], allowRead: [`${world?.directory}/ca.pem`] } });
  const got = Object.fromEntries(stdout.trim().split("\n").map((line) => [line.split(" ")[0], line.split(" ").slice(1).join(" ")]));
  assert.equal(got["http://web.example.com/"], `${ADDRESS.web}:80`, stdout + stderr);
  assert.equal(got["http://web.example.com:8000/"], `${ADDRESS.web}:8000`);
  assert.equal(got["https://web.example.com/"], `${ADDRESS.web}:443`);
  assert.equal(got["http://evil.example.net/"], "403");
  assert.match(got["https://evil.example.net/"], /403/);
  assert.equal(got[`http://${ADDRESS.evil}/`], "403");
  assert.equal(got["http://web.example.com:9229/"], "403");
  assert.match(got["http://web.example.com:81/"], /^50[234]$/);
  const seen = await world.take();
  assert.deepEqual(seen.reached, [80, 8000, 443, 81].map((port) => `tcp ${ADDRESS.web}:${port}`).sort());
  assert.ok(!seen.asked.includes("evil.example.net"));
});

tested("a burst is paced, and no ordinary client fails of it", async () => {
  // More than start at once after a pause.
  const { stdout, stderr } = await world.execute(`
import asyncio
async def one(index):
    reader, writer = await asyncio.open_connection("web.example.com", 80)
    writer.write(b"GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
    return len(await reader.read()) > 0
async def all(): return await asyncio.gather(*(one(index) for index in range(80)))
print(sum(asyncio.run(all())))
`, { ...allowNet("web.example.com"), config: { network: { rate_limit: 5 } } });
  assert.equal(stdout.trim(), "80", stderr);
});

tested("beyond what may wait, connections are refused, and that is told", async () => {
  await world.counts(true);
  const { stdout, stderr, net } = await world.execute(`
import asyncio
async def one(index):
    try:
        reader, writer = await asyncio.open_connection("web.example.com", 80)
        writer.write(b"GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
        return len(await reader.read()) > 0
    except OSError: return False
async def all(): return await asyncio.gather(*(one(index) for index in range(400)))
print(sum(asyncio.run(all())))
`, { ...allowNet("web.example.com"), config: { network: { rate_limit: 5 } } });
  const served = Number(stdout.trim());
  // As many as five a second, in ten seconds, and the burst; with room for a slow machine. Without a limit it would be all.
  assert.ok(served >= 5 && served <= 200, `${served} of 400: ${stderr}`);
  assert.ok((await world.counts()).total <= 200);
  assert.ok(net.some(({ error, verdict }) => error && verdict === "allow"), "the events tell why");
});

tested("one sandbox's flood takes nothing from another", async () => {
  const [busy, quiet] = await Promise.all([world.sandbox(allowNet("web.example.com")), world.sandbox(allowNet("api.example.com"))]);
  try {
    await busy.exec(`
import os, socket
for _ in range(4):
    if os.fork() == 0:
        while True:
            try: socket.create_connection(("web.example.com", 80)).close()
            except OSError: pass
`);
    const { stdout, stderr } = await quiet.exec(`
import urllib.request
print(sum(b"api.example.com" in urllib.request.urlopen("http://api.example.com/", timeout=30).read() for _ in range(20)))
`);
    assert.equal(stdout.trim(), "20", stderr);
  } finally {
    await Promise.all([busy.close(), quiet.close()]);
  }
});

tested("without a sandbox the start says that the rules are advice", async () => {
  const sandbox = await world.sandbox({ ...allowNet("web.example.com"), sandboxEnabled: false });
  try {
    assert.equal(sandbox.enforcement.tier, "none");
    const { warn } = await sandbox.told(0, ({ warn }) => warn.length > 0, "a warning");
    assert.ok(warn.some((text) => /advice|not enforced|nothing (of the policy )?is enforced|no sandbox/i.test(text)), JSON.stringify(warn));
  } finally {
    await sandbox.close();
  }
});
