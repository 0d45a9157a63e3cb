// The caller's standard output is a log that it has opened for reading and writing and that holds something already.
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";

import { effectsOf, nestedCommand, runNested } from "./nested_host.mjs";

export async function during(arena, supervisor) {
  const log = arena.path("granted/log");
  writeFileSync(log, `${arena.secret}\n`);
  const fd = openSync(log, "a+");
  const command = nestedCommand(arena, supervisor, "change_log_of_caller");
  const output = await runNested(command, { stdio: ["ignore", fd, "pipe"] });
  closeSync(fd);
  arena.nested = effectsOf(arena, output);
  if (!readFileSync(log, "utf8").startsWith(`${arena.secret}\n`)) arena.nested.push("writes");
}

export const after = (arena) => arena.nested;
