// A function as a service, in forty lines: each call gets a sandbox of its own.
//
//   node examples/lambda.mjs
//   npx bun examples/lambda.mjs
import { Supervisor } from "python-ipc-bun";

async function executeUntrustedCode(code, policyPath = "lambda") {
  const supervisor = new Supervisor({ policyPath });

  let output = "";
  let error;
  let exitCode;

  supervisor.onEvent((event) => {
    if (event.type === "output") output += event.data;
    if (event.type === "error") error = event.data;
  });

  const ended = new Promise((resolve) => {
    supervisor.onEvent((event) => {
      if (event.type === "state" && event.data.worker === "exec_end") resolve(event.data.exitCode);
    });
  });

  try {
    await supervisor.start();
    supervisor.sendCode(code);
    // What takes longer than a second is interrupted: a KeyboardInterrupt in the code, which ends it.
    const timer = setTimeout(() => supervisor.interrupt(), 1000);
    exitCode = await ended;
    clearTimeout(timer);
  } finally {
    await supervisor.stop();
  }

  return { output, error, exitCode };
}

const functions = {
  "prints JSON": `
import json
print(json.dumps({"message": "hello world"}))
`,
  "raises": 'raise ValueError("x")',
  "runs for ever": "while True: pass",
  "reads a secret": 'print(open("/etc/shadow").read())',
};

for (const [name, code] of Object.entries(functions)) {
  const { output, error, exitCode } = await executeUntrustedCode(code);
  console.log(`${name}: exit code ${exitCode}, ${error ?? `output ${JSON.stringify(output)}`}`);
}
