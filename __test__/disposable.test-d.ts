// Compiled, never run: `await using`, which needs the library esnext.disposable.
import { Supervisor } from "python-ipc-bun";

export async function disposed() {
  await using supervisor = new Supervisor();
  await supervisor.start();
  supervisor.sendCode("print('hello')");
}
