// Its caller has left a file of its own open for writing, and the directory of it, by numbers that nothing else takes.
import { closeSync, openSync } from "node:fs";

import { nestedCommand, runNested } from "./nested_host.mjs";

export async function during(arena, supervisor) {
  const descriptors = [openSync(arena.path("outside"), "r+"), openSync(arena.directory, "r")];
  const between = Array(20 - 3).fill("ignore");
  const command = nestedCommand(arena, supervisor, "write_through_inherited_descriptors");
  await runNested(command, { stdio: ["ignore", "pipe", "pipe", ...between, ...descriptors] });
  descriptors.forEach((fd) => closeSync(fd));
}
