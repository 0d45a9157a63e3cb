import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PYTHON } from "../support/attacks.mjs";
import { Recorder, eventually, spawnHost } from "../support/index.mjs";

const source = (file) => readFileSync(fileURLToPath(new URL(file, import.meta.url)), "utf8");

/** To refuse such a grant is as good as to withstand the attack; any other error is none of the sandbox's doing. */
function onlyRefused(error) {
  if (error.code !== "ERR_BUNTIME_VIEW") throw error;
}

/**
 * A first sandbox has an interpreter that lies in its write grant, and runs the attack (which the control does itself); then a
 * process of its own starts the next one. It knows the interpreter from no cache, and so asks it, outside any sandbox.
 */
export async function runTwice(arena, supervisor, name, options) {
  const grants = { permissions: { allowWrite: [arena.path("granted")] }, args: [arena.told()] };
  if (supervisor) {
    const first = new Recorder({ ...grants, ...options });
    const attack = () => ["../support/attack.py", `${name}.py`].forEach((file) => first.supervisor.sendCode(source(file)));
    await first.supervisor.start().then(attack, onlyRefused);
    await first.supervisor.stop({ graceMs: Infinity });
  } else {
    await eventually(() => existsSync(arena.path("granted/done")), "the attack");
  }
  const given = JSON.stringify({ ...grants, ...options });
  await spawnHost(`const next = new Supervisor(${given}); await next.start().catch(console.log); await next.stop();`, {
    env: { PATH: process.env.PATH },
  }).ended;
}

export function before(arena) {
  execFileSync(PYTHON, ["-m", "venv", "--without-pip", arena.path("granted/venv")]);
}

export const during = (arena, supervisor) =>
  runTwice(arena, supervisor, "replace_interpreter_of_venv", { interpreter: arena.path("granted/venv/bin/python3") });
