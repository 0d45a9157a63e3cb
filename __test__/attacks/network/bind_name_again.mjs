// Public when it is judged first, and then the host's own, a private one and the cloud's in turn.
import { ADDRESS } from "../../support/network.mjs";

export async function before(world) {
  await world.setZone({ "rebound.example.com": { ttl: 0, turns: [[ADDRESS.web], ["127.0.0.1"], [ADDRESS.private], [ADDRESS.web], [ADDRESS.metadata], ["127.0.0.1", ADDRESS.web]] } });
}
