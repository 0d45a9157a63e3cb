// Meanwhile the host starts processes of its own.
import { spawnSync } from "node:child_process";

import { sleep } from "../support/index.mjs";

export async function during(arena) {
  arena.refused = false;
  for (let count = 0; count < 20; count++) {
    if (spawnSync("/bin/true").status !== 0) arena.refused = true;
    await sleep(10);
  }
}

export const after = (arena) => (arena.refused ? ["changes the host"] : []);
