// Every attack of __test__/attacks/network: held in the sandbox, as servers and the packet socket of its world saw it, and successful
// there without a sandbox.
import assert from "node:assert/strict";
import test, { after } from "node:test";

import { TIMEOUT } from "./support/index.mjs";
import { attackNetwork, loadNetworkAttacks } from "./support/network-attacks.mjs";
import { World, missing } from "./support/network.mjs";

const reason = missing();
const world = reason ? undefined : await World.open();
after(() => world?.close());

/** A regular expression: only the attacks whose file names it matches, to go on where a run was cut short. */
const chosen = new RegExp(process.env.BUNTIME_TEST_ATTACKS ?? "");

for (const attack of (await loadNetworkAttacks()).filter(({ name }) => chosen.test(name))) {
  test(`${attack.group}: ${attack.title}`, { timeout: TIMEOUT }, async (t) => {
    if (reason) return t.skip(reason);
    const held = await attackNetwork(world, attack, { sandboxed: true });
    assert.deepEqual(held.effects, [], `its effects in the sandbox: ${held.seen} ${held.output}`);
    assert.ok(held.tried, `it was not tried to its end: ${held.output}`);
    if (attack.control.startsWith("none ")) return console.log(`no control of ${attack.name}: ${attack.control.slice(5)}`);
    const control = await attackNetwork(world, attack, { sandboxed: false });
    assert.ok(control.effects.includes(attack.effect), `the control shows ${control.effects.join(", ") || "nothing"}, not "${attack.effect}": ${control.output}`);
  });
}
