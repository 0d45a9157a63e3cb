//! What the worker's own hooks report as denied, made into events: by which rule, and how to allow it.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use buntime_ipc::DeniedKind;
use buntime_policy::{Decision, PermissionKind, Permissions, PolicyStack, Query, hint_flag};

use crate::event::{Denial, Event, Hint};

/// Most different denials that are kept apart; a worker can make up any number.
const MAX_KEPT: usize = 1000;
/// Longest text of a denial that is passed on, in bytes.
const MAX_TEXT: usize = 4096;

/// Why something was denied, and how it could be allowed.
pub struct Why {
    /// None where no rule denied it.
    pub decision: Option<Decision>,
    /// The narrowest flag that would allow it.
    pub flag: Option<String>,
}

/// Counts denials, so that a loop of them is a few events and not a flood.
#[derive(Default)]
pub struct Denials {
    /// The latest report of each kind, operation and target, in the order of the first, with the count that its last
    /// event told.
    kept: Vec<(Denial, u64)>,
    /// Where in `kept`.
    places: HashMap<(&'static str, String, String), usize>,
    /// Reports of what was not kept.
    more: u64,
}

impl Denials {
    /// A report of the hooks, or of the thread that watches system calls. An event at the 1st, 2nd, 4th, 8th … of its
    /// kind.
    pub fn report(
        &mut self,
        stack: &PolicyStack,
        pid: i32,
        (permission, operation, target): (PermissionKind, &[u8], &[u8]),
        batch: &mut Vec<Event>,
    ) {
        let why = |target: &str| {
            // The hooks only explain: where the policy itself allows what they report, no rule denied it.
            let decision = Query::parse(permission, target).map(|query| stack.decide(&query)).ok();
            let flag = flag_that_allows(stack, permission, target);
            Why { decision: decision.filter(|decision| !decision.allowed), flag }
        };
        self.count((permission, operation, target), pid, why, batch);
    }

    /// The same of a denial whose reasons `why` has.
    pub fn count(
        &mut self,
        (permission, operation, target): (PermissionKind, &[u8], &[u8]),
        pid: i32,
        why: impl FnOnce(&str) -> Why,
        batch: &mut Vec<Event>,
    ) {
        let kind = permission.as_str();
        let (operation, target) = (text(operation), text(target));
        let key = (kind, operation, target);
        let place = self.places.get(&key).copied().unwrap_or(self.kept.len());
        if place == MAX_KEPT {
            self.more += 1;
            if self.more == 1 {
                batch.push(Event::Warn(format!(
                    "{MAX_KEPT} different denials have been told; others are counted from here on, and told at the end"
                )));
            }
            return;
        }
        if place == self.kept.len() {
            let (_, operation, target) = &key;
            let Why { decision, flag } = why(target);
            let denial = Denial {
                kind,
                rule: decision.as_ref().and_then(|decision| decision.rule.clone()),
                source: decision.map_or_else(|| "default".to_owned(), |decision| decision.source),
                hint: flag.map(|flag| Hint { flag }),
                operation: operation.clone(),
                target: target.clone(),
                pid,
                count: 0,
                time: 0,
            };
            self.kept.push((denial, 0));
            self.places.insert(key, place);
        }
        let (denial, told) = &mut self.kept[place];
        denial.count += 1;
        denial.time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        if denial.count.is_power_of_two() {
            *told = denial.count;
            batch.push(Event::Denied(Box::new(denial.clone())));
        }
    }

    /// Reports that were too many to be passed on.
    pub fn missed(&mut self, number: u64) {
        self.more += number;
    }

    /// The end: tells the counts that have grown since they were last told, first seen first, and how many were not
    /// kept.
    pub fn finish(&mut self, batch: &mut Vec<Event>) {
        let grown = self.kept.iter().filter(|(denial, told)| denial.count != *told);
        batch.extend(grown.map(|(denial, _)| Event::Denied(Box::new(denial.clone()))));
        if self.more > 0 {
            let more = self.more;
            batch.push(Event::Warn(format!("{more} more denials, of what was not among the first {MAX_KEPT}")));
        }
    }
}

/// The narrowest flag that would allow it. None where no flag can say it, nor lift what denies it: a flag, or a locked
/// rule.
fn flag_that_allows(stack: &PolicyStack, kind: PermissionKind, target: &str) -> Option<String> {
    let flag = hint_flag(kind, target)?;
    let mut permissions = Permissions::default();
    permissions.grants_mut(kind).allow.add(Some(target));
    let mut stack = stack.clone();
    stack.push_flags(&permissions, "/").ok()?;
    stack.decide(&Query::parse(kind, target).ok()?).allowed.then_some(flag)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]).into_owned()
}

/// The permission that a report of the hooks is about.
pub fn permission(kind: DeniedKind) -> PermissionKind {
    match kind {
        DeniedKind::Read => PermissionKind::Read,
        DeniedKind::Write => PermissionKind::Write,
        DeniedKind::Net => PermissionKind::Net,
        DeniedKind::Run => PermissionKind::Run,
        DeniedKind::Env => PermissionKind::Env,
        DeniedKind::Ffi => PermissionKind::Ffi,
        DeniedKind::Sys => PermissionKind::Sys,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_its_rule_and_the_flag_that_would_allow_it() {
        let (mut denials, mut batch) = (Denials::default(), Vec::new());
        let stack = PolicyStack::deny_all();
        for _ in 0..5 {
            denials.report(&stack, 7, (PermissionKind::Read, b"open", b"/etc/passwd"), &mut batch);
        }
        denials.finish(&mut batch);
        let counts: Vec<u64> = batch
            .iter()
            .map(|event| match event {
                Event::Denied(denial) => {
                    assert_eq!((denial.kind, denial.source.as_str()), ("read", "default"));
                    assert_eq!(denial.hint.as_ref().unwrap().flag, "--allow-read=/etc/passwd");
                    denial.count
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [1, 2, 4, 5]);
    }

    #[test]
    fn no_flag_is_named_that_would_not_help() {
        let hint = |flags: &Permissions| {
            let (mut stack, mut batch) = (PolicyStack::deny_all(), Vec::new());
            stack.push_flags(flags, "/").unwrap();
            Denials::default().report(&stack, 7, (PermissionKind::Read, b"open", b"/etc/passwd"), &mut batch);
            let [Event::Denied(denial)] = &batch[..] else { panic!("{batch:?}") };
            denial.hint.clone().map(|hint| hint.flag)
        };
        let mut flags = Permissions::default();
        assert_eq!(hint(&flags).as_deref(), Some("--allow-read=/etc/passwd"));
        flags.read.deny.add(Some("/etc"));
        assert_eq!(hint(&flags), None, "a flag's denial goes before a flag's allowance");
    }

    #[test]
    fn a_flood_of_different_ones_is_bounded() {
        let (mut denials, mut batch) = (Denials::default(), Vec::new());
        for number in 0..MAX_KEPT + 500 {
            let target = format!("/{number}");
            denials.report(&PolicyStack::deny_all(), 7, (PermissionKind::Read, b"open", target.as_bytes()), &mut batch);
        }
        let told = |event: &Event| matches!(event, Event::Denied(_));
        assert!(batch[..MAX_KEPT].iter().all(told));
        assert!(matches!(&batch[MAX_KEPT..], [Event::Warn(_)]), "the first that is not kept is told of");
        denials.finish(&mut batch);
        let Some(Event::Warn(text)) = batch.last() else { panic!("{:?}", batch.last()) };
        assert!(text.starts_with("500 more denials"), "{text}");
    }

    #[test]
    fn the_end_tells_them_in_the_order_of_their_first_times() {
        let (mut denials, mut batch) = (Denials::default(), Vec::new());
        let names: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
        for name in names.iter().chain(names.iter().rev()).chain(&names) {
            denials.report(&PolicyStack::deny_all(), 7, (PermissionKind::Read, b"open", name.as_bytes()), &mut batch);
        }
        batch.clear();
        denials.finish(&mut batch);
        let told = batch.iter().map(|event| if let Event::Denied(denial) = event { &denial.target } else { panic!() });
        assert!(told.eq(&names));
    }
}
