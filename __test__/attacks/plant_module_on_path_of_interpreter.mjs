import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { PYTHON } from "../support/attacks.mjs";
import { eventually, temporaryDirectory } from "../support/index.mjs";
import { runTwice } from "./replace_interpreter_of_venv.mjs";

const PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))";

export function before(arena) {
  const home = temporaryDirectory();
  // With the host's file tree in sight, a worker with ids of its own is to come as far as the environment, too.
  chmodSync(home, 0o755);
  const venv = path.join(home, "venv");
  execFileSync(PYTHON, ["-m", "venv", "--without-pip", venv]);
  arena.interpreter = path.join(venv, "bin", "python3");
  const packages = execFileSync(arena.interpreter, ["-c", PACKAGES], { encoding: "utf8" });
  writeFileSync(path.join(packages.trim(), "project.pth"), `${arena.path("granted")}\nimport project\n`);
  arena.file("granted/project.py", "");
}

/** The next start asks the interpreter what it needs. The control asks it as well, without a thought of its site-packages. */
export async function during(arena, supervisor, ended) {
  const options = { interpreter: arena.interpreter };
  if (supervisor) return runTwice(arena, supervisor, "plant_module_on_path_of_interpreter", options, ended);
  await eventually(() => existsSync(arena.path("granted/done")), "the attack");
  execFileSync(arena.interpreter, ["-I", "-c", "pass"]);
}
