// Every attack of __test__/attacks: held in the sandbox, as seen from the host, and successful without it. The host is busy and
// has many threads meanwhile.
import assert from "node:assert/strict";
import test, { after } from "node:test";
import { Worker } from "node:worker_threads";

import { SLOWNESS, TIMEOUT } from "./support/index.mjs";
import { attackHost, attackSandbox, loadAttacks } from "./support/attacks.mjs";

// Half a processor each; less on a slow machine, where they would leave too little for the attacks.
const BUSY = `const { setTimeout } = require('node:timers/promises'); (async () => { for (;;) { const end = Date.now() + 3; while (Date.now() < end); await setTimeout(${3 * SLOWNESS}); } })();`;
const threads = Array.from({ length: 2 }, () => new Worker(BUSY, { eval: true }));
after(() => Promise.all(threads.map((thread) => thread.terminate())));

/** A regular expression: only the attacks whose file names it matches, to go on where a run was cut short. */
const chosen = new RegExp(process.env.BUNTIME_TEST_ATTACKS ?? "");

for (const attack of (await loadAttacks()).filter(({ name }) => chosen.test(name))) {
  test(`${attack.group}: ${attack.title}`, { timeout: TIMEOUT }, async () => {
    const held = await attackSandbox(attack);
    assert.deepEqual(held.effects, attack.open ? [attack.effect] : [], `its effects in the sandbox: ${held.output}`);
    assert.ok(held.tried, `it was not tried to its end: ${JSON.stringify(held.outcome)} ${held.output}`);
    const control = await attackHost(attack);
    if (control.reason) return console.log(`no control of ${attack.name} here: ${control.reason}`);
    assert.ok(control.effects.includes(attack.effect), `the control shows ${control.effects.join(", ") || "nothing"}, not "${attack.effect}": ${JSON.stringify(control.outcome)} ${control.output}`);
  });
}
