//! Questions to a policy, normalised before they are compared.

use std::net::IpAddr;

use crate::error::PolicyError;
use crate::flow::Contact;
use crate::name::Peer;
use crate::names::{EnvName, SysName, is_reserved_env};
use crate::path::PathPattern;
use crate::rule::Program;
use crate::schema::{FsPerm, PermissionKind, Proto};

/// A question: may this be done? Only well-formed ones can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub(crate) subject: Subject,
}

/// What is asked about, in the form that rules compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Fs { path: PathPattern, perm: FsPerm },
    Net(Contact),
    Run(Program),
    Env(EnvName),
    Ffi(PathPattern),
    Sys(SysName),
}

impl Query {
    /// May this file be read? `path` is absolute.
    pub fn read(path: &str) -> Result<Self, PolicyError> {
        Self::fs(path, FsPerm::ReadFile)
    }

    /// May this directory be listed? `path` is absolute.
    pub fn list(path: &str) -> Result<Self, PolicyError> {
        Self::fs(path, FsPerm::ReadDir)
    }

    /// May this file be changed? `path` is absolute.
    pub fn write(path: &str) -> Result<Self, PolicyError> {
        Self::fs(path, FsPerm::WriteFile)
    }

    /// May this be done to `path`, which is absolute?
    pub fn fs(path: &str, perm: FsPerm) -> Result<Self, PolicyError> {
        if perm == FsPerm::Execute {
            // Asked of the rules about programs, which it is said by.
            return literal(PermissionKind::Run, path).map(|path| Subject::Run(Program::Path(path)).into());
        }
        literal(perm.kind(), path).map(|path| Subject::Fs { path, perm }.into())
    }

    /// May this host be reached? `host` is a name or an address. Without a port the question is about the whole host,
    /// and rules for some of its ports do not answer it. A name is judged as such: what it resolves to, which can
    /// forbid it, is for [`Egress::decide`].
    ///
    /// [`Egress::decide`]: crate::Egress::decide
    pub fn net(host: &str, port: Option<u16>, proto: Proto) -> Result<Self, PolicyError> {
        let (name, address) = match Peer::parse(host) {
            Ok(Peer::Name(name)) => (Some(name), None),
            Ok(Peer::Address(address)) => (None, Some(address)),
            Err(problem) => return Err(ill_formed(PermissionKind::Net, host, problem)),
        };
        Ok(Subject::Net(Contact { name, address, port, proto, is_own: false }).into())
    }

    /// May this program be started? An absolute path, or a command that is looked up on `PATH`.
    pub fn run(program: &str) -> Result<Self, PolicyError> {
        let is_command = !program.is_empty() && !program.contains(['/', '\0']);
        let program = if is_command {
            Program::Command(program.to_owned())
        } else {
            Program::Path(literal(PermissionKind::Run, program)?)
        };
        Ok(Subject::Run(program).into())
    }

    /// May this variable of the host's environment be seen?
    pub fn env(name: &str) -> Result<Self, PolicyError> {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(ill_formed(PermissionKind::Env, name, "expected a variable's name"));
        }
        Ok(Subject::Env(EnvName::Exact(name.to_owned())).into())
    }

    /// May this library be loaded? `path` is absolute.
    pub fn ffi(path: &str) -> Result<Self, PolicyError> {
        literal(PermissionKind::Ffi, path).map(|path| Subject::Ffi(path).into())
    }

    /// May the system be asked this about itself?
    pub fn sys(name: &str) -> Result<Self, PolicyError> {
        match SysName::parse(name) {
            Ok(name) => Ok(Subject::Sys(name).into()),
            Err(problem) => Err(ill_formed(PermissionKind::Sys, name, problem)),
        }
    }

    /// Reads a target as text, as `explain` gives it. For `net` that is `host`, `host:port` or `[v6]:port`, over TCP
    /// unless `/udp` follows.
    pub fn parse(kind: PermissionKind, target: &str) -> Result<Self, PolicyError> {
        match kind {
            PermissionKind::Read => Self::read(target),
            PermissionKind::Write => Self::write(target),
            PermissionKind::Run => Self::run(target),
            PermissionKind::Env => Self::env(target),
            PermissionKind::Ffi => Self::ffi(target),
            PermissionKind::Sys => Self::sys(target),
            PermissionKind::Net => {
                let (peer, proto) = Proto::ALL
                    .iter()
                    .find_map(|proto| Some((target.strip_suffix(proto.as_str())?.strip_suffix('/')?, *proto)))
                    .unwrap_or((target, Proto::Tcp));
                let (host, port) = split_port(peer)
                    .ok_or_else(|| ill_formed(kind, target, "expected a host, host:port or [ipv6]:port"))?;
                Self::net(host, port, proto)
            }
        }
    }

    /// The permission that is asked for.
    pub fn kind(&self) -> PermissionKind {
        match &self.subject {
            Subject::Fs { perm, .. } => perm.kind(),
            Subject::Net(_) => PermissionKind::Net,
            Subject::Run(_) => PermissionKind::Run,
            Subject::Env(_) => PermissionKind::Env,
            Subject::Ffi(_) => PermissionKind::Ffi,
            Subject::Sys(_) => PermissionKind::Sys,
        }
    }

    /// True for what no rule can allow.
    pub(crate) fn is_never_allowed(&self) -> bool {
        matches!(&self.subject, Subject::Env(EnvName::Exact(name)) if is_reserved_env(name))
    }
}

impl From<Subject> for Query {
    fn from(subject: Subject) -> Self {
        Self { subject }
    }
}

fn literal(kind: PermissionKind, path: &str) -> Result<PathPattern, PolicyError> {
    PathPattern::parse_literal(path).map_err(|problem| ill_formed(kind, path, problem))
}

fn ill_formed(kind: PermissionKind, target: &str, problem: impl Into<String>) -> PolicyError {
    PolicyError::Query { kind, target: target.to_owned(), problem: problem.into() }
}

fn split_port(target: &str) -> Option<(&str, Option<u16>)> {
    if target.parse::<IpAddr>().is_ok() {
        return Some((target, None));
    }
    let (host, rest) = match target.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => target.split_at(target.find(':').unwrap_or(target.len())),
    };
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port.parse().ok()?))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}
