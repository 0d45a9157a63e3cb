//! `connect()` in a sandbox with a network, answered before the kernel carries it out.
//!
//! In the sandbox every address is local, so that the kernel lets each connection succeed, and the relay can only end
//! it. Asked here first, a denied one fails as such, and a blocking one as its peer lets it fail. None of that is the
//! wall: what the caller's memory says may change after the look, and the relay judges each flow by where it really
//! goes.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use buntime_network::{Network, Verdict};
use buntime_policy::Proto;
use buntime_sandbox::sys::{self, Notification, Reply};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{SockType, getsockopt, sockopt};

use super::caller::Caller;
use crate::process;

/// A `connect()` by IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connect {
    to: SocketAddr,
    proto: Proto,
    blocking: bool,
}

/// Whether that is the call.
pub fn is_asked(call: &Notification) -> bool {
    i64::from(call.number) == libc::SYS_connect
}

/// Leaves the answer to the network, which may have to wait for the peer. The kernel has it where the network has no
/// word on it.
pub fn answer(network: Option<&Network>, listener: &Arc<OwnedFd>, call: &Notification) -> Option<Reply> {
    let (Some(network), Some(connect)) = (network, asked(call, &Caller::new(call.pid))) else {
        return Some(Reply::Continue);
    };
    let (listener, id) = (listener.clone(), call.id);
    network.judge(connect.to, connect.proto, connect.blocking, move |verdict| {
        let reply = match verdict {
            Verdict::Continue => Reply::Continue,
            Verdict::Errno(errno) => Reply::Errno(errno),
        };
        // The caller may be gone meanwhile, and with it whoever would hear of an error.
        let _ = sys::answer_notification(listener.as_fd(), id, reply);
    });
    None
}

/// What the call asks for; none where the network has no word on it, as of unix sockets, or where it cannot be read.
fn asked(call: &Notification, caller: &Caller) -> Option<Connect> {
    let to = caller.socket_address(call.arguments[1], call.arguments[2])?;
    let (kind, blocking) = socket(call)?;
    let proto = match kind {
        SockType::Stream => Proto::Tcp,
        SockType::Datagram => Proto::Udp,
        _ => return None,
    };
    Some(Connect { to, proto, blocking })
}

/// Of the caller's descriptor: its type, and whether its calls block.
fn socket(call: &Notification) -> Option<(SockType, bool)> {
    let group = process::group_of(i32::try_from(call.pid).ok()?)?;
    let process = sys::open_process(group).ok()?;
    // Descriptors are read as 32 bits.
    let copy = sys::copy_descriptor(process.as_fd(), call.arguments[0] as i32).ok()?;
    let kind = getsockopt(&copy, sockopt::SockType).ok()?;
    let flags = OFlag::from_bits_retain(fcntl(copy.as_fd(), FcntlArg::F_GETFL).ok()?);
    Some((kind, !flags.contains(OFlag::O_NONBLOCK)))
}
