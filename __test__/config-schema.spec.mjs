// policies/schema.json: what editors say of a policy is what the parser says.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import Ajv from "ajv/dist/2020.js";
import { PolicyError, loadPolicy, mergePolicies } from "python-ipc-bun";

import { root } from "./support/index.mjs";

const read = (name) => JSON.parse(readFileSync(path.join(root, "policies", name), "utf8"));
const fits = new Ajv({ allErrors: true }).compile(read("schema.json"));

function parses(policy) {
  try {
    mergePolicies([policy]);
    return true;
  } catch (error) {
    assert.ok(error instanceof PolicyError, String(error));
    return false;
  }
}

test("every shipped policy fits, in its own spelling and in the normal form", async () => {
  const names = readdirSync(path.join(root, "policies")).filter((name) => name.endsWith(".json") && name !== "schema.json");
  assert.ok(names.length >= 12, names.join(" "));
  for (const name of names) {
    assert.ok(fits(read(name)), `${name}: ${JSON.stringify(fits.errors)}`);
    const normal = await loadPolicy(name.replace(/\.json$/, ""));
    assert.ok(fits(normal), `${name}, normal: ${JSON.stringify(fits.errors)}`);
    assert.ok(parses(normal), name);
  }
});

const rule = (kind, own) => ({ version: 1, [kind]: { rules: [{ action: "allow", ...own }] } });

test("schema and parser accept the same", () => {
  for (const policy of [
    { version: 1 },
    { $schema: "./node_modules/python-ipc-bun/policies/schema.json", version: 1 },
    rule("fs", { path: "/a", perms: ["read_file", "make_sym"], locked: true }),
    rule("fs", { path: "src/*", perms: [] }),
    rule("net", { cidr: "10.0.0.0/8", proto: "tcp", ports: "80, 443,8000-9000" }),
    rule("net", { cidr: "::1/128", proto: "udp", ports: [{ from: 1, to: 65535 }] }),
    rule("net", { host: "*.example.com" }),
    rule("net", { host: "example.com", proto: "tcp", ports: "443" }),
    rule("exec", { path: "ls" }),
    rule("exec", { path: "/bin/*", sha256: "aB".repeat(32) }),
    rule("env", { name: "AWS_*" }),
    rule("env", { name: "*" }),
    rule("ffi", { path: "/usr/lib" }),
    rule("sys", { name: "hostname" }),
    rule("sys", { name: "*" }),
    rule("sys", { name: "username" }),
    { version: 1, rules: { fs: { allow: ["/a"], deny: ["/a/b"], mode: "write" }, net: { allow: ["x:1"], mode: "deny" }, exec: { allow: ["ls"] } } },
    { version: 1, plugins: { landlock: true }, defaults: { net: "allow" }, minTier: "nested" },
    { version: 1, antiEscape: { denySyscalls: ["unshare"] }, audit: { enabled: true, events: ["openat"] } },
    { version: 1, fs: {}, rules: {}, antiEscape: {}, audit: {} },
  ]) {
    assert.ok(parses(policy), JSON.stringify(policy));
    assert.ok(fits(policy), `${JSON.stringify(policy)}: ${JSON.stringify(fits.errors)}`);
  }
});

test("schema and parser refuse the same", () => {
  for (const policy of [
    {},
    [],
    { version: 2 },
    { version: "1" },
    { version: 1, $schema: 1 },
    { version: 1, fs: [] },
    { version: 1, fs: { rule: [] } },
    { version: 1, plugins: { seccomp: "on" } },
    { version: 1, plugins: { seccom: true } },
    { version: 1, defaults: { fs: "warn" } },
    { version: 1, minTier: "fulll" },
    rule("fs", { path: "/a" }),
    rule("fs", { perms: [] }),
    rule("fs", { path: "", perms: [] }),
    rule("fs", { path: "/a", perms: ["read"] }),
    rule("fs", { path: "/a", perms: [], locked: 1 }),
    rule("fs", { path: "/a", perms: [], action: "permit" }),
    rule("net", {}),
    rule("net", { cidr: "10.0.0.0/8", proto: "tcp" }),
    rule("net", { cidr: "10.0.0.0/8", ports: "1" }),
    rule("net", { cidr: "10.0.0.0/8", proto: "tcp", ports: "1", host: "a" }),
    rule("net", { host: "a", proto: "icmp" }),
    rule("net", { host: "a", ports: "http" }),
    rule("net", { host: "a", ports: 80 }),
    rule("net", { host: "a", ports: [{ from: 1 }] }),
    rule("net", { host: "a", ports: [{ from: 1, to: 65536 }] }),
    rule("exec", { path: "/a", sha256: "ab" }),
    rule("env", { name: "A=" }),
    rule("env", { name: "A*B" }),
    rule("env", { name: "" }),
    rule("env", { path: "A" }),
    rule("ffi", { name: "/a" }),
    rule("sys", { name: "hostnam" }),
    { version: 1, rules: { fs: ["/a"] } },
    { version: 1, rules: { fs: { allow: "/a" } } },
    { version: 1, rules: { fs: { allow: [], mode: "execute" } } },
    { version: 1, rules: { exec: { allow: [], mode: "read" } } },
    { version: 1, antiEscape: { denySyscalls: ["unshar"] } },
    { version: 1, audit: { enabled: true, events: "openat" } },
    { version: 1, net: { rules: [{ host: "a" }] } },
  ]) {
    assert.ok(!parses(policy), `the parser: ${JSON.stringify(policy)}`);
    assert.ok(!fits(policy), `the schema: ${JSON.stringify(policy)}`);
  }
});
