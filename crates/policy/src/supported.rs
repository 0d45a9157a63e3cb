//! What a policy may say but the sandbox does not enforce yet. A caller refuses to start rather than pretend.
//!
//! Enforced are: `allow` of files by plain paths with [`READ_PERMS`], [`WRITE_PERMS`], both or none; variables allowed
//! and denied by name; extra system calls; `--allow-all`; and the default denial of everything else.

use std::fmt;

use crate::policy::Stated;
use crate::rule::{Origin, Rule, Target};
use crate::schema::{Action, DefaultAction, FsPerm, READ_PERMS, Tier, WRITE_PERMS};
use crate::stack::PolicyStack;

/// A part of the policy in force that has no effect yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The part, in words.
    pub what: String,
    /// Where it was written.
    pub origin: Origin,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

/// Every rule and setting in force that is not enforced yet.
///
/// Denials count only where they bite, that is where something of their kind is allowed: the rest of what they deny
/// is denied anyway. Where an `allow` of the kind is unsupported itself, naming that is enough.
pub fn unsupported(stack: &PolicyStack) -> Vec<Unsupported> {
    let settings = stack.settings();
    let mut found: Vec<Unsupported> = Vec::new();
    let mut add = |what: String, origin: &Origin| found.push(Unsupported { what, origin: origin.clone() });

    let plugins = [
        ("namespaces", &settings.plugins.namespaces),
        ("landlock", &settings.plugins.landlock),
        ("seccomp", &settings.plugins.seccomp),
    ];
    for (name, plugin) in plugins {
        if let Some(Stated { value: false, origin }) = plugin {
            add(format!("plugins.{name} = false is not supported yet"), origin);
        }
    }
    let defaults = [("fs", &settings.defaults.fs), ("net", &settings.defaults.net), ("exec", &settings.defaults.exec)];
    for (name, default) in defaults {
        if let Some(Stated { value: DefaultAction::Allow, origin }) = default {
            add(format!("defaults.{name} = \"allow\" is not supported yet"), origin);
        }
    }
    if let Some(Stated { value: tier @ (Tier::Landlock | Tier::None), origin }) = &settings.min_tier {
        add(format!("minTier = \"{tier}\" is not supported yet"), origin);
    }

    let is_grant = |rule: &&Rule| rule.action != Action::Deny;
    let everything = stack.rules().filter(is_grant).any(|rule| rule.target == Target::Everything);
    let has_fs_grants =
        everything || stack.rules().filter(is_grant).any(|rule| matches!(rule.target, Target::Fs { .. }));
    for rule in stack.rules() {
        if let Some(reason) = reason(rule, has_fs_grants, everything) {
            add(format!("{rule}: {reason}"), &rule.origin);
        }
    }
    found
}

/// Why a rule is not enforced, if it is not.
fn reason(rule: &Rule, has_fs_grants: bool, everything: bool) -> Option<&'static str> {
    match (&rule.target, rule.action) {
        (Target::Exec { sha256: Some(_), .. }, _) => Some("sha256 is not supported yet"),
        (Target::Fs { .. }, Action::Deny) => {
            has_fs_grants.then_some("denials inside allowed paths are not supported yet")
        }
        (Target::Exec { .. } | Target::Ffi(_), Action::Deny) => {
            everything.then_some("denials beside --allow-all are not supported yet")
        }
        (_, Action::Deny) => None,
        (Target::Ffi(_) | Target::Sys(_), Action::Warn) => Some("warn is not supported yet"),
        (Target::Fs { path, .. }, _) if path.is_glob() => Some("globs are not supported yet"),
        (Target::Fs { perms, .. }, _) => (!is_whole_groups(perms))
            .then_some("perms other than the whole read set, the whole write set, or both are not supported yet"),
        (Target::Env(_), _) => None,
        (Target::Net { .. }, _) => Some("network access is not supported yet"),
        (Target::Exec { .. }, _) => Some("starting programs is not supported yet"),
        (Target::Ffi(_), _) => Some("loading libraries is not supported yet"),
        (Target::Sys(_), _) => None,
        (Target::Everything, _) => None,
    }
}

/// True for `READ_PERMS`, `WRITE_PERMS`, both, and nothing.
fn is_whole_groups(perms: &[FsPerm]) -> bool {
    perms.iter().all(|perm| {
        let group = [READ_PERMS, WRITE_PERMS].into_iter().find(|group| group.contains(perm));
        group.is_some_and(|group| group.iter().all(|member| perms.contains(member)))
    })
}
