//! One policy as it was written: rules in order, and the settings that it states.

use serde::{Serialize, Serializer};

use crate::error::PolicyError;
use crate::normalize::{NormalizedPolicy, normalize};
use crate::rule::{Origin, Rule};
use crate::schema::{DefaultAction, Defaults, Plugins, Tier};

/// A policy that was read or merged. What it does not state stays unstated, so that a lower source can state it.
///
/// It serialises to a policy file in the rule-list spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
    pub(crate) settings: Settings,
}

/// A setting and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stated<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Everything in a policy but its rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) plugins: Plugins<Option<Stated<bool>>>,
    pub(crate) defaults: Defaults<Option<Stated<DefaultAction>>>,
    pub(crate) deny_syscalls: Option<Vec<String>>,
    pub(crate) audit_enabled: Option<Stated<bool>>,
    pub(crate) audit_events: Option<Vec<String>>,
    pub(crate) min_tier: Option<Stated<Tier>>,
}

impl Policy {
    /// The rules, in the order in which they were written.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The weakest enforcement that the policy accepts, where it says so.
    pub fn min_tier(&self) -> Option<Tier> {
        self.settings.min_tier.as_ref().map(|stated| stated.value)
    }

    /// The policy with its relative paths starting from `base`, which is absolute: the directory of a file, or the
    /// working directory. Lexical, and idempotent.
    pub fn absolute(mut self, base: &str) -> Result<Self, PolicyError> {
        for rule in &mut self.rules {
            let absolute = rule.clone().absolute(base).map_err(|problem| match &rule.origin {
                Origin::Flag(flag) => PolicyError::Flag { flag: flag.clone(), problem },
                origin => PolicyError::Invalid { document: origin.to_string(), path: String::new(), problem },
            })?;
            *rule = absolute;
        }
        Ok(self)
    }

    /// The rule-list form with every key present.
    pub fn normalized(&self) -> NormalizedPolicy {
        normalize(&self.settings, &self.rules)
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.normalized().into_file(self.min_tier()).serialize(serializer)
    }
}
