//! The plan of one sandbox: plain data, made by the supervisor, carried to the helper as JSON.

use serde::{Deserialize, Serialize};

use crate::Bytes;

/// Everything that `buntime-init` needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// False: no kernel layer at all, the worker is only started and watched. Development alone.
    pub enforced: bool,
    /// Who the worker is.
    pub identity: Identity,
    /// What `gethostname()` says inside.
    pub hostname: String,
    /// The file tree, in the order of its making: parents come before what they hold.
    pub tree: Vec<Node>,
    /// Landlock's rules, by paths inside the sandbox. Everything that is not named is denied.
    pub landlock: Vec<LandlockRule>,
    /// Which system calls are refused.
    pub seccomp: SeccompPlan,
    /// What is started.
    pub worker: Worker,
}

/// Who the worker is. One id of each kind is mapped; all others show as the overflow id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The ids that the kernel judges by, as the supervisor's user namespace numbers them. Never 0.
    pub outer_uid: u32,
    /// As `outer_uid`.
    pub outer_gid: u32,
    /// What `getuid()` says inside.
    pub inner_uid: u32,
    /// What `getgid()` says inside.
    pub inner_gid: u32,
}

impl Identity {
    /// Both ids as the inside sees them.
    pub const INNER: u32 = 1000;
}

/// One thing in the sandbox's file tree. Paths are absolute, inside the sandbox, and free of symlinks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// An empty directory.
    Dir {
        /// Where it stands.
        path: Bytes,
    },
    /// A symbolic link.
    Symlink {
        /// Where it stands.
        path: Bytes,
        /// What it holds, as it is.
        target: Bytes,
    },
    /// A small read-only file.
    Text {
        /// Where it stands.
        path: Bytes,
        /// What is in it.
        text: String,
    },
    /// The harness, whose text travels as a descriptor.
    Harness {
        /// Where it stands.
        path: Bytes,
    },
    /// Something of the host's.
    Bind(Bind),
    /// Scratch space.
    Tmpfs(Tmpfs),
    /// A fresh `/proc` of the sandbox's own pid namespace, `subset=pid`.
    Proc {
        /// Where it stands.
        path: Bytes,
    },
}

/// A file or directory of the host's, shown inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// A host path free of symlinks: the one that was resolved when the plan was made.
    pub source: Bytes,
    /// Where it stands inside.
    pub path: Bytes,
    /// It is a directory, which decides what it is mounted on.
    pub directory: bool,
    /// The mount is not read-only.
    pub writable: bool,
    /// Files in it may be mapped as code (and executed, where Landlock and the exec gate let them).
    pub exec: bool,
    /// A device node: the one kind of bind that is not `nodev`.
    pub device: bool,
    /// What the policy granted, as opposed to the runtime: for a root caller it is idmapped from its owner.
    pub grant: bool,
}

/// A private, size-capped scratch space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where it stands.
    pub path: Bytes,
    /// Most that fits into it.
    pub size_bytes: u64,
    /// Most files and directories in it.
    pub inodes: u64,
    /// Permission bits, e.g. `0o1777`.
    pub mode: u32,
}

/// What Landlock lets be done with a path and what lies below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockRule {
    /// A file or directory of the tree.
    pub path: Bytes,
    /// What may be done with it.
    pub access: Access,
}

/// What may be done with a path and what lies below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Files can be read, directories listed.
    pub read: bool,
    /// Files can be written, truncated, made, renamed and removed.
    pub write: bool,
    /// Files can be executed.
    pub execute: bool,
}

/// What the filters do besides the built-in list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompPlan {
    /// System calls denied on top of the built-in filter (`antiEscape.denySyscalls`), by name.
    pub deny: Vec<String>,
    /// Whether anything but the worker can be executed.
    pub exec: ExecGate,
    /// System calls that the supervisor is asked about, by name, whatever the list says of them. It is the one to refuse
    /// what the list, `deny` or the exec gate refuse. Empty: nobody is asked but about the worker's own `execve`.
    pub watch: Vec<String>,
}

/// What the filter does with `execve`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecGate {
    /// One `execve`, the worker's own, by user notification or past a tracer; every later one fails.
    #[default]
    WorkerOnly,
    /// `execve` is left to the mounts and Landlock.
    Open,
}

/// The one program that is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Absolute path inside the sandbox.
    pub program: Bytes,
    /// The arguments, the program's own name first.
    pub argv: Vec<Bytes>,
    /// `NAME=value` entries; nothing else is in the environment.
    pub env: Vec<Bytes>,
    /// The working directory inside.
    pub cwd: Bytes,
}
