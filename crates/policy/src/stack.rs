//! The policy in force: the sources in their order.

use std::collections::BTreeMap;

use crate::error::PolicyError;
use crate::flags::{Permissions, Spelling};
use crate::normalize::{NormalizedPolicy, normalize};
use crate::policy::{Policy, Settings};
use crate::rule::{Program, Rule, Target};
use crate::schema::{Action, Tier};

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

/// The sources that together are the policy in force. An empty stack denies everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyStack {
    sources: BTreeMap<SourceKind, Policy>,
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

    /// Every rule with its source, highest source first.
    pub fn all_rules(&self) -> impl Iterator<Item = (SourceKind, &Rule)> {
        self.sources.iter().rev().flat_map(|(kind, policy)| policy.rules.iter().map(move |rule| (*kind, rule)))
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
