// Attacks: each is a Python file under __test__/attacks, run in a sandbox and, as its positive control, without one. Whether it
// succeeded is seen from the host alone: `effects` looks at what the host has laid out for it.
//
// The head of an attack is its docstring: the first line says what it does; then come `key: value` lines.
//
//   group       of the table in docs/ATTACKS.md
//   effect      what the host sees when it succeeds (EFFECTS in heads.mjs); the control must show it
//   read, write grants, relative to the arena; more than one with commas
//   hide, keep  what is denied for reading and for writing, likewise
//   run, ffi    programs and libraries that are allowed, likewise
//   control     plain (default; the same text by the interpreter itself), worker (the harness with sandboxEnabled: false),
//               `unshare ARGS` (by the interpreter in new namespaces of its own, root only), `root` (plain, root only),
//               or `none REASON`, which is printed
//   ends        SIGSYS where the kernel is to kill the attacker
//   open        why it succeeds in the sandbox, too: known, and written down in SECURITY.md
//   text        the attack whose text it is, on other grants or beside another host
//
// A file NAME.mjs beside NAME.py may export `before(arena)`, `during(arena)` and `after(arena)`, which may return effects more, and
// `options(arena)`, options of the sandbox more.
// In the sandbox, `during` is also given the supervisor, and a function that waits for the attack's end.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { readAttacks } from "./heads.mjs";
import { Recorder, SLOWNESS, eventually, root, temporaryDirectory } from "./index.mjs";

const PRELUDE = readFileSync(path.join(root, "__test__", "support", "attack.py"), "utf8");
/** The interpreter of sandbox and control. */
export const PYTHON = process.env.ATTACK_PYTHON ?? "/usr/bin/python3";

/** All attacks, by name, each with the host's part. */
export async function loadAttacks() {
  const host = async ({ companion }) => (companion ? import(pathToFileURL(companion).href) : {});
  return Promise.all(readAttacks().map(async (attack) => ({ ...attack, host: await host(attack) })));
}

/** What the host lays out for one attack: secrets, listeners, a process. */
export class Arena {
  static async open() {
    const arena = new Arena();
    await arena.listen();
    await arena.startVictim();
    return arena;
  }

  constructor() {
    this.directory = mkdtempSync(path.join(os.tmpdir(), "buntime-attack-"));
    this.secret = `secret-${randomBytes(12).toString("hex")}`;
    this.proof = `proof-${randomBytes(12).toString("hex")}`;
    this.reached = [];
    this.servers = [];
    // Nothing but the sandbox stands in the way: every user may read and write here.
    chmodSync(this.directory, 0o777);
    this.file("secret", this.secret);
    this.file("outside", "untouched");
    mkdirSync(this.path("closed"));
    chmodSync(this.path("closed"), 0o777);
    this.file("closed/secret", this.secret);
    mkdirSync(this.path("granted"));
    chmodSync(this.path("granted"), 0o777);
    this.file("granted/mine", "mine");
    symlinkSync("../secret", this.path("granted/link"));
    symlinkSync("../closed", this.path("granted/linked"));
    this.state = hostState();
  }

  path(name) {
    return path.join(this.directory, name);
  }

  file(name, text, mode = 0o666) {
    writeFileSync(this.path(name), text);
    chmodSync(this.path(name), mode);
  }

  async listen() {
    const heard = (what) => (socket) => {
      this.reached.push(what);
      socket.on("error", () => {}).on("data", () => {}).end(this.secret);
    };
    const open = async (what, ...where) => {
      const server = net.createServer(heard(what));
      await new Promise((resolve, reject) => server.on("error", reject).listen(...where, resolve));
      this.servers.push(server);
      return server.address();
    };
    this.tcp = (await open("tcp", 0, "0.0.0.0")).port;
    for (const name of ["listener.sock", "granted/listener.sock"]) {
      await open(name, this.path(name));
      chmodSync(this.path(name), 0o777);
    }
  }

  /** A process of the same user with a secret in its memory and environment; it listens where Node cannot. */
  async startVictim() {
    this.victim = spawn(PYTHON, ["-I", "-c", VICTIM, this.proof], { stdio: ["pipe", "pipe", "inherit"], env: { VICTIM_SECRET: this.secret } });
    this.victimSays = "";
    this.victim.stdout.setEncoding("utf8").on("data", (text) => (this.victimSays += text));
    await eventually(() => this.victimSays.startsWith("ready"), "the victim's start", 20_000);
    [, this.udp] = this.victimSays.match(/ready (\d+)/).map(Number);
  }

  /** What the attack is told, as JSON. The secret is not among it. */
  told() {
    const { directory, proof, tcp, udp } = this;
    return JSON.stringify({
      directory,
      proof,
      tcp,
      udp,
      addresses: ["127.0.0.1", ...Object.values(os.networkInterfaces()).flat().filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => address)],
      abstract: this.proof,
      victim: this.victim.pid,
      host: process.pid,
      uid: process.getuid(),
      slowness: SLOWNESS,
    });
  }

  /** What the host sees of an attack that has ended. `output`: all that came out of it, by whatever way. */
  async effects(output) {
    const found = new Set();
    if (output.includes(this.secret)) found.add("reads");
    if (output.includes(this.proof)) found.add("proves");
    const expected = ["closed", "granted", "listener.sock", "outside", "secret"];
    const kept = (name, text) => existsSync(this.path(name)) && readFileSync(this.path(name), "utf8") === text;
    if (!kept("outside", "untouched") || !kept("secret", this.secret) || !kept("closed/secret", this.secret)) found.add("writes");
    if (readdirSync(this.directory).sort().join() !== expected.join() || readdirSync(this.path("closed")).length !== 1) found.add("writes");
    if (statSync(this.path("outside")).mode % 0o10000 !== 0o666) found.add("writes");
    if (this.reached.length > 0 || this.victimSays.includes("reached")) found.add("connects");
    if (this.victim.exitCode !== null || this.victim.signalCode !== null || this.victimSays.includes("signal") || isStopped(this.victim.pid)) found.add("signals");
    const left = () => readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && this.isMine(pid));
    // The kernel takes a moment to end a pid namespace.
    if (left().length > 0 && !(await eventually(() => left().length === 0, "the end", 1500).catch(() => false))) found.add("survives");
    if (hostState() !== this.state) found.add("changes the host");
    return found;
  }

  isMine(pid) {
    if (Number(pid) === this.victim.pid) return false;
    // A sandbox's command line says nothing of the attack, and its environment does (attackSandbox below).
    return ["cmdline", "environ"].some((file) => {
      try {
        return readFileSync(`/proc/${pid}/${file}`, "latin1").includes(this.proof);
      } catch {
        return false;
      }
    });
  }

  async close() {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && this.isMine(name))) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    this.victim.kill("SIGKILL");
    for (const server of this.servers) await new Promise((resolve) => server.close(resolve));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const VICTIM = `
import os, select, signal, socket, sys
names = [n for n in ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGIO", "SIGURG", "SIGWINCH")]
for name in names:
    signal.signal(getattr(signal, name), lambda *_: os.write(1, b"signal\\n"))
abstract, datagrams, udp = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
abstract.bind("\\0" + sys.argv[1]); abstract.listen(16)
datagrams.bind("\\0" + sys.argv[1] + "-datagrams")
udp.bind(("0.0.0.0", 0))
print("ready", udp.getsockname()[1], flush=True)
while True:
    for one in select.select([abstract, datagrams, udp, 0], [], [])[0]:
        if one == 0:
            sys.exit()
        if one is abstract:
            one.accept()[0].close()
        else:
            one.recv(100)
        print("reached", flush=True)
`;

function isStopped(pid) {
  try {
    return /^State:\s*[Tt]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return true;
  }
}

/** What no attack may change, as text. */
function hostState() {
  const of = (file) => (existsSync(file) ? readFileSync(file, "latin1") : "");
  const mounts = of("/proc/self/mountinfo").split("\n").filter((line) => line.includes("buntime-attack-"));
  return [os.hostname(), of("/proc/sys/kernel/core_pattern"), of("/proc/sys/kernel/domainname"), mounts.join(), process.getuid() === 0 ? of("/proc/self/setgroups") : ""].join("\n");
}

/** The option that allows `perms` over a place of the arena, by a policy file outside of it. */
export function allowing(arena, name, perms) {
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policyPath, JSON.stringify({ version: 1, fs: { rules: [{ action: "allow", path: arena.path(name), perms }] } }));
  return { policyPath };
}

/** The option that has these system calls watched, by a policy file with `more` in it. */
export function watching(events, more = {}) {
  const policyPath = path.join(temporaryDirectory(), "policy.json");
  writeFileSync(policyPath, JSON.stringify({ version: 1, audit: { enabled: true, events }, ...more }));
  return { policyPath };
}

/** Runs it in a sandbox; `effects`, and whether it came to its end. */
export async function attackSandbox(attack, options = {}) {
  const arena = await Arena.open();
  try {
    await attack.host.before?.(arena);
    const grants = (list) => list.split(/, */).filter(Boolean).map((name) => path.resolve(arena.directory, name));
    const { read, write, hide, keep, run, ffi } = attack;
    const allowed = { allowRead: read, allowWrite: write, denyRead: hide, denyWrite: keep, allowRun: run, allowFfi: ffi };
    const permissions = Object.fromEntries(Object.entries(allowed).map(([name, list]) => [name, grants(list)]));
    const recorder = new Recorder({
      interpreter: PYTHON,
      args: [arena.told()],
      env: { ATTACK: arena.proof },
      permissions,
      ...attack.host.options?.(arena),
      ...options,
    });
    let outcome;
    try {
      await recorder.supervisor.start();
      recorder.supervisor.sendCode(PRELUDE);
      recorder.supervisor.sendCode(attack.source);
      const ends = () => recorder.states().filter(({ worker }) => worker === "exec_end");
      const ended = () => eventually(() => ends().length === 2, "the attack's end", 30_000);
      await attack.host.during?.(arena, recorder.supervisor, ended);
      await ended();
      outcome = ends()[1];
    } catch (error) {
      // What it did until then counts all the same.
      outcome = { outcome: "error", message: error.message };
    } finally {
      await recorder.supervisor.stop({ graceMs: 300 });
    }
    return await judge(attack, arena, recorder.text(), outcome);
  } finally {
    await arena.close();
  }
}

/** Runs it without a sandbox. `reason` instead, where that cannot be. */
export async function attackHost(attack) {
  const [kind, ...rest] = attack.control.split(" ");
  if (kind === "none") return { reason: rest.join(" ") };
  const rootless = kind === "unshare" && rest.includes("--map-root-user");
  if ((kind === "root" || kind === "unshare") && !rootless && process.getuid() !== 0) return { reason: "the control needs root" };
  if (kind === "worker") return attackSandbox(attack, { sandboxEnabled: false });
  const arena = await Arena.open();
  try {
    await attack.host.before?.(arena);
    const command = [...(kind === "unshare" ? ["unshare", ...rest, "--"] : []), PYTHON, "-c", `${PRELUDE}\n${attack.source}`, arena.told()];
    const child = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "pipe"], cwd: "/" });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
    // Its end, and not its pipes': what it leaves behind may hold them.
    const exit = new Promise((resolve) => child.on("exit", (code, signal) => setTimeout(resolve, 50, { code, signal })));
    await attack.host.during?.(arena);
    const { code, signal } = await exit;
    return await judge(attack, arena, output, { outcome: signal ? "signal" : code === 0 ? "ok" : "exception", signal: signal ?? undefined, exitCode: code });
  } finally {
    await arena.close();
  }
}

async function judge(attack, arena, output, outcome) {
  const effects = await arena.effects(output);
  for (const effect of (await attack.host.after?.(arena)) ?? []) effects.add(effect);
  // It was tried when it came to its end, or when the kernel ended it as it was to.
  const tried = attack.ends ? outcome?.signal === attack.ends : outcome?.outcome === "ok";
  return { effects: [...effects], tried, output, outcome };
}
