// Builds the native files into npm/linux-x64-gnu.
//
//   --dev        without optimisation
//   --generate   also regenerates binding.js, binding.d.ts and policies/schema.json
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { Failure, addonName, binaryNames, capture, main, platformDir, root, run, targetDir } from "./lib.mjs";

const { values: flags } = parseArgs({ options: { dev: { type: "boolean" }, generate: { type: "boolean" } } });

main(() => {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Failure(`the sandbox is built on Linux (x64); this is ${process.platform} (${process.arch})`);
  }
  mkdirSync(platformDir, { recursive: true });
  buildAddon();
  buildBinaries();
  if (flags.generate) {
    generateBinding();
    generateSchema();
  }
});

function profile() {
  return flags.dev ? { args: [], folder: "debug" } : { args: ["--release"], folder: "release" };
}

function buildAddon() {
  const { args, folder } = profile();
  run("cargo", ["build", ...args, "-p", "python-ipc-bun", "--target-dir", targetDir]);
  install(path.join(targetDir, folder, "libpython_ipc_bun.so"), addonName);
}

/** Helper and command are static: the helper runs where no library of the host's can be seen. */
function buildBinaries() {
  const { args, folder } = profile();
  const triple = capture("rustc", ["-vV"]).match(/^host: (.+)$/m)[1];
  // A target directory of their own, since other flags would rebuild everything; and `--target`, since without it the
  // flags would hold for build scripts and procedural macros too, which cannot be static.
  const staticDir = path.join(targetDir, "static");
  const rustflags = `${process.env.RUSTFLAGS ?? ""} -C target-feature=+crt-static`.trim();
  run("cargo", ["build", ...args, "-p", "buntime-init", "-p", "buntime-cli", "--target", triple, "--target-dir", staticDir], {
    env: { RUSTFLAGS: rustflags },
  });
  for (const name of binaryNames) install(path.join(staticDir, triple, folder, name), name);
}

/** Puts a file in place by rename: a process that runs the old one keeps it, and nobody sees half a file. */
function install(from, name) {
  const to = path.join(platformDir, name);
  const temporary = `${to}.${process.pid}.tmp`;
  copyFileSync(from, temporary);
  chmodSync(temporary, 0o755);
  renameSync(temporary, to);
  console.log(`built ${path.relative(root, to)}`);
}

function generateBinding() {
  const folder = mkdtempSync(path.join(os.tmpdir(), "binding-"));
  try {
    // The debug profile: what is generated comes from the source text, and this one builds fastest.
    run(process.execPath, [
      path.join(root, "node_modules", "@napi-rs", "cli", "dist", "cli.js"),
      ...["build", "--platform", "--package", "python-ipc-bun", "--target-dir", targetDir],
      ...["--output-dir", folder, "--js", "binding.js", "--dts", "binding.d.ts"],
    ]);
    const loader = readFileSync(path.join(folder, "binding.js"), "utf8");
    // In a clone the addon is in the folder of its platform package, beside the helper.
    const moved = loader.replace(/require\('\.\/python-ipc-bun\.([\w-]+)\.node'\)/g, "require('./npm/$1/python-ipc-bun.$1.node')");
    writeFileSync(path.join(root, "binding.js"), moved);
    copyFileSync(path.join(folder, "binding.d.ts"), path.join(root, "binding.d.ts"));
    console.log("generated binding.js, binding.d.ts");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function generateSchema() {
  const schema = capture("cargo", ["run", "--quiet", "-p", "buntime-policy", "--example", "schema", "--target-dir", targetDir]);
  writeFileSync(path.join(root, "policies", "schema.json"), schema);
  console.log("generated policies/schema.json");
}
