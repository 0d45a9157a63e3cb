// `npm install` in a clone: native files, Bun, and the command in node_modules/.bin.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { findBun, main, root, run } from "./lib.mjs";

main(() => {
  if (!prebuilt()) run(process.execPath, [path.join(root, "scripts", "build.mjs")]);
  finishBun();
  linkCommand();
});

/** Whether the published platform package of this very version is installed. */
function prebuilt() {
  const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  try {
    return createRequire(import.meta.url)("python-ipc-bun-linux-x64-gnu/package.json").version === version;
  } catch {
    return false;
  }
}

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
