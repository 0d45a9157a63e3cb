//! What a policy may say but the sandbox does not enforce yet. A caller refuses to start rather than pretend.
//!
//! Enforced are: files; programs and libraries; the network; variables; what the system tells of itself; extra system
//! calls; `--allow-all`; and the default denial of everything else.

use std::fmt;

use crate::policy::Stated;
use crate::rule::{Origin, Program, Rule, Target};
use crate::schema::{Action, DefaultAction};
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

    for (name, plugin, reason) in [
        ("namespaces", &settings.plugins.namespaces, "nothing else keeps the network and the host's processes away"),
        ("seccomp", &settings.plugins.seccomp, "nothing else keeps the interpreter from being executed again"),
    ] {
        if let Some(Stated { value: false, origin }) = plugin {
            add(format!("plugins.{name} = false is not supported: {reason}"), origin);
        }
    }
    let everything = stack.rules().any(|rule| rule.action != Action::Deny && rule.target == Target::Everything);
    if let Some(Stated { value: false, origin }) = &settings.plugins.landlock {
        // Where nothing is allowed a denial changes nothing.
        for rule in stack.rules().filter(|rule| rule.action != Action::Deny || everything) {
            if let Some(reason) = needs_landlock(&rule.target) {
                let what = format!("{rule} ({}): plugins.landlock = false, and {reason}", rule.origin);
                add(what, origin);
            }
        }
        for (name, default) in [("fs", &settings.defaults.fs), ("exec", &settings.defaults.exec)] {
            if let Some(Stated { value: DefaultAction::Allow, .. }) = default {
                add(format!("defaults.{name} = \"allow\" needs plugins.landlock"), origin);
            }
        }
    }

    for rule in stack.rules() {
        if let Some(reason) = reason(rule) {
            add(format!("{rule}: {reason}"), &rule.origin);
        }
    }
    found
}

/// What of a grant mounts and filter cannot hold, if there is something.
fn needs_landlock(target: &Target) -> Option<&'static str> {
    match target {
        Target::Fs { .. } => Some(
            "without Landlock a named pipe that may be read can be written to, what may be written can be read, and a \
             directory that may be written can be given device nodes",
        ),
        Target::Exec { .. } => Some("without Landlock programs are not told apart"),
        Target::Ffi(_) => Some("without Landlock a named pipe beside a library can be written to"),
        Target::Env(_) | Target::Net { .. } | Target::Sys(_) | Target::Everything => None,
    }
}

/// Why a rule is not enforced, if it is not.
fn reason(rule: &Rule) -> Option<&'static str> {
    match &rule.target {
        Target::Exec { program: Program::Path(path), sha256: Some(_) } if path.is_glob() || path.is_root() => {
            Some("sha256 pins the content of one program: name that one")
        }
        _ => None,
    }
}
