// A host of its own, killed while its sandbox runs.
import { spawn } from "node:child_process";

import { nestedCommand } from "./nested_host.mjs";
import { eventually } from "../support/index.mjs";

export async function during(arena, supervisor) {
  const [command, ...args] = nestedCommand(arena, supervisor, "outlive_killed_host");
  const host = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  host.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  await eventually(() => output.includes("ready"), "the nested attack's start", 20_000);
  host.kill("SIGKILL");
}
