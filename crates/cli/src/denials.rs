//! What the policy refused, and the block that tells so at the end.

use anstyle::Style;
use buntime_policy::{PermissionKind, Permissions, PolicyStack, unsupported};
use buntime_supervisor::Denial;

use crate::command_line::CommandLine;
use crate::escape::{escape, is_deceptive};

/// Lines of the block.
const MAX_LINES: usize = 10;
/// Different denials that are kept apart: a script can make up any number.
const MAX_KEPT: usize = 1000;
/// Targets up to this length decide where the second column begins; a longer one reaches into it.
const MAX_COLUMN: usize = 48;

const HEAD: Style = Style::new().bold();

/// Denials by what was denied, in the order of their first.
#[derive(Debug, Default)]
pub struct Denials {
    kept: Vec<Denial>,
}

impl Denials {
    /// Takes one report. They come at the first, second, fourth … of the same kind, each with the count so far.
    pub fn add(&mut self, denial: Denial) {
        let is_same = |kept: &&mut Denial| {
            (kept.kind, &kept.target, &kept.operation) == (denial.kind, &denial.target, &denial.operation)
        };
        let is_room = self.kept.len() < MAX_KEPT;
        match self.kept.iter_mut().find(is_same) {
            Some(kept) => kept.count = kept.count.max(denial.count),
            None if is_room => self.kept.push(denial),
            None => {}
        }
    }

    /// The block, with styles; nothing where nothing was denied. `is_missing` says of a path that nothing is there.
    pub fn block(&self, is_missing: impl Fn(&str) -> bool, command_line: Option<&CommandLine>) -> Option<String> {
        let head = match self.kept.len() {
            0 => return None,
            1 => "1 operation was denied".to_owned(),
            MAX_KEPT.. => format!("{MAX_KEPT} operations or more were denied"),
            number => format!("{number} operations were denied"),
        };
        let rows: Vec<[String; 3]> = self.kept.iter().take(MAX_LINES).map(|denial| row(denial, &is_missing)).collect();
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).filter(|width| *width <= MAX_COLUMN).max()
        };
        let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
        let mut block = format!("{HEAD}python-ipc-bun:{HEAD:#} {head}\n");
        for [kind, what, remedy] in &rows {
            block += &format!("  {kind:<first$} {what:<second$}  {remedy}\n");
        }
        if self.kept.len() > MAX_LINES {
            block += &format!("  and {} more\n", self.kept.len() - MAX_LINES);
        }
        let flags: Vec<&str> = self
            .kept
            .iter()
            .take(MAX_LINES)
            .filter(|denial| !needs_a_path_first(denial, &is_missing))
            .filter_map(flag)
            .collect();
        if let Some(command_line) = command_line.filter(|_| !flags.is_empty()) {
            block += &format!("  again with all of it: {}\n", command_line.with(flags.into_iter()));
        }
        Some(block)
    }
}

/// One denial by itself, when it happens.
pub fn line(denial: &Denial, is_missing: impl Fn(&str) -> bool) -> String {
    let [kind, what, remedy] = row(denial, is_missing);
    format!("{HEAD}python-ipc-bun:{HEAD:#} denied: {kind} {what}  {remedy}\n")
}

fn row(denial: &Denial, is_missing: impl Fn(&str) -> bool) -> [String; 3] {
    let (target, operation) = (escape(&denial.target), escape(&denial.operation));
    let times = match denial.count {
        0 | 1 => String::new(),
        count => format!(", {count} times"),
    };
    [denial.kind.to_owned(), format!("{target} ({operation}{times})"), remedy(denial, is_missing)]
}

fn remedy(denial: &Denial, is_missing: impl Fn(&str) -> bool) -> String {
    if !can_be_allowed(denial.kind) {
        return "not available yet".to_owned();
    }
    match (flag(denial), &denial.rule) {
        (Some(flag), _) => {
            let condition = if needs_a_path_first(denial, is_missing) { " once it exists" } else { "" };
            format!("allow with {flag}{condition}")
        }
        (_, Some(rule)) => format!("denied by {}", escape(rule)),
        (_, None) => "no flag can name this alone".to_owned(),
    }
}

/// The flag that allows it. It is there to be copied, so one that would have to be altered to be shown is not.
fn flag(denial: &Denial) -> Option<&str> {
    let flag = denial.hint.as_ref()?.flag.as_str();
    (can_be_allowed(denial.kind) && !flag.contains(is_deceptive)).then_some(flag)
}

/// A path that is not there cannot be mounted: the flag alone would lead back here.
fn needs_a_path_first(denial: &Denial, is_missing: impl Fn(&str) -> bool) -> bool {
    let is_path = [PermissionKind::Read, PermissionKind::Write].iter().any(|kind| kind.as_str() == denial.kind);
    is_path && is_missing(&denial.target)
}

/// Whether a flag of this kind has an effect. Asked of the policy crate, where one that had none comes to have one.
fn can_be_allowed(kind: &str) -> bool {
    let Some(kind) = PermissionKind::ALL.iter().find(|known| known.as_str() == kind) else {
        return false;
    };
    let mut permissions = Permissions::default();
    permissions.grants_mut(*kind).allow.add(None);
    let mut stack = PolicyStack::deny_all();
    stack.push_flags(&permissions, "/").is_ok() && unsupported(&stack).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstream::adapter::strip_str;
    use buntime_policy::hint_flag;
    use buntime_supervisor::Hint;

    fn denial(kind: PermissionKind, target: &str, operation: &str, count: u64) -> Denial {
        Denial {
            kind: kind.as_str(),
            target: target.to_owned(),
            operation: operation.to_owned(),
            rule: None,
            source: "default".to_owned(),
            hint: hint_flag(kind, target).map(|flag| Hint { flag }),
            pid: 1,
            count,
            time: 0,
        }
    }

    fn block(all: impl IntoIterator<Item = Denial>) -> String {
        let mut denials = Denials::default();
        all.into_iter().for_each(|denial| denials.add(denial));
        denials
            .block(|path| path.contains("missing"), None)
            .map(|block| strip_str(&block).to_string())
            .unwrap_or_default()
    }

    #[test]
    fn says_what_was_denied_and_how_to_allow_it() {
        let text = block([
            denial(PermissionKind::Read, "/etc/passwd", "open", 1),
            denial(PermissionKind::Write, "/tmp/it's", "open", 1),
            denial(PermissionKind::Net, "a.com:80", "connect", 1),
        ]);
        assert_eq!(
            text,
            "python-ipc-bun: 3 operations were denied\n\
             \x20 read  /etc/passwd (open)  allow with --allow-read=/etc/passwd\n\
             \x20 write /tmp/it's (open)    allow with --allow-write='/tmp/it'\\''s'\n\
             \x20 net   a.com:80 (connect)  allow with --allow-net=a.com:80\n"
        );
        assert_eq!(block([]), "");
    }

    #[test]
    fn the_same_is_told_once_with_its_count() {
        let text = block([1, 2, 4].map(|count| denial(PermissionKind::Read, "/x", "open", count)));
        assert_eq!(
            text,
            "python-ipc-bun: 1 operation was denied\n  read /x (open, 4 times)  allow with --allow-read=/x\n"
        );
    }

    #[test]
    fn a_path_that_is_not_there_has_to_be_made_first() {
        let text = block([
            denial(PermissionKind::Write, "/missing", "open", 1),
            denial(PermissionKind::Write, "/there", "open", 1),
            denial(PermissionKind::Net, "missing:80", "connect", 1),
        ]);
        let ends: Vec<_> = text.lines().skip(1).map(|line| line.rsplit("  ").next().unwrap()).collect();
        let expected = [
            "allow with --allow-write=/missing once it exists",
            "allow with --allow-write=/there",
            "allow with --allow-net=missing:80",
        ];
        assert_eq!(ends, expected);
    }

    #[test]
    fn many_are_cut() {
        let text = block((0..15).map(|number| denial(PermissionKind::Read, &format!("/{number}"), "open", 1)));
        assert_eq!(text.lines().count(), 12);
        assert!(text.ends_with("\n  and 5 more\n"), "{text}");
        let flood = block((0..5000).map(|number| denial(PermissionKind::Read, &format!("/{number}"), "open", 1)));
        assert!(flood.starts_with("python-ipc-bun: 1000 operations or more were denied\n"), "{flood}");
    }

    #[test]
    fn hostile_names_forge_no_line_and_no_flag() {
        let forged = "/x\n  read /y (open)  allow with --allow-all\x1b[31m";
        let text = block([denial(PermissionKind::Read, forged, "open\n", 1)]);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("\\n") && !text.contains('\x1b'), "{text}");
        assert!(text.ends_with("no flag can name this alone\n"), "{text}");
        let turned = block([denial(PermissionKind::Read, "/\u{202e}x", "open", 1)]);
        assert!(!turned.contains('\u{202e}') && !turned.contains("allow with"), "{turned}");
    }

    #[test]
    fn a_rule_is_named_where_no_flag_helps() {
        let denial = Denial { rule: Some("deny /a*".to_owned()), ..denial(PermissionKind::Read, "/a*", "open", 1) };
        assert!(block([denial]).contains("denied by deny /a*"));
    }
}
