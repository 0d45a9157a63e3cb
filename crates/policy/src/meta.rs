//! Facts about the policy in force, for `activePolicyMetaPath` and the debug UI.

use serde::Serialize;

use crate::normalize::{Audit, NormalizedPolicy};
use crate::schema::{DefaultAction, Defaults, MetaSource};

/// `PolicySetMeta` in `index.d.ts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyMeta {
    /// Names of the policies that were merged.
    pub policy_keys: Vec<String>,
    /// Their number.
    pub policy_count: usize,
    /// What holds when no rule matches.
    pub defaults: Defaults<DefaultAction>,
    /// How many rules there are.
    pub rules: RuleCounts,
    /// What is recorded.
    pub audit: Audit,
    /// What made the policies take effect.
    pub source: MetaSource,
    /// When, as ISO 8601 text.
    pub applied_at: String,
}

/// Numbers of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleCounts {
    /// About files and directories.
    pub fs: usize,
    /// About network peers, one for each protocol.
    pub net: usize,
    /// About programs.
    pub exec: usize,
    /// Extra system calls that are denied.
    pub anti_escape: usize,
    /// The sum of these.
    pub total: usize,
}

impl PolicyMeta {
    /// Describes `policy`. The caller knows the names, the occasion and the time.
    pub fn new(policy: &NormalizedPolicy, policy_keys: Vec<String>, source: MetaSource, applied_at: String) -> Self {
        let (fs, net, exec) = (policy.fs.rules.len(), policy.net.rules.len(), policy.exec.rules.len());
        let anti_escape = policy.anti_escape.deny_syscalls.len();
        Self {
            policy_count: policy_keys.len(),
            policy_keys,
            defaults: policy.defaults.clone(),
            rules: RuleCounts { fs, net, exec, anti_escape, total: fs + net + exec + anti_escape },
            audit: policy.audit.clone(),
            source,
            applied_at,
        }
    }
}
