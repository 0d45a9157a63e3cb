//! `connect()` in a sandbox with a network, answered before the kernel carries it out.
//!
//! In the sandbox every address is local, so that the kernel lets each connection succeed, and the relay can only end
//! it. Asked here first, a denied one fails as such, and a blocking one as its peer lets it fail. None of that is the
//! wall: what the caller's memory says may change after the look, and the relay judges each flow by where it really
//! goes.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender, SyncSender};
use std::thread;
use std::time::Duration;

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
    thread_local! {
        // The thread of a listener answers for one sandbox.
        static LOOKER: RefCell<Option<Looker>> = const { RefCell::new(None) };
    }
    let group = process::group_of(i32::try_from(call.pid).ok()?)?;
    // Descriptors are read as 32 bits.
    let fd = call.arguments[0] as i32;
    LOOKER.with_borrow_mut(|looker| {
        if looker.is_none() {
            *looker = Looker::start();
        }
        looker.as_ref()?.look(group, fd)
    })
}

/// A thread that looks at descriptors of the sandbox's, by copies. The worker says which, and each may be anything:
/// whoever closes a copy of a file loses the locks that it has on that file itself (fcntl_locking(2)), and may wait for
/// a lingering socket. So the thread has a descriptor table of its own, and nobody waits for it for long.
struct Looker {
    questions: Sender<Question>,
}

struct Question {
    process: i32,
    fd: i32,
    answer: SyncSender<(SockType, bool)>,
}

/// How long an answer may take. Without one the relay judges alone.
const PATIENCE: Duration = Duration::from_millis(200);
const STACK: usize = 256 << 10;

impl Looker {
    fn start() -> Option<Self> {
        let (questions, asked) = mpsc::channel::<Question>();
        let look = move || {
            // All descriptors of the process but the standard ones are left to it.
            if sys::leave_descriptors(3).is_err() {
                return;
            }
            while let Ok(Question { process, fd, answer }) = asked.recv() {
                if let Some(found) = kind_of(process, fd) {
                    // Nobody waits any more where it fails.
                    let _ = answer.try_send(found);
                }
            }
        };
        thread::Builder::new().name("buntime-sockets".into()).stack_size(STACK).spawn(look).ok()?;
        Some(Self { questions })
    }

    fn look(&self, process: i32, fd: i32) -> Option<(SockType, bool)> {
        let (answer, found) = mpsc::sync_channel(1);
        self.questions.send(Question { process, fd, answer }).ok()?;
        found.recv_timeout(PATIENCE).ok()
    }
}

fn kind_of(process: i32, fd: i32) -> Option<(SockType, bool)> {
    let process = sys::open_process(process).ok()?;
    let copy = sys::copy_descriptor(process.as_fd(), fd).ok()?;
    let kind = getsockopt(&copy, sockopt::SockType).ok()?;
    let flags = OFlag::from_bits_retain(fcntl(copy.as_fd(), FcntlArg::F_GETFL).ok()?);
    Some((kind, !flags.contains(OFlag::O_NONBLOCK)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn to_look_at_a_file_loses_no_lock_on_it() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"x").unwrap();
        let lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        fcntl(&file, FcntlArg::F_SETLK(&lock)).unwrap();
        let is_locked = || {
            let place = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
            std::fs::read_to_string(place).unwrap().contains("POSIX")
        };
        assert!(is_locked());
        let looker = Looker::start().unwrap();
        assert_eq!(looker.look(own, file.as_raw_fd()), None, "a file is no socket");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(looker.look(own, listener.as_raw_fd()), Some((SockType::Stream, true)));
        listener.set_nonblocking(true).unwrap();
        assert_eq!(looker.look(own, listener.as_raw_fd()), Some((SockType::Stream, false)));
        assert!(is_locked());
        // The control: who closes a copy in the table that the lock was taken in loses it.
        drop(File::options().read(true).open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap());
        assert!(!is_locked());
    }
}
