//! The plan of one sandbox: plain data, made by the supervisor, carried to the helper as JSON.

use std::fmt;
use std::net::IpAddr;

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
    /// False: the policy leaves Landlock out.
    pub with_landlock: bool,
    /// Landlock's rules, by paths inside the sandbox. Everything that is not named is denied.
    pub landlock: Vec<LandlockRule>,
    /// Which system calls are refused.
    pub seccomp: SeccompPlan,
    /// What there is of a network.
    pub network: NetworkPlan,
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
    /// A file of the host's as it was, whose content travels as a descriptor.
    Copy(Copy),
    /// Scratch space.
    Tmpfs(Tmpfs),
    /// What is denied inside of something shown: empty, read-only, and nobody's to open.
    Mask {
        /// What it covers.
        path: Bytes,
        /// It covers a directory.
        directory: bool,
        /// Something below it is shown: names below can be reached, and not listed.
        pass: bool,
    },
    /// A read-only overlay on a bind that stands at the same path: covers on it hold whatever the host does meanwhile
    /// to the names that they cover.
    Overlay {
        /// Where it stands.
        path: Bytes,
        /// Names in it that do not exist, and shall not come to.
        absent: Vec<Bytes>,
        /// Files in it may be mapped as code.
        exec: bool,
    },
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

/// A file that can be executed and mapped as code, and that nobody can change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Where it stands.
    pub path: Bytes,
    /// Where its content begins in what all copies hold.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

impl Node {
    /// Where it stands.
    pub fn path(&self) -> &Bytes {
        match self {
            Self::Dir { path }
            | Self::Symlink { path, .. }
            | Self::Text { path, .. }
            | Self::Harness { path }
            | Self::Mask { path, .. }
            | Self::Overlay { path, .. }
            | Self::Proc { path } => path,
            Self::Bind(bind) => &bind.path,
            Self::Copy(copy) => &copy.path,
            Self::Tmpfs(scratch) => &scratch.path,
        }
    }
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
    pub rights: Rights,
}

/// What may be done with a path and what lies below it, in the three words of what the sandbox needs for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Files can be read, directories listed.
    pub read: bool,
    /// Files can be written, truncated, made, renamed and removed.
    pub write: bool,
    /// Files can be executed.
    pub execute: bool,
}

/// A set of rights over a path and what lies below it: those of a policy's `perms`, one bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rights(u16);

macro_rules! rights {
    ($($(#[$meta:meta])* $name:ident = $bit:literal, $word:literal;)+) => {
        impl Rights {
            $($(#[$meta])* pub const $name: Self = Self(1 << $bit);)+
            const WORDS: &'static [(Self, &'static str)] = &[$((Self::$name, $word),)+];
        }
    };
}

rights! {
    /// Read a file's content.
    READ_FILE = 0, "read_file";
    /// List a directory.
    READ_DIR = 1, "read_dir";
    /// Change or truncate a file's content.
    WRITE_FILE = 2, "write_file";
    /// Move what a directory holds to another, and link it there.
    WRITE_DIR = 3, "write_dir";
    /// Remove directories from a directory, or rename them.
    REMOVE_DIR = 4, "remove_dir";
    /// Remove files from a directory, or rename them.
    REMOVE_FILE = 5, "remove_file";
    /// Make character devices, which no capability of a worker's allows.
    MAKE_CHAR = 6, "make_char";
    /// Make directories in a directory.
    MAKE_DIR = 7, "make_dir";
    /// Make files in a directory.
    MAKE_REG = 8, "make_reg";
    /// Make sockets in a directory.
    MAKE_SOCK = 9, "make_sock";
    /// Make named pipes in a directory.
    MAKE_FIFO = 10, "make_fifo";
    /// Make block devices, which no capability of a worker's allows.
    MAKE_BLOCK = 11, "make_block";
    /// Make symbolic links in a directory.
    MAKE_SYM = 12, "make_sym";
    /// Execute a file.
    EXECUTE = 13, "execute";
}

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(0x3fff);
    /// Both ways of reading.
    pub const READ: Self = Self(Self::READ_FILE.0 | Self::READ_DIR.0);
    /// Devices, which nobody in a sandbox can make.
    pub const DEVICES: Self = Self(Self::MAKE_CHAR.0 | Self::MAKE_BLOCK.0);
    /// Every way of writing, and thus what a read-only mount takes away.
    pub const WRITE: Self = Self(Self::ALL.0 & !Self::READ.0 & !Self::DEVICES.0 & !Self::EXECUTE.0);
    /// What a file of its own can have; all others are rights over what a directory holds.
    pub const OF_FILES: Self = Self(Self::READ_FILE.0 | Self::WRITE_FILE.0 | Self::EXECUTE.0);

    /// What either has.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What `other` has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// There is none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// There is one of those.
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// One by one.
    pub fn each(self) -> impl Iterator<Item = Self> {
        Self::WORDS.iter().map(|(right, _)| *right).filter(move |right| self.has_any(*right))
    }

    /// The right of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(right, _)| *right)
    }
}

impl From<Access> for Rights {
    fn from(access: Access) -> Self {
        let groups = [(access.read, Self::READ), (access.write, Self::WRITE), (access.execute, Self::EXECUTE)];
        groups.into_iter().filter(|(has, _)| *has).fold(Self::NONE, |rights, (_, group)| rights.with(group))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> =
            Self::WORDS.iter().filter(|(right, _)| self.has_any(*right)).map(|(_, word)| *word).collect();
        f.write_str(&words.join(","))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// What the filters do besides the built-in list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompPlan {
    /// System calls denied on top of the built-in filter (`antiEscape.denySyscalls`), by name.
    pub deny: Vec<String>,
    /// Whether anything but the worker can be executed.
    pub exec: ExecGate,
    /// System calls that the supervisor is asked about, by name, whatever the list says of them. It is the one to
    /// refuse what the list, `deny` or the exec gate refuse. Empty: nobody is asked but about the worker's own
    /// `execve`.
    pub watch: Vec<String>,
    /// With `watch`: it is asked about files that are mapped as code, too.
    pub watch_code: bool,
    /// System calls that tell of the host, by name, which the supervisor answers with made-up values. Empty where
    /// `watch` is not: they are among those then.
    pub hide: Vec<String>,
    /// Without a listener for those there is no start; else the kernel answers them, and a note says so.
    pub must_hide: bool,
    /// The supervisor is asked about `connect`, too, where it can be: it fails early what the relay would end.
    pub connects: bool,
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

/// What there is of a network in the sandbox's own network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkPlan {
    /// Loopback alone.
    #[default]
    None,
    /// Every flow goes to listeners that the supervisor holds.
    Relayed {
        /// Loopback addresses and ports that are relayed, too: the rest of 127/8 and ::1 is the worker's own.
        loopback: Vec<Loopback>,
        /// Datagrams to other ports than 53 are relayed, too.
        udp: bool,
        /// What is tried first. What comes after it in the order of [`Interception`] is tried next.
        prefer: Interception,
    },
}

/// Loopback addresses of a block, and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loopback {
    /// An address of the block.
    pub network: IpAddr,
    /// How many of its bits the block has in common.
    pub prefix: u8,
    /// The first port.
    pub from: u16,
    /// The last port.
    pub to: u16,
    /// Of UDP; otherwise of TCP.
    pub udp: bool,
}

/// How flows are brought to the listeners, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interception {
    /// Packets keep their destination, which is the accepted socket's own address.
    #[default]
    Tproxy,
    /// The destination is rewritten; connection tracking knows what it was (`SO_ORIGINAL_DST`). TCP and DNS alone.
    Redirect,
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
