// What the scripts share: where things are, and how commands are run.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Where the native files of a clone are. The published platform package is this folder. */
export const platformDir = path.join(root, "npm", "linux-x64-gnu");
export const addonName = "python-ipc-bun.linux-x64-gnu.node";
export const binaryNames = ["buntime-init", "python-ipc-bun"];

export const targetDir = path.resolve(root, process.env.CARGO_TARGET_DIR ?? "target");

/** An error whose message is all that the user needs to see. */
export class Failure extends Error {}

/** Prints the command and runs it; its output is the terminal's. */
export function run(command, args, { env, ...options } = {}) {
  console.log(`$ ${[command, ...args].join(" ")}`);
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env }, ...options });
  check(command, args, result);
  return result;
}

/** Runs a command for its output. */
export function capture(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, ...options });
  check(command, args, result);
  return result.stdout;
}

function check(command, args, result) {
  if (result.error?.code === "ENOENT") throw new Failure(`${command} was not found${REMEDIES[command] ?? ""}`);
  if (result.error) throw result.error;
  if (result.status !== 0) {
    const how = result.signal ? `was killed by ${result.signal}` : `ended with exit code ${result.status}`;
    throw new Failure(`${[command, ...args].join(" ")} ${how}${result.stderr ? `\n${result.stderr}` : ""}`);
  }
}

const REMEDIES = {
  cargo: ": install Rust (https://rustup.rs), then run `npm install` again",
  rustc: ": install Rust (https://rustup.rs), then run `npm install` again",
};

/** Runs a script's main function; a Failure is told without a stack. */
export function main(body) {
  Promise.resolve()
    .then(body)
    .catch((error) => {
      console.error(error instanceof Failure ? `error: ${error.message}` : error);
      process.exitCode = 1;
    });
}

/**
 * The Bun of node_modules. npm may have been told to run no install scripts, and then `bun` is still a stub that prints an
 * error; the program itself is in the package of the platform.
 */
export function findBun() {
  const modules = path.join(root, "node_modules");
  const candidates = [path.join(modules, "bun", "bin", "bun.exe"), path.join(modules, "@oven", "bun-linux-x64", "bin", "bun")];
  return candidates.find((file) => existsSync(file) && statSync(file).size > 1_000_000);
}
