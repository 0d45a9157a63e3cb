// The public face of python-ipc-bun. Units are in the names (Ms, Bytes) or in the comments; memory sizes of
// `SandboxConfig` are megabytes.

// `Symbol.asyncDispose`, for a project whose `lib` lacks it: the same declaration as in TypeScript's own
// esnext.disposable.
declare global {
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

export interface SupervisorOptions {
  /** Path of a policy file, or the bare name of a shipped policy. Default: deny everything. */
  policyPath?: string;
  /** Where the merged policy in force is written. Default: nowhere that the caller sees. */
  activePolicyPath?: string;
  /** Where its metadata is written. Default: nowhere that the caller sees. */
  activePolicyMetaPath?: string;
  /** Bytes, split in two rings. Default 1 MiB. */
  shmSize?: number;
  /** Default "python". */
  workerType?: "python" | "bun";
  /** False: no kernel layer at all. Development only. Default true. */
  sandboxEnabled?: boolean;
  /** The weakest enforcement that is accepted, beside the policy's own `minTier`. Default: what options and policy ask for. */
  minTier?: Tier;
  /** Runtime to use: a python3 executable. Default: found on PATH. */
  interpreter?: string;
  /** The worker's working directory, a path of the host's. Default: the caller's own. */
  cwd?: string;
  /** Values for the worker's environment; being given here allows them. */
  env?: Record<string, string | undefined>;
  /** `sys.argv[1:]` of the worker. */
  args?: string[];
  permissions?: Permissions;
}

/** One sandbox and the Python in it. */
export class Supervisor {
  /** Checks the options; nothing is started. */
  constructor(options?: SupervisorOptions);
  /**
   * Adds a listener and returns a function that removes it. Listeners are called in the order of their adding, with
   * every event that comes after it, never from within a call of yours. One that throws does not silence the others:
   * its error is reported as an `uncaughtException` when all of them have run.
   */
  onEvent(listener: (event: SupervisorEvent) => void): () => void;
  /**
   * Resolves when the worker is ready and `ready` has been dispatched; rejects with a SandboxError otherwise. From here
   * on the process stays alive until stop(), or until the worker has ended by itself; see unref().
   */
  start(configOverride?: DeepPartial<SandboxConfig>): Promise<void>;
  /**
   * Queues code. False before start() and after the end. Throws for code over 64 MiB, or when 256 MiB of it wait. May
   * look for the first output of a short execution on the spot, for 0.4 ms at most, where that is likely to come.
   */
  sendCode(code: string): boolean;
  /**
   * Idempotent. Waits graceMs (default 2000; Infinity for as long as it takes) for queued code, then ends the sandbox
   * and removes all listeners. Resolves when the last event has been dispatched.
   */
  stop(options?: { graceMs?: number }): Promise<void>;
  /**
   * Interrupts the execution under way with a KeyboardInterrupt, or the next when code waits; nothing happens when
   * there is neither. Resolves when that execution has ended, or after 2 s when it goes on all the same.
   */
  interrupt(): Promise<{ stateLost: boolean }>;
  /**
   * A fresh worker under the same policy: its globals are new. Code that waits is executed by it; what the old one was
   * handed before has two seconds to end. Rejects, and leaves the old one as it is, when there can be no new one.
   */
  restartWorker(): Promise<void>;
  /**
   * Puts these policies, merged, in the place of the policy file, in a sandbox of their own; `permissions` stay above
   * them. The old sandbox and its policy hold until the new one is ready; code is then treated as by restartWorker().
   * Rejects and changes nothing when the policies cannot be read or enforced. Relative paths start from the worker's
   * working directory. `source` (default "apply") is for the metadata.
   */
  applyPolicySet(set: { policies: Policy[]; policyKeys?: string[] }, source?: "run" | "apply"): Promise<PolicySetMeta>;
  getSnapshot(): Snapshot;
  /** Let the process end although the sandbox runs; and take that back. */
  unref(): void;
  ref(): void;
  /** The same as stop(). */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Reads config.json (or path); the defaults where there is none. Rejects on a broken file. */
export function loadConfig(path?: string): Promise<SandboxConfig>;
/** Reads a policy file, or a shipped policy by its bare name. */
export function loadPolicy(pathOrName: string): Promise<NormalizedPolicy>;
/** Layers on where any has them, the most restrictive defaults, all rules together. */
export function mergePolicies(policies: Policy[]): Policy;

export interface SandboxConfig {
  security: { mode: "strict" | "monitor" };
  network: {
    enabled: boolean;
    policy: "allow_list" | "deny_all";
    allow_list: string[];
    deny_list: string[];
    /** new connections per second */ rate_limit: number;
    /** `HTTP_PROXY` and its like name the sandbox's HTTP proxy, for clients that go by them; not by default */
    proxy_variables?: boolean;
  };
  filesystem: { allow_write: boolean };
  resources: {
    /** MB */ memory_limit: number;
    /** percent of one core */ cpu_limit: number;
    max_pids?: number;
    max_open_files?: number;
    /** MB */ max_file_size?: number;
    /** MB that the private /tmp of `allow_write` holds; 64 by default */ tmpfs_size?: number;
    /** of one execution */ max_output_bytes?: number;
    /** for one execution */ timeout_ms?: number;
  };
}

// ---- events -------------------------------------------------------------------------------------------------------

export type SupervisorEvent =
  | { type: "ready"; data?: undefined }
  | { type: "output"; data: string; stream: "stdout" | "stderr" }
  | { type: "error"; data: string }
  | { type: "state"; data: WorkerState }
  | { type: "policy-loaded"; data: NormalizedPolicy }
  | { type: "policy-set-loaded"; data: PolicySetMeta }
  | { type: "config-loaded"; data: SandboxConfig }
  | { type: "memory"; data: MemoryStats }
  | { type: "enforcement"; data: Enforcement }
  | { type: "denied"; data: Denial }
  | { type: "warn"; data: string }
  /** The system calls that are recorded from now on. */
  | { type: "audit-enabled"; data: string[] }
  /** A new sandbox: what is recorded from now on is of another worker. */
  | { type: "audit-reset"; data?: undefined }
  /** `dropped`: calls that came too fast to be kept, after these. */
  | { type: "audit-events"; data: AuditEvent[]; dropped?: number }
  /** Calls so far, by name; five times a second at most. */
  | { type: "syscalls"; data: { buckets: string[]; counts: number[] } }
  /** A flow of the network's ended, or was refused. */
  | { type: "net"; data: NetFlow };

export type WorkerPhase =
  | "starting" | "ready"
  | "code_received" | "exec_start" | "exec_end" | "exception" | "interrupted"
  | "restarting" | "killed" | "stopped";
export type Outcome = "ok" | "exception" | "exit" | "signal" | "protocol" | "cancelled";
export interface WorkerState {
  worker: WorkerPhase;
  signal?: string;
  exitCode?: number;
  exit_code?: number;
  success?: boolean;
  outcome?: Outcome;
  error?: string;
}
/** A system call as it was asked for. */
export interface AuditEvent {
  /** ms since the epoch */ time: number;
  syscall: string;
  /** Path, address or program; "FROM -> TO"; the arguments of a call about none of these; "?" where it could not be read. */ target: string;
  /** The thread's, as this process numbers it. */ pid: number;
  action: "allow" | "warn" | "deny";
  rule?: string;
  /** flag, variable, file and JSON path, "default", "runtime" for what every worker sees, or the layer that refused */ source: string;
  /** The target's bytes in hexadecimal, where they are no UTF-8. */ raw?: string;
}
export interface Denial {
  kind: PermissionKind; target: string; operation: string;
  /** The rule that decided, as text; null for the default. */ rule: string | null;
  /** flag, variable, file and JSON path, or "default" */ source: string;
  hint?: { flag: string }; pid: number; count: number; /** ms since the epoch */ time: number;
}
/** In bytes. */
export interface Ring {
  head: number; tail: number; capacity: number; used: number; free: number; usagePercent: number; bytesTotal: number;
}
export interface MemoryStats {
  toWorker: Ring;
  toSupervisor: Ring;
  worker: { rss: number; peak: number; limit: number; cpuPercent: number };
}
export type Tier = "full" | "nested" | "landlock" | "none";
/** What the kernel reports, not what was asked for. */
export interface Enforcement {
  /**
   * Every layer, or not every layer: "none" is only had with `sandboxEnabled: false`, or where the policy leaves
   * Landlock out (`plugins.landlock: false`). Which layers are in force the other fields say.
   */
  tier: "full" | "none";
  namespaces: {
    user: boolean; mount: boolean; pid: boolean; net: boolean; ipc: boolean; uts: boolean; cgroup: boolean;
  };
  landlock: { abi: number } | null;
  seccomp: boolean;
  limits: "rlimit" | "none";
  /** How what the worker connects to is brought to the relay; none without a network; the host's own with `sandboxEnabled: false`. */
  network: "none" | "tproxy" | "redirect" | "host";
  notes: string[];
}
export interface Snapshot {
  policy: NormalizedPolicy | null;
  policyMeta: PolicySetMeta | null;
  config: SandboxConfig | null;
  enforcement: Enforcement | null;
  state: WorkerState;
}

/** One flow of the network's, at its end. */
export interface NetFlow {
  /** The name that was asked for; null for an address. */
  host: string | null;
  address: string;
  port: number;
  proto: "tcp" | "udp";
  verdict: "allow" | "warn" | "deny";
  /** Null: the default. */
  rule: string | null;
  /** To the worker. */
  bytesIn: number;
  /** From the worker. */
  bytesOut: number;
  /** From the worker's connect to the end. */
  ms: number;
  /** Why it ended otherwise than by the will of both sides. */
  error?: string;
}

// ---- policies -----------------------------------------------------------------------------------------------------

export type Action = "allow" | "deny" | "warn";
export type PermissionKind = "read" | "write" | "net" | "run" | "env" | "ffi" | "sys";
export type FsPerm =
  | "read_file" | "write_file" | "execute" | "read_dir" | "write_dir" | "remove_dir" | "remove_file"
  | "make_char" | "make_dir" | "make_reg" | "make_sock" | "make_fifo" | "make_block" | "make_sym";
interface RuleBase { action: Action; /** yields to no other source */ locked?: boolean }
export interface FsRule extends RuleBase { path: string; perms: FsPerm[] }
export type NetRule = RuleBase & (
  | { proto: "tcp" | "udp"; cidr: string; ports: string }
  | { host: string; proto?: "tcp" | "udp"; ports?: string }
);
export interface ExecRule extends RuleBase { path: string; sha256?: string }
export interface NameRule extends RuleBase { name: string }
export interface PathRule extends RuleBase { path: string }
export interface Policy {
  version: 1;
  plugins?: { namespaces?: boolean; landlock?: boolean; seccomp?: boolean };
  defaults?: { fs?: "allow" | "deny"; net?: "allow" | "deny"; exec?: "allow" | "deny" };
  fs?: { rules: FsRule[] };
  net?: { rules: NetRule[] };
  exec?: { rules: ExecRule[] };
  env?: { rules: NameRule[] };
  ffi?: { rules: PathRule[] };
  /** What no rule allows is made up. */
  sys?: { rules: NameRule[] };
  antiEscape?: { denySyscalls: string[] };
  audit?: { enabled: boolean; events?: string[] };
  /** The weakest enforcement that is accepted. Less than "full" is only had with `plugins.landlock: false`. */
  minTier?: Tier;
  /** the guide's lambda spelling, accepted on input */
  rules?: {
    fs?: { allow?: string[]; deny?: string[]; mode?: "read" | "write" };
    net?: { allow?: string[]; deny?: string[]; mode?: "allow" | "deny" };
    exec?: { allow?: string[]; deny?: string[] };
  };
}
export interface PortRange { from: number; to: number }
/** The rule-list form with every key present and ports parsed. */
export interface NormalizedPolicy {
  version: 1;
  plugins: { namespaces: boolean; landlock: boolean; seccomp: boolean };
  defaults: { fs: "allow" | "deny"; net: "allow" | "deny"; exec: "allow" | "deny" };
  fs: { rules: FsRule[] };
  net: { rules: (RuleBase & { proto: "tcp" | "udp"; cidr?: string; host?: string; ports: PortRange[] })[] };
  exec: { rules: ExecRule[] };
  env: { rules: NameRule[] };
  ffi: { rules: PathRule[] };
  sys: { rules: NameRule[] };
  antiEscape: { denySyscalls: string[] };
  audit: { enabled: boolean; events: string[] };
}
export interface PolicySetMeta {
  policyKeys: string[]; policyCount: number;
  defaults: NormalizedPolicy["defaults"];
  rules: { fs: number; net: number; exec: number; antiEscape: number; total: number };
  audit: { enabled: boolean; events: string[] };
  source: "boot" | "run" | "apply"; appliedAt: string;
}

// ---- permissions --------------------------------------------------------------------------------------------------

/** The flags, as options: true allows all of a kind, a list allows those. */
export interface Permissions {
  allowRead?: true | string[]; denyRead?: true | string[];
  allowWrite?: true | string[]; denyWrite?: true | string[];
  allowNet?: true | string[]; denyNet?: true | string[];
  allowEnv?: true | string[]; denyEnv?: true | string[];
  allowRun?: true | string[]; denyRun?: true | string[];
  allowFfi?: true | string[]; denyFfi?: true | string[];
  /** What the system tells of itself; made up unless it is allowed. */
  allowSys?: true | string[]; denySys?: true | string[];
}

// ---- errors: ours only; user code that fails is a result ----------------------------------------------------------

export class SandboxError extends Error { readonly code: `ERR_BUNTIME_${string}`; readonly hint?: string }
export class PolicyError extends SandboxError {}
export class SandboxSetupError extends SandboxError {}

export type DeepPartial<T> = {
  [K in keyof T]?: T[K] extends readonly unknown[] ? T[K] : T[K] extends object ? DeepPartial<T[K]> : T[K];
};
