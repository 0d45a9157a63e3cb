import { inTerminal } from "./terminal_host.mjs";

export async function during(arena, supervisor) {
  arena.nested = await inTerminal(arena, supervisor, "type_into_terminal");
}

export const after = (arena) => arena.nested;
