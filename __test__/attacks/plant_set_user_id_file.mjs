import { lstatSync, readdirSync } from "node:fs";

const SET_IDS = 0o6000;

/** Whether anything in the grant gives its user another id. */
export function after(arena) {
  const entries = readdirSync(arena.path("granted"), { recursive: true }).map((name) => lstatSync(arena.path(`granted/${name}`)));
  return entries.some(({ mode }) => mode & SET_IDS) ? ["writes"] : [];
}
