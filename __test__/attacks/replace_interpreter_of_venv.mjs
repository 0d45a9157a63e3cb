import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PYTHON } from "../support/attacks.mjs";
import { Recorder, eventually, spawnHost } from "../support/index.mjs";

const source = (file) => readFileSync(fileURLToPath(new URL(file, import.meta.url)), "utf8");

/**
 * A first sandbox has an interpreter that lies in its write grant, and runs the attack (which the control does itself); then a
 * process of its own starts the next one. It knows the interpreter from no cache, and so asks it, outside any sandbox.
 */
export async function runTwice(arena, supervisor, name, options, ended) {
  const grants = { permissions: { allowWrite: [arena.path("granted")] }, args: [arena.told()] };
  const done = () => existsSync(arena.path("granted/done"));
  if (supervisor) {
    // The attack in the sandbox without any grant. Where layers are missing, it is that one that succeeds.
    await ended();
    const first = new Recorder({ ...grants, ...options });
    const attack = () => ["../support/attack.py", `${name}.py`].forEach((file) => first.supervisor.sendCode(source(file)));
    await first.supervisor.start().then(attack, (error) => {
      // To refuse such a grant is as good as to withstand the attack, and what was planted already need not start. Any other
      // error is none of the sandbox's doing.
      if (error.code !== "ERR_BUNTIME_VIEW" && !done()) throw error;
    });
    await first.supervisor.stop({ graceMs: Infinity });
  } else {
    await eventually(done, "the attack");
  }
  const given = JSON.stringify({ ...grants, ...options });
  await spawnHost(`const next = new Supervisor(${given}); await next.start().catch(console.log); await next.stop();`, {
    env: { PATH: process.env.PATH },
  }).ended;
}

export function before(arena) {
  execFileSync(PYTHON, ["-m", "venv", "--without-pip", arena.path("granted/venv")]);
}

export const during = (arena, supervisor, ended) =>
  runTwice(arena, supervisor, "replace_interpreter_of_venv", { interpreter: arena.path("granted/venv/bin/python3") }, ended);
