// Another sandbox has names there meanwhile, and may reach what they stand for.
export async function before(world, sandboxed) {
  if (!sandboxed) return undefined;
  const other = await world.sandbox({ permissions: { allowNet: ["evil.example.net", "api.example.com"] } });
  const { end } = await other.exec('import socket\nfor name in ("evil.example.net", "api.example.com"): socket.getaddrinfo(name, 80)');
  if (end.exitCode !== 0) throw new Error("the other sandbox could not look its names up");
  return () => other.close();
}
