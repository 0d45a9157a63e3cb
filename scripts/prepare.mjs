// `npm install` in a clone: native files, Bun, and the command in node_modules/.bin.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, symlinkSync } from "node:fs";
import path from "node:path";

import { findBun, main, root, run } from "./lib.mjs";

main(() => {
  run(process.execPath, [path.join(root, "scripts", "build.mjs")]);
  finishBun();
  linkCommand();
});

/** Does what Bun's own install script does, where npm was told not to run it. */
function finishBun() {
  const folder = path.join(root, "node_modules", "bun");
  if (!existsSync(folder) || findBun() === path.join(folder, "bin", "bun.exe")) return;
  spawnSync(process.execPath, ["install.js"], { cwd: folder, stdio: "inherit" });
}

/** npm links the commands of dependencies, not the package's own; with this, `npx python-ipc-bun` works in a clone. */
function linkCommand() {
  const link = path.join(root, "node_modules", ".bin", "python-ipc-bun");
  mkdirSync(path.dirname(link), { recursive: true });
  const temporary = `${link}.${process.pid}.tmp`;
  symlinkSync("../../bin/python-ipc-bun.js", temporary);
  renameSync(temporary, link);
}
