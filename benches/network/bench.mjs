// A connection from the sandbox against one without it, and against one by a typical CONNECT proxy, all in the same run.
//
//   node benches/network/bench.mjs [--rounds 5] [--count 2000] [--mebibytes 2048]
//
// In a network namespace of its own (__test__/support/network.mjs): the same server, the same client, by a name that a rule allows.
// The proxy is tinyproxy (`apt install tinyproxy`); where it is missing, its column stays empty. The ways take turns, so that the
// machine's noise is in all of them; medians over the rounds. Ends with 1 where a bar is missed.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { root } from "../../__test__/support/index.mjs";
import { World, missing } from "../../__test__/support/network.mjs";

const { values: flags } = parseArgs({ options: { rounds: { type: "string", default: "5" }, count: { type: "string", default: "2000" }, mebibytes: { type: "string", default: "2048" } } });
const folder = path.join(root, "benches", "network");
const HOST = "web.example.com";

/** What is wanted of the sandbox, beside direct. */
const BARS = { connect: ["<=", 2], bulk: [">=", 0.4] };
const ROWS = [
  ["connect", "connect(), median", "µs", 1],
  ["connect99", "connect(), 99 of 100", "µs", 1],
  ["first", "until the first byte", "µs", 1],
  ["requests", "requests on one connection", "/s", 0],
  ["bulk", "bulk, from the server", "GB/s", 2, 1e9],
];

const median = (values) => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)];

function client(via) {
  const python = via ? `("${via[0]}", ${via[1]})` : "None";
  return `host, via, COUNT, MEBIBYTES = "${HOST}", ${python}, ${Number(flags.count)}, ${Number(flags.mebibytes)}\n${readFileSync(path.join(folder, "client.py"), "utf8")}`;
}

async function plainly(world, via) {
  const { stdout, stderr, status } = await world.python(client(via), { timeout: 600_000 });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

async function sandboxed(world) {
  const { ok, stdout, stderr } = await world.execute(client(), { permissions: { allowNet: [HOST] }, config: { network: { rate_limit: 1_000_000 } } });
  if (!ok) throw new Error(stderr);
  return JSON.parse(stdout);
}

async function tinyproxy(world) {
  const program = spawnSync("sh", ["-c", "command -v tinyproxy"], { encoding: "utf8" }).stdout.trim();
  if (!program) return undefined;
  const file = path.join(world.directory, "tinyproxy.conf");
  writeFileSync(file, "Port 8899\nListen 127.0.0.1\nTimeout 600\nMaxClients 1000\nLogLevel Critical\nDisableViaHeader Yes\n");
  const end = world.hold(`import subprocess, sys\none = subprocess.Popen(["${program}", "-d", "-c", "${file}"], stdout=subprocess.DEVNULL)\nsys.stdin.read()\none.kill()\none.wait()`);
  return { via: ["127.0.0.1", 8899], end };
}

const reason = missing();
if (reason) throw new Error(reason);
const world = await World.open();
const ends = [];
try {
  ends.push(world.hold(readFileSync(path.join(folder, "server.py"), "utf8")));
  const proxy = await tinyproxy(world);
  if (proxy) ends.push(proxy.end);
  const listens = `import socket, time
for port in (8101, 8102, 8103${proxy ? ", 8899" : ""}):
    while socket.socket().connect_ex(("127.0.0.1", port)): time.sleep(0.01)`;
  await world.python(listens);
  const ways = { direct: () => plainly(world), sandbox: () => sandboxed(world), ...(proxy && { tinyproxy: () => plainly(world, proxy.via) }) };
  const results = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const [name, way] of Object.entries(ways)) results[name].push(await way());
  }
  report(results);
} finally {
  for (const end of ends) await end();
  await world.close();
}

function report(results) {
  const value = (way, key) => (results[way] ? median(results[way].map((round) => round[key])) : NaN);
  const shown = (number, digits) => (Number.isNaN(number) ? "-" : number.toFixed(digits)).padStart(12);
  console.log(`${"".padEnd(28)}${["direct", "sandbox", "tinyproxy", "sandbox / direct", "bar"].map((text) => text.padStart(text.includes("/") ? 18 : 12)).join("")}`);
  for (const [key, what, unit, digits, scale = 1] of ROWS) {
    const ratio = value("sandbox", key) / value("direct", key);
    const [sign, bar] = BARS[key] ?? [];
    const holds = sign === "<=" ? ratio <= bar : ratio >= bar;
    if (sign && !holds) process.exitCode = 1;
    const columns = ["direct", "sandbox", "tinyproxy"].map((way) => shown(value(way, key) / scale, digits)).join("");
    console.log(`${`${what}, ${unit}`.padEnd(28)}${columns}${shown(ratio, 2).padStart(18)}${(sign ? `${sign} ${bar}${holds ? "" : " MISSED"}` : "").padStart(12)}`);
  }
  if (!results.tinyproxy) console.log("no rival: tinyproxy is not installed");
}
