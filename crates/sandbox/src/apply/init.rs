//! The duties of PID 1: reap every orphan, pass signals on, report how the worker ended, and end with the supervisor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::{During, Result, failure};
use crate::message::{Failure, FromHelper, HelperEnd, Step, ToHelper, WorkerEnd};
use crate::mutation::{Layer, off};
use crate::sys::{self, Status};

/// Serves until the worker has ended or the supervisor is gone. When this process ends, the kernel kills all that is
/// left in the sandbox.
pub fn serve(helper: &HelperEnd, worker: i32, child_signals: OwnedFd, exec_failed: OwnedFd) -> Result<i32> {
    let mut executed = false;
    loop {
        // Once the pipe has said what it has to say, its place in the list is taken by a descriptor that is polled
        // anyway.
        let waits_for_exec = if executed { child_signals.as_fd() } else { exec_failed.as_fd() };
        let [signalled, ordered, exec_known] =
            sys::poll_readable([child_signals.as_fd(), helper.as_fd(), waits_for_exec]).during(Step::Exec)?;
        if exec_known && !executed {
            executed = true;
            if let Some(failure) = read_failure(&exec_failed)? {
                return Err(failure);
            }
        }
        if signalled {
            sys::drain_signal_fd(child_signals.as_fd());
            let mut reaped = 0;
            while let Some((pid, status)) = sys::wait(-1, false).during(Step::Exec)? {
                if pid == worker {
                    let end = match status {
                        Status::Exited(code) => WorkerEnd::Exited(code),
                        Status::Signalled(signal) => WorkerEnd::Signalled(signal),
                    };
                    // Nobody to tell: the supervisor is gone.
                    let _ = helper.send(&FromHelper::Ended(end));
                    return Ok(0);
                }
                reaped += 1;
                // A worker that makes orphans as fast as they are reaped is still to be killed when that is asked for.
                if reaped % 64 == 0 && !obey(helper, worker)? {
                    return Ok(0);
                }
            }
        }
        if ordered && !obey(helper, worker)? {
            return Ok(0);
        }
    }
}

/// Carries out one order, if one waits. False when the supervisor is gone.
fn obey(helper: &HelperEnd, worker: i32) -> Result<bool> {
    match helper.order() {
        Ok(Some(ToHelper::Signal(signal))) => {
            // The worker may have died this moment; its end is then reported.
            let _ = sys::kill(worker, signal);
            Ok(true)
        }
        Ok(Some(ToHelper::Launch)) => Err(failure(Step::Exec, "a second launch order")),
        Ok(None) => Ok(off(Layer::SocketEnd)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(failure(Step::Exec, format!("control socket: {error}"))),
    }
}

/// What the worker wrote when its start failed; `None` at the pipe's end: its `execve` went through.
pub fn read_failure(pipe: &OwnedFd) -> Result<Option<Failure>> {
    let mut text = Vec::new();
    while let Some(byte) = sys::read_byte(pipe.as_fd()).during(Step::Exec)? {
        text.push(byte);
    }
    if text.is_empty() {
        return Ok(None);
    }
    let told = serde_json::from_slice(&text);
    told.map(Some).map_err(|error| failure(Step::Exec, format!("half a report of a failed start: {error}")))
}
