//! The exec gate: the worker's own `execve` passes, and no other ever does.

use std::os::fd::AsFd;

use super::{During, Result, of_filter, sending};
use crate::message::{Failure, HelperEnd, Step};
use crate::mutation::{Layer, off};
use crate::plan::ExecGate;
use crate::seccomp::{self, ExecJudge, exec_gate};
use crate::sys::{self, Stop, SysError};

/// By whom the worker's `execve` is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// There is no gate.
    Open,
    /// The supervisor, who has the listener.
    Supervisor,
    /// This process, as the worker's tracer.
    Tracer,
}

/// What [`install`] has loaded.
pub struct Installed {
    pub gate: Gate,
    /// The list's filter too.
    pub list: bool,
}

/// Loads the gate's filter, and with `list` the list's too where nothing that it refuses is needed any more: neither is
/// another filter to be loaded, nor is anybody traced.
///
/// A second listener in one chain of filters is EBUSY, as when the host itself runs under one: then the worker is
/// traced until its one `execve`. Without a tracer the kernel fails each with ENOSYS, as without a listener.
pub fn install(helper: &HelperEnd, gate: ExecGate, list: bool) -> Result<Installed> {
    let list = list && !off(Layer::Seccomp);
    if gate == ExecGate::Open || off(Layer::ExecGate) {
        if list {
            super::load_filter(&seccomp::list().map_err(of_filter)?)?;
        }
        return Ok(Installed { gate: Gate::Open, list });
    }
    let asking =
        if list { seccomp::list_and_gate().map_err(of_filter)? } else { exec_gate(ExecJudge::Supervisor).into() };
    match sys::load_filter(&asking, true) {
        Ok(listener) => {
            if let Some(listener) = listener {
                helper.send_listener(listener.as_fd()).map_err(sending(Step::Seccomp, "the listener"))?;
            }
            Ok(Installed { gate: Gate::Supervisor, list })
        }
        Err(error) if error.errno == libc::EBUSY => {
            sys::load_filter(&exec_gate(ExecJudge::Tracer), false).during(Step::Seccomp)?;
            shows_itself()?;
            Ok(Installed { gate: Gate::Tracer, list: false })
        }
        Err(error) => Err(error).during(Step::Seccomp),
    }
}

/// Of several filters' verdicts the kernel takes one, and a listener's goes before a tracer's: where the host's
/// listener is asked about `execve`, our filter is not heard. So the kernel is asked: nobody traces this process, and
/// ENOSYS is what the gate says.
fn shows_itself() -> Result<()> {
    let answer = sys::execute(c"", &[c"".to_owned()], &[]);
    if answer.errno == libc::ENOSYS { Ok(()) } else { Err(not_to_be_had(answer)) }
}

/// The errno is that of the listener that cannot be had, by which the hint is found.
fn not_to_be_had(error: SysError) -> Failure {
    let message = format!("this host runs under a seccomp listener, and the exec gate cannot do without one: {error}");
    Failure { step: Step::Seccomp, message, errno: Some(libc::EBUSY) }
}

/// The worker's side: lets PID 1 trace it, and waits until it does. Before its filter, which knows no ptrace.
pub fn be_traced() -> Result<()> {
    sys::trace_me().map_err(not_to_be_had)?;
    sys::kill(sys::own_pid(), libc::SIGSTOP).during(Step::Seccomp)
}

/// PID 1's side: traces the worker up to its `execve`, which passes, and lets go of it. `Some` when the worker ended
/// before.
pub fn pass_one_exec(worker: i32) -> Result<Option<sys::Status>> {
    let step = Step::Seccomp;
    let mut attached = false;
    loop {
        match sys::wait_traced(worker).during(step)? {
            Stop::Ended(status) => return Ok(Some(status)),
            // The system call is checked once more after this, and then a filter's "trace" counts as "allow"
            // (seccomp(2)).
            Stop::AtFilter if attached => return sys::trace_end(worker).map(|()| None).during(step),
            Stop::Signal(libc::SIGSTOP) if !attached => {
                sys::trace_filters(worker).during(step)?;
                attached = true;
                sys::trace_continue(worker, 0).during(step)?;
            }
            Stop::Signal(signal) => sys::trace_continue(worker, signal).during(step)?,
            Stop::AtFilter => sys::trace_continue(worker, 0).during(step)?,
        }
    }
}
