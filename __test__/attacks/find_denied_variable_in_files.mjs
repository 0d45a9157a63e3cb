// The caller's environment holds secrets under names that are denied, beside others of the same beginning that are allowed.
import { effectsOf, nestedCommand, runNested } from "./nested_host.mjs";

export async function during(arena, supervisor) {
  const { HOME, PATH } = process.env;
  const command = nestedCommand(arena, supervisor, "find_denied_variable_in_files");
  if (supervisor) command.splice(2, 0, "--allow-env=AWS_*", "--deny-env=AWS_SECRET");
  const output = await runNested(command, { env: { HOME, PATH, AWS_REGION: "here", AWS_SECRET: arena.secret } });
  arena.nested = effectsOf(arena, output);
}

export const after = (arena) => arena.nested;
