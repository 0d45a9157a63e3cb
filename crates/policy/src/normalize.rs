//! The rule-list form with every key present: what events, `activePolicyPath` and the worker see.

use serde::Serialize;

use crate::net::Host;
use crate::policy::{Settings, Stated};
use crate::ports::{PortRange, Ports};
use crate::rule::{Rule, Target};
use crate::schema::{
    Action, DEFAULT_AUDIT_EVENTS, DEFAULT_DENY_SYSCALLS, DefaultAction, Defaults, FsPerm, Plugins, Proto, Tier,
};

/// A policy in the shape of `NormalizedPolicy` in `index.d.ts`. `P` is how ports are shown: ranges there, text in the
/// policy files that we write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NormalizedPolicy<P = Vec<PortRange>> {
    /// The schema's version, 1.
    pub version: u8,
    /// Which kernel layers to use.
    pub plugins: Plugins<bool>,
    /// What holds when no rule matches.
    pub defaults: Defaults<DefaultAction>,
    /// Files and directories.
    pub fs: RuleList<FsRule>,
    /// Network.
    pub net: RuleList<NetRule<P>>,
    /// Programs.
    pub exec: RuleList<ExecRule>,
    /// Environment variables.
    pub env: RuleList<NameRule>,
    /// Native libraries.
    pub ffi: RuleList<PathRule>,
    /// System information.
    pub sys: RuleList<NameRule>,
    /// System calls denied on top of the built-in filter.
    pub anti_escape: AntiEscape,
    /// What is recorded.
    pub audit: Audit,
    /// Present in policy files alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tier: Option<Tier>,
}

/// The rules of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleList<R> {
    /// In order of source, highest first, then as written.
    pub rules: Vec<R>,
}

/// A rule about files and directories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FsRule {
    /// What the rule does.
    pub action: Action,
    /// A path, perhaps with globs.
    pub path: String,
    /// Doing what.
    pub perms: Vec<FsPerm>,
    /// Yields to no other source.
    #[serde(skip_serializing_if = "is_false")]
    pub locked: bool,
}

/// A rule about network peers, for one protocol; it has either `cidr` or `host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetRule<P> {
    /// What the rule does.
    pub action: Action,
    /// By which protocol.
    pub proto: Proto,
    /// A block of addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// A name, `*.name`, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// At which ports.
    pub ports: P,
    /// Yields to no other source.
    #[serde(skip_serializing_if = "is_false")]
    pub locked: bool,
}

/// A rule about programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecRule {
    /// What the rule does.
    pub action: Action,
    /// A path, perhaps with globs, or a command.
    pub path: String,
    /// With this content only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Yields to no other source.
    #[serde(skip_serializing_if = "is_false")]
    pub locked: bool,
}

/// A rule about something that has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameRule {
    /// What the rule does.
    pub action: Action,
    /// The name.
    pub name: String,
    /// Yields to no other source.
    #[serde(skip_serializing_if = "is_false")]
    pub locked: bool,
}

/// A rule about something that has a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathRule {
    /// What the rule does.
    pub action: Action,
    /// The path.
    pub path: String,
    /// Yields to no other source.
    #[serde(skip_serializing_if = "is_false")]
    pub locked: bool,
}

/// System calls denied on top of the built-in filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AntiEscape {
    /// Their names.
    pub deny_syscalls: Vec<String>,
}

/// What is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Whether anything is.
    pub enabled: bool,
    /// Names of system calls.
    pub events: Vec<String>,
}

impl NormalizedPolicy {
    /// The same as a policy file.
    pub(crate) fn into_file(self, min_tier: Option<Tier>) -> NormalizedPolicy<String> {
        let net = self.net.rules.into_iter().map(|rule| NetRule {
            action: rule.action,
            proto: rule.proto,
            cidr: rule.cidr,
            host: rule.host,
            ports: Ports::new(rule.ports).to_string(),
            locked: rule.locked,
        });
        NormalizedPolicy {
            version: self.version,
            plugins: self.plugins,
            defaults: self.defaults,
            fs: self.fs,
            net: RuleList { rules: net.collect() },
            exec: self.exec,
            env: self.env,
            ffi: self.ffi,
            sys: self.sys,
            anti_escape: self.anti_escape,
            audit: self.audit,
            min_tier,
        }
    }

    fn push(&mut self, rule: &Rule) {
        let Rule { action, locked, .. } = *rule;
        match &rule.target {
            Target::Fs { path, perms } => {
                self.fs.rules.push(FsRule { action, path: path.to_string(), perms: perms.clone(), locked });
            }
            Target::Net { host, proto, ports } => {
                let (cidr, name) = match host {
                    Host::Cidr(cidr) => (Some(cidr.to_string()), None),
                    name => (None, Some(name.to_string())),
                };
                for proto in Proto::ALL.iter().copied().filter(|each| proto.is_none_or(|proto| proto == *each)) {
                    let (cidr, host, ports) = (cidr.clone(), name.clone(), ports.ranges().to_vec());
                    self.net.rules.push(NetRule { action, proto, cidr, host, ports, locked });
                }
            }
            Target::Exec { program, sha256 } => {
                let (path, sha256) = (program.to_string(), sha256.clone());
                self.exec.rules.push(ExecRule { action, path, sha256, locked });
            }
            Target::Env(name) => self.env.rules.push(NameRule { action, name: name.to_string(), locked }),
            Target::Ffi(path) => self.ffi.rules.push(PathRule { action, path: path.to_string(), locked }),
            Target::Sys(name) => self.sys.rules.push(NameRule { action, name: name.to_string(), locked }),
            Target::Everything => {
                for target in Target::everything() {
                    self.push(&Rule { target, ..rule.clone() });
                }
            }
        }
    }
}

/// Puts `rules` beside `settings`, with the defaults for what is not stated.
pub(crate) fn normalize<'a>(settings: &Settings, rules: impl IntoIterator<Item = &'a Rule>) -> NormalizedPolicy {
    let Settings { plugins, defaults, .. } = settings;
    let layer = |stated: &Option<Stated<bool>>| stated.as_ref().is_none_or(|stated| stated.value);
    let default = |stated: &Option<Stated<_>>| stated.as_ref().map_or(DefaultAction::Deny, |stated| stated.value);
    let names = |stated: &Option<Vec<String>>, otherwise: &[&str]| match stated {
        Some(names) => names.clone(),
        None => otherwise.iter().map(|&name| name.to_owned()).collect(),
    };
    let mut policy = NormalizedPolicy {
        version: 1,
        plugins: Plugins {
            namespaces: layer(&plugins.namespaces),
            landlock: layer(&plugins.landlock),
            seccomp: layer(&plugins.seccomp),
        },
        defaults: Defaults { fs: default(&defaults.fs), net: default(&defaults.net), exec: default(&defaults.exec) },
        fs: RuleList { rules: Vec::new() },
        net: RuleList { rules: Vec::new() },
        exec: RuleList { rules: Vec::new() },
        env: RuleList { rules: Vec::new() },
        ffi: RuleList { rules: Vec::new() },
        sys: RuleList { rules: Vec::new() },
        anti_escape: AntiEscape { deny_syscalls: names(&settings.deny_syscalls, DEFAULT_DENY_SYSCALLS) },
        audit: Audit {
            enabled: settings.audit_enabled.as_ref().is_some_and(|stated| stated.value),
            events: names(&settings.audit_events, DEFAULT_AUDIT_EVENTS),
        },
        min_tier: None,
    };
    for rule in rules {
        policy.push(rule);
    }
    policy
}

// By reference because serde calls it so.
fn is_false(value: &bool) -> bool {
    !value
}
