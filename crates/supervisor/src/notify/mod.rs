//! A watched sandbox: a thread that is asked about the calls that an audit names or that `warn` rules are about, writes
//! them down, and lets the kernel carry them out.
//!
//! It decides nothing by what it reads of a caller, which other threads can change after the look: the kernel's own
//! walls stand behind every call that goes on. What it refuses it refuses by the call's number and registers alone, as
//! the filter of an unwatched sandbox does: what the list refuses, what the policy denies by name, and every `execve`
//! after the worker's own where no program may be started. If this thread ends, so does the listener, and the kernel
//! fails every watched call.

mod budget;
mod caller;
mod calls;
mod needs;
mod record;
mod system;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use buntime_policy::{Action, Decision, PermissionKind, PolicyStack, Target};
use buntime_sandbox::mutation::{Layer, off};
use buntime_sandbox::plan::ExecGate;
use buntime_sandbox::seccomp::{self, List};
use buntime_sandbox::sys::{self, Notification, Reply};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::budget::Budget;
use self::caller::Caller;
use self::calls::Access;
use self::record::{Denied, Records};
pub use self::system::System;
use crate::event::{AuditEvent, Event};
use crate::inbound::Inbound;
use crate::learn::{self, Given, Need, Needs};
use crate::process;

/// Between two times that the reader is woken for records.
const PERIOD: Duration = Duration::from_millis(100);

/// Most different things that `warn` rules tell of. Others are let through untold.
const MAX_WARNINGS: usize = 1000;
/// Where programs look for things of the system on their own account: that these are not there is no news.
const SYSTEM: [&str; 11] = ["/etc", "/usr", "/proc", "/sys", "/run", "/var", "/lib", "/lib64", "/bin", "/sbin", "/dev"];

/// What a policy wants to be seen.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Calls that are recorded, by name.
    audit: Vec<String>,
    /// There are `warn` rules about files.
    warn_files: bool,
    /// There are `warn` rules about programs.
    warn_programs: bool,
    /// Nothing is denied: what the policy would deny is told.
    monitor: bool,
    /// What is needed is kept, for a policy to be made of it.
    learn: bool,
    /// What is told about the system, where rules say what.
    system: Option<System>,
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
            system: System::by(stack, hostname),
            ..Self::default()
        }
    }

    /// Everything that a policy has a word on, whatever this one says.
    pub fn monitoring(stack: &PolicyStack) -> Self {
        let mut wanted = Self { system: None, ..Self::by(stack, true, "") };
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

    /// The calls that the listener is to be asked about.
    pub fn calls(&self) -> Vec<String> {
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
            calls::LOOKS.iter().chain(&["mmap", "connect"]).for_each(|name| add(name));
        }
        if self.warn_programs || self.learn {
            add("execve");
        }
        self.system.iter().flat_map(System::calls).for_each(&mut add);
        calls
    }
}

/// What is to be watched, and by what it is judged.
#[derive(Clone, Debug)]
pub struct Job {
    pub stack: PolicyStack,
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
    pub fn start(listener: OwnedFd, job: &Job) -> Result<Self, String> {
        let watch = Watch::new(job)?;
        let records = Records::new(watch.audited.values().copied());
        let state = State { records, worker: None, failed: None, needs: Needs::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: tokio::sync::Notify::new() });
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("buntime-notify".into())
            .spawn(move || serve(&listener, watch, &theirs))
            .map_err(|error| format!("thread buntime-notify: {error}"))?;
        let given = job.wanted.learn.then(|| (job.runtime.clone(), job.entry.clone()));
        Ok(Self { shared, given })
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

fn serve(listener: &OwnedFd, mut watch: Watch, shared: &Shared) {
    let _told = TellPanic(shared);
    let mut budget = Budget::new(Instant::now());
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
                let reply = watch.answer(listener, &asked, shared);
                let done = sys::answer_notification(listener.as_fd(), asked.id, reply);
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

/// What the thread knows.
struct Watch {
    job: Job,
    list: List,
    /// Names of the recorded calls.
    audited: HashMap<u32, &'static str>,
    denied: Vec<u32>,
    /// The worker's process, once its own `execve` has been let through.
    worker: Option<i32>,
    /// What has been told by warnings.
    warned: HashSet<(PermissionKind, OsString)>,
}

impl Watch {
    fn new(job: &Job) -> Result<Self, String> {
        let named = |name: &String| {
            let number = seccomp::number(name)?;
            Ok::<_, String>((number, seccomp::name(number).ok_or_else(|| format!("no such system call: {name:?}"))?))
        };
        Ok(Self {
            list: List::built_in()?,
            audited: job.wanted.audit.iter().map(named).collect::<Result<_, _>>()?,
            denied: job.deny.iter().map(|name| seccomp::number(name)).collect::<Result<_, _>>()?,
            job: job.clone(),
            worker: None,
            warned: HashSet::new(),
        })
    }

    fn answer(&mut self, listener: &OwnedFd, asked: &Notification, shared: &Shared) -> Reply {
        let number = asked.number as u32;
        if self.worker.is_none() {
            // What leads up to the worker's own `execve` is the helper's doing.
            if number != libc::SYS_execve as u32 {
                return Reply::Continue;
            }
            let pid = i32::try_from(asked.pid).ok().filter(|_| process::is_worker(asked.pid));
            if pid.is_none() {
                return Reply::Errno(libc::EPERM);
            }
            self.worker = pid;
            shared.lock().worker = pid;
            shared.news.notify_one();
            return Reply::Continue;
        }
        let refusal = self.refusal(number, &asked.arguments);
        if let Some(name) = seccomp::name(number) {
            self.see(name, listener, asked, refusal.as_ref(), shared);
        }
        match refusal {
            Some((errno, _)) => Reply::Errno(errno),
            None => self.tell_of_system(listener, asked).unwrap_or(Reply::Continue),
        }
    }

    /// The answer to a call about the system that is not the kernel's to answer.
    fn tell_of_system(&self, listener: &OwnedFd, asked: &Notification) -> Option<Reply> {
        if off(Layer::SystemAnswers) {
            return None;
        }
        let name = seccomp::name(asked.number as u32)?;
        let answer = match self.job.wanted.system.as_ref()?.answer(name, &asked.arguments)? {
            Ok(answer) => answer,
            Err(errno) => return Some(Reply::Errno(errno)),
        };
        let memory = Caller::new(asked.pid).open_memory();
        // Its memory stays its own from here on, whoever gets its number.
        let is_its_own = sys::still_waits(listener.as_fd(), asked.id);
        let written = memory
            .filter(|_| is_its_own)
            .is_some_and(|memory| memory.write_all_at(&answer.bytes, asked.arguments[answer.argument]).is_ok());
        Some(if written { Reply::Value(answer.value) } else { Reply::Errno(libc::EFAULT) })
    }

    /// Writes down what is asked for.
    fn see(
        &mut self,
        name: &'static str,
        listener: &OwnedFd,
        asked: &Notification,
        refusal: Refusal<'_>,
        shared: &Shared,
    ) {
        let target = calls::target(name, asked, &Caller::new(asked.pid));
        let pid = i32::try_from(asked.pid).unwrap_or(0);
        let decided = |access: &Access| {
            let query = access.query()?;
            Some((query.kind(), self.job.stack.decide(&query)))
        };
        let Wanted { monitor, learn, .. } = self.job.wanted;
        let decisions: Vec<(PermissionKind, Decision)> = target.accesses.iter().filter_map(decided).collect();
        // Of a monitored worker: what would be denied to it, and not what fails anyway.
        let would_work: Vec<bool> = if monitor {
            target.accesses.iter().filter(|access| access.query().is_some()).map(Access::may_succeed).collect()
        } else {
            Vec::new()
        };
        let needs = if learn { needs::of(&target.accesses) } else { Vec::new() };
        // The worker's own denials are told by its hooks, in Python's words.
        let is_news = |decision: &Decision| !decision.allowed && self.is_news(&target.name, decision);
        let is_told = !monitor && !learn && decisions.iter().any(|(_, decision)| is_news(decision));
        let is_told = is_told && process::group_of(pid) != self.worker;
        // Of a caller that is gone meanwhile nothing is known: what was read may be another's.
        if !sys::still_waits(listener.as_fd(), asked.id) {
            return;
        }
        let mut state = shared.lock();
        // What came before the script was the interpreter's own start.
        if self.job.entry.as_deref().is_some_and(|entry| needs.contains(&(Need::Read, entry.to_owned()))) {
            self.job.entry = None;
            state.needs = Needs::default();
        }
        needs.into_iter().for_each(|(need, what)| state.needs.add(need, what));
        let is_runtime = is_within(&target.name, &self.job.runtime);
        for (index, (kind, decision)) in decisions.iter().enumerate() {
            let would_work = would_work.get(index).is_some_and(|would| *would);
            let is_let_through = refusal.is_none() && !is_runtime;
            let text = match decision.action {
                Action::Warn if is_let_through => let_through,
                Action::Deny if is_let_through && would_work => would_be_denied,
                _ => continue,
            };
            let thing = (*kind, target.name.clone());
            if self.warned.len() < MAX_WARNINGS && self.warned.insert(thing) {
                state.records.warn(text(kind.as_str(), &target.name.to_string_lossy(), decision));
            }
        }
        for (kind, _) in decisions.iter().filter(|(_, decision)| is_told && !decision.allowed) {
            let target = target.name.as_bytes().to_vec();
            state.records.deny(Denied { permission: *kind, operation: name, target, pid });
        }
        if self.audited.contains_key(&(asked.number as u32)) {
            state.records.add(self.record(name, target, decisions, pid, refusal));
        }
    }

    /// Whether a denial is worth a word: a rule's always, the default's where nothing of the system was looked for.
    fn is_news(&self, path: &OsStr, decision: &Decision) -> bool {
        let system = SYSTEM.iter().any(|place| Path::new(path).starts_with(place));
        !is_within(path, &self.job.shown) && (decision.rule.is_some() || !system)
    }

    /// With which errno the call is refused, and by what.
    fn refusal(&self, number: u32, arguments: &[u64; 6]) -> Option<(i32, &'static str)> {
        if off(Layer::Refusals) {
            return None;
        }
        if self.denied.contains(&number) {
            return Some((libc::EPERM, "antiEscape.denySyscalls"));
        }
        if let Some(errno) = self.list.refusal(number, arguments).filter(|_| !off(Layer::Seccomp)) {
            return Some((errno, "the list of system calls"));
        }
        let gate = number == libc::SYS_execve as u32 && self.job.exec == ExecGate::WorkerOnly;
        (self.worker.is_some() && gate && !off(Layer::ExecGate)).then_some((libc::EPERM, "the exec gate"))
    }

    fn record(
        &self,
        syscall: &'static str,
        target: calls::Target,
        decisions: Vec<(PermissionKind, Decision)>,
        pid: i32,
        refusal: Refusal<'_>,
    ) -> AuditEvent {
        // The strictest answer of those that the call needs.
        let decision = decisions
            .into_iter()
            .map(|(_, decision)| decision)
            .reduce(|first, second| if second.action > first.action { second } else { first });
        let (action, rule, source) = match (decision, refusal) {
            // A call that was refused was not allowed, whatever a rule says of its file.
            (Some(decision), _) if if refusal.is_some() { !decision.allowed } else { decision.rule.is_some() } => {
                (decision.action, decision.rule, decision.source)
            }
            (_, Some((_, source))) => (Action::Deny, None, (*source).to_owned()),
            (Some(_), None)
                if is_within(&target.name, &self.job.runtime) || is_within(&target.name, &self.job.shown) =>
            {
                (Action::Allow, None, "runtime".to_owned())
            }
            (Some(decision), None) => (decision.action, None, decision.source),
            (None, None) => (Action::Allow, None, "default".to_owned()),
        };
        let (target, raw) = match target.name.to_str() {
            Some(text) => (text.to_owned(), None),
            None => (target.name.to_string_lossy().into_owned(), Some(hex(&target.name))),
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        AuditEvent { time, syscall, target, pid, action, rule, source, raw }
    }
}

/// By which errno a call is refused, and by what.
type Refusal<'a> = Option<&'a (i32, &'static str)>;

/// Whether a path is one of these or lies below one.
fn is_within(path: &OsStr, places: &[PathBuf]) -> bool {
    places.iter().any(|place| Path::new(path).starts_with(place))
}

/// What a `warn` rule has let through, in words.
pub fn let_through(kind: &str, target: &str, decision: &Decision) -> String {
    let rule = decision.rule.as_deref().unwrap_or("the default");
    format!("{kind} {target}: let through by {rule} ({})", decision.source)
}

/// What a policy would have denied that is not in force, in words.
fn would_be_denied(kind: &str, target: &str, decision: &Decision) -> String {
    match &decision.rule {
        Some(rule) => format!("{kind} {target}: would be denied by {rule} ({})", decision.source),
        None => format!("{kind} {target}: would be denied by default"),
    }
}

fn hex(name: &OsStr) -> String {
    name.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
