//! A rule: an action, a target, and where the rule was written.

use std::fmt;

use crate::error::locate;
use crate::names::{EnvName, SysName};
use crate::net::Host;
use crate::path::{PathPattern, Reach};
use crate::ports::Ports;
use crate::query::Subject;
use crate::schema::{Action, FsPerm, Proto, READ_PERMS, WRITE_PERMS};

/// One rule of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What the rule does.
    pub action: Action,
    /// What it is about.
    pub target: Target,
    /// True where no other source may loosen it.
    pub locked: bool,
    /// Where it was written.
    pub origin: Origin,
}

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Files and directories.
    Fs {
        /// Which.
        path: PathPattern,
        /// Doing what. An empty list is about nothing.
        perms: Vec<FsPerm>,
    },
    /// Network peers.
    Net {
        /// Who.
        host: Host,
        /// By which protocol; both where absent, which only denials are: what is allowed without saying so is TCP.
        proto: Option<Proto>,
        /// At which ports.
        ports: Ports,
    },
    /// Programs.
    Exec {
        /// Which.
        program: Program,
        /// With this content only: 64 hexadecimal digits in lower case. Decisions cannot see content and take the
        /// pin as met; checking it is part of enforcing the rule.
        sha256: Option<String>,
    },
    /// Environment variables.
    Env(EnvName),
    /// Native libraries.
    Ffi(PathPattern),
    /// System information.
    Sys(SysName),
    /// `--allow-all`.
    Everything,
}

/// A program, as a path or as a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A file, what lies below a directory, or a glob. Unlike that of files, a glob's reach ends at its matches:
    /// `/bin/*` is not about `/bin/sub/x`.
    Path(PathPattern),
    /// A word without a slash. Denied, it is denied in every directory. Allowed, it means what `PATH` finds, which
    /// only a caller with a disk can tell: allowing it allows no path until the caller has put the path in its place.
    Command(String),
}

/// Where a rule or setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag or variable with the item in question: `--allow-read=/tmp`, `POD_DENY_NET=10.0.0.0/8`.
    Flag(String),
    /// A place in a document.
    Document {
        /// The document's name, usually its file.
        name: String,
        /// JSON path such as `fs.rules[2]`.
        path: String,
    },
    /// Nobody wrote it.
    Default,
}

impl Rule {
    pub(crate) fn matches(&self, subject: &Subject) -> bool {
        match (&self.target, subject) {
            (Target::Everything, _) => true,
            (Target::Fs { path, .. }, Subject::Fs { path: asked, perm }) => {
                self.target.has_right(*perm) && path.covers(asked, Reach::Tree)
            }
            (Target::Exec { program, .. }, Subject::Run(asked)) => match (program, asked) {
                (Program::Command(name), Program::Path(path)) => {
                    self.action == Action::Deny && path.file_name() == Some(name)
                }
                _ => program.covers(asked),
            },
            (Target::Env(name), Subject::Env(asked)) => name.covers(asked),
            (Target::Ffi(path), Subject::Ffi(asked)) => path.covers(asked, Reach::Tree),
            (Target::Sys(name), Subject::Sys(asked)) => name.covers(*asked),
            _ => false,
        }
    }

    /// The rule with its path, if it has a relative one, starting from `base`.
    pub(crate) fn absolute(mut self, base: &str) -> Result<Self, String> {
        match &mut self.target {
            Target::Fs { path, .. } | Target::Ffi(path) | Target::Exec { program: Program::Path(path), .. } => {
                *path = path.absolute(base)?;
            }
            _ => {}
        }
        Ok(self)
    }
}

impl Target {
    /// All files, with no right in particular.
    pub(crate) fn root() -> Self {
        Self::Fs { path: PathPattern::root(), perms: Vec::new() }
    }

    /// True where this is about a right over files.
    pub(crate) fn has_right(&self, perm: FsPerm) -> bool {
        match self {
            Self::Everything => true,
            Self::Fs { perms, .. } => perms.contains(&perm),
            _ => false,
        }
    }

    /// True where `narrower` is about the same or less. Of rights, protocols and a program's content only those that
    /// are in question matter, and they are the same for both: a rule with several is as many rules.
    pub(crate) fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (Self::Everything, _) => true,
            (Self::Fs { path: a, .. }, Self::Fs { path: b, .. }) | (Self::Ffi(a), Self::Ffi(b)) => {
                a.covers(b, Reach::Tree)
            }
            (Self::Net { host: a, ports: wide, .. }, Self::Net { host: b, ports: narrow, .. }) => {
                a.covers(b) && wide.covers(narrow)
            }
            (Self::Exec { program: a, sha256: wide }, Self::Exec { program: b, sha256: narrow }) => {
                a.covers(b) && (wide.is_none() || wide == narrow)
            }
            (Self::Env(a), Self::Env(b)) => a.covers(b),
            (Self::Sys(a), Self::Sys(b)) => a.covers(*b),
            _ => false,
        }
    }
}

impl Target {
    /// True for a block of addresses of the machine itself beside `localhost`, which names such an address as precisely.
    pub(crate) fn covers_localhost(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Net { host: Host::Cidr(block), ports: wide, .. }, Self::Net { host, ports: narrow, .. }) => {
                block.is_loopback() && host.is_localhost() && wide.covers(narrow)
            }
            _ => false,
        }
    }
}

impl Program {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let pattern = PathPattern::parse(text)?;
        Ok(if text.contains('/') || pattern.is_glob() || text.starts_with('.') {
            Self::Path(pattern)
        } else {
            Self::Command(text.to_owned())
        })
    }

    fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (Self::Path(a), Self::Path(b)) => a.covers(b, if a.is_glob() { Reach::Exact } else { Reach::Tree }),
            (Self::Path(a), Self::Command(_)) => a.is_root(),
            (Self::Command(name), Self::Path(path)) => path.file_name() == Some(name),
            (Self::Command(a), Self::Command(b)) => a == b,
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Without its "./" a relative path would read as a command.
            Self::Path(path) if !path.is_absolute() => write!(f, "./{path}"),
            Self::Path(path) => path.fmt(f),
            Self::Command(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fs { path, perms } => write!(f, "{} {path}", describe_perms(perms)),
            Self::Net { host, proto, ports } => {
                write!(f, "net {host}")?;
                if !ports.is_any() {
                    write!(f, ":{ports}")?;
                }
                proto.map_or(Ok(()), |proto| write!(f, "/{proto}"))
            }
            Self::Exec { program, sha256: None } => write!(f, "run {program}"),
            Self::Exec { program, sha256: Some(hash) } => write!(f, "run {program} sha256 {hash}"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Ffi(path) => write!(f, "ffi {path}"),
            Self::Sys(name) => write!(f, "sys {name}"),
            Self::Everything => f.write_str("all"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Document { name, path } => f.write_str(&locate(name, path)),
            Self::Default => f.write_str("default"),
        }
    }
}

/// `read`, `write` and whatever is left over by its own name.
fn describe_perms(perms: &[FsPerm]) -> String {
    let mut rest = perms.to_vec();
    let mut words = Vec::new();
    for (word, group) in [("read", READ_PERMS), ("write", WRITE_PERMS)] {
        if group.iter().all(|perm| perms.contains(perm)) {
            rest.retain(|perm| !group.contains(perm));
            words.push(word);
        }
    }
    words.extend(rest.into_iter().map(FsPerm::as_str));
    if words.is_empty() { "nothing of".to_owned() } else { words.join(",") }
}
