// Meanwhile the host's own timers have to come in time.
import { sleep } from "../support/index.mjs";

const LATEST_MS = 1000;

export async function during(arena) {
  arena.latest = 0;
  for (let count = 0; count < 50; count++) {
    const before = performance.now();
    await sleep(10);
    arena.latest = Math.max(arena.latest, performance.now() - before - 10);
  }
}

export const after = (arena) => (arena.latest > LATEST_MS ? ["changes the host"] : []);
