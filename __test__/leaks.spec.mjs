// Two hundred supervisors, one after the other in one process, leave nothing behind, nor do as many changes of a policy; nor
// do these tests.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import test from "node:test";
import { pathToFileURL } from "node:url";

import { eventually, root, spawnHost } from "./support/index.mjs";

const COUNT = 200;
const MEGABYTE = 1024 * 1024;

/** What is done so often: each defines `once`. */
const SUBJECTS = {
  supervisors: `
    async function once() {
      const supervisor = new Supervisor();
      let text = "";
      supervisor.onEvent((event) => { if (event.type === "output") text += event.data; });
      await supervisor.start();
      supervisor.sendCode("print('x' * 1000)");
      await supervisor.stop();
      if (text !== "x".repeat(1000) + "\\n") throw new Error("output: " + text);
    }
    const end = () => {};
  `,
  "changes of the policy of one supervisor": `
    const supervisor = new Supervisor();
    let text = "";
    supervisor.onEvent((event) => { if (event.type === "output") text += event.data; });
    await supervisor.start();
    async function once() {
      text = "";
      supervisor.sendCode("print('x' * 1000)");
      await supervisor.applyPolicySet({ policies: [{ version: 1, fs: { rules: [{ action: "allow", path: "/etc", perms: ["read_file", "read_dir"] }] } }] });
      if (text !== "x".repeat(1000) + "\\n") throw new Error("output: " + text);
    }
    const end = () => supervisor.stop();
  `,
};

for (const [subject, source] of Object.entries(SUBJECTS)) test(`${COUNT} ${subject} leave descriptors, processes, threads, memory and /dev/shm flat`, { timeout: 280_000 }, async (t) => {
  const host = spawnHost(`
    import { readFileSync, readdirSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";
    ${source}

    async function measure() {
      globalThis.Bun?.gc(true);
      await sleep(300);
      return {
        descriptors: readdirSync("/proc/self/fd").length,
        processes: readdirSync("/proc/self/task").reduce((n, task) => n + readFileSync("/proc/self/task/" + task + "/children", "utf8").split(" ").length - 1, 0),
        threads: readdirSync("/proc/self/task").length,
        rss: process.memoryUsage.rss(),
        shm: readdirSync("/dev/shm").length,
      };
    }

    for (let i = 0; i < 20; i++) await once();
    const before = await measure();
    for (let i = 0; i < ${COUNT}; i++) await once();
    const after = await measure();
    await end();
    console.log(JSON.stringify({ before, after }));
  `);
  const { code, stdout, stderr } = await host.ended;
  assert.equal(code, 0, stderr);
  const { before, after } = JSON.parse(stdout);
  t.diagnostic?.(stdout.trim());
  assert.ok(after.descriptors <= before.descriptors, stdout);
  assert.ok(after.processes <= before.processes, stdout);
  // Runtimes start and end helpers of their own as they see fit.
  assert.ok(after.threads <= before.threads + 2, stdout);
  assert.ok(after.shm <= before.shm, stdout);
  assert.ok(after.rss - before.rss < 24 * MEGABYTE, stdout);
});

test("a killed test leaves no directory behind", async () => {
  const support = pathToFileURL(`${root}/__test__/support/index.mjs`).href;
  const host = spawnHost(`
    import { temporaryDirectory } from ${JSON.stringify(support)};
    console.log(temporaryDirectory());
    setInterval(() => {}, 1000);
  `);
  await host.said("\n");
  host.child.kill("SIGKILL");
  await host.ended;
  const directory = host.stdout.trim();
  await eventually(() => !existsSync(directory), `the removal of ${directory}`);
});
