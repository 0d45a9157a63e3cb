//! The holder of a sandbox's listener: a thread that is asked about system calls. Those that tell of the host it answers
//! itself, where the policy hides the host ([`hidden`]). Those that an audit names or that `warn` rules are about it
//! writes down, and lets the kernel carry them out ([`watch`]).
//!
//! It decides nothing by what it reads of a caller, which other threads can change after the look: the kernel's own
//! walls stand behind every call that goes on. What it refuses it refuses by the call's number and registers alone, as
//! the filter of an unwatched sandbox does: what the list refuses, what the policy denies by name, and every `execve`
//! after the worker's own where no program may be started. If this thread ends, so does the listener, and the kernel
//! fails every watched call.

mod budget;
mod caller;
mod calls;
mod connect;
mod hidden;
mod needs;
mod record;
mod system;
mod watch;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use buntime_network::Network;
use buntime_policy::{Action, Decision, Egress, PolicyStack, Target};
use buntime_sandbox::plan::ExecGate;
use buntime_sandbox::seccomp;
use buntime_sandbox::sys::{self, Notification, Reply};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::budget::Budget;
pub use self::hidden::Hiding;
use self::record::{Denied, Records};
pub use self::system::System;
use self::watch::Watch;
use crate::event::Event;
use crate::inbound::Inbound;
use crate::learn::{self, Given, Needs};

/// Between two times that the reader is woken for records.
const PERIOD: Duration = Duration::from_millis(100);
/// Of the thread: it reads a path, asks the policy, and writes a record.
const STACK: usize = 512 << 10;

/// What a policy wants to be seen.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Calls that are recorded, by name.
    audit: Vec<String>,
    /// There are `warn` rules about files.
    warn_files: bool,
    /// There are `warn` rules about programs.
    warn_programs: bool,
    /// There are `warn` rules about libraries.
    warn_libraries: bool,
    /// Calls that show what `warn` rules about the system are about.
    warn_system: Vec<&'static str>,
    /// Nothing is denied: what the policy would deny is told.
    monitor: bool,
    /// What is needed is kept, for a policy to be made of it.
    learn: bool,
    /// What is told about the system, where not all may be seen.
    system: Option<System>,
    /// A rule denies something of it.
    must_hide: bool,
    /// There is a network, whose policy answers for each `connect`.
    pub connects: bool,
}

impl Wanted {
    /// By its settings and its `warn` rules; recorded is also what `audit` asks for.
    pub fn by(stack: &PolicyStack, audit: bool, hostname: &str) -> Self {
        let settings = stack.normalized().audit;
        let warned = |fits: fn(&Target) -> bool| {
            stack.all_rules().any(|(_, rule)| rule.action == Action::Warn && fits(&rule.target))
        };
        Self {
            audit: if settings.enabled || audit { settings.events } else { Vec::new() },
            warn_files: warned(|target| matches!(target, Target::Fs { .. })),
            warn_programs: warned(|target| matches!(target, Target::Exec { .. })),
            warn_libraries: warned(|target| matches!(target, Target::Ffi(_))),
            warn_system: System::warned_calls(stack),
            system: System::by(stack, hostname),
            must_hide: System::is_denied_by_rule(stack),
            ..Self::default()
        }
    }

    /// Everything that a policy has a word on, whatever this one says.
    pub fn monitoring(stack: &PolicyStack) -> Self {
        let mut wanted = Self { system: None, must_hide: false, ..Self::by(stack, true, "") };
        for name in calls::FILE_CALLS.iter().copied().chain(["execve", "connect"]) {
            // Calls that this architecture lacks are nobody's to make.
            if seccomp::number(name).is_ok() && !wanted.audit.iter().any(|known| known == name) {
                wanted.audit.push(name.to_owned());
            }
        }
        Self { monitor: true, ..wanted }
    }

    /// All that a policy is to be made of.
    pub fn learning() -> Self {
        Self { learn: true, ..Self::default() }
    }

    /// Whether there are calls that are recorded.
    pub fn records(&self) -> bool {
        !self.audit.is_empty()
    }

    /// Whether anything is to be seen.
    fn watches(&self) -> bool {
        self.records() || self.watches_code() || self.warn_files || self.warn_programs || !self.warn_system.is_empty()
    }

    /// Whether files that become code are to be seen.
    pub fn watches_code(&self) -> bool {
        self.warn_libraries || self.monitor || self.learn
    }

    /// What the listener is for, where nothing is to be seen, and the host is to be hidden or there is a network.
    pub fn hiding(&self, exec: ExecGate) -> Option<Hiding> {
        let is_wanted = (self.system.is_some() || self.connects) && !self.watches();
        is_wanted.then(|| Hiding { system: self.system.clone(), network: None, exec })
    }

    /// The calls whose answers about the host are made up.
    pub fn hidden_calls(&self) -> Vec<&'static str> {
        self.system.as_ref().map(System::calls).unwrap_or_default()
    }

    /// Whether there is to be no sandbox where the host cannot be hidden.
    pub fn must_hide(&self) -> bool {
        self.must_hide
    }

    /// The calls that the listener is to be asked about, where something is to be seen.
    pub fn calls(&self) -> Vec<String> {
        if !self.watches() {
            return Vec::new();
        }
        let mut calls = self.audit.clone();
        let mut add = |name: &str| {
            // Calls that this architecture lacks are nobody's to make.
            if seccomp::number(name).is_ok() && !calls.iter().any(|known| known == name) {
                calls.push(name.to_owned());
            }
        };
        if self.warn_files || self.learn {
            calls::FILE_CALLS.iter().for_each(|name| add(name));
        }
        if self.learn {
            calls::LOOKS.iter().for_each(|name| add(name));
        }
        if self.warn_programs || self.learn {
            add("execve");
        }
        if self.connects {
            add("connect");
        }
        self.warn_system.iter().copied().for_each(&mut add);
        self.system.iter().flat_map(System::calls).for_each(&mut add);
        calls
    }
}

/// What is to be watched, and by what it is judged.
#[derive(Clone, Debug)]
pub struct Job {
    pub stack: PolicyStack,
    /// What of it is about the network.
    pub egress: Arc<Egress>,
    /// The interpreter's own files, which every worker may read.
    pub runtime: Vec<PathBuf>,
    /// All that the sandbox shows.
    pub shown: Vec<PathBuf>,
    /// The script, which its worker may read; where a policy is learned, until it is read.
    pub entry: Option<PathBuf>,
    pub wanted: Wanted,
    /// Calls that the policy denies on top of the list.
    pub deny: Vec<String>,
    pub exec: ExecGate,
}

/// The reader's hold on the thread.
pub struct Watcher {
    shared: Arc<Shared>,
    /// Where a policy is to be made of what is seen: what needs no rule.
    given: Option<(Vec<PathBuf>, Option<PathBuf>)>,
}

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
    needs: Needs,
    /// Whether answers can be written into the sandbox's memory; unknown before the worker is ready.
    writable: Option<bool>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever panicked while it was held left counts and records that are whole.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Nothing is answered any more, and the reader is to know why.
    fn fail(&self, why: String) {
        self.lock().failed = Some(why);
        self.news.notify_one();
    }
}

impl Watcher {
    /// Starts the thread. It ends with the sandbox, or when the listener fails.
    pub fn start(listener: OwnedFd, job: &Job, network: Option<Arc<Network>>) -> Result<Self, String> {
        let watch = Watch::new(job, network)?;
        let listener = Arc::new(listener);
        let records = Records::new(watch.audited.values().copied());
        let given = job.wanted.learn.then(|| (job.runtime.clone(), job.entry.clone()));
        Self::spawn(listener, watch, records, given)
    }

    /// The same for one that only hides the host and answers for `connect`, when the worker's own `execve` has passed.
    pub fn hide(listener: OwnedFd, hiding: Hiding) -> Result<Self, String> {
        Self::spawn(Arc::new(listener), hiding, Records::default(), None)
    }

    fn spawn(
        listener: Arc<OwnedFd>,
        answers: impl Answers,
        records: Records,
        given: Option<(Vec<PathBuf>, Option<PathBuf>)>,
    ) -> Result<Self, String> {
        let state = State { records, worker: None, failed: None, needs: Needs::default(), writable: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: tokio::sync::Notify::new() });
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("buntime-notify".into())
            .stack_size(STACK)
            .spawn(move || serve(&listener, answers, &theirs))
            .map_err(|error| format!("thread buntime-notify: {error}"))?;
        Ok(Self { shared, given })
    }

    /// Finds out, before any code of the user's runs, whether answers can be written into the worker's memory. Where
    /// not, the kernel answers from now on.
    pub fn try_memory(&self, worker: Option<i32>) -> io::Result<bool> {
        // Of a worker that is not known nothing is to be shown.
        let writable = worker.map_or(Ok(true), hidden::can_write)?;
        self.shared.lock().writable = Some(writable);
        Ok(writable)
    }

    /// Until there is something to take.
    pub async fn news(&self) {
        self.shared.news.notified().await;
    }

    /// The worker's process, once.
    pub fn take_worker(&self) -> Option<i32> {
        self.shared.lock().worker.take()
    }

    /// Why the thread had to end, once.
    pub fn take_failure(&self) -> Option<String> {
        self.shared.lock().failed.take()
    }

    /// Makes events of what was seen; `last` when nothing comes any more.
    pub fn tell(&self, last: bool, inbound: &mut Inbound) {
        let state = &mut *self.shared.lock();
        state.records.tell(Instant::now(), last, &mut inbound.batch);
        let (denials, more) = state.records.take_denials();
        for Denied { permission, operation, target, pid } in denials {
            let report = (permission, operation.as_bytes(), &target[..]);
            inbound.denials.report(&inbound.settled.stack, pid, report, &mut inbound.batch);
        }
        inbound.denials.missed(more);
        if let Some((runtime, entry)) = self.given.as_ref().filter(|_| last) {
            let mut needs = std::mem::take(&mut state.needs);
            needs.absorb(std::mem::take(&mut inbound.told));
            let learned = learn::synthesise(&needs, &Given { runtime, entry: entry.as_deref() });
            inbound.batch.push(Event::Learned(Box::new(learned)));
        }
    }
}

/// Tells the reader of a panic, too: with the thread the listener goes, and the kernel fails each watched call.
struct TellPanic<'a>(&'a Shared);

impl Drop for TellPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the thread buntime-notify panicked".into());
        }
    }
}

/// Who answers what a listener is asked.
trait Answers: Send + 'static {
    /// Of each second at most this much is spent on answers.
    const SHARE: f64;

    /// None where the answer comes later, from elsewhere.
    fn answer(&mut self, listener: &Arc<OwnedFd>, asked: &Notification, shared: &Shared) -> Option<Reply>;
}

fn serve<A: Answers>(listener: &Arc<OwnedFd>, mut answers: A, shared: &Shared) {
    let _told = TellPanic(shared);
    let mut budget = Budget::new(A::SHARE, Instant::now());
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
            Ok(_) => return,
            Err(error) => return shared.fail(format!("poll: {error}")),
        }
        let answered = sys::receive_notification(listener.as_fd()).and_then(|asked| match asked {
            Some(asked) => {
                let begun = Instant::now();
                let done = match answers.answer(listener, &asked, shared) {
                    Some(reply) => sys::answer_notification(listener.as_fd(), asked.id, reply),
                    None => Ok(()),
                };
                std::thread::sleep(budget.take(begun, Instant::now()));
                done
            }
            None => Ok(()),
        });
        if let Err(error) = answered {
            return shared.fail(error.to_string());
        }
    }
}

impl Job {
    /// Calls that are recorded, by name.
    pub fn audit(&self) -> &[String] {
        &self.wanted.audit
    }
}

/// What a `warn` rule has let through, in words.
pub fn let_through(kind: &str, target: &str, decision: &Decision) -> String {
    let rule = decision.rule.as_deref().unwrap_or("the default");
    format!("{kind} {target}: let through by {rule} ({})", decision.source)
}

/// What a policy would have denied that is not in force, in words.
pub fn would_be_denied(kind: &str, target: &str, decision: &Decision) -> String {
    match &decision.rule {
        Some(rule) => format!("{kind} {target}: would be denied by {rule} ({})", decision.source),
        None => format!("{kind} {target}: would be denied by default"),
    }
}
