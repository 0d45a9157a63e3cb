import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PYTHON } from "../support/attacks.mjs";
import { spawnHost } from "../support/index.mjs";

const source = (file) => readFileSync(fileURLToPath(new URL(file, import.meta.url)), "utf8");

/** Runs code in a sandbox of a process of its own, whose cache is below the write grant. */
async function runHost(arena, ...codes) {
  const options = { interpreter: PYTHON, args: [arena.told()], permissions: { allowWrite: [arena.path("granted")] } };
  const run = `
    const one = new Supervisor(${JSON.stringify(options)});
    await one.start();
    for (const code of ${JSON.stringify(codes)}) one.sendCode(code);
    await one.stop({ graceMs: Infinity });`;
  const host = spawnHost(run, { env: { ...process.env, XDG_CACHE_HOME: arena.path("granted/cache") } });
  const { code, stderr } = await host.ended;
  // To refuse such a grant is as good as to withstand the attack.
  if (code !== 0 && !stderr.includes("ERR_BUNTIME_VIEW")) throw new Error(stderr);
}

function content(arena) {
  const directory = arena.path("granted/cache/python-ipc-bun");
  if (!existsSync(directory)) return "";
  return readdirSync(directory).map((name) => name + readFileSync(`${directory}/${name}`, "latin1")).join();
}

export async function fill(arena) {
  await runHost(arena);
  arena.cache = content(arena);
  if (!arena.cache) throw new Error("the cache is empty");
}

export async function before(arena) {
  mkdirSync(arena.path("granted/cache"));
  await fill(arena);
}

export const attack = (arena, name) => runHost(arena, source("../support/attack.py"), source(`${name}.py`));

export async function during(arena, supervisor) {
  if (supervisor) await attack(arena, "poison_cache_of_interpreters");
}

export const after = (arena) => (content(arena) === arena.cache ? [] : ["writes"]);
