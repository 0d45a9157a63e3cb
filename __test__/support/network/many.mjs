// Many sandboxes at once, each fetching from a name of its own: for network-many.spec.mjs, and scripts/network-many.mjs.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";

import { eventually } from "../index.mjs";

const ROUNDS = 5;

const site = (index) => `site${index}.example.org`;
const address = (index) => `45.100.0.${index + 1}`;

/** What a sandbox does: fetches from its own name again and again, and once tries its neighbour's. */
const visit = (index, count) => `
import json, socket
def page(host):
    with socket.create_connection((host, 80), timeout=60) as one:
        one.sendall(f"GET / HTTP/1.0\\r\\nHost: ${site(index)}\\r\\n\\r\\n".encode())
        return one.makefile("rb").read().decode().rpartition("\\n")[2].split()[1:]
pages = [page("${site(index)}") for _ in range(${ROUNDS})]
try: neighbour = page("${site((index + 1) % count)}")
except OSError as error: neighbour = type(error).__name__
print(json.dumps([pages, neighbour]))
`;

/**
 * Network namespaces of the whole machine, by the kernel's own count; undefined where only root may read it. Too many rather than too
 * few: it counts places that are kept for the next ones, too.
 */
export function namespaces() {
  if (!existsSync("/proc/slabinfo")) return undefined;
  try {
    return Number(readFileSync("/proc/slabinfo", "latin1").match(/^net_namespace\s+(\d+)/m)?.[1]);
  } catch {
    return undefined;
  }
}

/** Starts them all, then lets all fetch at once, then stops them all. Returns what the host had before, meanwhile and after. */
export async function visitAll(world, count) {
  const host = await world.host();
  await one(world, 0, 2); // so that what is made once for a process is there
  const before = { ...(await host.ask("self")), namespaces: namespaces() };
  await world.take();
  const sandboxes = [];
  // A few starts at a time: the machine has few processors, and each is a Python of its own.
  const indices = Array.from({ length: count }, (_, index) => index);
  const start = async () => {
    for (let index = indices.shift(); index !== undefined; index = indices.shift()) {
      sandboxes[index] = await world.sandbox({ permissions: { allowNet: [site(index)] } });
    }
  };
  await Promise.all(Array.from({ length: 8 }, start));
  const most = { ...(await host.ask("self")), namespaces: namespaces() };
  const runs = await Promise.all(sandboxes.map((sandbox, index) => sandbox.exec(visit(index, count))));
  for (const [index, { stdout, stderr }] of runs.entries()) {
    const expected = [Array.from({ length: ROUNDS }, () => [site(index), `${address(index)}:80`]), "gaierror"];
    assert.deepEqual(JSON.parse(stdout || "null"), expected, `sandbox ${index}: ${stderr}`);
  }
  const seen = await world.take();
  const own = seen.requests.map(({ address, host }) => `${address} ${host}`).sort();
  const wanted = Array.from({ length: count }, (_, index) => Array.from({ length: ROUNDS }, () => `${address(index)} ${site(index)}`)).flat().sort();
  assert.deepEqual(own, wanted, "each server saw its own sandbox alone");
  for (const [index, { net }] of runs.entries()) {
    assert.deepEqual([...new Set(net.map((flow) => flow.host))], [site(index)], "each sandbox was told its own flows alone");
  }
  await Promise.all(sandboxes.map((sandbox) => sandbox.close()));
  await eventually(async () => (await host.ask("self")).descriptors <= before.descriptors, `${before.descriptors} descriptors as before`, 30_000);
  return { before, most, after: { ...(await host.ask("self")), namespaces: namespaces() } };
}

async function one(world, index, count) {
  const { ok, stderr } = await world.execute(visit(index, count), { permissions: { allowNet: [site(index)] } });
  assert.ok(ok, stderr);
}
