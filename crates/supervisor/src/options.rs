//! What a supervisor is made with.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use buntime_policy::{Permissions, Tier};

/// The default size of the shared segment: two rings of half of it.
pub const DEFAULT_SHM_SIZE: usize = 1024 * 1024;
/// Smallest and largest segment accepted, in bytes.
pub const SHM_SIZE_RANGE: std::ops::RangeInclusive<usize> = 4096..=1024 * 1024 * 1024;
/// Longest source text that `send_code` takes, in bytes.
pub const MAX_CODE: usize = 64 * 1024 * 1024;

/// What executes the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerKind {
    /// `python3` and the harness.
    #[default]
    Python,
    /// Not supported yet: refused at start.
    Bun,
}

/// Everything that [`crate::Supervisor::new`] takes; `Default` denies everything.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of a policy file, or the bare name of a shipped policy.
    pub policy_path: Option<String>,
    /// Flags of the command line, or the `permissions` option.
    pub permissions: Permissions,
    /// The `POD_ALLOW_*` and `POD_DENY_*` variables of the caller's environment.
    pub variables: Permissions,
    /// The value of `POD_POLICY_JSON`.
    pub variables_policy: Option<String>,
    /// Where the policy in force is written; nowhere when absent.
    pub active_policy_path: Option<PathBuf>,
    /// Where its metadata is written; nowhere when absent.
    pub active_policy_meta_path: Option<PathBuf>,
    /// Bytes, both rings together.
    pub shm_size: usize,
    /// What executes the code.
    pub worker: WorkerKind,
    /// A `python3`; found on PATH when absent.
    pub interpreter: Option<PathBuf>,
    /// False: no kernel layer at all.
    pub sandbox_enabled: bool,
    /// The weakest enforcement that the caller accepts, beside what the policy says of it.
    pub min_tier: Option<Tier>,
    /// The worker's working directory, a host path; the caller's own when absent.
    pub cwd: Option<PathBuf>,
    /// Values for the worker's environment, allowed by being given here.
    pub env: BTreeMap<String, String>,
    /// `sys.argv[1:]`.
    pub args: Vec<OsString>,
    /// The script that [`Run::File`] will name: readable inside whatever the policy says.
    pub entry: Option<PathBuf>,
    /// Keep the worker's stdin open, to be had by [`crate::Supervisor::take_stdin`]; else it is at its end.
    pub stdin: bool,
    /// Record system calls, those of the policy's `audit.events`, whatever its `audit.enabled` says; the caller keeps
    /// the record in this file, which no worker may write.
    pub audit_log: Option<PathBuf>,
    /// Deny nothing, and tell at the end which policy would have been enough ([`crate::Event::Learned`]).
    pub learn: bool,
    /// A configuration file that the caller names; `config.json` in the working directory when absent.
    pub config_path: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            policy_path: None,
            permissions: Permissions::default(),
            variables: Permissions::default(),
            variables_policy: None,
            active_policy_path: None,
            active_policy_meta_path: None,
            shm_size: DEFAULT_SHM_SIZE,
            worker: WorkerKind::default(),
            interpreter: None,
            sandbox_enabled: true,
            min_tier: None,
            cwd: None,
            env: BTreeMap::new(),
            args: Vec::new(),
            entry: None,
            stdin: false,
            audit_log: None,
            learn: false,
            config_path: None,
        }
    }
}

/// One thing to execute.
#[derive(Clone, Debug)]
pub enum Run {
    /// A piece of a session: globals persist, the value of a last expression is shown.
    Code(String),
    /// The script `Options::entry`, read inside the sandbox.
    File,
    /// Source from the command line (`-c`).
    Command(String),
    /// Source that was read from standard input (`-`).
    Stdin(String),
}
