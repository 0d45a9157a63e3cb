import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync } from "node:fs";

export function before(arena) {
  for (const name of ["granted/sub", "granted/sub/kept"]) {
    mkdirSync(arena.path(name));
    chmodSync(arena.path(name), 0o777);
  }
  arena.file("granted/sub/kept/file", "untouched");
  arena.file("granted/sub/alone", "untouched");
}

export function after(arena) {
  const intact = (name) => existsSync(arena.path(name)) && readFileSync(arena.path(name), "utf8") === "untouched" && statSync(arena.path(name)).mode % 0o10000 === 0o666;
  const kept = intact("granted/sub/kept/file") && intact("granted/sub/alone") && readdirSync(arena.path("granted/sub/kept")).join() === "file";
  return kept ? [] : ["writes"];
}
