//! Several policies as one.

use crate::policy::{Policy, Settings, Stated};
use crate::rule::Origin;
use crate::schema::{DEFAULT_AUDIT_EVENTS, DEFAULT_DENY_SYSCALLS, DefaultAction, Defaults, Plugins};

/// Puts policies together as equals, in one source: a kernel layer is used if one of them uses it, the most
/// restrictive default holds, rules follow each other, lists of system calls are united, and audit is on if one of
/// them turns it on. What a policy does not state counts with its default value; no policies at all deny everything.
pub fn merge_policies(policies: &[Policy]) -> Policy {
    policies
        .iter()
        .map(|policy| Policy { rules: policy.rules.clone(), settings: policy.settings.clone().completed() })
        .reduce(|mut merged, policy| {
            merged.combine(policy);
            merged
        })
        .unwrap_or_default()
}

impl Policy {
    /// Adds `other` as an equal. What neither states stays unstated.
    pub(crate) fn combine(&mut self, other: Self) {
        self.rules.extend(other.rules);
        let defaults = self.settings.defaults.clone().zip(other.settings.defaults.clone(), greatest);
        self.settings.put_over(other.settings);
        self.settings.defaults = defaults;
    }
}

impl Settings {
    /// Puts these settings over `lower` ones. All merge as those of equals do, save the defaults: a default is a rule
    /// about everything, so the higher source's is as narrow as the lower one's, and prevails.
    pub(crate) fn put_over(&mut self, lower: Self) {
        self.plugins = std::mem::take(&mut self.plugins).zip(lower.plugins, greatest);
        self.defaults = std::mem::take(&mut self.defaults).zip(lower.defaults, Option::or);
        self.deny_syscalls = union(self.deny_syscalls.take(), lower.deny_syscalls);
        self.audit_enabled = greatest(self.audit_enabled.take(), lower.audit_enabled);
        self.audit_events = union(self.audit_events.take(), lower.audit_events);
        self.min_tier = greatest(self.min_tier.take(), lower.min_tier);
    }

    /// The same with the default value wherever an unstated one would otherwise lose to a stated one.
    fn completed(mut self) -> Self {
        let on = || Some(Stated { value: true, origin: Origin::Default });
        let deny = || Some(Stated { value: DefaultAction::Deny, origin: Origin::Default });
        let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        self.plugins = self.plugins.zip(Plugins { namespaces: on(), landlock: on(), seccomp: on() }, Option::or);
        self.defaults = self.defaults.zip(Defaults { fs: deny(), net: deny(), exec: deny() }, Option::or);
        self.deny_syscalls = self.deny_syscalls.or_else(|| names(DEFAULT_DENY_SYSCALLS));
        self.audit_events = self.audit_events.or_else(|| names(DEFAULT_AUDIT_EVENTS));
        self
    }
}

impl<T> Plugins<T> {
    fn zip(self, other: Self, with: impl Fn(T, T) -> T) -> Self {
        Self {
            namespaces: with(self.namespaces, other.namespaces),
            landlock: with(self.landlock, other.landlock),
            seccomp: with(self.seccomp, other.seccomp),
        }
    }
}

impl<T> Defaults<T> {
    fn zip(self, other: Self, with: impl Fn(T, T) -> T) -> Self {
        Self { fs: with(self.fs, other.fs), net: with(self.net, other.net), exec: with(self.exec, other.exec) }
    }
}

/// The greater of two stated values, the first where they are equal.
fn greatest<T: Ord>(first: Option<Stated<T>>, second: Option<Stated<T>>) -> Option<Stated<T>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(if second.value > first.value { second } else { first }),
        (first, second) => first.or(second),
    }
}

fn union(first: Option<Vec<String>>, second: Option<Vec<String>>) -> Option<Vec<String>> {
    match (first, second) {
        (Some(mut names), Some(more)) => {
            for name in more {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            Some(names)
        }
        (first, second) => first.or(second),
    }
}
