// The caller's environment holds secrets under names that no rule lets in, and one that is denied; everything else is allowed.
import { effectsOf, nestedCommand, runNested } from "./nested_host.mjs";

export async function during(arena, supervisor) {
  const { HOME, PATH } = process.env;
  const command = nestedCommand(arena, supervisor, "find_reserved_variable");
  if (supervisor) command.splice(2, 0, "--allow-env", "--deny-env=TOKEN");
  const names = ["POD_TOKEN", "BUNTIME_TOKEN", "NAPI_RS_TOKEN", "LD_TOKEN", "TOKEN"];
  const secrets = Object.fromEntries(names.map((name) => [name, arena.secret]));
  const output = await runNested(command, { env: { HOME, PATH, PLAIN: "plain", ...secrets } });
  arena.nested = effectsOf(arena, output);
}

export const after = (arena) => arena.nested;
