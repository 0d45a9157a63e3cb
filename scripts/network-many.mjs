// Two hundred sandboxes at once, each fetching from its own allowed name: `node scripts/network-many.mjs [COUNT] [ROUNDS]`.
//
// No sandbox reaches or hears of another's name; descriptors and threads go back to where they were; and memory and network namespaces
// (slabinfo's count, which only root may read, and which keeps some places) do not grow from round to round. In a network namespace of
// its own (__test__/support/network.mjs).
import { World, missing } from "../__test__/support/network.mjs";
import { visitAll } from "../__test__/support/network/many.mjs";
import { Failure, main } from "./lib.mjs";

const [count, rounds] = [Number(process.argv[2] ?? 200), Number(process.argv[3] ?? 6)];
/** KiB by which the last round may be above the one before: what the allocator keeps levels off, and a leak does not. */
const SLACK_KB = 8192;

main(async () => {
  const reason = missing();
  if (reason) throw new Failure(reason);
  if (!(count >= 1 && count <= 250 && rounds >= 1)) throw new Failure("expected 1 to 250 sandboxes, and at least one round");
  const world = await World.open();
  try {
    let first;
    let last;
    let growth = 0;
    for (let round = 1; round <= rounds; round++) {
      const begun = Date.now();
      const { before, most, after } = await visitAll(world, count);
      first ??= after;
      console.log(`round ${round}: ${count} sandboxes in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
      for (const [when, state] of Object.entries({ before, most, after })) {
        console.log(`  ${when.padEnd(7)} ${state.descriptors} descriptors, ${state.threads} threads, ${(state.memoryKb / 1024).toFixed(1)} MiB, ${state.namespaces ?? "?"} network namespaces`);
      }
      growth = last === undefined ? 0 : after.memoryKb - last.memoryKb;
      last = after;
      // What is not given back is there in each round again.
      if (after.namespaces > first.namespaces + count / 2) throw new Failure(`network namespaces grew from ${first.namespaces} to ${after.namespaces}`);
      if (after.threads > first.threads + 2) throw new Failure(`threads grew from ${first.threads} to ${after.threads}`);
    }
    if (growth > SLACK_KB) throw new Failure(`memory still grew by ${growth} KiB in the last round`);
  } finally {
    await world.close();
  }
});
