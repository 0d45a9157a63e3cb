import { chmodSync, mkdirSync, writeFileSync } from "node:fs";

export function before(arena) {
  const granted = arena.path("granted");
  const deep = `${granted}/${Array(19).fill("d".repeat(200)).join("/")}`;
  mkdirSync(deep, { recursive: true });
  const names = [`${granted}/line\nbreak.key`, Buffer.concat([Buffer.from(`${granted}/`), Buffer.from([0xff, 0xfe]), Buffer.from(".key")])];
  for (const name of [...names, `${granted}/\u00e4 \u202e.key`, `${deep}/x.key`]) {
    writeFileSync(name, arena.secret);
    chmodSync(name, 0o666);
  }
}
