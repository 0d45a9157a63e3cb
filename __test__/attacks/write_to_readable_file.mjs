// Whatever changes a file, its names or its attributes, changes a ctime, which no call can set.
import { statSync } from "node:fs";

const options = { bigint: true, throwIfNoEntry: false };
const times = (arena) => ["granted", "granted/mine"].map((name) => statSync(arena.path(name), options)?.ctimeNs).join();

export function before(arena) {
  arena.times = times(arena);
}

export const after = (arena) => (times(arena) === arena.times ? [] : ["writes"]);
