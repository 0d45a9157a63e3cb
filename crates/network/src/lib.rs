//! The host side of a sandbox's network.
//!
//! In the sandbox's own network namespace every address is local, and a table of the kernel's brings each flow to one
//! of the listeners here. Nothing in it leads outside: what leaves is relayed by this crate, after the policy's
//! [`Egress`] allowed it.

#![warn(missing_docs)]

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use buntime_policy::{Decision, Egress, Name, Peer, Proto};

use crate::state::State;

use names::Names;
use upstream::{ResolveError, Resolved, Sources, Upstream};

mod accept;
mod datagram;
mod destination;
mod dial;
mod dns;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod judge;
mod names;
mod own;
mod pace;
mod parked;
mod proxy;
mod pump;
mod relay;
mod report;
mod runtime;
mod splice;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod udp;
mod upstream;

/// By which mechanism flows reach the listeners, which decides how their destinations are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interception {
    /// The accepted socket's own address is the destination (`getsockname`).
    Tproxy,
    /// `SO_ORIGINAL_DST` of the accepted socket is.
    Redirect,
}

/// What the helper made inside the sandbox's namespace: listening, non-blocking, close-on-exec.
#[derive(Debug)]
pub struct Listeners {
    /// How flows come.
    pub interception: Interception,
    /// TCP over IPv4: all flows, the proxy's (169.254.1.1:8080) and DNS over TCP (any address, port 53) among them.
    pub tcp4: OwnedFd,
    /// TCP over IPv6; none where the host has no IPv6.
    pub tcp6: Option<OwnedFd>,
    /// Every datagram over IPv4, with `IP_RECVORIGDSTADDR`: DNS (port 53) and what UDP rules allow.
    pub udp4: OwnedFd,
    /// As `udp4`.
    pub udp6: Option<OwnedFd>,
    /// A raw socket over IPv4 (`SOCK_RAW`, `IPPROTO_RAW`), for the answers to datagrams that UDP rules allow: they have
    /// to come from the port that was asked. Nothing is read from it. Without it such rules have no effect.
    pub raw4: Option<OwnedFd>,
    /// As `raw4`.
    pub raw6: Option<OwnedFd>,
}

/// How much one sandbox may have.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// New connections a second, paced by a token bucket; none: unlimited.
    pub rate: Option<f64>,
    /// Most connections that wait for their turn; more are refused.
    pub waiting: usize,
    /// Longest wait for a turn.
    pub patience: Duration,
    /// Most flows at once.
    pub flows: usize,
    /// A flow without a byte for so long is ended.
    pub idle: Duration,
    /// One direction closed, and no byte in the other for so long.
    pub half_open: Duration,
    /// Longest time to reach a peer.
    pub connect: Duration,
}

/// What is told, as it happens. Called from the network's threads; must not block.
pub trait Sink: Send + Sync {
    /// A flow ended, or was refused.
    fn flow(&self, flow: Flow);
    /// A name or flow was denied (or let through by a `warn` rule). `target` is as the client said it.
    fn decided(&self, decided: Decided);
    /// So many refused flows and decisions came too fast to be told one by one.
    fn missed(&self, _flows: u64, _decided: u64) {}
}

/// One flow, at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The name that the client asked for, if it asked for one.
    pub host: Option<Name>,
    /// Where it went, or would have gone.
    pub address: IpAddr,
    /// Port there.
    pub port: u16,
    /// Protocol.
    pub proto: Proto,
    /// What the policy said.
    pub decision: Decision,
    /// From the peer to the worker.
    pub bytes_in: u64,
    /// From the worker to the peer.
    pub bytes_out: u64,
    /// From the worker's connect to the end.
    pub duration: Duration,
    /// Why it ended otherwise than by both sides' will: refused by the peer, paced out, timed out.
    pub problem: Option<String>,
}

/// A denial or a warning.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// `resolve`, `connect`, `send`.
    pub operation: &'static str,
    /// `host`, `host:port`, `[v6]:port`.
    pub target: String,
    /// The decision.
    pub decision: Decision,
}

/// The answer for a `connect()` that waits in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Let it go on: it will reach a listener.
    Continue,
    /// Fail it by this errno.
    Errno(i32),
}

/// Longest wait for the parts of a network to end.
const ENDING: Duration = Duration::from_secs(1);

/// One sandbox's network. Dropped or stopped, its listeners and flows are closed, which frees the namespace.
pub struct Network {
    state: State,
}

impl Network {
    /// Starts to serve. Runs on the process's one network runtime, whose threads are shared by all sandboxes.
    ///
    /// # Errors
    ///
    /// Where there are no threads to be had, or the descriptors are no listeners.
    pub fn serve(
        listeners: Listeners,
        egress: Arc<Egress>,
        bounds: Bounds,
        sink: Arc<dyn Sink>,
    ) -> std::io::Result<Self> {
        let origin = accept::origin(listeners.interception);
        Self::serve_from(listeners, egress, bounds, sink, &origin)
    }

    fn serve_from(
        listeners: Listeners,
        egress: Arc<Egress>,
        bounds: Bounds,
        sink: Arc<dyn Sink>,
        origin: &accept::Origin,
    ) -> std::io::Result<Self> {
        let runtime = runtime::handle()?;
        let _entered = runtime.enter();
        let state = State::new(egress, runtime::upstream().for_sandbox(), bounds, sink);
        let network = Self { state };
        network.listen(listeners, origin)?;
        Ok(network)
    }

    fn listen(&self, listeners: Listeners, origin: &accept::Origin) -> std::io::Result<()> {
        let Listeners { interception, tcp4, tcp6, udp4, udp6, raw4, raw6 } = listeners;
        for listener in [Some(tcp4), tcp6].into_iter().flatten() {
            let listener = std::net::TcpListener::from(listener);
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            self.state.spawn(accept::serve(self.state.clone(), listener, origin.clone()));
        }
        for (socket, raw) in [(Some(udp4), raw4), (udp6, raw6)] {
            let Some(socket) = socket else { continue };
            let socket = std::net::UdpSocket::from(socket);
            socket.set_nonblocking(true)?;
            let socket = tokio::net::UdpSocket::from_std(socket)?;
            let names_only = interception == Interception::Redirect;
            self.state.spawn(udp::serve(self.state.clone(), socket, raw, names_only));
        }
        Ok(())
    }

    /// Judges a `connect()` before the kernel does it, so that the caller learns of a refusal by `EACCES`. A blocking
    /// one is dialled here first, and fails as the peer let it; the flow that follows takes the dialled socket over.
    /// Only a matter of what the caller is told: the relay judges each flow again.
    pub async fn judge_connect(&self, to: SocketAddr, proto: Proto, blocking: bool) -> Verdict {
        let (told, verdict) = tokio::sync::oneshot::channel();
        self.judge(to, proto, blocking, |verdict| {
            // It fails where nobody waits any more.
            let _ = told.send(verdict);
        });
        verdict.await.unwrap_or(DENIED)
    }

    /// Whom a flow to this address is meant for, where that is another host or a port of this one that a rule names.
    pub fn peer(&self, to: SocketAddr, proto: Proto) -> Option<Peer> {
        match destination::Destination::of(&self.state, destination::canonical(to), proto) {
            destination::Destination::Peer(peer) => Some(peer),
            _ => None,
        }
    }

    /// As [`judge_connect`](Self::judge_connect), for callers with no executor. `then` is called once, on one of the
    /// network's threads or on this one, and must not block.
    pub fn judge(&self, to: SocketAddr, proto: Proto, blocking: bool, then: impl FnOnce(Verdict) + Send + 'static) {
        let mut answer = Answer(Some(then));
        let state = self.state.clone();
        self.state.spawn(async move { answer.give(judge::judge(&state, to, proto, blocking).await) });
    }

    /// Ends everything, and waits until it has ended, a second at most: all sockets are closed then, and all flows told
    /// of. Idempotent.
    pub fn stop(&self) {
        if self.state.is_ended() {
            return;
        }
        self.state.end();
        let (ended, wait) = std::sync::mpsc::channel();
        let all = self.state.all_ended();
        if let Ok(runtime) = runtime::handle() {
            runtime.spawn(async move {
                all.await;
                // Gone is who has lost patience.
                let _ = ended.send(());
            });
        }
        // Whatever still runs then holds a thread, and ends as soon as that goes on.
        let _ = wait.recv_timeout(ENDING);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What is said when the network ends before it has an answer.
const DENIED: Verdict = Verdict::Errno(libc::EACCES);

/// An answer that is given in any case.
struct Answer<F: FnOnce(Verdict)>(Option<F>);

impl<F: FnOnce(Verdict)> Answer<F> {
    fn give(&mut self, verdict: Verdict) {
        if let Some(then) = self.0.take() {
            then(verdict);
        }
    }
}

impl<F: FnOnce(Verdict)> Drop for Answer<F> {
    fn drop(&mut self) {
        self.give(DENIED);
    }
}
