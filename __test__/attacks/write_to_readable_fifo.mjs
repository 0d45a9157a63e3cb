import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, constants, openSync, readSync } from "node:fs";

export function before(arena) {
  execFileSync("mkfifo", [arena.path("granted/fifo")]);
  chmodSync(arena.path("granted/fifo"), 0o666);
  arena.fifo = openSync(arena.path("granted/fifo"), constants.O_RDWR | constants.O_NONBLOCK);
}

export function after(arena) {
  try {
    return readSync(arena.fifo, Buffer.alloc(8)) > 0 ? ["connects"] : [];
  } catch {
    return [];
  } finally {
    closeSync(arena.fifo);
  }
}
