// Libraries of the host's for the specs of what may be loaded.
import { execFileSync } from "node:child_process";
import { realpathSync } from "node:fs";

/** Where the loader finds a library. */
export function libraryOfHost(name) {
  const known = execFileSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" });
  const line = known.split("\n").find((line) => line.trim().startsWith(`${name} `) && line.includes("x86-64"));
  if (line === undefined) throw new Error(`ldconfig -p names no ${name}`);
  return realpathSync(line.slice(line.indexOf("=>") + 3));
}
