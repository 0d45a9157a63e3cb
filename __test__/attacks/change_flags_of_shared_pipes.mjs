// Afterwards the same host runs another sandbox, as if nothing had been.
import { PYTHON } from "../support/attacks.mjs";
import { execute } from "../support/index.mjs";

export async function after() {
  const { stdout } = await execute("print('healthy')", { interpreter: PYTHON });
  return stdout === "healthy\n" ? [] : ["changes the host"];
}
