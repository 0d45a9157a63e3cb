// The caller's environment holds secrets under names that are denied, beside others of the same beginning that are allowed.
import { effectsOf, nestedCommand, runNested } from "./nested_host.mjs";

export async function during(arena, supervisor) {
  const { HOME, PATH } = process.env;
  const command = nestedCommand(arena, supervisor, "find_denied_variable_in_memory");
  if (supervisor) command.splice(2, 0, "--allow-env=AWS_*,PLAIN", "--deny-env=AWS_SECRET*,AWS_TOKEN");
  const secrets = { AWS_SECRET: arena.secret, AWS_SECRET_KEY: arena.secret, AWS_TOKEN: arena.secret, PLAINER: arena.secret };
  const output = await runNested(command, { env: { HOME, PATH, AWS_REGION: "here", PLAIN: "plain", ...secrets } });
  arena.nested = effectsOf(arena, output);
}

export const after = (arena) => arena.nested;
