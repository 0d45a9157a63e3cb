//! What a supervisor tells its owner. The shapes are those of `index.d.ts`.

use buntime_policy::{Action, NormalizedPolicy, PolicyMeta, Proto};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::config::SandboxConfig;
use crate::learn::Learned;

/// Receives a supervisor's events, in order, one batch at a time, on a thread of the supervisor's.
pub trait EventSink: Send + Sync + 'static {
    /// Takes a batch. `Pause` stops the reader from draining this sandbox (its worker then blocks by
    /// itself) until [`crate::Supervisor::resume`] is called.
    fn emit(&self, batch: Vec<Event>) -> Flow;
}

/// Whether a sink can take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// More can come.
    Continue,
    /// Nothing more, until [`crate::Supervisor::resume`].
    Pause,
}

/// One event; `{type, data}` in JavaScript.
#[derive(Clone, Debug)]
pub enum Event {
    /// The worker is ready to execute code.
    Ready,
    /// `{type: "output", data: text, stream}`: the stream stands beside the data.
    Output(Output),
    /// What went wrong, in one line.
    Error(String),
    /// What the worker does now.
    State(WorkerState),
    /// The policy in force.
    PolicyLoaded(Box<NormalizedPolicy>),
    /// What that policy was made of, and when.
    PolicySetLoaded(Box<PolicyMeta>),
    /// The configuration, defaults included.
    ConfigLoaded(Box<SandboxConfig>),
    /// Rings and memory, while code runs.
    Memory(Box<MemoryStats>),
    /// What is in force, before `Ready`.
    Enforcement(Box<Enforcement>),
    /// A flow of the network's ended, or was refused.
    Net(Box<NetFlow>),
    /// Something was refused.
    Denied(Box<Denial>),
    /// Something that the owner should know, and that stops nothing.
    Warn(String),
    /// These system calls are recorded from now on.
    AuditEnabled(Vec<String>),
    /// A new sandbox: what is recorded from now on is of another worker.
    AuditReset,
    /// Recorded system calls. `{type: "audit-events", data, dropped}`: how many could not be kept stands beside the
    /// data, where there are any.
    AuditEvents {
        /// In the order of their being made.
        events: Vec<AuditEvent>,
        /// Calls that were too many to be kept, after these.
        dropped: u64,
    },
    /// The policy that would have been enough for this worker, at its end.
    Learned(Box<Learned>),
    /// How many calls of each recorded name were made so far.
    Syscalls {
        /// The names.
        buckets: Vec<&'static str>,
        /// As many numbers.
        counts: Vec<u64>,
    },
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn pair<S: Serializer>(serializer: S, kind: &str, data: &impl Serialize) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry("type", kind)?;
            map.serialize_entry("data", data)?;
            map.end()
        }
        fn alone<S: Serializer>(serializer: S, kind: &str) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry("type", kind)?;
            map.end()
        }
        match self {
            Self::Ready => alone(serializer, "ready"),
            Self::Output(output) => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("type", "output")?;
                map.serialize_entry("data", &output.text())?;
                map.serialize_entry("stream", &output.stream)?;
                map.end()
            }
            Self::Error(text) => pair(serializer, "error", text),
            Self::State(state) => pair(serializer, "state", state),
            Self::PolicyLoaded(policy) => pair(serializer, "policy-loaded", policy),
            Self::PolicySetLoaded(meta) => pair(serializer, "policy-set-loaded", meta),
            Self::ConfigLoaded(config) => pair(serializer, "config-loaded", config),
            Self::Memory(stats) => pair(serializer, "memory", stats),
            Self::Enforcement(enforcement) => pair(serializer, "enforcement", enforcement),
            Self::Net(flow) => pair(serializer, "net", flow),
            Self::Denied(denial) => pair(serializer, "denied", denial),
            Self::Warn(text) => pair(serializer, "warn", text),
            Self::AuditEnabled(names) => pair(serializer, "audit-enabled", names),
            Self::Learned(learned) => pair(serializer, "learned", learned),
            Self::AuditReset => alone(serializer, "audit-reset"),
            Self::AuditEvents { events, dropped } => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("type", "audit-events")?;
                map.serialize_entry("data", events)?;
                if *dropped > 0 {
                    map.serialize_entry("dropped", dropped)?;
                }
                map.end()
            }
            Self::Syscalls { buckets, counts } => {
                pair(serializer, "syscalls", &serde_json::json!({"buckets": buckets, "counts": counts}))
            }
        }
    }
}

/// Where output was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Descriptor 1, or `sys.stdout`.
    Stdout,
    /// Descriptor 2, or `sys.stderr`.
    Stderr,
}

/// What the worker, or a process that it started, wrote. UTF-8 characters are never cut in two; what is no UTF-8 comes
/// as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where to.
    pub stream: Stream,
    /// What.
    pub bytes: Vec<u8>,
}

impl Output {
    /// As text; what is no UTF-8 is replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// What a worker does, or has just done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The sandbox is being built.
    Starting,
    /// It waits for code.
    Ready,
    /// It has read code whole.
    CodeReceived,
    /// It executes.
    ExecStart,
    /// An execution has ended; how, the other fields say.
    ExecEnd,
    /// It ended by an exception, besides `ExecEnd`.
    Exception,
    /// It ended by an interrupt, besides `ExecEnd`.
    Interrupted,
    /// Another sandbox takes over: the worker's globals are gone.
    Restarting,
    /// The worker was killed, and not by its owner: the last event.
    Killed,
    /// The sandbox is gone: the last event.
    Stopped,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// At the end of its code.
    Ok,
    /// By an exception that nothing caught.
    Exception,
    /// By `sys.exit` or `os._exit`.
    Exit,
    /// By a signal, an interrupt included.
    Signal,
    /// The worker broke the protocol.
    Protocol,
    /// It was never begun, or the sandbox was ended meanwhile.
    Cancelled,
}

/// A worker's phase, and how what it executed ended.
#[derive(Clone, Debug)]
pub struct WorkerState {
    /// The phase.
    pub worker: Phase,
    /// The signal's name, where one ended it.
    pub signal: Option<String>,
    /// As a shell would tell it: 128 and the signal's number where one ended it.
    pub exit_code: Option<i32>,
    /// Whether the exit code is 0.
    pub success: Option<bool>,
    /// How the execution ended.
    pub outcome: Option<Outcome>,
    /// The exception, in one line.
    pub error: Option<String>,
}

impl Serialize for WorkerState {
    /// What is not known is left out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { worker, signal, exit_code, success, outcome, error } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("worker", worker)?;
        if let Some(signal) = signal {
            map.serialize_entry("signal", signal)?;
        }
        if let Some(code) = exit_code {
            // Both spellings: the guide's example reads either.
            map.serialize_entry("exitCode", code)?;
            map.serialize_entry("exit_code", code)?;
        }
        if let Some(success) = success {
            map.serialize_entry("success", success)?;
        }
        if let Some(outcome) = outcome {
            map.serialize_entry("outcome", outcome)?;
        }
        if let Some(error) = error {
            map.serialize_entry("error", error)?;
        }
        map.end()
    }
}

impl WorkerState {
    /// A phase, of which nothing more is known.
    pub fn new(worker: Phase) -> Self {
        Self { worker, signal: None, exit_code: None, success: None, outcome: None, error: None }
    }
}

/// What the kernel reports to be in force, not what was asked for.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// `full` when every layer is in force, else `none`.
    pub tier: &'static str,
    /// Whether all that the policy wants is in force.
    #[serde(skip)]
    pub as_asked: bool,
    /// Those that the worker does not share with us.
    pub namespaces: Namespaces,
    /// None: not in force.
    pub landlock: Option<LandlockInForce>,
    /// Whether a filter of system calls is in force.
    pub seccomp: bool,
    /// `rlimit`, or `none`.
    pub limits: &'static str,
    /// How what the worker connects to is brought to the relay: `tproxy`, `redirect`; `none` without a network; `host`
    /// for the host's own.
    pub network: &'static str,
    /// What else is to be known, and what could not be read.
    pub notes: Vec<String>,
}

impl Enforcement {
    /// What keeps the tier from being `full`: the layers that are not in force, then the notes.
    pub fn shortfall(&self) -> String {
        let Namespaces { user, mount, pid, net, ipc, uts, cgroup } = self.namespaces;
        let layers = [
            (user, "no user namespace"),
            (mount, "no mount namespace"),
            (pid, "no pid namespace"),
            (net, "no network namespace"),
            (ipc, "no IPC namespace"),
            (uts, "no UTS namespace"),
            (cgroup, "no cgroup namespace"),
            (self.landlock.is_some(), "no Landlock"),
            (self.seccomp, "no seccomp filter"),
            (self.limits != "none", "no resource limits"),
        ];
        let missing: Vec<&str> = layers.into_iter().filter(|(there, _)| !there).map(|(_, name)| name).collect();
        let notes = self.notes.iter().cloned();
        let parts: Vec<String> =
            [missing.join(", ")].into_iter().chain(notes).filter(|part| !part.is_empty()).collect();
        parts.join("; ")
    }
}

/// Kinds of namespaces, each true where the worker's is another than the supervisor's.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
#[expect(missing_docs, reason = "namespaces(7) has nothing to add to their names")]
pub struct Namespaces {
    pub user: bool,
    pub mount: bool,
    pub pid: bool,
    pub net: bool,
    pub ipc: bool,
    pub uts: bool,
    pub cgroup: bool,
}

/// Landlock, as the worker has it.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct LandlockInForce {
    /// The kernel's ABI, all of whose rights are handled.
    pub abi: u32,
}

/// One flow of the network's, at its end.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetFlow {
    /// The name that was asked for; none for an address.
    pub host: Option<String>,
    /// Where it went. Unspecified where a name led nowhere.
    pub address: String,
    /// The port there.
    pub port: u16,
    /// `tcp`, `udp`.
    pub proto: Proto,
    /// What the policy said.
    pub verdict: Action,
    /// The rule that decided, as text; none for the default.
    pub rule: Option<String>,
    /// Bytes to the worker.
    pub bytes_in: u64,
    /// Bytes from the worker.
    pub bytes_out: u64,
    /// Milliseconds from the worker's connect to the end.
    pub ms: u64,
    /// Why it ended otherwise than by the will of both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<buntime_network::Flow> for NetFlow {
    fn from(flow: buntime_network::Flow) -> Self {
        Self {
            host: flow.host.map(|name| name.as_str().to_owned()),
            address: flow.address.to_string(),
            port: flow.port,
            proto: flow.proto,
            verdict: flow.decision.action,
            rule: flow.decision.rule,
            bytes_in: flow.bytes_in,
            bytes_out: flow.bytes_out,
            ms: u64::try_from(flow.duration.as_millis()).unwrap_or(u64::MAX),
            error: flow.problem,
        }
    }
}

/// Something that the policy refused.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Denial {
    /// `read`, `write`, `net`, `run`, `env`, `ffi`, `sys`.
    pub kind: &'static str,
    /// The path, host, program or name.
    pub target: String,
    /// What was tried, in Python's words.
    pub operation: String,
    /// The rule that decided, as text; none for the default.
    pub rule: Option<String>,
    /// Flag, variable, file and JSON path, or `default`.
    pub source: String,
    /// How it could be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Hint>,
    /// The worker's, as the supervisor's namespace numbers it.
    pub pid: i32,
    /// How often so far.
    pub count: u64,
    /// Of the last time, in milliseconds since the epoch.
    pub time: u64,
}

/// How something that was denied could be allowed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Hint {
    /// The narrowest flag of the command line.
    pub flag: String,
}

/// A system call of a watched sandbox, as it was asked for: whether it then found what it named only the kernel knows.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AuditEvent {
    /// In milliseconds since the epoch.
    pub time: u64,
    /// Its name.
    pub syscall: &'static str,
    /// Path, address or program; `FROM -> TO` of a call with two paths; the arguments of a call that is about neither;
    /// `?` where it could not be read. What is no UTF-8 is replaced.
    pub target: String,
    /// The thread's, as the supervisor's namespace numbers it.
    pub pid: i32,
    /// What the policy says of it, or `deny` where it was refused whatever its arguments lead to.
    pub action: Action,
    /// The rule that decided, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Flag, variable, file and JSON path, `default`, `runtime` for what every worker sees, or the layer that refused.
    pub source: String,
    /// The target's bytes in hexadecimal, where it is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// One ring, in bytes.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RingStats {
    /// Where the reader is.
    pub head: u32,
    /// Where the writer is.
    pub tail: u32,
    /// Size of the ring.
    pub capacity: u32,
    /// What waits to be read.
    pub used: u32,
    /// What could be written.
    pub free: u32,
    /// `used` of `capacity`.
    pub usage_percent: f64,
    /// All that ever passed.
    pub bytes_total: u64,
}

/// Rings and worker, at one moment.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryStats {
    /// The ring that code goes through.
    pub to_worker: RingStats,
    /// The ring that output and reports come through.
    pub to_supervisor: RingStats,
    /// The worker's process.
    pub worker: ProcessStats,
}

/// Bytes and percent of one core; `limit` is 0 while none is in force.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessStats {
    /// Resident memory.
    pub rss: u64,
    /// The most that `rss` was, when it was looked at.
    pub peak: u64,
    /// Most memory allowed.
    pub limit: u64,
    /// Processor time since the last look.
    pub cpu_percent: f64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json(event: Event) -> serde_json::Value {
        serde_json::to_value(event).unwrap()
    }

    #[test]
    fn events_have_the_shapes_of_index_d_ts() {
        let output = Output { stream: Stream::Stderr, bytes: b"\xff\n".to_vec() };
        assert_eq!(json(Event::Output(output)), json!({"type": "output", "data": "\u{fffd}\n", "stream": "stderr"}));
        assert_eq!(json(Event::Ready), json!({"type": "ready"}));
        assert_eq!(json(Event::Warn("w".into())), json!({"type": "warn", "data": "w"}));
        let call = AuditEvent {
            time: 1,
            syscall: "openat",
            target: "/x".into(),
            pid: 2,
            action: Action::Deny,
            rule: None,
            source: "default".into(),
            raw: None,
        };
        let told = json!([{
            "time": 1, "syscall": "openat", "target": "/x", "pid": 2, "action": "deny", "source": "default",
        }]);
        let audited = |dropped| Event::AuditEvents { events: vec![call.clone()], dropped };
        assert_eq!(json(audited(0)), json!({"type": "audit-events", "data": told}));
        assert_eq!(json(audited(3)), json!({"type": "audit-events", "data": told, "dropped": 3}));
        assert_eq!(json(Event::AuditReset), json!({"type": "audit-reset"}));
        let counts = Event::Syscalls { buckets: vec!["openat"], counts: vec![7] };
        assert_eq!(json(counts), json!({"type": "syscalls", "data": {"buckets": ["openat"], "counts": [7]}}));
        let state = WorkerState {
            exit_code: Some(130),
            signal: Some("SIGINT".into()),
            success: Some(false),
            outcome: Some(Outcome::Signal),
            ..WorkerState::new(Phase::ExecEnd)
        };
        let data = json!({
            "worker": "exec_end", "signal": "SIGINT", "exitCode": 130, "exit_code": 130, "success": false,
            "outcome": "signal",
        });
        assert_eq!(json(Event::State(state)), json!({"type": "state", "data": data}));
    }

    #[test]
    fn what_is_missing_is_told_in_words() {
        let mut enforcement = Enforcement {
            tier: "none",
            as_asked: false,
            namespaces: Namespaces {
                user: true,
                mount: true,
                net: true,
                ipc: true,
                uts: true,
                ..Namespaces::default()
            },
            landlock: None,
            seccomp: true,
            limits: "rlimit",
            network: "none",
            notes: vec!["a note".into()],
        };
        assert_eq!(enforcement.shortfall(), "no pid namespace, no cgroup namespace, no Landlock; a note");
        enforcement.notes.clear();
        assert_eq!(enforcement.shortfall(), "no pid namespace, no cgroup namespace, no Landlock");
    }
}
