// Hosts of its own, killed at every stage of a start. What each had started by then must be gone a second later.
import { spawn } from "node:child_process";

import { nestedCommand } from "./nested_host.mjs";
import { alive, descendants, eventually, sleep } from "../support/index.mjs";

const MOMENTS_MS = [2, 5, 8, 12, 16, 20, 25, 30, 40, 60, 90];

export async function during(arena, supervisor) {
  const [command, ...args] = nestedCommand(arena, supervisor, "outlive_host_killed_in_start");
  arena.started = [];
  const moments = MOMENTS_MS.map((ms) => () => sleep(ms));
  // However slow the machine is: once there is something to survive, once all are there (both helpers and the worker), and once
  // the worker has a child.
  for (const count of supervisor ? [1, 3, 4] : [1]) {
    moments.push(({ pid }) => eventually(() => descendants(pid).length >= count, "a start", 20_000));
  }
  for (const moment of moments) {
    const host = spawn(command, args, { stdio: "ignore" });
    await moment(host);
    host.kill("SIGSTOP"); // nothing is started while we look
    arena.started.push(...descendants(host.pid));
    host.kill("SIGKILL");
  }
}

export async function after(arena) {
  const gone = await eventually(() => alive(arena.started).length === 0, "the end", 1000).catch(() => false);
  return gone ? [] : ["survives"];
}
