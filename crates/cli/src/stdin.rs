//! Standard input, passed on. The worker has a pipe of its own: the caller's terminal or file is never handed to it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::fd;

/// How often a job in the background looks whether it was brought to the foreground.
const BACKGROUND_PAUSE: Duration = Duration::from_millis(200);

/// Copies standard input to `worker` until either ends. The thread dies with the process, in the middle of a read if
/// need be.
pub fn pass_on(worker: OwnedFd) -> io::Result<()> {
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || copy(worker))?;
    Ok(())
}

fn copy(worker: OwnedFd) {
    // A job in the background that reads its terminal is stopped as a whole, and we read ahead of any wish of the
    // script's. With this signal blocked the read fails instead.
    let mut tty_input = SigSet::empty();
    tty_input.add(Signal::SIGTTIN);
    let _ = tty_input.thread_block();

    // As much as a pipe holds. A terminal gives a line at a time, whatever the buffer.
    let mut buffer = vec![0; 64 << 10];
    loop {
        match fd::read(io::stdin(), &mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if fd::write_all(&worker, &buffer[..length]).is_err() {
                    return;
                }
            }
            Err(Errno::EIO) if is_background_job() => std::thread::sleep(BACKGROUND_PAUSE),
            Err(_) => return,
        }
    }
}

fn is_background_job() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp())
}
