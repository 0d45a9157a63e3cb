//! The decision: a pure function of the sources and the question.
//!
//! # What it means
//!
//! *Matching.* A rule matches a question when its target holds what is asked for. A rule with several rights,
//! protocols or ports is as many rules.
//!
//! *Within one source* the strictest matching rule is the source's answer: `deny` before `warn` before `allow`,
//! however specific either is and in whatever order they stand. A carve-out from a denial is thus never an accident.
//!
//! *Between sources* (flags, then variables, then the policy file, then `config.json`) nobody's restriction is lost
//! by accident either. A matching `deny` or `warn` stands unless a laxer rule of a strictly higher source matches too
//! **and** names the same target or a narrower one: who names a thing as precisely as the restriction does has seen
//! it, who names more has not. `--allow-read=/data/x` lifts the file's denial of `/data/x` or of `/data`, for `/data/x`
//! alone; `--allow-read=/data` leaves that of `/data/x` as it is. Three refinements:
//!
//! - A `locked` restriction is never lifted. A lock only ever keeps something strict: a locked `allow` is still
//!   denied by another source's `deny`, as otherwise a file could disarm `--deny-net`.
//! - A source that denies the target itself lifts nothing for it: its own answer is no.
//! - `--allow-all` counts as naming everything, so it lifts every unlocked restriction of lower sources. The
//!   flags' own denials are of the same source and hold.
//!
//! Of the rules that stand the strictest decides, and among equals the one of the highest source, which is the one
//! reported. A standing rule may be a lower source's `warn` under a wide `--allow-net`: the operation goes through,
//! visibly. Where no rule matches, `defaults` of the highest source that states them decides, and `deny` if none does.
//!
//! *Never allowed*, by no rule and no lifted restriction: the reserved variables of [`is_reserved_env`].
//!
//! [`is_reserved_env`]: crate::is_reserved_env

use serde::Serialize;

use crate::policy::Stated;
use crate::query::{Query, Subject};
use crate::rule::{Origin, Rule};
use crate::schema::{Action, DefaultAction};
use crate::stack::{PolicyStack, SourceKind};

/// The answer, with the rule and source that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether the operation goes through.
    pub allowed: bool,
    /// How: `warn` goes through visibly.
    pub action: Action,
    /// The rule that decided, as text; none for the default.
    pub rule: Option<String>,
    /// Flag, variable, or file and JSON path; `default` where nobody said anything.
    pub source: String,
    /// Restrictions of lower sources that were lifted, whether or not that changed the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<Overridden>,
}

/// A restriction that a higher source lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overridden {
    /// The rule as text.
    pub rule: String,
    /// Where it was written.
    pub source: String,
}

/// A rule with its source.
type Ranked<'a> = (SourceKind, &'a Rule);

/// Precedence, all of it: whether a restriction gives way to another rule.
pub(crate) fn yields((rank, restriction): Ranked, (higher, other): Ranked) -> bool {
    !restriction.locked
        && higher > rank
        && other.action < restriction.action
        && (other.target == crate::Target::Everything || restriction.target.covers(&other.target))
}

impl PolicyStack {
    /// Decides one question. The module's documentation says how.
    pub fn decide(&self, query: &Query) -> Decision {
        if query.is_never_allowed() {
            return Decision::by_default(DefaultAction::Deny, &Origin::Default);
        }
        let matching: Vec<Ranked> = self.all_rules().filter(|(_, rule)| rule.matches(&query.subject)).collect();
        let denies = |source| matching.iter().any(|(kind, rule)| *kind == source && rule.action == Action::Deny);
        let is_lifted =
            |restriction: Ranked| matching.iter().any(|&other| yields(restriction, other) && !denies(other.0));
        let (lifted, standing): (Vec<Ranked>, Vec<Ranked>) = matching.iter().partition(|&&rule| is_lifted(rule));

        // The first of the strictest: rules come highest source first, and `min_by_key` keeps the first.
        let mut decision = match standing.iter().min_by_key(|(_, rule)| std::cmp::Reverse(rule.action)) {
            Some((_, rule)) => Decision::by_rule(rule),
            None => self.default_decision(&query.subject),
        };
        decision.overridden = lifted
            .iter()
            .map(|(_, rule)| Overridden { rule: rule.to_string(), source: rule.origin.to_string() })
            .collect();
        decision
    }

    fn default_decision(&self, subject: &Subject) -> Decision {
        let defaults = self.settings().defaults;
        let stated = match subject {
            Subject::Fs { .. } => defaults.fs,
            Subject::Net { .. } => defaults.net,
            Subject::Run(_) => defaults.exec,
            Subject::Env(_) | Subject::Ffi(_) | Subject::Sys(_) => None,
        };
        match stated {
            Some(Stated { value, origin }) => Decision::by_default(value, &origin),
            None => Decision::by_default(DefaultAction::Deny, &Origin::Default),
        }
    }
}

impl Decision {
    fn by_rule(rule: &Rule) -> Self {
        Self {
            allowed: rule.action != Action::Deny,
            action: rule.action,
            rule: Some(rule.to_string()),
            source: rule.origin.to_string(),
            overridden: Vec::new(),
        }
    }

    fn by_default(default: DefaultAction, origin: &Origin) -> Self {
        let action = match default {
            DefaultAction::Allow => Action::Allow,
            DefaultAction::Deny => Action::Deny,
        };
        Self { allowed: action != Action::Deny, action, rule: None, source: origin.to_string(), overridden: Vec::new() }
    }
}
