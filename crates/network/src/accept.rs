//! Takes the worker's flows in.
//!
//! Always: a listener whose backlog is full makes every blocking `connect()` hang. What cannot be served is reset at
//! once. The peer's address says nothing, since the worker may bind any.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use buntime_policy::{Peer, Proto};
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};

use crate::destination::{CROWDED, Destination, NOWHERE, canonical};
use crate::dial::{Wanted, dial};
use crate::parked::Connection;
use crate::relay::{failure, relay, reset};
use crate::state::State;
use crate::{Interception, dns, proxy};

/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(10);

/// Where an accepted connection was meant to go.
pub(crate) type Origin = Arc<dyn Fn(&TcpStream) -> io::Result<SocketAddr> + Send + Sync>;

/// How the kernel says so.
pub(crate) fn origin(interception: Interception) -> Origin {
    match interception {
        Interception::Tproxy => Arc::new(TcpStream::local_addr),
        Interception::Redirect => Arc::new(original_destination),
    }
}

fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    if stream.local_addr()?.is_ipv4() {
        let found = getsockopt(stream, sockopt::OriginalDst)?;
        return Ok(SocketAddrV4::new(u32::from_be(found.sin_addr.s_addr).into(), u16::from_be(found.sin_port)).into());
    }
    let found = getsockopt(stream, sockopt::Ip6tOriginalDst)?;
    Ok(SocketAddrV6::new(found.sin6_addr.s6_addr.into(), u16::from_be(found.sin6_port), 0, 0).into())
}

/// Serves one listener until the network is stopped.
pub(crate) async fn serve(state: State, listener: TcpListener, origin: Origin) {
    // Given up for a moment when there are no descriptors left, so that connections can still be reset.
    let mut spare = File::open("/dev/null").ok();
    loop {
        match listener.accept().await {
            Ok((client, _)) => take(&state, client, &origin),
            Err(error) if is_exhausted(&error) => {
                drop(spare.take());
                if let Ok((client, _)) = listener.accept().await {
                    reset(&client);
                }
                sleep(NO_ROOM).await;
                spare = File::open("/dev/null").ok();
            }
            // The client went away before it was accepted, or something is wrong that may pass.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => sleep(NO_ROOM).await,
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE))
}

fn take(state: &State, client: TcpStream, origin: &Origin) {
    let Ok(to) = origin(&client) else {
        return reset(&client);
    };
    let to = canonical(to);
    // A flow that was dialled for brings its place along.
    let parked = state.parked().take(to);
    let place = match parked {
        Some(_) => None,
        None => match state.flows().clone().try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => {
                unserved(state, to, CROWDED);
                return reset(&client);
            }
        },
    };
    state.spawn(serve_flow(state.clone(), client, to, parked, place));
}

fn unserved(state: &State, to: SocketAddr, problem: &str) {
    let peer = match Destination::of(state, to, Proto::Tcp) {
        Destination::Peer(peer) => peer,
        Destination::Own | Destination::Nowhere => Peer::Address(to.ip()),
        // What is ours has no rule.
        Destination::Resolver | Destination::Proxy => return,
    };
    Wanted { peer: &peer, port: to.port(), proto: Proto::Tcp, since: Instant::now() }.tell_unserved(state, problem);
}

async fn serve_flow(
    state: State,
    client: TcpStream,
    to: SocketAddr,
    parked: Option<Connection>,
    _place: Option<OwnedSemaphorePermit>,
) {
    if let Some(Connection { dialled, since, place: _place }) = parked {
        let flow = dialled.flow(to.port(), since);
        return relay(&state, flow, client, dialled.stream, &[]).await;
    }
    match Destination::of(&state, to, Proto::Tcp) {
        Destination::Resolver => dns::serve_tcp(state, client).await,
        Destination::Proxy => proxy::serve(state, client).await,
        Destination::Peer(peer) => serve_peer(&state, client, &peer, to.port()).await,
        Destination::Own | Destination::Nowhere => {
            reset(&client);
            unserved(&state, to, NOWHERE);
        }
    }
}

async fn serve_peer(state: &State, client: TcpStream, peer: &Peer, port: u16) {
    let since = Instant::now();
    let dialled = tokio::select! {
        dialled = dial(state, peer, port) => dialled,
        // The client does not want it any more.
        _ = failure(&client) => return,
    };
    match dialled {
        Ok(dialled) => {
            let flow = dialled.flow(port, since);
            relay(state, flow, client, dialled.stream, &[]).await;
        }
        // It has been told.
        Err(_) => reset(&client),
    }
}
