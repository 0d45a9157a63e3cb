// The direction of dependencies (docs/ARCHITECTURE.md): the core knows nothing of Node, the helper stays small.
import { Failure, capture, main } from "./lib.mjs";

const OURS = /^(buntime-|python-ipc-bun$)/;

/** What a package must not depend on: `direct` in its own manifest, `any` at any depth. */
const RULES = [
  { name: "buntime-policy", any: OURS, why: "imports nothing of ours" },
  { name: "buntime-ipc", any: OURS, why: "imports nothing of ours" },
  { name: "buntime-sandbox", any: /^(napi|tokio|buntime-)/, why: "is plain data and kernel steps" },
  { name: "buntime-network", any: /^(napi|buntime-(sandbox|supervisor|init|cli|ipc)$)/, why: "judges by the policy alone" },
  { name: "buntime-init", any: /^(napi|tokio|buntime-(supervisor|cli)$)/, why: "is small: no runtime, no Node" },
  { name: "buntime-supervisor", any: /^(napi|buntime-(init|cli)$|python-ipc-bun$)/, why: "knows nothing of Node" },
  { name: "buntime-cli", any: /^(napi|python-ipc-bun$)/, why: "needs neither Node nor Bun" },
  { name: "python-ipc-bun", direct: /^(nix|landlock|seccompiler)$/, why: "leaves the kernel to the crates" },
];

main(() => {
  const { packages, resolve } = JSON.parse(capture("cargo", ["metadata", "--format-version", "1", "--locked"]));
  const names = new Map(packages.map(({ id, name }) => [id, name]));
  // Tests may use what they like, so dev-dependencies do not count.
  const edges = new Map(
    resolve.nodes.map(({ id, deps }) => [
      id,
      deps.filter(({ dep_kinds: kinds }) => kinds.some(({ kind }) => kind !== "dev")).map(({ pkg }) => pkg),
    ]),
  );
  const idOf = (name) => packages.find((candidate) => candidate.name === name)?.id;

  const broken = [];
  for (const { name, direct, any, why } of RULES) {
    const id = idOf(name);
    if (id === undefined) throw new Failure(`the workspace has no package ${name}`);
    const found = direct ? edges.get(id) : reachable(edges, id);
    for (const dependency of [...found].map((found) => names.get(found)).filter((found) => (direct ?? any).test(found))) {
      broken.push(`${name} depends on ${dependency}, but it ${why}`);
    }
  }
  if (broken.length > 0) throw new Failure(broken.join("\n"));
  console.log(`dependency direction: ${RULES.length} packages, as drawn`);
});

function reachable(edges, start) {
  const seen = new Set();
  const queue = [start];
  while (queue.length > 0) {
    for (const next of edges.get(queue.pop())) {
      if (!seen.has(next)) {
        seen.add(next);
        queue.push(next);
      }
    }
  }
  seen.delete(start);
  return seen;
}
