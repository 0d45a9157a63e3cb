//! The exec gate: the worker's own `execve` passes, and no other ever does. And what tells of the host: the supervisor
//! answers those calls, by the same listener.

use std::os::fd::AsFd;

use super::{During, Result, failure, of_filter, sending};
use crate::message::{Failure, HelperEnd, Step};
use crate::mutation::{Layer, off};
use crate::plan::{ExecGate, SeccompPlan};
use crate::seccomp::{self, ExecJudge};
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
    /// Why the kernel answers the calls that were to be hidden, in words.
    pub shown: Option<String>,
}

/// Loads the filter that asks the supervisor, and with `list` the list's too where nothing that it refuses is needed
/// any more: neither is another filter to be loaded, nor is anybody traced.
///
/// A second listener in one chain of filters is EBUSY, as when the host itself runs under one, and one that knows no
/// listener says EINVAL: then the worker is traced until its one `execve`. Without a tracer the kernel fails each with
/// ENOSYS, as without a listener. What was to be hidden is shown then.
pub fn install(helper: &HelperEnd, plan: &SeccompPlan, gate: ExecGate, list: bool) -> Result<Installed> {
    let list = list && !off(Layer::Seccomp);
    let gated = gate == ExecGate::WorkerOnly && !off(Layer::ExecGate);
    let execve = libc::SYS_execve as u32;
    let mut asked: Vec<u32> = gated.then_some(execve).into_iter().collect();
    for name in &plan.hide {
        asked.push(seccomp::number(name).map_err(of_filter)?);
    }
    asked.extend(plan.connects.then_some(libc::SYS_connect as u32));
    let without = |gate: Gate, shown: Option<String>| {
        if list && gate == Gate::Open {
            super::load_filter(&seccomp::list().map_err(of_filter)?)?;
        }
        Ok(Installed { gate, list: list && gate == Gate::Open, shown })
    };
    if asked.is_empty() {
        return without(Gate::Open, None);
    }
    let asking = if list {
        seccomp::list_and_asking(&asked).map_err(of_filter)?
    } else {
        seccomp::asking(ExecJudge::Supervisor, &asked).into()
    };
    match sys::load_filter(&asking, true) {
        Ok(listener) => {
            if let Some(listener) = listener {
                helper.send_listener(listener.as_fd()).map_err(sending(Step::Seccomp, "the listener"))?;
            }
            Ok(Installed { gate: if gated { Gate::Supervisor } else { Gate::Open }, list, shown: None })
        }
        Err(error) if matches!(error.errno, libc::EBUSY | libc::EINVAL) => {
            let shown = not_hidden(plan, &error)?;
            if !gated {
                return without(Gate::Open, shown);
            }
            sys::load_filter(&seccomp::asking(ExecJudge::Tracer, &[execve]), false).during(Step::Seccomp)?;
            shows_itself()?;
            without(Gate::Tracer, shown)
        }
        Err(error) => Err(error).during(Step::Seccomp),
    }
}

/// What is shown for want of a listener, in words; an error where it must not be.
fn not_hidden(plan: &SeccompPlan, error: &SysError) -> Result<Option<String>> {
    let calls = plan.hide.join(", ");
    if plan.must_hide {
        let message = format!("the policy hides what {calls} tell, which takes a seccomp listener: {error}");
        return Err(Failure { errno: Some(error.errno), ..failure(Step::Watch, message) });
    }
    let why = match error.errno {
        libc::EBUSY => "this host runs under a seccomp listener itself, and the kernel allows one",
        _ => "the kernel knows no seccomp listener",
    };
    let mut shown = Vec::new();
    if !plan.hide.is_empty() {
        shown.push(format!("not hidden from the worker is what {calls} tell of the host"));
    }
    if plan.connects {
        shown.push("connections that are refused are reset, and do not fail as such".to_owned());
    }
    Ok((!shown.is_empty()).then(|| format!("{}: {why}", shown.join("; "))))
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
