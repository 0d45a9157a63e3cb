import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { Recorder, eventually } from "../support/index.mjs";

export function before(arena) {
  mkdirSync(arena.path("granted/state"));
  chmodSync(arena.path("granted/state"), 0o777);
}

export async function during(arena, supervisor) {
  await eventually(() => existsSync(arena.path("granted/ready")), "the links");
  const next = new Recorder({
    activePolicyPath: arena.path("granted/state/active.json"),
    activePolicyMetaPath: arena.path("granted/meta.json"),
    permissions: { allowWrite: [arena.path("granted")] },
    sandboxEnabled: supervisor !== undefined,
  });
  await next.supervisor.start().catch(() => {});
  await next.supervisor.stop({ graceMs: 0 });
}
