// Its caller has left the secret open, for reading, for writing, as a path alone; its directory; and a socket.
import { closeSync, constants, openSync } from "node:fs";

import { effectsOf, nestedCommand, runNested } from "./nested_host.mjs";

const { O_DIRECTORY, O_RDONLY, O_RDWR } = constants;
const O_PATH = 0o10000000;

export async function during(arena, supervisor) {
  const files = [O_RDONLY, O_RDWR, O_PATH].map((flags) => openSync(arena.path("secret"), flags));
  const directories = [O_RDONLY, O_PATH].map((flags) => openSync(arena.directory, O_DIRECTORY | flags));
  const descriptors = [...files, ...directories];
  const between = Array(9 - 3).fill("ignore");
  const command = nestedCommand(arena, supervisor, "read_inherited_descriptors");
  const output = await runNested(command, { stdio: ["ignore", "pipe", "pipe", ...between, ...descriptors, "pipe"] });
  descriptors.forEach((fd) => closeSync(fd));
  arena.nested = effectsOf(arena, output);
}

export const after = (arena) => arena.nested;
