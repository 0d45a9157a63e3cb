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

use buntime_policy::{Decision, Egress, Name, Proto};

pub use names::Names;
pub use upstream::{ResolveError, Resolved, Sources, Upstream};

mod dial;
mod dns;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod names;
mod proxy;
mod relay;
mod state;
#[cfg(test)]
mod testing;
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

/// One sandbox's network. Dropped or stopped, its listeners and flows are closed, which frees the namespace.
pub struct Network {
    // …
}

impl Network {
    /// Starts to serve. Runs on the process's one network runtime, whose threads are shared by all sandboxes.
    pub fn serve(
        _listeners: Listeners,
        _egress: Arc<Egress>,
        _bounds: Bounds,
        _sink: Arc<dyn Sink>,
    ) -> std::io::Result<Self> {
        todo!()
    }

    /// Judges a `connect()` before the kernel does it, so that the caller learns of a refusal by `EACCES`. A blocking
    /// one is dialled here first, and fails as the peer let it; the flow that follows takes the dialled socket over.
    /// Only a matter of what the caller is told: the relay judges each flow again.
    pub async fn judge_connect(&self, _to: SocketAddr, _proto: Proto, _blocking: bool) -> Verdict {
        todo!()
    }

    /// Ends everything. Idempotent.
    pub fn stop(&self) {
        todo!()
    }
}
