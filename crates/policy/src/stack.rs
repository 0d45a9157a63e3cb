//! The policy in force: the sources in their order.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::decide::Overridden;
use crate::error::PolicyError;
use crate::flags::{Permissions, Spelling};
use crate::index::Lazy;
use crate::normalize::{NormalizedPolicy, normalize};
use crate::parse::parse_policy;
use crate::policy::{Policy, Settings, Stated};
use crate::rule::{Program, Rule, Target};
use crate::schema::{Action, DefaultAction, Defaults, Plugins, Tier};

/// Where a policy comes from. Ordered from low to high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// What is built in.
    Default,
    /// `config.json`.
    Config,
    /// The policy file.
    File,
    /// `POD_*` variables.
    Env,
    /// Flags, or the options of the same names.
    Flags,
}

/// The variable that holds a whole policy.
const POLICY_JSON: &str = "POD_POLICY_JSON";

/// A restriction, and the rule of a higher source that lifts it where it names the same or less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lift {
    /// What gives way.
    pub restriction: Overridden,
    /// To what.
    pub by: Overridden,
}

/// The sources that together are the policy in force. An empty stack denies everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyStack {
    sources: BTreeMap<SourceKind, Policy>,
    pub(crate) index: Lazy,
}

impl PolicyStack {
    /// The policy that holds when nobody states one.
    pub fn deny_all() -> Self {
        Self::default()
    }

    /// Adds a policy to a source; with what the source already says it combines as an equal. Relative paths start
    /// from `base`, which is absolute: the directory of the file, or the working directory.
    pub fn push_policy(&mut self, kind: SourceKind, policy: Policy, base: &str) -> Result<(), PolicyError> {
        let policy = policy.absolute(base)?;
        self.sources.entry(kind).or_default().combine(policy);
        self.index.reset();
        Ok(())
    }

    /// Adds the policy file.
    pub fn push_file(&mut self, policy: Policy, base: &str) -> Result<(), PolicyError> {
        self.push_policy(SourceKind::File, policy, base)
    }

    /// Adds the flags, or the options of the same names. Relative paths start from `cwd`.
    pub fn push_flags(&mut self, permissions: &Permissions, cwd: &str) -> Result<(), PolicyError> {
        self.push_policy(SourceKind::Flags, permissions.to_policy_spelled(Spelling::Flag)?, cwd)
    }

    /// Adds what [`Permissions::from_variables`] found. Relative paths start from `cwd`.
    pub fn push_variables(&mut self, permissions: &Permissions, cwd: &str) -> Result<(), PolicyError> {
        self.push_policy(SourceKind::Env, permissions.to_policy_spelled(Spelling::Variable)?, cwd)
    }

    /// Adds the policy of `POD_POLICY_JSON`, which is JSON in base64 (RFC 4648, section 4); line breaks in it do not
    /// count. It combines as an equal with the other variables. Relative paths start from `cwd`.
    pub fn push_variables_json(&mut self, encoded: &str, cwd: &str) -> Result<(), PolicyError> {
        let invalid = |problem: String| PolicyError::Flag { flag: POLICY_JSON.to_owned(), problem };
        let packed: String = encoded.split_ascii_whitespace().collect();
        if packed.is_empty() {
            return Err(invalid("the value is empty; expected a policy as JSON in base64".to_owned()));
        }
        let bytes = STANDARD
            .decode(packed)
            .map_err(|error| invalid(format!("no base64: {error}; expected a policy as JSON in base64")))?;
        let text =
            String::from_utf8(bytes).map_err(|error| invalid(format!("what it encodes is no UTF-8: {error}")))?;
        self.push_policy(SourceKind::Env, parse_policy(&text, POLICY_JSON)?, cwd)
    }

    /// The same with every path, and the part of every glob that goes before its first wildcard, in the place of which
    /// `real` knows another, as where a symbolic link leads.
    pub fn with_real_paths(mut self, real: impl Fn(&str) -> Option<String>) -> Self {
        self.index.reset();
        for policy in self.sources.values_mut() {
            for rule in &mut policy.rules {
                let path = match &mut rule.target {
                    Target::Fs { path, .. } | Target::Ffi(path) => path,
                    Target::Exec { program: Program::Path(path), .. } => path,
                    _ => continue,
                };
                // What cannot be said as a pattern stays as it was written.
                if let Some(found) = real(&path.literal_prefix()).and_then(|found| path.with_literal_prefix(&found)) {
                    *path = found;
                }
            }
        }
        self
    }

    /// The restrictions that rules of higher sources lift, in whole or in part.
    pub fn lifts(&self) -> Vec<Lift> {
        let text = |rule: &Rule| Overridden { rule: rule.to_string(), source: rule.origin.to_string() };
        let mut lifts = Vec::new();
        for (kind, rule) in self.all_rules() {
            for (higher, other) in self.all_rules() {
                // A source that denies the target itself lifts nothing for it.
                let denies = |one: &Rule| one.action == Action::Deny && one.target.covers(&other.target);
                if crate::decide::yields((kind, rule), (higher, other))
                    && !self.sources[&higher].rules.iter().any(denies)
                {
                    lifts.push(Lift { restriction: text(rule), by: text(other) });
                }
            }
        }
        lifts
    }

    /// Every rule with its source, highest source first.
    pub fn all_rules(&self) -> impl Iterator<Item = (SourceKind, &Rule)> {
        self.sources.iter().rev().flat_map(|(kind, policy)| policy.rules.iter().map(move |rule| (*kind, rule)))
    }

    /// Source and place in it of each rule, in the order of [`PolicyStack::all_rules`].
    pub(crate) fn places(&self) -> impl Iterator<Item = (SourceKind, usize)> {
        self.sources.iter().rev().flat_map(|(kind, policy)| (0..policy.rules.len()).map(move |place| (*kind, place)))
    }

    /// The rule at a place.
    pub(crate) fn rule(&self, kind: SourceKind, place: usize) -> Option<&Rule> {
        self.sources.get(&kind)?.rules.get(place)
    }

    /// The default of the highest source that states one.
    pub(crate) fn stated_default(
        &self,
        pick: impl Fn(&Defaults<Option<Stated<DefaultAction>>>) -> &Option<Stated<DefaultAction>>,
    ) -> Option<&Stated<DefaultAction>> {
        self.sources.values().rev().find_map(|policy| pick(&policy.settings.defaults).as_ref())
    }

    /// The rules that have an effect, highest source first: all but those that a higher source lifts altogether.
    /// Read as the rules of a single source they are never laxer than [`PolicyStack::decide`], and stricter only
    /// where a higher source lifts a part of a lower one's rule, which no rules of a single source can express.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.all_rules().filter(|(kind, rule)| !self.is_lifted_altogether(*kind, rule)).map(|(_, rule)| rule)
    }

    fn is_lifted_altogether(&self, kind: SourceKind, rule: &Rule) -> bool {
        self.all_rules().any(|(higher, other)| {
            crate::decide::yields((kind, rule), (higher, other))
                && other.target.is_all_of(&rule.target)
                // A source that denies within the target lifts only the rest of it. Any of the kind is taken as one.
                && !self.sources[&higher].rules.iter().any(|denial| {
                    denial.action == Action::Deny
                        && std::mem::discriminant(&denial.target) == std::mem::discriminant(&rule.target)
                })
        })
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for policy in self.sources.values().rev() {
            settings.put_over(policy.settings.clone());
        }
        settings
    }

    /// The merged view, for events and `activePolicyPath`: [`PolicyStack::rules`] with the settings in force.
    pub fn normalized(&self) -> NormalizedPolicy {
        normalize(&self.settings(), self.rules())
    }

    /// The layers that are used: all but those that are switched off, and by no source on.
    pub fn plugins(&self) -> Plugins<bool> {
        let Plugins { namespaces, landlock, seccomp } = self.settings().plugins;
        let used = |layer: Option<Stated<bool>>| layer.is_none_or(|stated| stated.value);
        Plugins { namespaces: used(namespaces), landlock: used(landlock), seccomp: used(seccomp) }
    }

    /// The strongest of the tiers that the sources demand.
    pub fn min_tier(&self) -> Option<Tier> {
        self.settings().min_tier.map(|stated| stated.value)
    }
}

impl Target {
    /// True where this target holds all of `other`, rights and protocols included.
    fn is_all_of(&self, other: &Self) -> bool {
        let has_its_parts = match (self, other) {
            (Self::Fs { perms, .. }, Self::Fs { perms: others, .. }) => others.iter().all(|perm| perms.contains(perm)),
            (Self::Net { proto, .. }, Self::Net { proto: other, .. }) => proto.is_none() || proto == other,
            // A denied command is denied in every directory and an allowed one is not; a glob ends at its matches and
            // a plain path does not. Only these two are sure to hold all of the other.
            (Self::Exec { program: Program::Path(path), .. }, Self::Exec { program, .. }) => {
                path.is_root() || *program == Program::Path(path.clone())
            }
            (Self::Exec { .. }, Self::Exec { .. }) => false,
            _ => true,
        };
        has_its_parts && self.covers(other)
    }
}
