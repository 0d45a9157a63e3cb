// Compiled, never run. The guide's two examples are compiled too, and run: support/guide-basic.mts, support/guide-lambda.mts.
import { loadConfig, type SandboxConfig } from "python-ipc-bun";
import {
  Supervisor,
  loadPolicy,
  mergePolicies,
  PolicyError,
  SandboxError,
  SandboxSetupError,
  type DeepPartial,
  type NormalizedPolicy,
  type PolicySetMeta,
  type SupervisorEvent,
  type SupervisorOptions,
} from "python-ipc-bun";

// ---- the guide, Configuration Loading ----

async function configuration(supervisor: Supervisor, configOverride: DeepPartial<SandboxConfig>) {
const config = await loadConfig("config.json");

// Apply config override when starting supervisor
await supervisor.start(configOverride);
await supervisor.start(config);
}

// ---- beyond the guide ----

async function beyond() {
  const options: SupervisorOptions = {
    interpreter: "/usr/bin/python3",
    cwd: "/tmp",
    env: { A: "1", B: undefined },
    args: ["x"],
    permissions: { allowRead: ["/tmp"], allowEnv: true },
  };
  const supervisor = new Supervisor(options);
  const accepted: boolean = supervisor.sendCode("1");
  const { stateLost }: { stateLost: boolean } = await supervisor.interrupt();
  supervisor.unref();
  supervisor.ref();
  const { enforcement, state } = supervisor.getSnapshot();
  console.log(accepted, stateLost, enforcement?.tier, state.worker);
  await supervisor.restartWorker();
  const meta: PolicySetMeta = await supervisor.applyPolicySet({ policies: [{ version: 1 }], policyKeys: ["none"] }, "run");
  console.log(meta.rules.total);
  await supervisor.stop({ graceMs: 0 });
  await supervisor[Symbol.asyncDispose]();

  const policy: NormalizedPolicy = await loadPolicy("lambda");
  console.log(policy.fs.rules.length, mergePolicies([{ version: 1 }, { version: 1, defaults: { fs: "deny" } }]).version);

  new Supervisor().onEvent((event: SupervisorEvent) => {
    switch (event.type) {
      case "output":
        return console.log(event.stream, event.data.length);
      case "memory":
        return console.log(event.data.toWorker.used, event.data.worker.rss);
      case "policy-set-loaded":
        return console.log(event.data.policyKeys, event.data.source);
      case "denied":
        return console.log(event.data.kind, event.data.target, event.data.hint?.flag);
    }
  });

  try {
    await supervisor.start();
  } catch (error) {
    if (error instanceof PolicyError || error instanceof SandboxSetupError) console.error(error.code, error.hint);
    if (error instanceof SandboxError) console.error(error.code satisfies `ERR_BUNTIME_${string}`);
  }

  // @ts-expect-error: misspelt
  new Supervisor({ polcyPath: "lambda" });
  // @ts-expect-error: not a worker
  new Supervisor({ workerType: "ruby" });
  // @ts-expect-error: a number of bytes
  new Supervisor({ shmSize: "1mb" });
  // @ts-expect-error: the start's alone
  void supervisor.applyPolicySet({ policies: [] }, "boot");
  // @ts-expect-error: not an event
  supervisor.onEvent((event) => event.type === "outptu");
}

export { beyond, configuration };
