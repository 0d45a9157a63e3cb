//! The only way outside: each connection is judged here, by its name and by each address that the name has, before a
//! socket is opened for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use buntime_policy::{Action, Decision, Name, Peer, Proto};
use nix::errno::Errno;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

use crate::own::is_own;
use crate::pace::Turn;
use crate::state::State;
use crate::{Decided, Flow, ResolveError};

/// Least time for one of several addresses, while there is so much left.
const LEAST_ATTEMPT: Duration = Duration::from_secs(2);

/// A connection to outside.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: TcpStream,
    /// The name that was asked for.
    pub(crate) name: Option<Name>,
    /// Where it went.
    pub(crate) address: IpAddr,
    pub(crate) decision: Decision,
}

/// There is no connection, which has been told.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The policy is against it; `address` is where it would have gone, if that became known.
    Denied { decision: Decision, address: Option<IpAddr> },
    /// `errno` is what a `connect()` to the peer would have failed with, `problem` the same in words.
    Failed { errno: i32, problem: String },
}

/// What is to be reached.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) port: u16,
    pub(crate) proto: Proto,
    /// When the worker asked for it.
    pub(crate) since: Instant,
}

/// An address that a flow may go to, and by which decision.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: IpAddr,
    pub(crate) decision: Decision,
}

/// There is no address that a flow may go to.
#[derive(Debug)]
pub(crate) enum Unresolved {
    Denied(Option<IpAddr>, Decision),
    Failed(Target, ResolveError),
}

impl Dialled {
    /// The flow over it, as far as it is known.
    pub(crate) fn flow(&self, port: u16, since: Instant) -> Flow {
        Flow {
            host: self.name.clone(),
            address: self.address,
            port,
            proto: Proto::Tcp,
            decision: self.decision.clone(),
            bytes_in: 0,
            bytes_out: 0,
            duration: since.elapsed(),
            problem: None,
        }
    }
}

impl Refused {
    /// What a `connect()` of the worker is told.
    pub(crate) fn errno(&self) -> i32 {
        match self {
            Self::Denied { .. } => libc::EACCES,
            Self::Failed { errno, .. } => *errno,
        }
    }
}

/// Connects to `peer`, if it may be. Waits for its turn among the sandbox's new connections. Takes the time of a
/// resolution, [`Bounds::patience`] and [`Bounds::connect`] at most.
///
/// [`Bounds::patience`]: crate::Bounds::patience
/// [`Bounds::connect`]: crate::Bounds::connect
pub(crate) async fn dial(state: &State, peer: &Peer, port: u16) -> Result<Dialled, Refused> {
    let wanted = Wanted { peer, port, proto: Proto::Tcp, since: Instant::now() };
    let targets = resolve(state, &wanted).await.map_err(|unresolved| wanted.tell_unresolved(state, unresolved))?;
    if let Some(first) = targets.first().filter(|first| first.decision.action == Action::Warn) {
        wanted.tell(state, &first.decision);
    }
    let reached = match turn(state).await {
        Ok(()) => reach(state, &targets, port).await,
        Err(failure) => Err(failure),
    };
    match reached {
        Ok((stream, Target { address, decision })) => {
            let (name, address, decision) = (wanted.name().cloned(), *address, decision.clone());
            Ok(Dialled { stream, name, address, decision })
        }
        Err(failure) => Err(wanted.failed(state, targets.first(), failure)),
    }
}

/// A socket for datagrams to and from `wanted`, if it may be, and the flow over it.
pub(crate) async fn open_datagrams(state: &State, wanted: &Wanted<'_>) -> Result<(UdpSocket, Flow), Refused> {
    let targets = resolve(state, wanted).await.map_err(|unresolved| wanted.tell_unresolved(state, unresolved))?;
    let Some(target) = targets.first() else {
        return Err(wanted.failed(state, None, Failure::new(Errno::ENETUNREACH, "no address")));
    };
    if target.decision.action == Action::Warn {
        wanted.tell(state, &target.decision);
    }
    if let Err(failure) = turn(state).await {
        return Err(wanted.failed(state, Some(target), failure));
    }
    let to = SocketAddr::new(target.address, wanted.port);
    match connect_datagrams(to).await {
        Ok(socket) => Ok((socket, wanted.flow(target.address, target.decision.clone(), None))),
        Err(error) => Err(wanted.failed(state, Some(target), error.into())),
    }
}

async fn connect_datagrams(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// Waits among the sandbox's new connections.
async fn turn(state: &State) -> Result<(), Failure> {
    match state.pace().turn().await {
        Turn::Come => Ok(()),
        Turn::Crowded => Err(Failure::new(Errno::ENOBUFS, "too many connections wait for their turn (rate_limit)")),
        Turn::Late => Err(Failure::new(Errno::ETIMEDOUT, "its turn did not come in time (rate_limit)")),
    }
}

/// Judges a flow, and tells nobody: the addresses that it may go to, in the order to be tried, at least one.
pub(crate) async fn resolve(state: &State, wanted: &Wanted<'_>) -> Result<Vec<Target>, Unresolved> {
    let Wanted { peer, port, proto, .. } = *wanted;
    let (name, addresses) = match peer {
        Peer::Address(address) => (None, vec![*address]),
        Peer::Name(name) => {
            let decision = state.egress().decide_named(name, port, proto);
            if !decision.allowed {
                return Err(Unresolved::Denied(None, decision));
            }
            match state.upstream().resolve(name).await {
                Ok(resolved) => (Some(name), resolved.addresses),
                Err(error) => {
                    let target = Target { address: Ipv4Addr::UNSPECIFIED.into(), decision };
                    return Err(Unresolved::Failed(target, error));
                }
            }
        }
    };
    let mut allowed = Vec::new();
    let mut denied = None;
    for address in addresses {
        let mut decision = state.egress().decide(name, address, port, proto);
        if decision.allowed && is_own(address) {
            decision = state.egress().decide_own(name, address, port, proto);
        }
        match decision.allowed {
            true => allowed.push(Target { address, decision }),
            false => drop(denied.get_or_insert(Target { address, decision })),
        }
    }
    match denied {
        Some(Target { address, decision }) if allowed.is_empty() => Err(Unresolved::Denied(Some(address), decision)),
        _ => Ok(allowed),
    }
}

/// The first of the addresses that answers.
async fn reach<'a>(state: &State, targets: &'a [Target], port: u16) -> Result<(TcpStream, &'a Target), Failure> {
    let deadline = Instant::now() + state.bounds().connect;
    let mut first_failure = None;
    for (tried, target) in targets.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(targets.len() - tried).unwrap_or(u32::MAX);
        let attempt = (left / others).max(LEAST_ATTEMPT.min(left));
        match timeout(attempt, connect(SocketAddr::new(target.address, port))).await {
            Ok(Ok(stream)) => return Ok((stream, target)),
            Ok(Err(error)) => drop(first_failure.get_or_insert(Failure::from(error))),
            Err(_) => drop(first_failure.get_or_insert(Failure::new(Errno::ETIMEDOUT, "no answer in time"))),
        }
    }
    Err(first_failure.unwrap_or_else(|| Failure::new(Errno::ENETUNREACH, "no address")))
}

/// One attempt. The socket itself never becomes known to the worker.
async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let stream = socket.connect(to).await?;
    // A port of the host's own on which nobody listens can be met by the socket itself (a simultaneous open).
    if stream.local_addr()? == to {
        return Err(Errno::ECONNREFUSED.into());
    }
    Ok(stream)
}

/// Why an allowed peer was not reached.
struct Failure {
    errno: Errno,
    problem: String,
}

impl Failure {
    fn new(errno: Errno, problem: &str) -> Self {
        Self { errno, problem: problem.to_owned() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let errno = match error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw) {
            told @ (Errno::ECONNREFUSED | Errno::ETIMEDOUT | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => told,
            Errno::ECONNRESET => Errno::ECONNREFUSED,
            // The host's own trouble: descriptors, memory, ports.
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::EADDRNOTAVAIL => Errno::ENOBUFS,
            // A firewall of the host's (EPERM, EACCES), an address family that it has not: no denial of ours.
            _ => Errno::ENETUNREACH,
        };
        Self { errno, problem: error.to_string() }
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        Self { errno: Errno::EHOSTUNREACH, problem: error.to_string() }
    }
}

impl Wanted<'_> {
    fn name(&self) -> Option<&Name> {
        match self.peer {
            Peer::Name(name) => Some(name),
            Peer::Address(_) => None,
        }
    }

    /// Tells of a decision.
    pub(crate) fn tell(&self, state: &State, decision: &Decision) {
        let target = match self.peer {
            Peer::Name(name) => format!("{}:{}", name.as_str(), self.port),
            Peer::Address(address) => SocketAddr::new(*address, self.port).to_string(),
        };
        let operation = if self.proto == Proto::Udp { "send" } else { "connect" };
        state.sink().decided(Decided { operation, target, decision: decision.clone() });
    }

    /// Tells why a flow does not come to be.
    pub(crate) fn tell_unresolved(&self, state: &State, unresolved: Unresolved) -> Refused {
        match unresolved {
            Unresolved::Denied(address, decision) => self.denied(state, address, decision),
            Unresolved::Failed(target, error) => self.failed(state, Some(&target), error.into()),
        }
    }

    /// Tells of a flow that is not served, for `problem`.
    pub(crate) fn tell_unserved(&self, state: &State, problem: &str) {
        let decision = match self.peer {
            Peer::Name(name) => state.egress().decide_named(name, self.port, self.proto),
            Peer::Address(address) => state.egress().decide(None, *address, self.port, self.proto),
        };
        if !decision.allowed {
            self.tell(state, &decision);
        }
        self.refused(state, None, decision, Some(problem.to_owned()));
    }

    fn denied(&self, state: &State, address: Option<IpAddr>, decision: Decision) -> Refused {
        self.tell(state, &decision);
        self.refused(state, address, decision.clone(), None);
        Refused::Denied { decision, address }
    }

    fn failed(&self, state: &State, target: Option<&Target>, Failure { errno, problem }: Failure) -> Refused {
        if let Some(Target { address, decision }) = target {
            self.refused(state, Some(*address), decision.clone(), Some(problem.clone()));
        }
        Refused::Failed { errno: errno as i32, problem }
    }

    fn refused(&self, state: &State, address: Option<IpAddr>, decision: Decision, problem: Option<String>) {
        let literal = match self.peer {
            Peer::Name(_) => Ipv4Addr::UNSPECIFIED.into(),
            Peer::Address(address) => *address,
        };
        state.sink().flow(self.flow(address.unwrap_or(literal), decision, problem));
    }

    fn flow(&self, address: IpAddr, decision: Decision, problem: Option<String>) -> Flow {
        Flow {
            host: self.name().cloned(),
            address,
            port: self.port,
            proto: self.proto,
            decision,
            bytes_in: 0,
            bytes_out: 0,
            duration: self.since.elapsed(),
            problem,
        }
    }
}
