//! A watched sandbox: a thread that is asked about the calls that the policy names, writes them down, and lets the kernel
//! carry them out.
//!
//! It decides nothing by what it reads of a caller, which other threads can change after the look: the kernel's own
//! walls stand behind every call that goes on. What it refuses it refuses by the call's number and registers alone, as
//! the filter of an unwatched sandbox does: what the list refuses, what the policy denies by name, and every `execve` after
//! the worker's own where no program may be started. If this thread ends, so does the listener, and the kernel fails every
//! watched call.

mod budget;
mod caller;
mod calls;
mod record;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use buntime_policy::{Action, PolicyStack};
use buntime_sandbox::message::WORKER_PID;
use buntime_sandbox::plan::ExecGate;
use buntime_sandbox::seccomp::{self, List};
use buntime_sandbox::sys::{self, Notification, Reply};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::budget::Budget;
use self::caller::Caller;
use self::record::Records;
use crate::event::{AuditEvent, Event};
use crate::process;

/// Answers that one sandbox gets in a second.
const ANSWERS_PER_SECOND: u32 = 20_000;
/// Between two times that the reader is woken for records.
const PERIOD: Duration = Duration::from_millis(100);

/// What is to be watched, and by what it is judged.
#[derive(Clone, Debug)]
pub struct Job {
    pub stack: PolicyStack,
    /// What the sandbox shows, whatever the policy says of it: the runtime, and places of its own.
    pub shown: Vec<PathBuf>,
    /// Calls that are recorded.
    pub audit: Vec<String>,
    /// Calls that the policy denies on top of the list.
    pub deny: Vec<String>,
    pub exec: ExecGate,
}

/// The reader's hold on the thread.
pub struct Watcher(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something is there to be taken.
    news: tokio::sync::Notify,
}

struct State {
    records: Records,
    /// The worker's process, when its own `execve` has been let through.
    worker: Option<i32>,
    failed: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever panicked while it was held left counts and records that are whole.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Watcher {
    /// Starts the thread. It ends with the sandbox, or when the listener fails.
    pub fn start(listener: OwnedFd, job: &Job) -> Result<Self, String> {
        let watch = Watch::new(job)?;
        let records = Records::new(watch.audited.values().copied());
        let state = State { records, worker: None, failed: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: tokio::sync::Notify::new() });
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("buntime-notify".into())
            .spawn(move || serve(&listener, watch, &theirs))
            .map_err(|error| format!("thread buntime-notify: {error}"))?;
        Ok(Self(shared))
    }

    /// Until there is something to take.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }

    /// The worker's process, once.
    pub fn take_worker(&self) -> Option<i32> {
        self.0.lock().worker.take()
    }

    /// Why the thread had to end, once.
    pub fn take_failure(&self) -> Option<String> {
        self.0.lock().failed.take()
    }

    /// Makes events of what was recorded; `last` when nothing comes any more.
    pub fn tell(&self, last: bool, batch: &mut Vec<Event>) {
        self.0.lock().records.tell(Instant::now(), last, batch);
    }
}

fn serve(listener: &OwnedFd, mut watch: Watch, shared: &Shared) {
    let mut budget = Budget::new(ANSWERS_PER_SECOND, Instant::now());
    let mut told = Instant::now();
    loop {
        let since = told.elapsed();
        let waiting = !shared.lock().records.is_empty();
        if waiting && since >= PERIOD {
            shared.news.notify_one();
            told = Instant::now();
        }
        let timeout =
            if waiting { PollTimeout::try_from(PERIOD).unwrap_or(PollTimeout::ZERO) } else { PollTimeout::NONE };
        let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) if polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) => {}
            // No process is left that the filter holds for.
            Ok(_) | Err(_) => return,
        }
        let answered = sys::receive_notification(listener.as_fd()).and_then(|asked| match asked {
            Some(asked) => {
                std::thread::sleep(budget.take(Instant::now()));
                let reply = watch.answer(listener, &asked, shared);
                sys::answer_notification(listener.as_fd(), asked.id, reply)
            }
            None => Ok(()),
        });
        if let Err(error) = answered {
            shared.lock().failed = Some(error.to_string());
            shared.news.notify_one();
            return;
        }
    }
}

/// What the thread knows.
struct Watch {
    job: Job,
    list: List,
    /// Names of the recorded calls.
    audited: HashMap<u32, &'static str>,
    denied: Vec<u32>,
    /// The worker's own `execve` has been let through.
    executed: bool,
}

impl Watch {
    fn new(job: &Job) -> Result<Self, String> {
        let named = |name: &String| {
            let number = seccomp::number(name)?;
            Ok::<_, String>((number, seccomp::name(number).ok_or_else(|| format!("no such system call: {name:?}"))?))
        };
        Ok(Self {
            list: List::built_in()?,
            audited: job.audit.iter().map(named).collect::<Result<_, _>>()?,
            denied: job.deny.iter().map(|name| seccomp::number(name)).collect::<Result<_, _>>()?,
            job: job.clone(),
            executed: false,
        })
    }

    fn answer(&mut self, listener: &OwnedFd, asked: &Notification, shared: &Shared) -> Reply {
        let number = asked.number as u32;
        let refusal = self.refusal(number, &asked.arguments);
        if !self.executed {
            // What leads up to the worker's own `execve` is the helper's doing.
            if number != libc::SYS_execve as u32 {
                return Reply::Continue;
            }
            self.executed = true;
            if process::innermost_pid(asked.pid) != Some(WORKER_PID) {
                return Reply::Errno(libc::EPERM);
            }
            shared.lock().worker = i32::try_from(asked.pid).ok();
            shared.news.notify_one();
            return Reply::Continue;
        }
        if let Some(name) = self.audited.get(&number) {
            let record = self.record(name, asked, refusal.as_ref());
            // Of a caller that is gone meanwhile nothing is known: what was read may be another's.
            if sys::still_waits(listener.as_fd(), asked.id) {
                shared.lock().records.add(record);
            }
        }
        match refusal {
            Some((errno, _)) => Reply::Errno(errno),
            None => Reply::Continue,
        }
    }

    /// With which errno the call is refused, and by what.
    fn refusal(&self, number: u32, arguments: &[u64; 6]) -> Option<(i32, &'static str)> {
        if self.denied.contains(&number) {
            return Some((libc::EPERM, "antiEscape.denySyscalls"));
        }
        if let Some(errno) = self.list.refusal(number, arguments) {
            return Some((errno, "the list of system calls"));
        }
        let gate = number == libc::SYS_execve as u32 && self.job.exec == ExecGate::WorkerOnly;
        (self.executed && gate).then_some((libc::EPERM, "the exec gate"))
    }

    fn record(&self, syscall: &'static str, asked: &Notification, refusal: Option<&(i32, &'static str)>) -> AuditEvent {
        let target = calls::target(syscall, asked, &Caller::new(asked.pid));
        // The strictest answer of those that the call needs.
        let decision = target
            .queries
            .iter()
            .map(|query| self.job.stack.decide(query))
            .reduce(|first, second| if second.action > first.action { second } else { first });
        let (action, rule, source) = match (decision, refusal) {
            (Some(decision), _) if decision.rule.is_some() || refusal.is_some() && !decision.allowed => {
                (decision.action, decision.rule, decision.source)
            }
            (_, Some((_, source))) => (Action::Deny, None, (*source).to_owned()),
            (Some(_), None) if self.is_shown(&target.name) => (Action::Allow, None, "runtime".to_owned()),
            (Some(decision), None) => (decision.action, None, decision.source),
            (None, None) => (Action::Allow, None, "default".to_owned()),
        };
        let (target, raw) = match target.name.to_str() {
            Some(text) => (text.to_owned(), None),
            None => (target.name.to_string_lossy().into_owned(), Some(hex(&target.name))),
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let pid = i32::try_from(asked.pid).unwrap_or(0);
        AuditEvent { time, syscall, target, pid, action, rule, source, raw }
    }

    fn is_shown(&self, path: &OsStr) -> bool {
        self.job.shown.iter().any(|shown| Path::new(path).starts_with(shown))
    }
}

fn hex(name: &OsStr) -> String {
    name.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
