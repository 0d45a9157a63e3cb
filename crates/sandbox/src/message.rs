//! What supervisor and helper tell each other, one JSON message a packet, descriptors beside it.
//!
//! The two ends are types of their own, so that neither can send what only the other may say.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::plan::Interception;
use crate::sys;

/// The worker's number in its pid namespace: PID 1 starts one thread, which makes the network, and forks once.
pub const WORKER_PID: i32 = 3;

/// Longest message, in bytes. Plans travel as descriptors, so that none is too long.
const MAX_MESSAGE: usize = 64 * 1024;

/// The descriptors that come with [`ToHelper::Launch`], in the order of [`LaunchFds::into_vec`].
pub struct LaunchFds<Fd = OwnedFd> {
    /// The plan, as JSON, in a memfd.
    pub plan: Fd,
    /// The harness's text, in a memfd.
    pub harness: Fd,
    /// What the plan's copies hold, one after the other, in a memfd; any other where there are none.
    pub copies: Fd,
    /// What the worker starts with, as 0, 1, 2, …
    pub worker: Vec<Fd>,
}

impl<Fd> LaunchFds<Fd> {
    /// In the order of their sending.
    pub fn into_vec(self) -> Vec<Fd> {
        [self.plan, self.harness, self.copies].into_iter().chain(self.worker).collect()
    }

    fn from_vec(fds: Vec<Fd>) -> Option<Self> {
        let mut fds = fds.into_iter();
        Some(Self { plan: fds.next()?, harness: fds.next()?, copies: fds.next()?, worker: fds.collect() })
    }
}

/// What the supervisor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHelper {
    /// The first message, with [`LaunchFds`].
    Launch,
    /// Send this signal to the worker (not to its children).
    Signal(i32),
}

/// What the helper says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHelper {
    /// A step of the launch failed; nothing of the worker's ran.
    Failed(Failure),
    /// The filter's notification listener, one descriptor.
    Listener,
    /// Handles of the file tree's overlays, by which they are refreshed.
    Overlays,
    /// The network's sockets, one descriptor each: over IPv4, then over IPv6 where there is any, TCP's listener, UDP's
    /// and, with `raw`, the one that sends whole packets.
    Network {
        /// How flows come to the listeners.
        interception: Interception,
        /// There are three of each family, otherwise two.
        raw: bool,
    },
    /// The sandbox stands; the worker is about to be executed.
    Built(Built),
    /// The worker ended; the whole sandbox ends with it.
    Ended(WorkerEnd),
}

/// Which step failed, in words that name call, arguments and errno.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where in the launch.
    pub step: Step,
    /// In words.
    pub message: String,
    /// The kernel's, where it said one.
    pub errno: Option<i32>,
}

/// The steps of the launch, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Order and plan are received and checked.
    Plan,
    /// PID 1 is cloned into its namespaces.
    Namespaces,
    /// The ids are mapped and taken on.
    Identity,
    /// The network namespace is set up.
    Network,
    /// The file tree is built.
    Mounts,
    /// Limits are set, capabilities dropped.
    Privileges,
    /// The second wall over files.
    Landlock,
    /// The exec gate and the filters.
    Seccomp,
    /// The filter that asks the supervisor about calls.
    Watch,
    /// The worker is forked and executed, then watched.
    Exec,
}

/// What the helper knows to be in force, from the kernel's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The ABI whose rights and scopes are all in force; 0 without Landlock.
    pub landlock_abi: u32,
    /// Nothing can be executed but the worker itself; false where the plan leaves the gate open.
    pub exec_gate: bool,
    /// How flows are brought to the supervisor; none without a network.
    pub interception: Option<Interception>,
    /// What the user should know: a second lock that is missing, a grant that is shown otherwise.
    pub notes: Vec<String>,
    /// From the helper's start to here.
    pub micros: u64,
}

/// How the worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerEnd {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// The supervisor's end of the socket.
pub struct SupervisorEnd(OwnedFd);

/// The helper's end of the socket.
pub struct HelperEnd(OwnedFd);

/// A connected pair (`SOCK_SEQPACKET`: messages stay whole).
pub fn pair() -> io::Result<(SupervisorEnd, OwnedFd)> {
    let (ours, theirs) = sys::seqpacket_pair()?;
    Ok((SupervisorEnd(ours), theirs))
}

impl SupervisorEnd {
    /// Sends the launch order.
    pub fn launch(&self, fds: LaunchFds<BorrowedFd<'_>>) -> io::Result<()> {
        send(self.0.as_fd(), &ToHelper::Launch, &fds.into_vec(), libc::MSG_DONTWAIT)
    }

    /// Never blocks: `WouldBlock` from a helper that does not read.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        send(self.0.as_fd(), &ToHelper::Signal(signal), &[], libc::MSG_DONTWAIT)
    }

    /// The next message, with the descriptors beside it; `None` when the helper is gone. Never blocks: `WouldBlock`.
    pub fn receive(&self) -> io::Result<Option<(FromHelper, Vec<OwnedFd>)>> {
        receive(self.0.as_fd(), libc::MSG_DONTWAIT)
    }
}

impl AsFd for SupervisorEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SupervisorEnd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl HelperEnd {
    /// Over the socket that [`pair`] made.
    pub fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Sends a message that has no descriptor; blocks while the socket is full.
    pub fn send(&self, message: &FromHelper) -> io::Result<()> {
        send(self.0.as_fd(), message, &[], 0)
    }

    /// Sends [`FromHelper::Listener`].
    pub fn send_listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
        send(self.0.as_fd(), &FromHelper::Listener, &[listener], 0)
    }

    /// Sends [`FromHelper::Overlays`].
    pub fn send_overlays(&self, handles: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.0.as_fd(), &FromHelper::Overlays, handles, 0)
    }

    /// Sends [`FromHelper::Network`].
    pub fn send_network(&self, interception: Interception, raw: bool, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.0.as_fd(), &FromHelper::Network { interception, raw }, sockets, 0)
    }

    /// Waits for the launch order; `None` when the supervisor is gone.
    pub fn launch_order(&self) -> io::Result<Option<LaunchFds>> {
        match receive(self.0.as_fd(), 0)? {
            Some((ToHelper::Launch, fds)) => LaunchFds::from_vec(fds)
                .map(Some)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a launch order without descriptors")),
            Some((other, _)) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{other:?} before Launch"))),
            None => Ok(None),
        }
    }

    /// A later order, when one waits; `None` when the supervisor is gone. Never blocks: `WouldBlock`.
    pub fn order(&self) -> io::Result<Option<ToHelper>> {
        Ok(receive(self.0.as_fd(), libc::MSG_DONTWAIT)?.map(|(order, _)| order))
    }
}

impl AsFd for HelperEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn send(socket: BorrowedFd<'_>, message: &impl Serialize, fds: &[BorrowedFd<'_>], flags: i32) -> io::Result<()> {
    sys::send_packet(socket, &serde_json::to_vec(message)?, fds, flags)
}

fn receive<M: DeserializeOwned>(socket: BorrowedFd<'_>, flags: i32) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut buffer = vec![0; MAX_MESSAGE];
    let sys::Received { length, fds } = sys::receive_packet(socket, &mut buffer, flags)?;
    if length == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&buffer[..length])?, fds)))
}
