// The caller's environment holds a secret, under a plain name and under those that runtimes look at.
import { effectsOf, nestedCommand, runNested } from "./nested_host.mjs";

const PREFIXES = ["", "AWS_", "POD_", "BUNTIME_", "NAPI_RS_", "LD_", "PYTHON_", "LC_"];

export async function during(arena, supervisor) {
  const { HOME, PATH } = process.env;
  const secrets = Object.fromEntries(PREFIXES.map((prefix) => [`${prefix}TOKEN`, arena.secret]));
  const command = nestedCommand(arena, supervisor, "find_variable_of_caller");
  const output = await runNested(command, { env: { HOME, PATH, ...secrets } });
  arena.nested = effectsOf(arena, output);
}

export const after = (arena) => arena.nested;
