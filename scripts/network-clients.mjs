// Installs the Python clients that the network's specs run, from PyPI: `node scripts/network-clients.mjs [DIRECTORY]`.
//
// Into a virtual environment, target/clients where no directory is named; the specs look there, or where BUNTIME_TEST_CLIENTS says.
// Once: what is there already and has the same list of packages is left as it is.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import { capture, main, root, run } from "./lib.mjs";

/** The system's own: the one that tests have as another user, too. */
const PYTHON = "/usr/bin/python3";

main(() => {
  const directory = path.resolve(process.argv[2] ?? path.join(root, "target", "clients"));
  const list = path.join(root, "__test__", "support", "network", "requirements.txt");
  const wanted = capture(PYTHON, ["--version"]) + readFileSync(list, "utf8");
  const stamp = path.join(directory, "installed.txt");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return console.log(`${directory} is as it should be`);
  rmSync(directory, { recursive: true, force: true });
  run(PYTHON, ["-m", "venv", directory]);
  run(path.join(directory, "bin", "python3"), ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r", list]);
  writeFileSync(stamp, wanted);
});
