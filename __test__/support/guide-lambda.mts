import { Supervisor } from "python-ipc-bun";
import { loadPolicy } from "python-ipc-bun";

interface ExecutionResult {
  output: string;
  error?: string;
  exitCode?: number;
}

async function executeUntrustedCode(
  code: string,
  policyPath: string = "src/policies/lambda.json"
): Promise<ExecutionResult> {
  const supervisor = new Supervisor({
    shmSize: 1024 * 1024,  // 1MB
    workerType: "python",
    policyPath,
    sandboxEnabled: true,
  });

  let output = "";
  let error: string | undefined;
  let exitCode: number | undefined;

  supervisor.onEvent((event) => {
    if (event.type === "output") {
      output += event.data ?? "";
    }
    if (event.type === "error") {
      error = event.data;
    }
    if (event.type === "state" && event.data?.worker === "exec_end") {
      exitCode = event.data.exitCode ?? event.data.exit_code;
    }
  });

  await supervisor.start();
  supervisor.sendCode(code);

  // Wait for execution completion
  await new Promise<void>((resolve) => {
    const unsubscribe = supervisor.onEvent((event) => {
      if (
        event.type === "state" &&
        ["exec_end", "exception", "interrupted"].includes(event.data?.worker)
      ) {
        unsubscribe();
        resolve();
      }
    });
  });

  supervisor.stop();

  return { output, error, exitCode };
}

// Usage
const result = await executeUntrustedCode(`
import json
result = {"message": "hello world"}
print(json.dumps(result))
`);
console.log(result.output);
