import { chmodSync, mkdirSync, writeFileSync } from "node:fs";

/** Scripts of interpreters that nobody allowed; the one in bin is allowed itself. */
export function before(arena) {
  mkdirSync(arena.path("granted/bin"));
  chmodSync(arena.path("granted/bin"), 0o755);
  for (const [name, line] of [["script", "#!/bin/sh"], ["indirect", "#!/usr/bin/env sh"]]) {
    writeFileSync(arena.path(`granted/bin/${name}`), `${line}\necho "$1"\n`);
    chmodSync(arena.path(`granted/bin/${name}`), 0o755);
  }
}
