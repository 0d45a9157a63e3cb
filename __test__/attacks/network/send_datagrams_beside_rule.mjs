import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";

import { temporaryDirectory } from "../../support/index.mjs";
import { ADDRESS } from "../../support/network.mjs";

/** Datagrams to one port of one address. */
export function options() {
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  chmodSync(path.dirname(policyPath), 0o755);
  writeFileSync(policyPath, JSON.stringify({ version: 1, net: { rules: [{ action: "allow", proto: "udp", cidr: `${ADDRESS.web}/32`, ports: "7" }] } }), { mode: 0o644 });
  return { policyPath };
}
