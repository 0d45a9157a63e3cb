//! One run, from start to exit code: a few phases in a row, each of which a signal or a broken pipe may cut short.

use std::pin::pin;
use std::time::Duration;

use buntime_supervisor::{Ended, Run, Stream, Supervisor};
use nix::errno::Errno;
use signal_hook::consts::{SIGINT, SIGPIPE};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::failure::{Failure, OURS, of_process, of_signal};
use crate::stdin;

/// How long a script may take to end after SIGTERM or SIGHUP.
const GRACE: Duration = Duration::from_secs(2);
/// How long the supervisor may take to end a sandbox that was killed. After that we leave without it: the kernel ends
/// the sandbox when we are gone.
const LAST_RESORT: Duration = Duration::from_secs(2);

/// Something that other threads tell the session.
#[derive(Debug)]
pub enum Notice {
    /// SIGINT, SIGTERM or SIGHUP came.
    Signal(i32),
    /// The script's output can no longer be written.
    Broken(Stream, Errno),
    /// What was to be recorded can no longer be written.
    Unrecorded(String),
    /// The script is over, with its exit code unless the worker is gone without one.
    ScriptEnded(Option<u8>),
}

/// Why a run is cut short.
#[derive(Debug)]
enum Cut {
    Signal(i32),
    Broken(Stream, Errno),
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Cut {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

/// A run under way.
pub struct Session<'a> {
    supervisor: &'a Supervisor,
    notices: UnboundedReceiver<Notice>,
    is_interrupted: bool,
}

impl<'a> Session<'a> {
    /// A run by this supervisor, whose sink sends its notices here.
    pub fn new(supervisor: &'a Supervisor, notices: UnboundedReceiver<Notice>) -> Self {
        Self { supervisor, notices, is_interrupted: false }
    }

    /// Runs the program to its end and returns the exit code.
    pub async fn drive(mut self, run: Run) -> Result<u8, Failure> {
        match self.run_phases(run).await {
            Ok(code) => Ok(code),
            Err(cut) => self.leave(cut).await,
        }
    }

    async fn run_phases(&mut self, run: Run) -> Result<u8, Cut> {
        let started = self.supervisor.start(None);
        // Queued at once: the worker then finds it when it is ready, and need not be woken for it.
        let accepted = self.supervisor.run(run)?;
        self.unless_cut(started).await??;
        if let Some(worker) = self.supervisor.take_stdin() {
            stdin::pass_on(worker)
                .map_err(|error| Failure::new(OURS, format!("cannot read standard input: {error}")))?;
        }
        if !accepted {
            return Err(Failure::new(OURS, "the worker ended before the script began").into());
        }
        let script = loop {
            match self.script_end().await {
                Err(Cut::Signal(SIGINT)) if self.pass_interrupt() => {}
                end => break end?,
            }
        };
        // As python3 does, waits for the script's threads and exit handlers for as long as they take.
        let mut stopped = pin!(self.supervisor.stop(None));
        let worker = loop {
            match self.unless_cut(&mut stopped).await {
                Err(Cut::Signal(SIGINT)) if self.pass_interrupt() => {}
                end => break end?,
            }
        };
        exit_code(script, worker).map_err(Cut::Failed)
    }

    /// The first Ctrl-C is the script's; a second one is ours. Whether this was the first.
    fn pass_interrupt(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.is_interrupted, true);
        if is_first {
            // Sent by the call; the script's end is the answer, and what it resolves with is of no interest.
            drop(self.supervisor.interrupt());
        }
        is_first
    }

    async fn script_end(&mut self) -> Result<Option<u8>, Cut> {
        match self.notices.recv().await {
            Some(Notice::ScriptEnded(code)) => Ok(code),
            Some(Notice::Signal(signal)) => Err(Cut::Signal(signal)),
            Some(Notice::Broken(stream, errno)) => Err(Cut::Broken(stream, errno)),
            Some(Notice::Unrecorded(error)) => Err(unrecorded(&error)),
            None => Ok(None),
        }
    }

    /// Waits for `future`, unless something comes that cuts the run short.
    async fn unless_cut<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Cut> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                done = &mut future => return Ok(done),
                Some(notice) = self.notices.recv() => match notice {
                    Notice::Signal(signal) => return Err(Cut::Signal(signal)),
                    Notice::Broken(stream, errno) => return Err(Cut::Broken(stream, errno)),
                    Notice::Unrecorded(error) => return Err(unrecorded(&error)),
                    Notice::ScriptEnded(_) => {}
                },
            }
        }
    }

    /// Ends the sandbox before its time.
    async fn leave(mut self, cut: Cut) -> Result<u8, Failure> {
        match cut {
            Cut::Signal(SIGINT) => {
                self.kill(of_signal(SIGINT)).await;
                Ok(of_signal(SIGINT))
            }
            Cut::Signal(signal) => {
                let code = of_signal(signal);
                leave_after(GRACE + LAST_RESORT, code);
                // Whoever asks twice is in a hurry.
                if self.unless_cut(self.supervisor.stop(Some(GRACE))).await.is_err() {
                    self.kill(code).await;
                }
                Ok(code)
            }
            Cut::Broken(_, Errno::EPIPE) => {
                // What SIGPIPE would have made of us. An exit code, since the signal does nothing to PID 1 of a
                // container.
                self.kill(of_signal(SIGPIPE)).await;
                Ok(of_signal(SIGPIPE))
            }
            Cut::Broken(stream, errno) => {
                self.kill(OURS).await;
                let name = match stream {
                    Stream::Stdout => "standard output",
                    Stream::Stderr => "standard error",
                };
                Err(Failure::new(OURS, format!("cannot write to {name}: {}", errno.desc().to_lowercase())))
            }
            Cut::Failed(failure) => {
                self.kill(failure.code).await;
                Err(failure)
            }
        }
    }

    async fn kill(&self, code: u8) {
        leave_after(LAST_RESORT, code);
        self.supervisor.kill();
        self.supervisor.stop(Some(Duration::ZERO)).await;
    }
}

/// A run that was to be recorded does not go on unrecorded.
fn unrecorded(error: &str) -> Cut {
    Cut::Failed(Failure::new(OURS, format!("--audit: the record cannot be written any more: {error}")))
}

/// Ends this process then, whatever the supervisor is still waiting for. Its reader may sit in a write to a terminal
/// that was halted with Ctrl-S, and what cannot be written must not keep anyone from leaving.
fn leave_after(time: Duration, code: u8) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        std::process::exit(code.into());
    });
}

/// The script's exit code; where it did not fail, that of the end of its worker, whose exit handlers have a say too.
fn exit_code(script: Option<u8>, worker: Ended) -> Result<u8, Failure> {
    match (script, worker) {
        (Some(code @ 1..), _) => Ok(code),
        (_, Ended::Signalled(signal)) => Ok(of_signal(signal)),
        (_, Ended::Exited(status)) if status != 0 => Ok(of_process(status)),
        (Some(0), _) => Ok(0),
        (None, _) => Err(Failure::new(OURS, "the worker ended without a word on how the script did")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thing_that_went_wrong_is_the_exit_code() {
        for (script, worker, expected) in [
            (Some(0), Ended::Exited(0), 0),
            (Some(3), Ended::Exited(0), 3),
            (Some(3), Ended::Signalled(9), 3),
            (Some(0), Ended::Exited(7), 7),
            (Some(0), Ended::Signalled(11), 139),
            (None, Ended::Signalled(6), 134),
            (Some(0), Ended::Never, 0),
        ] {
            assert_eq!(exit_code(script, worker), Ok(expected), "{script:?} {worker:?}");
        }
        assert_eq!(exit_code(None, Ended::Exited(0)).unwrap_err().code, OURS);
    }
}
