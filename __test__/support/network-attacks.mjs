// Attacks on the network: each is a Python file under __test__/attacks/network, run in a sandbox inside a world of its own
// (network.mjs) and, as its positive control, there without a sandbox. What it did is seen by the world's packet socket, name servers
// and counts alone.
//
// The head of an attack is as in attacks.mjs, with these lines:
//
//   group     of attacks
//   effect    one of EFFECTS below; the control must show it
//   allow     what --allow-net says, with commas; nothing: no network       deny   likewise
//   reaches   where the policy lets it go, as `tcp 1.2.3.4:80`, with commas; packets to elsewhere are the effect "connects"
//   asks      names that the policy lets it look up; every other question, and one of another kind, is the effect "asks"
//   most      connections at a server at once; more are the effect "floods"   total   likewise in all
//   rate      config.network.rate_limit; 1000 where it says nothing
//   control   plain (default), `unshare ARGS` (by the interpreter in new namespaces below the world's), or `none REASON`
//
// A file NAME.mjs beside NAME.py may export `options(world)`, and `before(world)`, `during(world)` and `after(world)`, which may
// return effects more; `before` and `during` may return a function that undoes.
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { SLOWNESS, eventually, root } from "./index.mjs";
import { ADDRESS, PYTHON } from "./network.mjs";

const folder = path.join(root, "__test__", "attacks", "network");
const support = (name) => readFileSync(path.join(root, "__test__", "support", name), "utf8");
const PRELUDE = `${support("attack.py")}\n${support("network/attack.py")}`;
export const EFFECTS = ["connects", "asks", "reads", "proves", "floods", "listens"];
const KEYS = ["group", "effect", "allow", "deny", "reaches", "asks", "most", "total", "rate", "control"];

const list = (text) => (text ?? "").split(/, */).filter(Boolean);

export async function loadNetworkAttacks() {
  const names = readdirSync(folder).filter((name) => name.endsWith(".py")).sort();
  return Promise.all(names.map((name) => load(name.slice(0, -3))));
}

async function load(name) {
  const source = readFileSync(path.join(folder, `${name}.py`), "utf8");
  const head = source.match(/^"""([^]*?)"""/)?.[1];
  if (head === undefined) throw new Error(`${name}.py: expected a docstring at the top`);
  const [title, ...lines] = head.trim().split("\n");
  const attack = { name, title, source, control: "plain" };
  for (const line of lines.filter(Boolean)) {
    const [, key, value] = line.match(/^(\w+): (.+)$/) ?? [];
    if (!KEYS.includes(key)) throw new Error(`${name}.py: "${line}", expected one of ${KEYS.join(", ")} and a value`);
    attack[key] = value;
  }
  if (!attack.group || !EFFECTS.includes(attack.effect)) throw new Error(`${name}.py: expected a group, and as effect one of ${EFFECTS.join(", ")}`);
  const companion = path.join(folder, `${name}.mjs`);
  return { ...attack, host: existsSync(companion) ? await import(pathToFileURL(companion).href) : {} };
}

/** What the attack is told. The world's secret is not among it. */
const told = (proof) => JSON.stringify({ ...ADDRESS, proof, uid: process.getuid(), slowness: SLOWNESS });

/** Runs it in a sandbox, or without one: its effects, and whether it came to its end. */
export async function attackNetwork(world, attack, { sandboxed }) {
  const proof = `proof${randomBytes(10).toString("hex")}`;
  // What an earlier control has set going comes to its end first.
  await eventually(async () => (await world.counts(true)).proxied === 0, "the end of what the proxy does", 30_000);
  await world.take();
  const undo = [await attack.host.before?.(world, sandboxed)];
  try {
    const run = sandboxed ? inSandbox : plainly;
    const { output, ended } = await run(world, attack, proof, undo);
    return { ...(await judge(world, attack, proof, output, sandboxed)), tried: ended, output };
  } finally {
    for (const one of undo) await one?.();
  }
}

async function inSandbox(world, attack, proof, undo) {
  const permissions = { allowNet: list(attack.allow), denyNet: list(attack.deny) };
  if (attack.allow === "*") permissions.allowNet = true;
  const config = { network: { rate_limit: Number(attack.rate ?? 1000) } };
  const sandbox = await world.sandbox({ permissions, config, args: [told(proof)], ...(await attack.host.options?.(world)) });
  try {
    const prelude = await sandbox.exec(PRELUDE);
    const running = sandbox.exec(`${attack.source}\nfinish()`);
    undo.push(await attack.host.during?.(world, running));
    const run = await running;
    return { output: prelude.stderr + run.stdout + run.stderr, ended: run.ok };
  } finally {
    await sandbox.close(300);
  }
}

async function plainly(world, attack, proof, undo) {
  const [kind, ...rest] = attack.control.split(" ");
  const under = kind === "unshare" ? ["unshare", ...rest, "--"] : [];
  const running = world.run([...under, PYTHON, "-I", "-B", "-c", `${PRELUDE}\n${attack.source}\nfinish()`, told(proof)]);
  undo.push(await attack.host.during?.(world, running));
  const { stdout, stderr, status } = await running;
  return { output: stdout + stderr, ended: status === 0 };
}

async function judge(world, attack, proof, output, sandboxed) {
  const found = new Set(await attack.host.after?.(world));
  const seen = await world.take();
  const reaches = list(attack.reaches);
  if (seen.reached.some((place) => !reaches.includes(place))) found.add("connects");
  const names = list(attack.asks);
  const proper = ({ name, type, data }) => names.includes(name) && ["A", "AAAA"].includes(type) && !data.includes(Buffer.from(proof).toString("hex"));
  if (seen.of("question").some((question) => !proper(question))) found.add("asks");
  // Who serves the secret says on which address and port it did.
  const pages = [...output.matchAll(new RegExp(`${world.secret}(?: \\S+ ([\\da-f.:]+):(\\d+))?`, "g"))];
  if (pages.some(([, address, port]) => !reaches.includes(`tcp ${address}:${port}`))) found.add("reads");
  if (output.includes(proof)) found.add("proves");
  const flooded = async () => {
    const { peak, total } = await world.counts();
    return peak > Number(attack.most ?? Infinity) || total > Number(attack.total ?? Infinity);
  };
  // It takes the servers a moment.
  if (attack.effect === "floods" && (await eventually(flooded, "a flood", sandboxed ? 1000 : 10_000).catch(() => false))) found.add("floods");
  const asked = [...new Set(seen.of("question").filter((question) => !proper(question)).map(({ name, type }) => `${name} ${type}`))];
  return { effects: [...found], seen: [...seen.reached, ...asked].slice(0, 20).join(", ") };
}
