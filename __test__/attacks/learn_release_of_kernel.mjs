import os from "node:os";
import { watching } from "../support/attacks.mjs";

/** The secret is the kernel's release. */
export function before(arena) {
  arena.secret = os.release();
  for (const name of ["secret", "closed/secret"]) arena.file(name, arena.secret);
}

export const options = () => watching([], { sys: { rules: [{ action: "deny", name: "osRelease" }] } });
