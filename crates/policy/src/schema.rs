//! The words of the schema: closed sets of keywords, each spelled in one place.

use std::fmt;

use serde::{Serialize, Serializer};

/// A closed set of words, so that the parser can list them and suggest the nearest.
pub(crate) trait Keyword: Copy + 'static {
    const ALL: &'static [Self];
    fn as_str(self) -> &'static str;
}

macro_rules! keywords {
    ($($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as it is written in a policy.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl Keyword for $name {
            const ALL: &'static [Self] = Self::ALL;
            fn as_str(self) -> &'static str { self.as_str() }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}

keywords! {
    /// What a rule does. Ordered from lax to strict, so that the stricter of two is the greater.
    Action {
        /// Let it through.
        Allow = "allow",
        /// Let it through and say so.
        Warn = "warn",
        /// Refuse it.
        Deny = "deny",
    }
    /// What holds when no rule matches. Ordered from lax to strict.
    DefaultAction {
        /// Let it through.
        Allow = "allow",
        /// Refuse it.
        Deny = "deny",
    }
    /// One right over a path: the kernel's Landlock rights by name.
    FsPerm {
        /// Read a file's content.
        ReadFile = "read_file",
        /// Change a file's content.
        WriteFile = "write_file",
        /// Execute a file.
        Execute = "execute",
        /// List a directory.
        ReadDir = "read_dir",
        /// Change a directory.
        WriteDir = "write_dir",
        /// Remove a directory.
        RemoveDir = "remove_dir",
        /// Remove a file.
        RemoveFile = "remove_file",
        /// Create a character device.
        MakeChar = "make_char",
        /// Create a directory.
        MakeDir = "make_dir",
        /// Create a regular file.
        MakeReg = "make_reg",
        /// Create a Unix socket.
        MakeSock = "make_sock",
        /// Create a named pipe.
        MakeFifo = "make_fifo",
        /// Create a block device.
        MakeBlock = "make_block",
        /// Create a symbolic link.
        MakeSym = "make_sym",
    }
    /// Transport protocol.
    Proto {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
    /// Strength of the enforcement. Ordered from weak to strong.
    Tier {
        /// Nothing is enforced.
        None = "none",
        /// Landlock and seccomp alone.
        Landlock = "landlock",
        /// Every layer, inside a container or other sandbox.
        Nested = "nested",
        /// Every layer.
        Full = "full",
    }
    /// The seven permissions that flags, events and `explain` speak of.
    PermissionKind {
        /// Read files and list directories.
        Read = "read",
        /// Change files and directories.
        Write = "write",
        /// Reach a network address.
        Net = "net",
        /// Start a program.
        Run = "run",
        /// See an environment variable.
        Env = "env",
        /// Load a native library.
        Ffi = "ffi",
        /// Ask the system about itself.
        Sys = "sys",
    }
    /// What made a set of policies take effect.
    MetaSource {
        /// The start of the supervisor.
        Boot = "boot",
        /// A run that brought its own policies.
        Run = "run",
        /// `applyPolicySet`.
        Apply = "apply",
    }
    /// The guide's label on a file-system list.
    FsMode {
        /// `READ_PERMS`.
        Read = "read",
        /// `WRITE_PERMS`.
        Write = "write",
    }
}

impl FsPerm {
    /// The permission that this right belongs to.
    pub fn kind(self) -> PermissionKind {
        match self {
            Self::ReadFile | Self::ReadDir => PermissionKind::Read,
            Self::Execute => PermissionKind::Run,
            _ => PermissionKind::Write,
        }
    }
}

/// What "read" means everywhere: `--allow-read`, and `mode: "read"`.
pub const READ_PERMS: &[FsPerm] = &[FsPerm::ReadFile, FsPerm::ReadDir];

/// What "write" means everywhere. It holds no right to read, and none to create devices.
pub const WRITE_PERMS: &[FsPerm] = &[
    FsPerm::WriteFile,
    FsPerm::WriteDir,
    FsPerm::RemoveDir,
    FsPerm::RemoveFile,
    FsPerm::MakeDir,
    FsPerm::MakeReg,
    FsPerm::MakeSock,
    FsPerm::MakeFifo,
    FsPerm::MakeSym,
];

/// System calls that a policy denies on top of the built-in filter when it does not say which.
pub const DEFAULT_DENY_SYSCALLS: &[&str] = &[
    "ptrace",
    "bpf",
    "mount",
    "umount2",
    "setns",
    "kexec_load",
    "init_module",
    "finit_module",
    "perf_event_open",
    "keyctl",
    "add_key",
];

/// System calls that are recorded when a policy does not say which.
pub const DEFAULT_AUDIT_EVENTS: &[&str] = &["connect", "openat", "execve"];

/// Which kernel layers to use: a value for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plugins<T> {
    /// User, mount, PID, network, IPC, UTS and cgroup namespaces.
    pub namespaces: T,
    /// Landlock rules.
    pub landlock: T,
    /// The system-call filter.
    pub seccomp: T,
}

/// What holds when no rule matches: a value for each kind that has a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Defaults<T> {
    /// Files and directories.
    pub fs: T,
    /// Network.
    pub net: T,
    /// Programs.
    pub exec: T,
}
