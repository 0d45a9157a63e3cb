// Sandboxes side by side, each with the same addresses inside and a name of its own outside: no cross-talk, and nothing left of them.
// scripts/network-many.mjs does it with two hundred.
import assert from "node:assert/strict";
import test, { after } from "node:test";

import { TIMEOUT } from "./support/index.mjs";
import { World, missing } from "./support/network.mjs";
import { visitAll } from "./support/network/many.mjs";

const reason = missing();
const world = reason ? undefined : await World.open();
after(() => world?.close());

test("twelve sandboxes at once, three times over", { timeout: TIMEOUT }, async (t) => {
  if (reason) return t.skip(reason);
  const first = await visitAll(world, 12);
  await visitAll(world, 12);
  const last = await visitAll(world, 12);
  assert.ok(last.after.descriptors <= first.after.descriptors, JSON.stringify({ first, last }));
  assert.ok(last.after.threads <= first.after.threads + 2, JSON.stringify({ first, last }));
});
