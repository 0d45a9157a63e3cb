//! What every sandbox is told about the host in place of the truth: the answers to the few calls that tell of it.
//!
//! Where nothing is recorded this, and `connect` where there is a network, is all that the listener is for. It is then the exec gate's, which the reader
//! holds until the worker's own `execve` has passed; no memory of the sandbox is read but
//! the addresses that are connected to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use buntime_network::Network;
use buntime_sandbox::mutation::{Layer, off};
use buntime_sandbox::plan::ExecGate;
use buntime_sandbox::seccomp;
use buntime_sandbox::sys::{self, Notification, Reply};

use super::caller::Caller;
use super::{Answers, Shared, System, connect};

/// Of a processor: a hostile worker may ask as often as it likes, and these answers are the host's work.
const SHARE: f64 = 0.1;

/// What a listener that nothing else is asked by answers with.
#[derive(Clone)]
pub struct Hiding {
    pub system: Option<System>,
    /// What answers for `connect`, once the sandbox has it.
    pub network: Option<Arc<Network>>,
    pub exec: ExecGate,
}

impl Hiding {
    /// The calls that tell of the host.
    pub fn calls(&self) -> Vec<&'static str> {
        self.system.as_ref().map(System::calls).unwrap_or_default()
    }

    /// Whether the listener is asked about the worker's own `execve` first.
    pub fn is_gate(&self) -> bool {
        self.exec == ExecGate::WorkerOnly && !off(Layer::ExecGate)
    }
}

impl Answers for Hiding {
    const SHARE: f64 = SHARE;

    fn answer(&mut self, listener: &Arc<OwnedFd>, asked: &Notification, shared: &Shared) -> Option<Reply> {
        if connect::is_asked(asked) {
            return connect::answer(self.network.as_deref(), listener, asked);
        }
        // The worker's own has passed before. What the kernel says without a listener, it is told with one as well.
        let refused = Reply::Errno(libc::ENOSYS);
        Some(self.system.as_ref().and_then(|system| answer(system, listener, asked, shared)).unwrap_or(refused))
    }
}

/// The answer to a call about the system that is not the kernel's to answer; `None` to any other.
pub fn answer(system: &System, listener: &OwnedFd, asked: &Notification, shared: &Shared) -> Option<Reply> {
    let name = seccomp::name(asked.number as u32)?;
    if off(Layer::SystemAnswers) && system.calls().contains(&name) {
        return Some(Reply::Continue);
    }
    let answer = match system.answer(name, &asked.arguments)? {
        Ok(answer) => answer,
        Err(errno) => return Some(Reply::Errno(errno)),
    };
    let Ok(memory) = Caller::new(asked.pid).open_memory() else {
        // Either the kernel lets nobody write there, which is found out before any code of the user's runs, or this
        // process has closed itself, and has no answer.
        let is_shown = shared.lock().writable != Some(true);
        return Some(if is_shown { Reply::Continue } else { Reply::Errno(libc::EFAULT) });
    };
    // Its memory stays its own from here on, whoever gets its number.
    let is_its_own = sys::still_waits(listener.as_fd(), asked.id);
    let written = is_its_own && memory.write_all_at(&answer.bytes, asked.arguments[answer.argument]).is_ok();
    Some(if written { Reply::Value(answer.value) } else { Reply::Errno(libc::EFAULT) })
}

/// Whether answers can be written into this process, which has just been started; an error where that cannot be known.
/// The kernel may let nobody (`kernel.yama.ptrace_scope` 3, another security module).
pub fn can_write(worker: i32) -> io::Result<bool> {
    match u32::try_from(worker).map_err(io::Error::other).and_then(|tid| Caller::new(tid).open_memory()) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        // It has ended already: nothing is shown to it.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => Ok(true),
        Err(error) => Err(error),
    }
}
