//! What a `connect()` is told that waits for its answer.

use std::net::SocketAddr;
use std::time::Duration;

use buntime_policy::{Peer, Proto};
use tokio::time::{Instant, sleep, timeout};

use crate::destination::{CROWDED, Destination, NOWHERE, canonical};
use crate::dial::{Unresolved, Wanted, dial, resolve};
use crate::parked::{Connection, KEPT};
use crate::state::State;
use crate::{Names, Verdict};

/// How long a non-blocking `connect()` may wait for a name's addresses, which as a rule are known: it has just been
/// looked up. Beyond that the relay judges alone.
const MOMENT: Duration = Duration::from_millis(50);

pub(crate) async fn judge(state: &State, to: SocketAddr, proto: Proto, blocking: bool) -> Verdict {
    let to = canonical(to);
    if proto == Proto::Udp && to.port() == 0 {
        // Nothing can be sent there. The C library connects so to see which source an address would have.
        return Verdict::Continue;
    }
    let peer = match Destination::of(state, to, proto) {
        Destination::Resolver | Destination::Proxy | Destination::Own => return Verdict::Continue,
        // An address that stands for nothing is no peer that a rule allows; where we have no such port, nobody listens.
        Destination::Nowhere => {
            let peer = Peer::Address(to.ip());
            let wanted = Wanted { peer: &peer, port: to.port(), proto, since: Instant::now() };
            wanted.tell_unserved(state, NOWHERE);
            return Verdict::Errno(if Names::is_for_names(to.ip()) { libc::EACCES } else { libc::ECONNREFUSED });
        }
        Destination::Peer(peer) => peer,
    };
    let wanted = Wanted { peer: &peer, port: to.port(), proto, since: Instant::now() };
    if proto == Proto::Udp || !blocking {
        return match timeout(MOMENT, resolve(state, &wanted)).await {
            Ok(Err(denied @ Unresolved::Denied(..))) => Verdict::Errno(wanted.tell_unresolved(state, denied).errno()),
            _ => Verdict::Continue,
        };
    }
    let Ok(place) = state.flows().clone().try_acquire_owned() else {
        wanted.tell_unserved(state, CROWDED);
        return Verdict::Errno(libc::ENOBUFS);
    };
    match dial(state, &peer, to.port()).await {
        Ok(dialled) => {
            park(state, to, Connection { dialled, since: wanted.since, place });
            Verdict::Continue
        }
        Err(refused) => Verdict::Errno(refused.errno()),
    }
}

/// Keeps the connection for the flow that is about to come. Where it does not fit, the flow dials again.
fn park(state: &State, to: SocketAddr, connection: Connection) {
    if !state.parked().put(to, connection) {
        return;
    }
    let theirs = state.clone();
    state.spawn(async move {
        sleep(KEPT).await;
        theirs.drop_parked(KEPT);
    });
    if state.is_ended() {
        state.drop_parked(Duration::ZERO);
    }
}
