// A small internet for tests of the network, in namespaces of its own: nothing of the host's is touched, and nothing outside is
// reached. `World.open()` makes it (network/world.py holds the servers); supervisors, and clients without a sandbox, run inside.
//
// It needs no privilege: an ordinary user's world is in a user namespace that maps that user alone, and supervisors in it have no
// capability at all.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import readline from "node:readline";

import { TIMEOUT, eventually, root, temporaryDirectory } from "./index.mjs";

const folder = path.join(root, "__test__", "support", "network");
/** What servers and attacks run on: it is there wherever the product is tested. */
export const PYTHON = process.env.ATTACK_PYTHON ?? "/usr/bin/python3";
/** An interpreter with the clients of network/requirements.txt; scripts/network-clients.mjs makes it. */
export const CLIENTS = process.env.BUNTIME_TEST_CLIENTS ?? path.join(root, "target", "clients", "bin", "python3");

/** Who is who. Every address is local to the world: on lo, which counts as the internet, but for the machine's `own`. */
export const ADDRESS = {
  web: "93.184.216.34",
  api: "140.82.121.3",
  evil: "45.33.32.156",
  shared: "23.215.0.136",
  private: "10.1.2.3",
  metadata: "169.254.169.254",
  six: "2606:2800::1",
  evilSix: "2606:2800::666",
  own: "45.33.32.1",
  resolver: "127.0.0.53",
  foreignResolver: "8.8.8.8",
};

export const ZONE = {
  "web.example.com": { A: [ADDRESS.web] },
  "api.example.com": { A: [ADDRESS.api] },
  "index.example.com": { A: [ADDRESS.api] },
  "one.example.com": { A: [ADDRESS.shared] },
  "two.example.com": { A: [ADDRESS.shared] },
  "evil.example.net": { A: [ADDRESS.evil] },
  "*.evil.example.net": { A: [ADDRESS.evil] },
  "six.example.com": { AAAA: [ADDRESS.six] },
  "both.example.com": { A: [ADDRESS.web], AAAA: [ADDRESS.six] },
  "alias.example.com": { CNAME: "second.example.com" },
  "second.example.com": { CNAME: "web.example.com" },
  "strays.example.com": { CNAME: "evil.example.net" },
  "own.example.com": { A: [ADDRESS.own] },
  "db.internal": { A: [ADDRESS.private] },
  "inside.example.com": { A: [ADDRESS.private] },
  "metadata.example.com": { A: [ADDRESS.metadata] },
  "loop.example.com": { A: ["127.0.0.1"] },
  "mapped.example.com": { AAAA: ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "::1", "fe80::1", "fd00:ec2::254"] },
  "nowhere.example.com": { A: ["9.9.9.9"] },
  "silent.example.com": { silent: true },
  "xn--bcher-kva.example.com": { A: [ADDRESS.web] },
  "rebound.example.com": { ttl: 0, turns: [[ADDRESS.web], ["127.0.0.1"]] },
  "*.wild.example.com": { A: [ADDRESS.web] },
  ...Object.fromEntries(Array.from({ length: 250 }, (_, index) => [`site${index}.example.org`, { A: [`45.100.0.${index + 1}`] }])),
};

const HOSTS = `127.0.0.1 localhost
::1 localhost
${ADDRESS.web} pinned.example.com
${ADDRESS.private} inside-by-file
`;

/** A process that takes and gives lines of JSON, each with the number of the question that it answers. */
class Peer {
  constructor(child, what) {
    this.child = child;
    this.waiting = new Map();
    this.next = 0;
    this.stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (this.stderr += text));
    this.closed = new Promise((resolve) => child.on("close", (code, signal) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`${what} ended with ${signal ?? code}: ${this.stderr}`));
      this.waiting.clear();
      this.dead = `${what} has ended: ${this.stderr}`;
      resolve();
    }));
    readline.createInterface({ input: child.stdout }).on("line", (line) => {
      const { id, result, error } = JSON.parse(line);
      const { resolve, reject } = this.waiting.get(id) ?? {};
      this.waiting.delete(id);
      if (error) reject?.(new Error(error));
      else resolve?.(result);
    });
    child.stdin.on("error", () => {}); // its end is told above
  }

  ask(op, rest = {}) {
    if (this.dead) return Promise.reject(new Error(this.dead));
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.child.stdin.write(`${JSON.stringify({ id, op, ...rest })}\n`);
    });
  }

  async end() {
    this.child.stdin.end();
    const killer = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    await this.closed;
    clearTimeout(killer);
  }
}

/** By what privilege the namespaces are made. */
export const rootless = process.getuid() !== 0 || spawnSync("unshare", ["--net", "--mount", "true"]).status !== 0;

export class World {
  static async open({ zone = {} } = {}) {
    const world = new World();
    try {
      await world.start(zone);
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  constructor() {
    this.directory = temporaryDirectory();
    chmodSync(this.directory, 0o755);
    this.secret = `secret-${randomBytes(12).toString("hex")}`;
    this.keys = 0;
  }

  async start(zone) {
    const at = (name) => path.join(this.directory, name);
    writeFileSync(at("resolv.conf"), `nameserver ${ADDRESS.resolver}\noptions timeout:2 attempts:2\n`, { mode: 0o644 });
    writeFileSync(at("hosts"), HOSTS, { mode: 0o644 });
    this.makeCertificates();
    this.makeIndex();
    const config = {
      directory: this.directory,
      secret: this.secret,
      own: `${ADDRESS.own}/32`,
      addresses: [...Object.values(ADDRESS).filter((address) => !address.startsWith("127.") && address !== ADDRESS.own).map((address) => `${address}/${address.includes(":") ? 128 : 32}`),
        "45.100.0.1/24", "198.18.0.1/24", "169.254.1.1/32", "2606:2800::ffff/128"],
      nameservers: [ADDRESS.resolver, ADDRESS.foreignResolver],
      datagrams: [ADDRESS.web, ADDRESS.evil, ADDRESS.private, ADDRESS.six, "127.0.0.1"],
      zone: { ...ZONE, ...zone },
      certificate: at("server.pem"),
      key: at("server.key"),
    };
    writeFileSync(at("config.json"), JSON.stringify(config), { mode: 0o600 });
    // The user stays who it is, and holds what it takes to set the namespaces up until it executes something else.
    const user = rootless ? ["--user", "--map-current-user", "--keep-caps"] : [];
    const command = ["unshare", ...user, "--net", "--mount", "--", PYTHON, "-I", "-B", "-c", LAUNCH, folder, at("config.json")];
    this.servers = new Peer(spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "pipe"], cwd: "/" }), "the world");
    // Its first line is not asked for.
    const ready = new Promise((resolve, reject) => this.servers.waiting.set(null, { resolve, reject }));
    await ready;
  }

  /** A process inside, without any privilege that the test itself has not got. */
  command(...command) {
    const user = rootless ? ["--user", "--preserve-credentials"] : [];
    return ["nsenter", "--target", String(this.servers.child.pid), ...user, "--net", "--mount", "--", ...command];
  }

  /** The certificate of an authority of our own, and one that it gave for all names here. */
  makeCertificates() {
    const openssl = (...args) => {
      const { status, stderr } = spawnSync("openssl", args, { cwd: this.directory, encoding: "utf8" });
      if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
    };
    const names = ["*.example.com", "*.example.net", "*.example.org"].map((name) => `DNS:${name}`);
    const extensions = [`subjectAltName=${[...names, `IP:${ADDRESS.web}`].join()}`, "basicConstraints=critical,CA:false", "extendedKeyUsage=serverAuth"].join("\n");
    writeFileSync(path.join(this.directory, "extensions"), extensions);
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=tests", "-addext", "keyUsage=critical,keyCertSign,cRLSign");
    openssl("req", ...key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=servers");
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "extensions", "-out", "server.pem");
    chmodSync(path.join(this.directory, "ca.pem"), 0o644);
  }

  /** A package index with one wheel, and a repository of git where there is git. */
  makeIndex() {
    for (const name of ["simple/parcel", "files", "git"]) mkdirSync(path.join(this.directory, name), { recursive: true });
    const made = spawnSync(PYTHON, ["-I", "-c", WHEEL, path.join(this.directory, "files", "parcel-1.0-py3-none-any.whl")], { encoding: "utf8" });
    if (made.status !== 0) throw new Error(made.stderr);
    const repository = path.join(this.directory, "git", "project.git");
    const git = (...args) => spawnSync("git", ["-c", "user.name=x", "-c", "user.email=x@example.org", ...args], { encoding: "utf8", cwd: "/" });
    this.hasGit = git("init", "-q", "--bare", repository).status === 0;
    if (!this.hasGit) return;
    const tree = git("-C", repository, "mktree").stdout.trim();
    const commit = git("-C", repository, "commit-tree", "-m", "the first", tree || "4b825dc642cb6eb9a060e54bf8d69288fbee4904").stdout.trim();
    git("-C", repository, "update-ref", git("-C", repository, "symbolic-ref", "HEAD").stdout.trim(), commit);
  }

  // ---- what the servers saw

  /** Everything since it was last asked. */
  async take() {
    const seen = await this.servers.ask("take");
    return new Seen(seen);
  }

  setZone(zone) {
    return this.servers.ask("zone", { zone });
  }

  /** Connections to servers: now, at once at most, in all; `reset` begins anew. */
  counts(reset = false) {
    return this.servers.ask("servers", { reset });
  }

  // ---- clients and supervisors inside

  /** A program without a sandbox, to its end. */
  run(command, { input, env = {}, timeout = TIMEOUT } = {}) {
    const [program, ...args] = this.command(...command);
    const child = spawn(program, args, { stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"], cwd: "/", env: { ...clean(process.env), ...env } });
    const result = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => (result[name] += text));
    child.stdin?.on("error", () => {}).end(input);
    const killer = setTimeout(() => child.kill("SIGKILL"), timeout);
    return new Promise((resolve, reject) => {
      child.on("error", reject).on("close", (status, signal) => {
        clearTimeout(killer);
        resolve({ ...result, status, signal, pid: child.pid });
      });
    });
  }

  /** Python that waits for the end of its input; returns what ends it. */
  hold(code) {
    const [program, ...args] = this.command(PYTHON, "-I", "-B", "-c", code);
    const child = spawn(program, args, { stdio: ["pipe", "ignore", "inherit"], cwd: "/" });
    const closed = new Promise((resolve) => child.on("close", resolve));
    return async () => {
      child.stdin.end();
      await closed;
    };
  }

  /** The same code as a sandbox would run, by the interpreter itself. */
  python(code, { interpreter = PYTHON, args = [], env, timeout } = {}) {
    return this.run([interpreter, "-I", "-B", "-c", code, ...args], { env, timeout });
  }

  /** The process in which supervisors run, on the runtime under test. */
  async host() {
    if (this.supervisors === undefined || this.supervisors.dead) {
      const gc = process.versions.bun === undefined ? ["--expose-gc"] : [];
      const [program, ...args] = this.command(process.execPath, ...gc, path.join(folder, "host.mjs"));
      this.supervisors = new Peer(spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], cwd: root, env: clean(process.env) }), "the supervisors' process");
    }
    return this.supervisors;
  }

  /** A sandbox inside. Throws what its start threw, with the same code. */
  async sandbox({ config, ...options } = {}) {
    const host = await this.host();
    const key = `sandbox${this.keys++}`;
    const opened = await host.ask("open", { key, options: { interpreter: PYTHON, ...options }, config: { ...config, network: { rate_limit: FAST, ...config?.network } } });
    if (opened.refused) throw Object.assign(new Error(opened.refused.message), opened.refused);
    return new Inside(host, key, opened.enforcement);
  }

  /** One execution in a sandbox of its own; what it did, with the events when its flows have ended. */
  async execute(code, options) {
    const sandbox = await this.sandbox(options);
    try {
      return await sandbox.exec(code);
    } finally {
      await sandbox.close();
    }
  }

  async close() {
    await this.supervisors?.end();
    await this.servers?.end();
  }
}

/** New connections a second, where pacing is not what is tested. */
const FAST = 1000;

/** Without what would steer clients, or be taken for flags. */
function clean(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(POD_|.*_proxy$|SSL_CERT|REQUESTS_CA|CURL_CA|PIP_|GIT_|PYTHON)/i.test(name)));
}

/** A sandbox inside the world. */
class Inside {
  constructor(host, key, enforcement) {
    Object.assign(this, { host, key, enforcement });
  }

  async exec(code) {
    const { end, from } = await this.host.ask("exec", { key: this.key, code });
    const told = await this.host.ask("events", { key: this.key, from });
    return { end, ok: end.exitCode === 0, ...told, from };
  }

  /** Events from one on, when `fits` says yes to them. */
  async told(from, fits, what) {
    return eventually(async () => {
      const events = await this.host.ask("events", { key: this.key, from });
      return fits(events) && events;
    }, what, 20_000);
  }

  close(graceMs = 500) {
    return this.host.ask("close", { key: this.key, graceMs });
  }
}

/** What servers and packet socket saw. */
export class Seen {
  constructor(entries) {
    this.entries = entries;
  }

  of(kind) {
    return this.entries.filter((entry) => entry.kind === kind);
  }

  /** Where packets went, as `tcp 1.2.3.4:80`, each once; without the questions to the machine's own resolver. */
  get reached() {
    const asks = ({ address, port }) => address === ADDRESS.resolver && port === 53;
    return [...new Set(this.of("packet").filter((packet) => !asks(packet)).map(({ proto, address, port }) => `${proto} ${address.includes(":") ? `[${address}]` : address}:${port}`))].sort();
  }

  /** What name servers were asked for, each name once. */
  get asked() {
    return [...new Set(this.of("question").map(({ name }) => name))].sort();
  }

  get requests() {
    return this.of("request");
  }
}

/** Isolated mode leaves the script's own directory out of the path. */
const LAUNCH = `
import runpy, sys
folder, config = sys.argv[1:]
sys.path.insert(0, folder)
sys.argv = ["world.py", config]
runpy.run_path(folder + "/world.py", run_name="__main__")
`;

const WHEEL = `
import sys, zipfile
info = "parcel-1.0.dist-info/"
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("parcel.py", "value = 'delivered'\\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: parcel\\nVersion: 1.0\\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "RECORD", "parcel.py,,\\n" + info + "METADATA,,\\n" + info + "WHEEL,,\\n" + info + "RECORD,,\\n")
`;

/** Why tests with a world cannot run here, or undefined. */
export function missing() {
  for (const program of ["unshare", "nsenter", "openssl"]) {
    if (spawnSync(program, ["--help"]).error) return `there is no ${program}`;
  }
  return existsSync(PYTHON) ? undefined : `there is no ${PYTHON}`;
}
