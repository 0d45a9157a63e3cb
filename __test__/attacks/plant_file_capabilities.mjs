import { execFileSync } from "node:child_process";
import { PYTHON } from "../support/attacks.mjs";

const LIST = "import os, sys; print(os.listxattr(sys.argv[1]))";

export function after(arena) {
  const attributes = execFileSync(PYTHON, ["-c", LIST, arena.path("granted/program")], { encoding: "utf8" });
  return attributes.includes("security.capability") ? ["writes"] : [];
}
