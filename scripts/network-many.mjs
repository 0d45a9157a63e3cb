// Two hundred sandboxes at once, each fetching from its own allowed name: `node scripts/network-many.mjs [COUNT] [ROUNDS]`.
//
// No sandbox reaches or hears of another's name; descriptors and threads go back to where they were; and memory and network namespaces
// (slabinfo's count, which only root may read, and which keeps some places) do not grow from round to round. In a network namespace of
// its own (__test__/support/network.mjs).
import { World, missing } from "../__test__/support/network.mjs";
import { visitAll } from "../__test__/support/network/many.mjs";
import { Failure, main } from "./lib.mjs";

const [count, rounds] = [Number(process.argv[2] ?? 200), Number(process.argv[3] ?? 4)];
/** KiB that the allocator may keep from one round to the next. */
const SLACK_KB = 16384;

main(async () => {
  const reason = missing();
  if (reason) throw new Failure(reason);
  if (!(count >= 1 && count <= 250 && rounds >= 1)) throw new Failure("expected 1 to 250 sandboxes, and at least one round");
  const world = await World.open();
  try {
    let first;
    for (let round = 1; round <= rounds; round++) {
      const begun = Date.now();
      const { before, most, after } = await visitAll(world, count);
      first ??= after;
      console.log(`round ${round}: ${count} sandboxes in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
      for (const [when, state] of Object.entries({ before, most, after })) {
        console.log(`  ${when.padEnd(7)} ${state.descriptors} descriptors, ${state.threads} threads, ${(state.memoryKb / 1024).toFixed(1)} MiB, ${state.namespaces ?? "?"} network namespaces`);
      }
      if (after.memoryKb > first.memoryKb + SLACK_KB) throw new Failure(`memory grew from ${first.memoryKb} to ${after.memoryKb} KiB since the first round`);
      // What is not given back is there in each round again.
      if (after.namespaces > first.namespaces + count / 2) throw new Failure(`network namespaces grew from ${first.namespaces} to ${after.namespaces}`);
      if (after.threads > first.threads + 2) throw new Failure(`threads grew from ${first.threads} to ${after.threads}`);
    }
  } finally {
    await world.close();
  }
});
