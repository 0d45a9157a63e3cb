//! Names of environment variables and of system-information calls.

use std::fmt;

use crate::suggest;

/// Variables that configure this product or the dynamic loader. No rule lets them into a sandbox.
const RESERVED_ENV: &[&str] = &["POD_", "BUNTIME_", "NAPI_RS_", "LD_"];

/// True for `POD_*`, `BUNTIME_*`, `NAPI_RS_*` and `LD_*`, which no rule lets into a sandbox.
pub fn is_reserved_env(name: &str) -> bool {
    RESERVED_ENV.iter().any(|prefix| name.starts_with(prefix))
}

/// An environment variable by its exact name, or all that share a prefix (`AWS_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvName {
    /// This name.
    Exact(String),
    /// Every name that starts so; the empty prefix means every name.
    Prefix(String),
}

impl EnvName {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if text.is_empty() || name.contains(['*', '=', '\0']) {
            return Err(format!(r#"found {text:?}, expected a variable's name, or its beginning such as "AWS_*""#));
        }
        Ok(if is_prefix { Self::Prefix(name.to_owned()) } else { Self::Exact(name.to_owned()) })
    }

    /// True where the name can mean nothing but reserved variables, so that allowing it is a mistake.
    pub(crate) fn is_reserved(&self) -> bool {
        let (Self::Exact(name) | Self::Prefix(name)) = self;
        is_reserved_env(name)
    }

    pub(crate) fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (Self::Prefix(prefix), Self::Exact(name) | Self::Prefix(name)) => name.starts_with(prefix),
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Exact(_), Self::Prefix(_)) => false,
        }
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// The calls that `--allow-sys` knows: Deno's, and `os`.
pub(crate) const SYS_NAMES: &[&str] = &[
    "hostname",
    "inspector",
    "os",
    "osRelease",
    "osUptime",
    "loadavg",
    "networkInterfaces",
    "systemMemoryInfo",
    "uid",
    "gid",
    "cpus",
    "homedir",
    "getegid",
    "statfs",
    "getPriority",
    "setPriority",
    "userInfo",
    "setegid",
    "seteuid",
    "setgid",
    "setuid",
    "ca",
    "umask",
];

/// A system-information call, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SysName {
    /// `*`.
    Any,
    /// One of the known names. `os` stands for `osRelease` and `osUptime` as well.
    Call(&'static str),
}

impl SysName {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let name = match text {
            "*" => return Ok(Self::Any),
            "username" => "userInfo",
            name => name,
        };
        match SYS_NAMES.iter().find(|known| **known == name) {
            Some(known) => Ok(Self::Call(known)),
            None => Err(format!("found {text:?}, expected {}", suggest::one_of(SYS_NAMES))),
        }
    }

    pub(crate) fn covers(self, narrower: Self) -> bool {
        match (self, narrower) {
            (Self::Any, _) | (Self::Call("os"), Self::Call("osRelease" | "osUptime")) => true,
            (Self::Call(a), Self::Call(b)) => a == b,
            (Self::Call(_), Self::Any) => false,
        }
    }
}

impl fmt::Display for SysName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Call(name) => name,
        })
    }
}
