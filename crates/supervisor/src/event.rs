//! What a supervisor tells its owner. The shapes are those of `index.d.ts`.

use buntime_policy::NormalizedPolicy;
use serde::Serialize;

use crate::config::SandboxConfig;

/// Receives a supervisor's events, in order, one batch at a time, on a thread of the supervisor's.
pub trait EventSink: Send + Sync + 'static {
    /// Takes a batch. `Pause` stops the reader from draining this sandbox (its worker then blocks by
    /// itself) until [`crate::Supervisor::resume`] is called.
    fn emit(&self, batch: Vec<Event>) -> Flow;
}

/// Whether a sink can take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Pause,
}

/// One event; `{type, data}` in JavaScript.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum Event {
    Ready,
    /// `{type: "output", data: text, stream}`: the stream stands beside the data.
    Output(Output),
    Error(String),
    State(WorkerState),
    PolicyLoaded(Box<NormalizedPolicy>),
    ConfigLoaded(Box<SandboxConfig>),
    Memory(Box<MemoryStats>),
    Enforcement(Box<Enforcement>),
    Denied(Box<Denial>),
    Warn(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// What the worker, or a process that it started, wrote. UTF-8 characters are never cut in two; what is no UTF-8 comes as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    pub stream: Stream,
    pub bytes: Vec<u8>,
}

impl Output {
    /// As text; what is no UTF-8 is replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Starting,
    Ready,
    CodeReceived,
    ExecStart,
    ExecEnd,
    Exception,
    Interrupted,
    Killed,
    Stopped,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Ok,
    Exception,
    Exit,
    Signal,
    Protocol,
    Cancelled,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerState {
    pub worker: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl WorkerState {
    pub fn new(worker: Phase) -> Self {
        Self { worker, signal: None, exit_code: None, success: None, outcome: None, error: None }
    }
}

/// What the kernel reports to be in force, not what was asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    pub tier: &'static str,
    pub namespaces: Namespaces,
    pub landlock: Option<LandlockInForce>,
    pub seccomp: bool,
    pub limits: &'static str,
    pub network: &'static str,
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Namespaces {
    pub user: bool,
    pub mount: bool,
    pub pid: bool,
    pub net: bool,
    pub ipc: bool,
    pub uts: bool,
    pub cgroup: bool,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct LandlockInForce {
    pub abi: u32,
}

/// Something that the policy refused.
#[derive(Clone, Debug, Serialize)]
pub struct Denial {
    /// `read`, `write`, `net`, `run`, `env`, `ffi`, `sys`.
    pub kind: &'static str,
    pub target: String,
    pub operation: String,
    /// The rule that decided, as text; none for the default.
    pub rule: Option<String>,
    pub source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Hint>,
    pub pid: i32,
    pub count: u64,
    /// Milliseconds since the epoch.
    pub time: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Hint {
    pub flag: String,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RingStats {
    pub head: u32,
    pub tail: u32,
    pub capacity: u32,
    pub used: u32,
    pub free: u32,
    pub usage_percent: f64,
    pub bytes_total: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryStats {
    pub to_worker: RingStats,
    pub to_supervisor: RingStats,
    pub worker: ProcessStats,
}

/// Bytes and percent of one core; `limit` is 0 while none is in force.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessStats {
    pub rss: u64,
    pub peak: u64,
    pub limit: u64,
    pub cpu_percent: f64,
}
