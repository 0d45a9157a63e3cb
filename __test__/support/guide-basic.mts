import { Supervisor } from "python-ipc-bun";

const supervisor = new Supervisor({
  shmSize: 1024 * 1024,  // 1MB shared memory
  workerType: "python",   // or "bun"
  policyPath: "src/policies/default.json",
  sandboxEnabled: true,
});

supervisor.onEvent((event) => {
  if (event.type === "ready") {
    console.log("Worker ready");
  }
  if (event.type === "output") {
    console.log("Output:", event.data);
  }
  if (event.type === "error") {
    console.error("Error:", event.data);
  }
});

await supervisor.start();
supervisor.sendCode("print('hello')");
await supervisor.stop();
