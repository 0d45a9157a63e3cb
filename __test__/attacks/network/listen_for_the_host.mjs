// The world looks for new listeners in its own namespace, and knocks at the ports that the attack names.
const LISTENERS = `
import socket, time
def listeners():
    found = set()
    for name in ("tcp", "tcp6"):
        for line in open(f"/proc/self/net/{name}").read().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A": found.add(fields[1])
    return found
known, seen = listeners(), set()
end = time.monotonic() + 1.5
while time.monotonic() < end:
    seen |= listeners() - known
    for host in ("127.0.0.1", "93.184.216.34"):
        for port in range(18995, 19000):
            with socket.socket() as one:
                one.settimeout(0.2)
                if one.connect_ex((host, port)) == 0: seen.add(f"{host}:{port}")
    time.sleep(0.02)
print(len(seen), seen)
`;

let found;

export async function during(world) {
  found = world.python(LISTENERS);
}

export async function after(world) {
  const { stdout, stderr } = await found;
  if (stderr) throw new Error(stderr);
  await world.take(); // of its own knocking
  return Number(stdout.split(" ")[0]) > 0 ? ["listens"] : [];
}
