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
//! *Hidden.* Where rules deny both reading rights, writing and executing are denied too, unless a rule that allows it
//! names the same place as the denial, or one below: `--allow-write=/d --deny-read=/d/key` keeps the key from being
//! overwritten unread, while `--allow-write=/d/drop --deny-read=/d` has said of `drop` that it is to be written alone.
//!
//! *Network.* What a name resolves to counts as well, and some addresses must be named: see `flow.rs`.
//!
//! *Never allowed*, by no rule and no lifted restriction: the reserved variables of [`is_reserved_env`].
//!
//! [`is_reserved_env`]: crate::is_reserved_env

use std::path::Path;

use serde::Serialize;

use crate::path::{PathPattern, Reach};
use crate::policy::Stated;
use crate::query::{Query, Subject};
use crate::rule::{Origin, Rule, Target};
use crate::schema::{Action, DefaultAction, FsPerm, PermissionKind, READ_PERMS};
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

/// What the rules say of one path, right by right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsRights {
    /// What may be done.
    pub allowed: Vec<FsPerm>,
    /// What may not be done since a rule says so, as opposed to nothing being said.
    pub denied: Vec<FsPerm>,
}

/// A rule with its source.
pub(crate) type Ranked<'a> = (SourceKind, &'a Rule);

/// Precedence, all of it: whether a restriction gives way to another rule.
pub(crate) fn yields((rank, restriction): Ranked, (higher, other): Ranked) -> bool {
    !restriction.locked
        && higher > rank
        && other.action < restriction.action
        && (other.target == Target::Everything
            || restriction.target.covers(&other.target)
            || restriction.target.covers_localhost(&other.target))
}

/// The rules that stand, and the restrictions that are lifted, of those that match, which come highest source first.
pub(crate) fn weigh(matching: Vec<Ranked<'_>>) -> (Vec<Ranked<'_>>, Vec<Ranked<'_>>) {
    let (Some((highest, _)), Some((lowest, _))) = (matching.first(), matching.last()) else {
        return Default::default();
    };
    if highest == lowest {
        // What one source says nobody lifts.
        return (matching, Vec::new());
    }
    let mut denying: Vec<SourceKind> =
        matching.iter().filter(|(_, rule)| rule.action == Action::Deny).map(|(kind, _)| *kind).collect();
    denying.dedup();
    let lifting: Vec<Ranked<'_>> = matching
        .iter()
        .copied()
        .filter(|(kind, rule)| rule.action != Action::Deny && !denying.contains(kind))
        .collect();
    let is_lifted = |restriction: &Ranked<'_>| {
        let above = lifting.iter().take_while(|(kind, _)| *kind > restriction.0);
        above.copied().any(|other| yields(*restriction, other))
    };
    let (lifted, standing) = matching.iter().partition(|rule| is_lifted(rule));
    (standing, lifted)
}

fn weigh_for<'a>(about: &[Ranked<'a>], perm: FsPerm) -> (Vec<Ranked<'a>>, Vec<Ranked<'a>>) {
    weigh(about.iter().copied().filter(|(_, rule)| rule.target.has_right(perm)).collect())
}

/// The denial that hides a path from what `writing` allows there: of both reading rights, and of no place that one of
/// those rules names, or names something below of.
fn hiding<'a>(about: &[Ranked<'a>], writing: &[Ranked<'a>]) -> Option<&'a Rule> {
    let is_named = |denial: &Rule| match writing {
        // The default names every path.
        [] => denial.target.covers(&Target::root()),
        _ => writing.iter().any(|(_, rule)| match rule.target {
            Target::Everything => denial.target.covers(&Target::root()),
            _ => denial.target.covers(&rule.target),
        }),
    };
    let mut hiding = READ_PERMS.iter().map(|perm| {
        let denials = weigh_for(about, *perm).0.into_iter().map(|(_, rule)| rule);
        denials.into_iter().find(|rule| rule.action == Action::Deny && !is_named(rule))
    });
    let first = hiding.next()??;
    hiding.all(|other| other.is_some()).then_some(first)
}

/// The restrictions that were lifted, as text.
pub(crate) fn overridden(lifted: &[Ranked<'_>]) -> Vec<Overridden> {
    let text = |(_, rule): &Ranked<'_>| Overridden { rule: rule.to_string(), source: rule.origin.to_string() };
    lifted.iter().map(text).collect()
}

impl PolicyStack {
    /// Decides one question. The module's documentation says how.
    pub fn decide(&self, query: &Query) -> Decision {
        if query.is_never_allowed() {
            return Decision::by_default(DefaultAction::Deny, &Origin::Default);
        }
        if let Subject::Fs { path, perm } = &query.subject {
            return self.decide_fs(&self.rules_about(&query.subject, path), *perm);
        }
        if let Subject::Net(contact) = &query.subject {
            return self.decide_contact(contact);
        }
        let matching = self.candidates(&query.subject).filter(|(_, rule)| rule.matches(&query.subject)).collect();
        let (standing, lifted) = weigh(matching);
        self.conclude(&standing, &lifted, &query.subject)
    }

    /// All decisions about one path of the disk at once, which need not be UTF-8.
    pub fn fs_rights(&self, path: &Path) -> FsRights {
        let path = PathPattern::of_disk(path);
        let subject = Subject::Fs { path: path.clone(), perm: FsPerm::ReadFile };
        let about = self.rules_about(&subject, &path);
        let mut rights = FsRights::default();
        for &perm in FsPerm::ALL {
            let decision = self.decide_fs(&about, perm);
            if decision.allowed {
                rights.allowed.push(perm);
            } else if decision.rule.is_some() {
                rights.denied.push(perm);
            }
        }
        rights
    }

    /// The rules in whose reach a path lies, whatever their rights.
    fn rules_about(&self, subject: &Subject, path: &PathPattern) -> Vec<Ranked<'_>> {
        let is_about = |rule: &Rule| match &rule.target {
            Target::Everything => true,
            Target::Fs { path: named, .. } => named.covers(path, Reach::Tree),
            _ => false,
        };
        self.candidates(subject).filter(|(_, rule)| is_about(rule)).collect()
    }

    fn decide_fs(&self, about: &[Ranked<'_>], perm: FsPerm) -> Decision {
        let (standing, lifted) = weigh_for(about, perm);
        let mut decision = self.conclude(&standing, &lifted, &Subject::Fs { path: PathPattern::root(), perm });
        if decision.allowed
            && perm.kind() != PermissionKind::Read
            && let Some(rule) = hiding(about, &standing)
        {
            decision = Decision { overridden: decision.overridden, ..Decision::by_rule(rule) };
        }
        decision
    }

    /// The first of the strictest: rules come highest source first, and `min_by_key` keeps the first.
    pub(crate) fn conclude(&self, standing: &[Ranked<'_>], lifted: &[Ranked<'_>], subject: &Subject) -> Decision {
        let mut decision = match standing.iter().min_by_key(|(_, rule)| std::cmp::Reverse(rule.action)) {
            Some((_, rule)) => Decision::by_rule(rule),
            None => self.default_decision(subject),
        };
        decision.overridden = overridden(lifted);
        decision
    }

    /// What holds of the network where no rule matches.
    pub(crate) fn default_of_net(&self) -> DefaultAction {
        self.stated_default(|defaults| &defaults.net).map_or(DefaultAction::Deny, |stated| stated.value)
    }

    fn default_decision(&self, subject: &Subject) -> Decision {
        let stated = match subject {
            Subject::Run(_) | Subject::Fs { perm: FsPerm::Execute, .. } => {
                self.stated_default(|defaults| &defaults.exec)
            }
            Subject::Fs { .. } => self.stated_default(|defaults| &defaults.fs),
            Subject::Net(_) => self.stated_default(|defaults| &defaults.net),
            Subject::Env(_) | Subject::Ffi(_) | Subject::Sys(_) => None,
        };
        match stated {
            Some(Stated { value, origin }) => Decision::by_default(*value, origin),
            None => Decision::by_default(DefaultAction::Deny, &Origin::Default),
        }
    }
}

impl Decision {
    /// A refusal that follows from no rule but from `rule`, in words.
    pub(crate) fn refusal(rule: String, source: String) -> Self {
        Self { allowed: false, action: Action::Deny, rule: Some(rule), source, overridden: Vec::new() }
    }

    pub(crate) fn by_rule(rule: &Rule) -> Self {
        Self {
            allowed: rule.action != Action::Deny,
            action: rule.action,
            rule: Some(rule.to_string()),
            source: rule.origin.to_string(),
            overridden: Vec::new(),
        }
    }

    pub(crate) fn by_default(default: DefaultAction, origin: &Origin) -> Self {
        let action = match default {
            DefaultAction::Allow => Action::Allow,
            DefaultAction::Deny => Action::Deny,
        };
        Self { allowed: action != Action::Deny, action, rule: None, source: origin.to_string(), overridden: Vec::new() }
    }
}
