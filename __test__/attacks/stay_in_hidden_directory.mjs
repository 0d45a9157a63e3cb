export { layOutHidden as before } from "../support/hidden.mjs";

export function options(arena) {
  return { cwd: arena.path("granted/sub/hidden") };
}
