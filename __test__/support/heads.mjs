// The files of the attacks, read without loading the product.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const folder = path.join(path.dirname(path.dirname(fileURLToPath(import.meta.url))), "attacks");
export const EFFECTS = ["reads", "writes", "connects", "signals", "survives", "proves", "changes the host"];
const KEYS = ["group", "effect", "read", "write", "hide", "keep", "run", "ffi", "control", "ends", "open", "text"];
const DEFAULTS = { read: "", write: "", hide: "", keep: "", run: "", ffi: "", control: "plain", ends: "", open: "" };

/** All attacks, by name: their heads, their source, and where the host's part lies, if there is one. */
export function readAttacks() {
  return readdirSync(folder).filter((name) => name.endsWith(".py")).sort().map((name) => readAttack(name.slice(0, -3)));
}

export function readAttack(name) {
  const { head, body } = parts(name);
  const [title, ...lines] = head.trim().split("\n");
  const attack = { name, title, ...DEFAULTS };
  for (const line of lines.filter(Boolean)) {
    const [, key, value] = line.match(/^(\w+): (.+)$/) ?? [];
    if (!KEYS.includes(key)) throw new Error(`${name}.py: "${line}", expected one of ${KEYS.join(", ")} and a value`);
    attack[key] = value;
  }
  if (!attack.group || !EFFECTS.includes(attack.effect)) throw new Error(`${name}.py: expected a group, and as effect one of ${EFFECTS.join(", ")}`);
  if (attack.text && body.trim()) throw new Error(`${name}.py: expected no text of its own beside "text: ${attack.text}"`);
  const companion = path.join(folder, `${name}.mjs`);
  return { ...attack, source: attack.text ? parts(attack.text).body : body, companion: existsSync(companion) ? companion : undefined };
}

function parts(name) {
  const [, head, body] = readFileSync(path.join(folder, `${name}.py`), "utf8").match(/^"""([^]*?)"""([^]*)$/) ?? [];
  if (head === undefined) throw new Error(`${name}.py: expected a docstring at the top`);
  return { head, body };
}
