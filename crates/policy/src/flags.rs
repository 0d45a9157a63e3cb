//! Flags and `POD_*` variables as rules, and the flag that would grant a target.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::Cidr;
use crate::error::PolicyError;
use crate::names::{EnvName, SysName, is_reserved_env};
use crate::net::{Host, with_their_ports};
use crate::parse::{parse_env, unsaid_proto};
use crate::path::PathPattern;
use crate::policy::Policy;
use crate::ports::Ports;
use crate::rule::{Origin, Program, Rule, Target};
use crate::schema::{Action, FsPerm, PermissionKind, READ_PERMS, WRITE_PERMS};
use crate::suggest;

/// What the flags, or the options of the same names, allow and deny.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// `--allow-all`.
    pub allow_all: bool,
    /// `--allow-read`, `--deny-read`.
    pub read: Grants,
    /// `--allow-write`, `--deny-write`.
    pub write: Grants,
    /// `--allow-net`, `--deny-net`.
    pub net: Grants,
    /// `--allow-run`, `--deny-run`.
    pub run: Grants,
    /// `--allow-env`, `--deny-env`.
    pub env: Grants,
    /// `--allow-ffi`, `--deny-ffi`.
    pub ffi: Grants,
    /// `--allow-sys`, `--deny-sys`.
    pub sys: Grants,
}

/// The two flags of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// `--allow-…`.
    pub allow: Selection,
    /// `--deny-…`.
    pub deny: Selection,
}

/// The value of a flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// The flag is absent.
    #[default]
    None,
    /// The flag has no value: everything of its kind.
    All,
    /// These. An empty list is nothing.
    List(Vec<String>),
}

/// How the two flags of a kind are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// `--allow-read`.
    Flag,
    /// `POD_ALLOW_READ`.
    Variable,
}

impl Selection {
    /// Adds one occurrence of the flag: `None` for a flag without a value, else items with commas between them.
    pub fn add(&mut self, value: Option<&str>) {
        match (value, &mut *self) {
            (_, Self::All) => {}
            (None, _) => *self = Self::All,
            (Some(items), Self::List(list)) => list.extend(items.split(',').map(str::to_owned)),
            (Some(items), Self::None) => *self = Self::List(items.split(',').map(str::to_owned).collect()),
        }
    }
}

impl Permissions {
    /// Reads the `POD_ALLOW_*` and `POD_DENY_*` variables among `variables`; others, `POD_POLICY_JSON` included, are
    /// passed over. A misspelt one is an error, since a `POD_DENY_…` without effect would be a hole.
    pub fn from_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PolicyError> {
        let mut permissions = Self::default();
        for (name, value) in variables {
            if !name.starts_with("POD_ALLOW_") && !name.starts_with("POD_DENY_") {
                continue;
            }
            match flags().find(|(kind, action)| Spelling::Variable.name(*kind, *action) == name) {
                Some((kind, action)) => permissions.selection_mut(kind, action).add(Some(value)),
                None => {
                    let known: Vec<String> =
                        flags().map(|(kind, action)| Spelling::Variable.name(kind, action)).collect();
                    let known: Vec<&str> = known.iter().map(String::as_str).collect();
                    let problem = format!("unknown variable, {}", suggest::did_you_mean(name, &known));
                    return Err(PolicyError::Flag { flag: name.to_owned(), problem });
                }
            }
        }
        Ok(permissions)
    }

    /// The two flags of a kind.
    pub fn grants(&self, kind: PermissionKind) -> &Grants {
        match kind {
            PermissionKind::Read => &self.read,
            PermissionKind::Write => &self.write,
            PermissionKind::Net => &self.net,
            PermissionKind::Run => &self.run,
            PermissionKind::Env => &self.env,
            PermissionKind::Ffi => &self.ffi,
            PermissionKind::Sys => &self.sys,
        }
    }

    /// The two flags of a kind, to be filled in.
    pub fn grants_mut(&mut self, kind: PermissionKind) -> &mut Grants {
        match kind {
            PermissionKind::Read => &mut self.read,
            PermissionKind::Write => &mut self.write,
            PermissionKind::Net => &mut self.net,
            PermissionKind::Run => &mut self.run,
            PermissionKind::Env => &mut self.env,
            PermissionKind::Ffi => &mut self.ffi,
            PermissionKind::Sys => &mut self.sys,
        }
    }

    fn selection_mut(&mut self, kind: PermissionKind, action: Action) -> &mut Selection {
        let grants = self.grants_mut(kind);
        if action == Action::Deny { &mut grants.deny } else { &mut grants.allow }
    }

    /// The same as a policy of the flags alone, as `init-policy` writes it. Relative paths stay relative.
    pub fn to_policy(&self) -> Result<Policy, PolicyError> {
        self.to_policy_spelled(Spelling::Flag)
    }

    pub(crate) fn to_policy_spelled(&self, spelling: Spelling) -> Result<Policy, PolicyError> {
        let mut rules = Vec::new();
        if self.allow_all {
            let origin = Origin::Flag("--allow-all".to_owned());
            rules.push(Rule { action: Action::Allow, target: Target::Everything, locked: false, origin });
        }
        for (kind, action) in flags() {
            let grants = self.grants(kind);
            let flag = spelling.name(kind, action);
            let selection = if action == Action::Deny { &grants.deny } else { &grants.allow };
            match selection {
                Selection::None => {}
                Selection::All => {
                    rules.push(Rule {
                        action,
                        target: Target::all_of(kind, action),
                        locked: false,
                        origin: Origin::Flag(flag),
                    });
                }
                Selection::List(items) => {
                    let items = match kind {
                        PermissionKind::Net => with_their_ports(items),
                        _ => items.iter().map(|item| Cow::Borrowed(item.as_str())).collect(),
                    };
                    for item in items {
                        let target = read_item(kind, action, &item)
                            .map_err(|problem| PolicyError::Flag { flag: flag.clone(), problem })?;
                        let origin = Origin::Flag(format!("{flag}={item}"));
                        rules.push(Rule { action, target, locked: false, origin });
                    }
                }
            }
        }
        Ok(Policy { rules, ..Policy::default() })
    }
}

impl Spelling {
    fn name(self, kind: PermissionKind, action: Action) -> String {
        match self {
            Self::Flag => format!("--{action}-{kind}"),
            Self::Variable => format!("POD_{action}_{kind}").to_ascii_uppercase(),
        }
    }
}

/// Every flag of the table, as kind and action.
fn flags() -> impl Iterator<Item = (PermissionKind, Action)> {
    PermissionKind::ALL.iter().flat_map(|kind| [(*kind, Action::Allow), (*kind, Action::Deny)])
}

fn read_item(kind: PermissionKind, action: Action, item: &str) -> Result<Target, String> {
    let fs = |perms: &[FsPerm]| PathPattern::parse(item).map(|path| Target::Fs { path, perms: perms.to_vec() });
    match kind {
        PermissionKind::Read => fs(READ_PERMS),
        PermissionKind::Write => fs(WRITE_PERMS),
        PermissionKind::Net => {
            let proto = unsaid_proto(action);
            Host::parse_with_ports(item).map(|(host, ports)| Target::Net { host, proto, ports })
        }
        PermissionKind::Run => Program::parse(item).map(|program| Target::Exec { program, sha256: None }),
        PermissionKind::Env => parse_env(item, action).map(Target::Env),
        PermissionKind::Ffi => PathPattern::parse(item).map(Target::Ffi),
        PermissionKind::Sys => SysName::parse(item).map(Target::Sys),
    }
}

impl Target {
    /// The target of a flag without a value.
    fn all_of(kind: PermissionKind, action: Action) -> Self {
        match kind {
            PermissionKind::Read => Self::Fs { path: PathPattern::root(), perms: READ_PERMS.to_vec() },
            PermissionKind::Write => Self::Fs { path: PathPattern::root(), perms: WRITE_PERMS.to_vec() },
            PermissionKind::Net => Self::Net { host: Host::Any, proto: unsaid_proto(action), ports: Ports::any() },
            PermissionKind::Run => Self::Exec { program: Program::Path(PathPattern::root()), sha256: None },
            PermissionKind::Env => Self::Env(EnvName::Prefix(String::new())),
            PermissionKind::Ffi => Self::Ffi(PathPattern::root()),
            PermissionKind::Sys => Self::Sys(SysName::Any),
        }
    }

    /// What `--allow-all` is about, kind by kind.
    pub(crate) fn everything() -> impl Iterator<Item = Self> {
        let fs = Self::Fs { path: PathPattern::root(), perms: FsPerm::ALL.to_vec() };
        // Every name, and every address save those of the machine itself.
        let blocks = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let hosts = std::iter::once(Host::Any).chain(blocks.map(|all| Host::Cidr(Cidr::new(all, 0))));
        let net = hosts.map(|host| Self::Net { host, proto: None, ports: Ports::any() });
        let others = [PermissionKind::Run, PermissionKind::Env, PermissionKind::Ffi, PermissionKind::Sys];
        let others = others.into_iter().map(|kind| Self::all_of(kind, Action::Allow));
        std::iter::once(fs).chain(net).chain(others)
    }
}

/// The narrowest flag that would grant `target`, quoted for a shell: `--allow-read=/etc/passwd`.
///
/// None where no flag can say it and nothing more. The target comes from untrusted code and the hint is there to be
/// pasted: one with a comma would grant a second item, one with a `*` whatever matches.
pub fn hint_flag(kind: PermissionKind, target: &str) -> Option<String> {
    let has_meaning = |c: char| c == ',' || c == '*' || c.is_control() || (c == '?' && kind != PermissionKind::Env);
    if target.is_empty() || target.contains(has_meaning) || (kind == PermissionKind::Env && is_reserved_env(target)) {
        return None;
    }
    read_item(kind, Action::Allow, target).ok()?;
    Some(format!("{}={}", Spelling::Flag.name(kind, Action::Allow), shell_word(target)))
}

/// A text as one word of a shell's command line, in quotes where it needs them.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}
