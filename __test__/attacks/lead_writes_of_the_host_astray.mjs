import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { Recorder, eventually } from "../support/index.mjs";

export function before(arena) {
  mkdirSync(arena.path("granted/state"));
  chmodSync(arena.path("granted/state"), 0o777);
}

/** The next run writes where it was told to. The control writes there as well, without a thought of links. */
export async function during(arena, supervisor) {
  await eventually(() => existsSync(arena.path("granted/ready")), "the links");
  if (!supervisor) return writeFileSync(arena.path("granted/state/active.json"), "{}");
  const next = new Recorder({
    activePolicyPath: arena.path("granted/state/active.json"),
    activePolicyMetaPath: arena.path("granted/meta.json"),
    permissions: { allowWrite: [arena.path("granted")] },
  });
  await next.supervisor.start().catch(() => {});
  await next.supervisor.stop({ graceMs: 0 });
}
