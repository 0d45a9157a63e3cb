// Switches each layer of the sandbox off in turn and runs every attack: which ones succeed then? Needs root.
//
//   --only NAME,…    these attacks alone, or those whose name begins so
//   --layers NAME,…  these mutants alone: a layer, "only Landlock", "mounts + landlock", "all of them"
//   --as root,user   the callers (default both)
//   --jobs N         mutants at a time (default 3)
//   --no-build       what was built before
//   --resume         with what earlier runs of the same product found, save of attacks that have changed since
//   --details        also prints what attacks said that could not be judged
//
// An attack that no mutation frees does not test what it says; a layer that no attack misses is not tested. Both fail the run.
// A whole run writes docs/ATTACKS.md.
//
// The mutants are the product built with the feature `mutations` (crates/sandbox/src/mutation.rs). What succeeds in one does what
// it says. So each mutant runs in an inner host of its own: mount, pid, UTS and IPC namespaces, with empty /tmp and /dev/shm,
// killed as a whole at the end.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { parseArgs } from "node:util";

import { readAttacks } from "../__test__/support/heads.mjs";
import { Failure, addonName, binaryNames, capture, main, root, run, targetDir } from "./lib.mjs";

/** Every layer that can be switched off, in groups: "only X" switches all groups but X off. */
const GROUPS = {
  mounts: [
    ...["mounts", "read-only", "mount-flags", "proc-subset", "masks", "pins", "overlays", "absent-names"],
    ...["copies", "program-covers", "guards"],
  ],
  Landlock: ["landlock"],
  seccomp: ["seccomp", "exec-gate", "refusals", "system-answers"],
  namespaces: ["namespace-limit", "network", "pids", "ipc", "host-name", "cgroup"],
  others: [
    ...["user-ids", "capabilities", "no-new-privileges", "undumpable", "descriptors", "session", "environment"],
    ...["core-limit", "process-limit", "parent-death", "socket-end"],
  ],
};
const LAYERS = Object.values(GROUPS).flat();

/**
 * The host's uid 0 writes to disks and kernel settings even without a capability, once it sees them. So this layer is switched
 * off alone, never with the others.
 */
const ALWAYS_ON = ["user-ids"];

/**
 * Layers that no attack misses while those `beside` them stand. With these off too, each must free an attack that is held without
 * it.
 */
const REDUNDANT = {
  "namespace-limit": { beside: ["seccomp"], why: "the list has no call that makes a namespace" },
  ipc: { beside: ["seccomp"], why: "the list has no call for shared memory, semaphores or queues" },
  "no-new-privileges": {
    beside: ["landlock", "capabilities"],
    why: "the library for Landlock sets it, too, and without privilege no filter can be loaded otherwise",
  },
  session: { beside: ["mounts", "landlock", "seccomp"], why: "no terminal can be opened, and the list has no typing into one" },
  "parent-death": { beside: ["socket-end"], why: "PID 1 ends with its socket" },
};

/** Other sets of layers that are switched off together: walls behind walls. */
const TOGETHER = [
  ["mounts", "landlock"],
  ["mount-flags", "landlock"],
  ["pids", "landlock"],
  ["pids", "landlock", "session"],
  ["seccomp", "undumpable"],
  ["seccomp", "capabilities"],
  ["exec-gate", "landlock"],
  ["exec-gate", "landlock", "mount-flags"],
  ["exec-gate", "landlock", "mounts"],
  ["seccomp", "network", "landlock"],
];

/** Attacks that no mutation frees, for a reason that is neither their control's nor a privilege of the host's. */
const UNFREED = {
  change_log_of_caller: "the worker's descriptors, which are pipes of its own",
  overwrite_input_of_caller: "the worker's descriptors, which are pipes of its own",
  lead_writes_of_the_host_astray: "the host itself, which writes through no link",
  plant_module_on_path_of_interpreter: "the host itself, which runs nothing of site-packages when it asks an interpreter",
  send_descriptor_to_the_host: "the worker's descriptors, which are pipes, and carry no others",
  read_environment_of_host_process: "the user namespace: nobody in it may look into processes outside",
};

const NOTHING = "nothing";
const ALL = "all of them";
const TIME_LIMIT_MS = 60_000;
const USER = 61_234;

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    layers: { type: "string" },
    as: { type: "string", default: "root,user" },
    jobs: { type: "string", default: "3" },
    "no-build": { type: "boolean" },
    details: { type: "boolean" },
    resume: { type: "boolean" },
    inside: { type: "string", multiple: true },
  },
});

main(async () => {
  if (flags.inside) return inside(flags.inside);
  if (process.getuid() !== 0) throw new Failure("mutants run in an inner host of their own, which only root can make");
  const built = build();
  const attacks = wantedAttacks();
  const columns = allColumns().filter(({ name }) => !flags.layers || flags.layers.split(",").includes(name));
  const callers = flags.as.split(",");
  const runs = columns.flatMap((column) => (column.as ?? callers).map((caller) => ({ column, caller })));
  console.log(`${attacks.length} attacks, ${columns.length} mutants, as ${callers.join(" and ")}`);
  const results = new Map();
  const file = path.join(built.target, "results.json");
  const kept = flags.resume && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  await inParallel(Number(flags.jobs), runs, async ({ column, caller }) => {
    const known = (kept[key(column.name, caller)] ??= {});
    const missing = attacks.filter(({ name, version }) => known[name]?.version !== version);
    const now = await runMutant(built, column, caller, missing.map(({ name }) => name));
    for (const { name, version } of missing) known[name] = { version, ...now.get(name) };
    writeFileSync(file, JSON.stringify(kept));
    const found = new Map(attacks.map(({ name }) => [name, known[name]]));
    results.set(key(column.name, caller), found);
    const free = [...found.values()].filter(({ effects }) => effects.length > 0).length;
    const unjudged = [...found].filter(([, { effects, tried }]) => effects.length === 0 && !tried);
    console.log(`${column.name}, as ${caller}: ${free} of ${found.size} succeed${unjudged.length ? `, ${unjudged.length} not tried to the end` : ""}`);
    if (flags.details) for (const [name, { said }] of unjudged) console.log(`  ${name}: ${said}`);
  });
  const judged = judge(attacks, columns, callers, results);
  printMatrix(attacks, columns, judged);
  if (!flags.only && !flags.layers && callers.length === 2) {
    writeFileSync(path.join(root, "docs", "ATTACKS.md"), document(attacks, judged));
    console.log("wrote docs/ATTACKS.md");
  }
  const problems = problemsOf(attacks, columns, judged);
  if (problems.length > 0) throw new Failure(`\n${problems.join("\n")}`);
});

const key = (column, caller) => `${column} as ${caller}`;

function allColumns() {
  const alone = LAYERS.map((layer) => ({ name: layer, off: [layer] }));
  const only = Object.keys(GROUPS)
    .filter((group) => group !== "others")
    .map((group) => ({ name: `only ${group}`, off: without([...ALWAYS_ON, ...GROUPS[group]]) }));
  const walls = Object.entries(REDUNDANT).flatMap(([layer, { beside }]) => [beside, [...beside, layer]]);
  // One caller is enough to see a wall behind another.
  const together = [...walls, ...TOGETHER].map((off) => ({ name: nameOf(off), off, as: off.length > 1 ? ["user"] : undefined }));
  const columns = [{ name: NOTHING, off: [] }, ...alone, ...together, ...only, { name: ALL, off: without(ALWAYS_ON) }];
  return columns.filter(({ name }, index) => columns.findIndex((other) => other.name === name) === index);
}

const without = (kept) => LAYERS.filter((layer) => !kept.includes(layer));
const nameOf = (off) => LAYERS.filter((layer) => off.includes(layer)).join(" + ");

// ---- the mutants

function build() {
  const target = path.join(targetDir, "mutations");
  const triple = capture("rustc", ["-vV"]).match(/^host: (.+)$/m)[1];
  const feature = ["-p", "buntime-sandbox", "--features", "buntime-sandbox/mutations"];
  if (!flags["no-build"]) {
    run("cargo", ["build", "--quiet", "-p", "python-ipc-bun", ...feature, "--target-dir", target]);
    run("cargo", ["build", "--quiet", "-p", "buntime-init", "-p", "buntime-cli", ...feature, "--target", triple, "--target-dir", path.join(target, "static")], {
      env: { RUSTFLAGS: `${process.env.RUSTFLAGS ?? ""} -C target-feature=+crt-static`.trim() },
    });
  }
  const files = { [addonName]: path.join(target, "debug", "libpython_ipc_bun.so") };
  for (const name of binaryNames) files[name] = path.join(target, "static", triple, "debug", name);
  return { files, target };
}

/** A directory like npm/linux-x64-gnu, with the list that the mutant reads. */
function place({ files, target }, column, caller) {
  const directory = path.join(target, "run", `${column.name}-${caller}`.replaceAll(/\W+/g, "-"));
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [name, file] of Object.entries(files)) {
    linkSync(file, path.join(directory, name));
    chmodSync(path.join(directory, name), 0o755);
  }
  writeFileSync(path.join(directory, "mutations-off.json"), JSON.stringify(column.off));
  return directory;
}

/** All attacks in one mutant, by name. One that ends its host, or holds it up, is noted, and the next host goes on. */
async function runMutant(built, column, caller, names) {
  const directory = place(built, column, caller);
  const found = new Map();
  let left = names;
  while (left.length > 0) {
    const { results, running, how } = await innerHost(directory, caller, left);
    for (const [name, result] of results) found.set(name, result);
    if (running) found.set(running, { effects: how === "time" ? [] : ["ends its host"], tried: false, said: `the host's end: ${how}` });
    else if (results.size === 0) throw new Failure(`${key(column.name, caller)}: the inner host did not start`);
    left = left.filter((name) => !found.has(name));
  }
  rmSync(directory, { recursive: true, force: true });
  return new Map(names.map((name) => [name, found.get(name)]));
}

/** The clone, Node and the mutant lie below /mnt, where an ordinary user finds them too, whatever is above them here. */
const INNER_HOST = `
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/clone; mount --bind "$CLONE" /mnt/clone
mount --bind "$MUTANT" /mnt/clone/npm/linux-x64-gnu
touch /mnt/node; mount --bind "$NODE" /mnt/node
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
hostname inner-host
mkdir -m 700 /tmp/home; chown "$OWNER" /tmp/home
cd /mnt/clone
ulimit -c unlimited
set +e
# The shell stays, as the PID 1 that reaps; the rest has a process group that it can see.
setsid --wait "$@"
exit $?
`;

function innerHost(directory, caller, names) {
  const inside = ["/mnt/node", "/mnt/clone/scripts/mutations.mjs", ...names.map((name) => `--inside=${name}`)];
  const clean = [
    ...["env", "-i", "HOME=/tmp/home", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "BUNTIME_INIT_PATH=/mnt/clone/npm/linux-x64-gnu/buntime-init",
  ];
  const user = caller === "user" ? ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"] : [];
  const child = spawn(
    "unshare",
    ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--ipc", "--", "sh", "-c", INNER_HOST, "sh", ...user, ...clean, ...inside],
    {
      stdio: ["ignore", "pipe", flags.details ? "inherit" : "ignore"],
      env: { ...process.env, CLONE: root, MUTANT: directory, NODE: process.execPath, OWNER: String(caller === "user" ? USER : 0) },
    },
  );
  return new Promise((resolve, reject) => {
    const results = new Map();
    let running;
    let late = false;
    let timer;
    readline.createInterface({ input: child.stdout }).on("line", (line) => {
      if (!line.startsWith("mutations: ")) return;
      const { start, name, ...result } = JSON.parse(line.slice("mutations: ".length));
      clearTimeout(timer);
      running = start;
      if (name) results.set(name, result);
      timer = setTimeout(() => ((late = true), child.kill("SIGKILL")), TIME_LIMIT_MS);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ results, running, how: late ? "time" : (signal ?? code) });
    });
  });
}

/** In the inner host: runs attacks and says what came of each. */
async function inside(names) {
  const { attackSandbox, loadAttacks } = await import("../__test__/support/attacks.mjs");
  const tell = (what) => process.stdout.write(`mutations: ${JSON.stringify(what)}\n`);
  const attacks = await loadAttacks();
  // Companions make temporary directories, each with a listener for the end of the process.
  process.setMaxListeners(0);
  for (const name of names) {
    tell({ start: name });
    const attack = attacks.find((attack) => attack.name === name);
    const { effects, tried, output, outcome } = await attackSandbox(attack).catch((error) => ({ effects: [], tried: false, output: error.stack }));
    // Where nothing kills it as it should be (`ends`), it comes to its end.
    tell({ name, effects, tried: tried || outcome?.outcome === "ok", said: `${JSON.stringify(outcome)} ${output}`.slice(0, 2000) });
  }
  process.exit(0);
}

async function inParallel(jobs, list, work) {
  const left = [...list];
  await Promise.all(Array.from({ length: jobs }, async () => {
    while (left.length > 0) await work(left.shift());
  }));
}

/** The attacks that are wanted, each with what a kept result goes by. */
function wantedAttacks() {
  const attacks = readAttacks().filter(({ name }) => !flags.only || flags.only.split(",").some((start) => name.startsWith(start)));
  if (attacks.length === 0) throw new Failure(`no attack is named ${flags.only}`);
  return attacks.map(({ companion, ...attack }) => {
    const version = createHash("sha256").update(JSON.stringify(attack));
    if (companion) version.update(readFileSync(companion));
    return { ...attack, version: version.digest("hex") };
  });
}

// ---- what it means

/** For each attack and column, by whom it was freed; and whether it could be judged. */
function judge(attacks, columns, callers, results) {
  const cells = new Map();
  for (const { name, as = callers } of columns) {
    for (const attack of attacks) {
      const of = (caller) => results.get(key(name, caller)).get(attack.name);
      const free = as.filter((caller) => of(caller).effects.length > 0);
      const unjudged = as.filter((caller) => of(caller).effects.length === 0 && !of(caller).tried);
      cells.set(`${attack.name} ${name}`, { free, unjudged, callers: as });
    }
  }
  return (attack, column) => cells.get(`${attack.name} ${column}`) ?? { free: [], unjudged: [], callers };
}

const isFree = (judged, attack, column) => judged(attack, column).free.length > 0;

/** The attacks that a layer alone holds. */
function missing(attacks, judged, layer) {
  return attacks.filter((attack) => !isFree(judged, attack, NOTHING) && isFree(judged, attack, layer));
}

function printMatrix(attacks, columns, judged) {
  console.log(`\n${columns.map(({ name }, index) => `${String(index).padStart(3)} ${name}`).join("\n")}\n`);
  const width = Math.max(...attacks.map(({ name }) => name.length));
  console.log(`${"".padEnd(width)} ${columns.map((_, index) => String(index).padStart(3)).join("")}`);
  const sign = ({ free, unjudged, callers }) => (free.length === callers.length ? "X" : (free[0]?.[0] ?? (unjudged.length > 0 ? "?" : ".")));
  for (const attack of attacks) {
    console.log(`${attack.name.padEnd(width)} ${columns.map(({ name }) => sign(judged(attack, name)).padStart(3)).join("")}`);
  }
  console.log("\nX succeeds, r as root, u as an ordinary user, . is held, ? was not tried to its end");
}

/** Why nothing frees an attack, when that is as it should be. */
function unfreed({ name, control }) {
  if (UNFREED[name]) return UNFREED[name];
  if (control.startsWith("none ")) return `no layer that could be switched off: ${control.slice("none ".length)}`;
  if (control === "root" || control.startsWith("unshare")) return "the user namespace: it asks for a privilege of the host's";
  return undefined;
}

function problemsOf(attacks, columns, judged) {
  const problems = [];
  const ran = (name) => columns.some((column) => column.name === name);
  const names = columns.map(({ name }) => name).filter((name) => name !== NOTHING);
  for (const attack of attacks) {
    if (attack.open) continue;
    if (isFree(judged, attack, NOTHING)) problems.push(`${attack.name}: succeeds with nothing off`);
    if (judged(attack, NOTHING).unjudged.length > 0) problems.push(`${attack.name}: not tried to its end with nothing off`);
    if (!flags.layers && !names.some((name) => isFree(judged, attack, name)) && !unfreed(attack)) {
      problems.push(`${attack.name}: freed by no mutation`);
    }
  }
  const missed = (layer) => missing(attacks, judged, layer).length > 0;
  for (const layer of flags.only ? [] : LAYERS.filter(ran)) {
    const { beside } = REDUNDANT[layer] ?? {};
    if (missed(layer)) {
      if (beside) problems.push(`${layer}: is missed by itself, and need not be listed as redundant`);
    } else if (!beside) {
      problems.push(`${layer}: missed by no attack`);
    } else if (ran(nameOf([...beside, layer])) && ran(nameOf(beside))) {
      const more = attacks.some((attack) => isFree(judged, attack, nameOf([...beside, layer])) && !isFree(judged, attack, nameOf(beside)));
      if (!more) problems.push(`${layer}: missed by no attack with ${beside.join(" and ")} off either`);
    }
  }
  return problems;
}

/** The least that has to be switched off. */
function heldBy(attack, judged) {
  if (attack.open) return `nothing: ${attack.open}`;
  if (isFree(judged, attack, NOTHING)) return "**nothing**";
  const only = (name) => {
    const { free, callers } = judged(attack, name);
    return free.length === callers.length ? name : `${name} (${free.map((caller) => (caller === "root" ? "root caller" : "ordinary caller")).join(", ")})`;
  };
  const alone = LAYERS.filter((layer) => isFree(judged, attack, layer));
  if (alone.length > 0) return alone.map(only).join(", ");
  const pairs = allColumns().filter(({ name }) => name.includes(" + ") && isFree(judged, attack, name));
  const least = pairs.filter(({ off }) => !pairs.some((other) => other.off.length < off.length && other.off.every((layer) => off.includes(layer))));
  if (least.length > 0) return least.map(({ name }) => name).join("; ");
  if (!isFree(judged, attack, ALL) && !Object.keys(GROUPS).some((group) => isFree(judged, attack, `only ${group}`))) return unfreed(attack) ?? "?";
  const walls = Object.keys(GROUPS).filter((group) => group !== "others" && !isFree(judged, attack, `only ${group}`));
  return walls.length > 1 ? `any of ${walls.join(", ")}` : "several layers together";
}

function document(attacks, judged) {
  const cell = (attack, name) => {
    const { free, unjudged, callers } = judged(attack, name);
    if (free.length === 0 && unjudged.length > 0) return "unclear";
    return free.length === 0 ? "held" : free.length === callers.length ? "free" : `free as ${free[0] === "root" ? "root" : "user"}`;
  };
  const lines = [
    "# Attacks, and what holds them",
    "",
    "Made by `scripts/mutations.mjs`: do not edit. Each attack of `__test__/attacks`, save those of its folder `network`, is run in a product of which layers are switched off,",
    "as a root caller and as an ordinary one; whether it succeeded is seen from the host. With every layer on, all are held but those",
    "that nothing is said to hold.",
    "",
    "- **held by**: the layers of which each, switched off alone, frees the attack. Where none does, the attack stands before more than",
    "  one wall: `A + B` frees it when both are off, or it says which groups hold it alone.",
    "- **only X**: what becomes of it when every other group is off, with all the capabilities of its user namespace. A root caller's",
    "  worker keeps an id of its own: without it and the mounts it would be the host's root. User and mount namespace cannot be",
    "  switched off. Unclear: the attack did not come to its end.",
    "",
  ];
  const groups = [...new Set(attacks.map(({ group }) => group))].sort();
  for (const group of groups) {
    lines.push(`## ${group[0].toUpperCase()}${group.slice(1)}`, "");
    lines.push("| attack | held by | only mounts | only Landlock | only seccomp | only namespaces |", "|---|---|---|---|---|---|");
    for (const attack of attacks.filter((one) => one.group === group)) {
      const cells = ["mounts", "Landlock", "seccomp", "namespaces"].map((name) => cell(attack, `only ${name}`));
      lines.push(`| ${[attack.title.replaceAll("|", "\\|"), heldBy(attack, judged), ...cells].join(" | ")} |`);
    }
    lines.push("");
  }
  lines.push("## Layers", "", "| layer | attacks that succeed without it |", "|---|---|");
  for (const layer of LAYERS) {
    const count = missing(attacks, judged, layer).length;
    const { beside, why } = REDUNDANT[layer] ?? {};
    const none = beside ? `none, since ${why}; seen with ${beside.join(" and ")} off` : "none";
    lines.push(`| ${layer} | ${count || none} |`);
  }
  return `${lines.join("\n")}\n`;
}
