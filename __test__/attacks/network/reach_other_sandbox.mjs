// The other sandbox serves the secret on all its addresses; in the control's turn it is a process of the world's.
import { eventually } from "../../support/index.mjs";

const serve = (secret) => `
import socket, threading
def serve(server):
    while True:
        one, _ = server.accept()
        one.recv(4096)  # closed with something unread, it would be a reset, and the secret lost
        one.sendall(b"${secret}")
        one.close()
for family, host, port in ((socket.AF_INET, "0.0.0.0", 18081), (socket.AF_INET, "127.0.0.1", 18082), (socket.AF_INET6, "::1", 18082)):
    threading.Thread(target=serve, args=(socket.create_server((host, port), family=family),), daemon=True).start()
`;

export async function before(world, sandboxed) {
  if (sandboxed) {
    const other = await world.sandbox({ permissions: { allowNet: ["web.example.com"] } });
    const { end, stderr } = await other.exec(serve(world.secret));
    if (end.exitCode !== 0) throw new Error(`the other sandbox cannot serve: ${stderr}`);
    return () => other.close();
  }
  const end = world.hold(`${serve(world.secret)}\nimport sys; sys.stdin.read()`);
  await eventually(async () => (await world.python('import socket\nsocket.create_connection(("127.0.0.1", 18082))')).status === 0, "the other's servers", 20_000);
  await world.take();
  return end;
}
