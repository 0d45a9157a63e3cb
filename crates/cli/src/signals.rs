//! Signals as notices. A thread waits for them, since a handler may do next to nothing.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc::UnboundedSender;

use crate::session::Notice;

/// Sends each of SIGINT, SIGTERM and SIGHUP on, from now to the end of the process.
pub fn listen(notices: UnboundedSender<Notice>) -> io::Result<()> {
    // One that the caller had ignored stays so: nohup, and a shell's background jobs, mean it.
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals = Signals::new(wanted)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            // Nobody listens any more: the process is about to end.
            let _ = notices.send(Notice::Signal(signal));
        }
    })?;
    Ok(())
}

#[allow(unsafe_code)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null pointer asks for the action without setting one, and `action` has room for it.
    // JUSTIFICATION: every safe wrapper asks only by setting.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the call has filled `action` where it succeeded.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
