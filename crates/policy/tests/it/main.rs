//! The crate from outside, as one program so that it links once.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod decisions;
mod errors;
mod flows;
mod hosts;
mod merging;
mod normalized;
mod properties;
mod support;

use buntime_policy::{PermissionKind, Permissions, PolicyStack, SourceKind, parse_policy};

/// `--allow-read=/a --deny-net …` as the command line has it, separated by blanks.
fn permissions(flags: &str) -> Permissions {
    let mut permissions = Permissions::default();
    for flag in flags.split_whitespace() {
        if flag == "--allow-all" {
            permissions.allow_all = true;
            continue;
        }
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        let (action, kind) = name.strip_prefix("--").and_then(|name| name.split_once('-')).unwrap();
        let kind = *PermissionKind::ALL.iter().find(|known| known.as_str() == kind).unwrap();
        let grants = permissions.grants_mut(kind);
        if action == "deny" { grants.deny.add(value) } else { grants.allow.add(value) }
    }
    permissions
}

/// A stack of flags, variables (spelled as flags) and a file's body, each perhaps empty.
fn stack(flags: &str, variables: &str, file: &str) -> PolicyStack {
    let mut stack = PolicyStack::deny_all();
    stack.push_flags(&permissions(flags), "/work").unwrap();
    stack.push_variables(&permissions(variables), "/work").unwrap();
    if !file.is_empty() {
        let text = format!(r#"{{"version": 1, {file}}}"#);
        stack.push_policy(SourceKind::File, parse_policy(&text, "p.json").unwrap(), "/file").unwrap();
    }
    stack
}
