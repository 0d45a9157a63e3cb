import { closeSync, openSync } from "node:fs";

import { nestedCommand, runNested } from "./nested_host.mjs";

export async function during(arena, supervisor) {
  const input = openSync(arena.path("outside"), "r+");
  await runNested(nestedCommand(arena, supervisor, "overwrite_input_of_caller"), { stdio: [input, "pipe", "pipe"] });
  closeSync(input);
}
