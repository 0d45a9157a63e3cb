#!/usr/bin/env node
// The npm command: runs the native one, with its terminal, signals and exit code.
"use strict";

const { spawn } = require("child_process");

/** The command of the platform package, or of a clone. */
function findCommand() {
  const platform = `${process.platform}-${process.arch}-gnu`;
  try {
    return require.resolve(`python-ipc-bun-${platform}/python-ipc-bun`);
  } catch {
    return `${__dirname}/../npm/${platform}/python-ipc-bun`;
  }
}

// The exit code for a failure of our own, apart from the script's.
const OUR_FAILURE = 125;

const child = spawn(findCommand(), process.argv.slice(2), { stdio: "inherit" });

child.on("error", (error) => {
  console.error(`python-ipc-bun: cannot run the native command: ${error.message}`);
  console.error("in a clone, run `npm install`, which builds it; Linux on x64 is supported");
  process.exit(OUR_FAILURE);
});

// A terminal's Ctrl-C and Ctrl-\ reach the whole foreground group, the child too, where a second one would kill the
// script: this process has only to outlive them. One that was sent to this process alone is passed on.
for (const signal of ["SIGINT", "SIGQUIT"]) {
  process.on(signal, () => {
    if (!inForeground()) child.kill(signal);
  });
}
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));

/** Whether this process is of the foreground group of its terminal. */
function inForeground() {
  // "pid (name) state ppid pgrp session tty_nr tpgid …"; the name may hold anything, brackets too.
  const stat = require("fs").readFileSync("/proc/self/stat", "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[2] === fields[5];
}

child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code);
  // Die of the same signal, so that a shell sees what it would have seen of the child.
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
