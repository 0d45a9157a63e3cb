// Libraries of the host's for the specs of what may be loaded.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, realpathSync } from "node:fs";

/** Where the loader finds a library. */
export function libraryOfHost(name) {
  const known = execFileSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" });
  const line = known.split("\n").find((line) => line.trim().startsWith(`${name} `) && line.includes("x86-64"));
  if (line === undefined) throw new Error(`ldconfig -p names no ${name}`);
  return realpathSync(line.slice(line.indexOf("=>") + 3));
}

/** Lays a library of the host's out for an attack, in a directory of its own. */
export function layOutLibrary(arena) {
  mkdirSync(arena.path("granted/allowed"));
  copyFileSync(libraryOfHost("libz.so.1"), arena.path("granted/allowed/libmine.so"));
  for (const name of ["allowed", "allowed/libmine.so"]) chmodSync(arena.path(`granted/${name}`), 0o755);
}
