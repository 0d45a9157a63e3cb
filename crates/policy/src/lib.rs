//! Policies: what sandboxed code may do, read from files, flags and variables, put in order, and decided.
//!
//! ```
//! use buntime_policy::{Permissions, PolicyStack, Query, parse_policy};
//!
//! let file = r#"{"version": 1, "fs": {"rules": [
//!     {"action": "deny", "path": "/data/secret", "perms": ["read_file", "read_dir"]}
//! ]}}"#;
//! let mut flags = Permissions::default();
//! flags.read.allow.add(Some("/data"));
//!
//! let mut stack = PolicyStack::deny_all();
//! stack.push_file(parse_policy(file, "policy.json")?, "/work")?;
//! stack.push_flags(&flags, "/work")?;
//!
//! assert!(stack.decide(&Query::read("/data/x")?).allowed);
//! let decision = stack.decide(&Query::read("/data/secret/x")?);
//! assert_eq!(decision.source, "policy.json: fs.rules[0]");
//! assert!(!decision.allowed);
//! # Ok::<(), buntime_policy::PolicyError>(())
//! ```
//!
//! Everything is plain data and pure functions: no file is opened here, no clock read, no link resolved. The order of
//! reading is [`parse_policy`] and [`Permissions`], then [`PolicyStack`], whose rules the sandbox's plan is built from.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod address;
mod ceiling;
mod decide;
mod egress;
mod error;
mod flags;
mod flow;
mod index;
mod json;
mod json_schema;
mod merge;
mod meta;
mod name;
mod names;
mod net;
mod normalize;
mod parse;
mod path;
mod policy;
mod ports;
mod query;
mod rule;
mod schema;
mod stack;
mod suggest;
mod supported;

pub use address::Cidr;
pub use ceiling::Ceiling;
pub use decide::{Decision, FsRights, Overridden};
pub use egress::Egress;
pub use error::PolicyError;
pub use flags::{Grants, Permissions, Selection, hint_flag, shell_word};
pub use json_schema::json_schema;
pub use merge::merge_policies;
pub use meta::{PolicyMeta, RuleCounts};
pub use name::{Name, Peer};
pub use names::{EnvName, SysName, is_reserved_env};
pub use net::Host;
pub use normalize::{AntiEscape, Audit, ExecRule, FsRule, NameRule, NetRule, NormalizedPolicy, PathRule, RuleList};
pub use parse::parse_policy;
pub use path::{PathPattern, Progress};
pub use policy::Policy;
pub use ports::{PortRange, Ports};
pub use query::Query;
pub use rule::{Origin, Program, Rule, Target};
pub use schema::{
    Action, DEFAULT_AUDIT_EVENTS, DEFAULT_DENY_SYSCALLS, DefaultAction, Defaults, FsPerm, MetaSource, PermissionKind,
    Plugins, Proto, READ_PERMS, Tier, WRITE_PERMS,
};
pub use stack::{Lift, PolicyStack, SourceKind};
pub use suggest::{did_you_mean, nearest};
pub use supported::{Unsupported, unsupported};
