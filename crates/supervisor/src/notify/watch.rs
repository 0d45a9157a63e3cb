//! What the watching thread answers, and what it writes down.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use buntime_network::Network;
use buntime_policy::{Action, Decision, Peer, PermissionKind, Query};
use buntime_sandbox::mutation::{Layer, off};
use buntime_sandbox::plan::ExecGate;
use buntime_sandbox::seccomp::{self, List};
use buntime_sandbox::sys::{self, Notification, Reply};

use super::caller::Caller;
use super::calls::{self, Access};
use super::record::Denied;
use super::{Answers, Job, Shared, System, Wanted, connect, hidden, let_through, needs, would_be_denied};
use crate::event::AuditEvent;
use crate::learn::{Need, Needs};
use crate::process;

/// Most different things that `warn` rules tell of. Others are let through untold.
const MAX_WARNINGS: usize = 1000;
/// Where programs look for things of the system on their own account: that these are not there is no news.
const SYSTEM: [&str; 11] = ["/etc", "/usr", "/proc", "/sys", "/run", "/var", "/lib", "/lib64", "/bin", "/sbin", "/dev"];

/// What the thread knows.
pub struct Watch {
    job: Job,
    list: List,
    /// Names of the recorded calls.
    pub audited: HashMap<u32, &'static str>,
    denied: Vec<u32>,
    /// The worker's process, once its own `execve` has been let through.
    worker: Option<i32>,
    /// What has been told by warnings.
    warned: HashSet<(PermissionKind, OsString)>,
    network: Option<Arc<Network>>,
}

impl Watch {
    pub fn new(job: &Job, network: Option<Arc<Network>>) -> Result<Self, String> {
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
            network,
        })
    }

    /// Tells of what `warn` rules let be seen of the system.
    fn warn_of_system(&mut self, name: &str, shared: &Shared) {
        for told in calls::told_of_system(name) {
            let thing = (PermissionKind::Sys, OsString::from(told));
            if self.warned.contains(&thing) || self.warned.len() >= MAX_WARNINGS {
                continue;
            }
            let decision = Query::sys(told).ok().map(|query| self.job.stack.decide(&query));
            if let Some(decision) = decision.filter(|decision| decision.action == Action::Warn) {
                self.warned.insert(thing);
                shared.lock().records.warn(let_through("sys", told, &decision));
            }
        }
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
            // A flow's decision takes its name, and where that leads: the network tells of it.
            let query = access.query().filter(|query| self.network.is_none() || query.kind() != PermissionKind::Net)?;
            Some((query.kind(), self.job.stack.decide(&query)))
        };
        let Wanted { monitor, learn, .. } = self.job.wanted;
        let decisions: Vec<(PermissionKind, Decision)> = target.accesses.iter().filter_map(decided).collect();
        let connection = self.connection(&target);
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
        if refusal.is_none() {
            self.warn_of_system(name, shared);
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
            let (target, decisions) = match connection {
                Some((peer, decision)) => (calls::Target { name: peer.into(), ..target }, vec![decision]),
                None => (target, decisions.into_iter().map(|(_, decision)| decision).collect()),
            };
            state.records.add(self.record(name, target, decisions, pid, refusal));
        }
    }

    /// Whom a call connects or sends to, by the name that was asked for, and what the policy says of that as far as it
    /// can be known before the name is resolved.
    fn connection(&self, target: &calls::Target) -> Option<(String, Decision)> {
        let network = self.network.as_ref()?;
        let [Access::Address(text, proto)] = &target.accesses[..] else { return None };
        let to: SocketAddr = text.parse().ok()?;
        Some(match network.peer(to, *proto)? {
            Peer::Name(name) => {
                let decision = self.job.egress.decide_named(&name, to.port(), *proto);
                (format!("{}:{}", name.as_str(), to.port()), decision)
            }
            Peer::Address(address) => (text.clone(), self.job.egress.decide(None, address, to.port(), *proto)),
        })
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
        decisions: Vec<Decision>,
        pid: i32,
        refusal: Refusal<'_>,
    ) -> AuditEvent {
        // The strictest answer of those that the call needs.
        let decision =
            decisions.into_iter().reduce(|first, second| if second.action > first.action { second } else { first });
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

impl Answers for Watch {
    const SHARE: f64 = 0.5;

    fn answer(&mut self, listener: &Arc<OwnedFd>, asked: &Notification, shared: &Shared) -> Option<Reply> {
        let number = asked.number as u32;
        if self.worker.is_none() {
            // What leads up to the worker's own `execve` is the helper's doing.
            if number != libc::SYS_execve as u32 {
                return Some(Reply::Continue);
            }
            let pid = i32::try_from(asked.pid).ok().filter(|_| process::is_worker(asked.pid));
            if pid.is_none() {
                return Some(Reply::Errno(libc::EPERM));
            }
            self.worker = pid;
            shared.lock().worker = pid;
            shared.news.notify_one();
            return Some(Reply::Continue);
        }
        let refusal = self.refusal(number, &asked.arguments);
        if let Some(name) = seccomp::name(number) {
            self.see(name, listener, asked, refusal.as_ref(), shared);
        }
        if let Some((errno, _)) = refusal {
            return Some(Reply::Errno(errno));
        }
        if connect::is_asked(asked) {
            return connect::answer(self.network.as_deref(), listener, asked);
        }
        let made_up = |system: &System| hidden::answer(system, listener, asked, shared);
        Some(self.job.wanted.system.as_ref().and_then(made_up).unwrap_or(Reply::Continue))
    }
}

/// By which errno a call is refused, and by what.
type Refusal<'a> = Option<&'a (i32, &'static str)>;

/// Whether a path is one of these or lies below one.
fn is_within(path: &OsStr, places: &[PathBuf]) -> bool {
    places.iter().any(|place| Path::new(path).starts_with(place))
}

fn hex(name: &OsStr) -> String {
    name.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
