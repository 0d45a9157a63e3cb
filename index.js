// The public face: typed errors, argument checks and the life of a supervisor in JavaScript, over the generated
// binding.
"use strict";

/** A failure of ours, with a stable `code`. User code that fails is an event, never this. */
class SandboxError extends Error {
  constructor(message, { code = "ERR_BUNTIME_INTERNAL", hint, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    if (hint != null) this.hint = hint;
  }
}

/** A policy, an option or a configuration that cannot be used. */
class PolicyError extends SandboxError {}

/** The sandbox could not be built, or its worker could not be started. */
class SandboxSetupError extends SandboxError {}

// On the prototypes, so that an instance shows only what is its own.
for (const errorClass of [SandboxError, PolicyError, SandboxSetupError]) {
  Object.defineProperty(errorClass.prototype, "name", { value: errorClass.name, configurable: true, writable: true });
}

const ERROR_CLASSES = { SandboxError, PolicyError, SandboxSetupError };

const native = loadBinding();

function loadBinding() {
  try {
    return require("./binding.js");
  } catch (cause) {
    throw new SandboxSetupError(`no native addon for ${process.platform}-${process.arch} was found`, {
      code: "ERR_BUNTIME_ADDON",
      hint: "in a clone, run `npm install`, which builds it; Linux on x64 with glibc is supported",
      cause,
    });
  }
}

/** Unpacks what src/error.rs packed into the message of a native error. */
function unpack(error) {
  let packed;
  try {
    packed = JSON.parse(error.message);
  } catch {
    // Not one of ours: a panic that was caught, or a failure of Node-API itself.
  }
  const errorClass = ERROR_CLASSES[packed?.class];
  if (errorClass === undefined) return new SandboxError(error.message, { cause: error });
  return new errorClass(packed.message, packed);
}

/** Calls into the binding; its errors come out as ours, with the caller's stack. */
function guard(call) {
  try {
    return call();
  } catch (error) {
    throw unpack(error);
  }
}

async function guardAsync(call) {
  try {
    return await call();
  } catch (error) {
    throw unpack(error);
  }
}

function requireString(value, what) {
  if (typeof value === "string") return value;
  const error = new TypeError(`${what} must be a string, not ${value === null ? "null" : typeof value}`);
  error.code = "ERR_INVALID_ARG_TYPE";
  throw error;
}

const DEFAULT_GRACE_MS = 2000;

/** No event comes after these: the sandbox ended as it should, or its worker died. */
const LAST_STATES = new Set(["stopped", "killed"]);

function graceOf(options) {
  for (const key of Object.keys(options ?? {})) {
    if (key !== "graceMs") {
      throw new PolicyError(`unknown option ${JSON.stringify(key)} of stop()`, {
        code: "ERR_BUNTIME_OPTION",
        hint: "known: graceMs",
      });
    }
  }
  const graceMs = options?.graceMs ?? DEFAULT_GRACE_MS;
  if (typeof graceMs !== "number" || !(graceMs >= 0)) {
    throw new PolicyError(`option "graceMs": expected milliseconds, 0 or more, found ${String(graceMs)}`, {
      code: "ERR_BUNTIME_OPTION",
    });
  }
  // The binding's word for "as long as it takes" is no number at all. A duration that it cannot hold means the same.
  return graceMs > Number.MAX_SAFE_INTEGER ? undefined : graceMs;
}

/** One sandbox and the Python in it. */
class Supervisor {
  #native;
  /** "new", then "started", then "ended"; each comes once. */
  #life = "new";
  /** Replaced, never changed, so that a dispatch under way keeps the list that it began with. */
  #listeners = [];
  /**
   * Keeps the process alive while the sandbox lives. A timer, since the binding's wake-up must be weak (a strong one
   * could be let go only from Rust, before JavaScript has seen the last events); the same on Node and on Bun.
   */
  #hold;
  #wantsHold = true;
  #ready;

  constructor(options) {
    this.#native = guard(() => new native.Supervisor(options));
  }

  onEvent(listener) {
    if (typeof listener !== "function") {
      const error = new TypeError(`listener must be a function, not ${listener === null ? "null" : typeof listener}`);
      error.code = "ERR_INVALID_ARG_TYPE";
      throw error;
    }
    // An object of its own, so that a function that is added twice is two listeners.
    const entry = { listener, active: true };
    if (this.#life !== "ended") this.#listeners = [...this.#listeners, entry];
    return () => {
      entry.active = false;
      this.#listeners = this.#listeners.filter((other) => other !== entry);
    };
  }

  async start(configOverride) {
    if (this.#life !== "new") {
      throw new SandboxError(this.#life === "ended" ? "start() after the end" : "start() was called before", {
        code: "ERR_BUNTIME_STATE",
        hint: "a supervisor starts once; make a new one",
      });
    }
    this.#life = "started";
    this.#hold = setInterval(() => {}, 2 ** 30);
    if (!this.#wantsHold) this.#hold.unref();
    // Whichever comes first: the event has the shorter way, and only the promise can tell of a failure.
    const ready = new Promise((resolve) => (this.#ready = resolve));
    try {
      const wake = () => this.#dispatch(this.#native.takeEvents());
      const started = guardAsync(() => this.#native.start(configOverride, wake));
      await Promise.race([started, ready]);
    } catch (error) {
      this.#end();
      throw error;
    }
    // Where the promise came first, `ready` is in the queue already: it is put there before the promise is settled.
    if (this.#life === "started") this.#dispatch(this.#native.takeEvents());
  }

  sendCode(code) {
    requireString(code, "code");
    if (this.#life !== "started") return false;
    const sent = guard(() => this.#native.sendCode(code));
    // Short code has been executed by now, and no wake-up was made for its events. No listener is called from within
    // a call of the user's.
    if (sent === 2) queueMicrotask(() => this.#dispatchWatched());
    return sent !== 0;
  }

  async interrupt() {
    if (this.#life !== "started") return { stateLost: this.#life === "ended" };
    return guardAsync(() => this.#native.interrupt());
  }

  async restartWorker() {
    await this.#change(() => this.#native.restartWorker());
  }

  async applyPolicySet(set, source) {
    return this.#change(() => this.#native.applyPolicySet(set, source));
  }

  /** Another sandbox takes over; resolves when its first events have been dispatched. */
  async #change(call) {
    if (this.#life !== "started") {
      throw new SandboxError(`the worker cannot be replaced: the supervisor has ${this.#life === "new" ? "not started yet" : "ended"}`, {
        code: "ERR_BUNTIME_STATE",
      });
    }
    const changed = await guardAsync(call);
    if (this.#life === "started") this.#dispatch(this.#native.takeEvents());
    return changed;
  }

  async stop(options) {
    const graceMs = graceOf(options);
    if (this.#life === "started") {
      // Each call is passed on, so that stop({ graceMs: 0 }) cuts short a stop() that is waiting.
      await guardAsync(() => this.#native.stop(graceMs));
    }
    this.#end();
  }

  getSnapshot() {
    return guard(() => this.#native.snapshot());
  }

  unref() {
    this.#wantsHold = false;
    this.#hold?.unref();
  }

  ref() {
    this.#wantsHold = true;
    this.#hold?.ref();
  }

  /** The first news at once; what that costs to hand on is time in which the rest may come. */
  #dispatchWatched() {
    try {
      if (this.#life === "started") this.#dispatch(this.#native.takeEvents());
    } finally {
      // After what the listeners have made ready: somebody may await this output.
      queueMicrotask(() => {
        if (this.#native.unwatch() && this.#life === "started") this.#dispatch(this.#native.takeEvents());
      });
    }
  }

  /** Calls every listener with every event, in order. They come as JSON, or as objects where there is much text. */
  #dispatch(taken) {
    const events = typeof taken === "string" ? JSON.parse(taken) : taken;
    for (const event of events) {
      for (const entry of this.#listeners) {
        if (!entry.active) continue;
        try {
          entry.listener(event);
        } catch (error) {
          // As if the listener had been called by the event loop: an `uncaughtException`, after all others have run.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
      if (event.type === "ready") this.#ready();
      if (event.type === "state" && LAST_STATES.has(event.data.worker)) this.#end();
    }
  }

  /** The last events, then nothing more: no listener, no root for the garbage collector, no hold on the process. */
  #end() {
    if (this.#life === "ended") return;
    const started = this.#life === "started";
    this.#life = "ended";
    if (started) this.#dispatch(this.#native.close());
    this.#listeners = [];
    clearInterval(this.#hold);
  }
}

// Node 20 has the symbol from 20.5 on.
if (Symbol.asyncDispose) {
  Object.defineProperty(Supervisor.prototype, Symbol.asyncDispose, {
    value: function asyncDispose() {
      return this.stop();
    },
    configurable: true,
    writable: true,
  });
}

/** Reads `config.json`, or `path`; gives the defaults where there is no such file and none was named. */
async function loadConfig(path) {
  if (path !== undefined) requireString(path, "path");
  return guardAsync(() => native.loadConfig(path));
}

/** Reads a policy file, or a shipped policy by its bare name, and normalises it. */
async function loadPolicy(pathOrName) {
  requireString(pathOrName, "pathOrName");
  return guardAsync(() => native.loadPolicy(pathOrName));
}

/** One policy that is as strict as all of them together. */
function mergePolicies(policies) {
  return guard(() => native.mergePolicies(policies));
}

// One by one: this is what Node and Bun read the names of `import { … }` from.
exports.Supervisor = Supervisor;
exports.loadConfig = loadConfig;
exports.loadPolicy = loadPolicy;
exports.mergePolicies = mergePolicies;
exports.SandboxError = SandboxError;
exports.PolicyError = PolicyError;
exports.SandboxSetupError = SandboxSetupError;
