//! From JSON to [`Policy`]: both spellings, and the normalised form, which is a policy as well.
//!
//! Nothing is ignored. A key that the schema does not know is an error wherever it stands, because a misspelt `deny`
//! that is passed over grants what it was to forbid.

use crate::address::Cidr;
use crate::error::PolicyError;
use crate::json::{Document, Node, Object};
use crate::names::{EnvName, SysName};
use crate::net::Host;
use crate::path::PathPattern;
use crate::policy::{Policy, Settings, Stated};
use crate::ports::{PortRange, Ports};
use crate::rule::{Origin, Program, Rule, Target};
use crate::schema::{Action, DefaultAction, Defaults, FsMode, FsPerm, Plugins, Proto, READ_PERMS, WRITE_PERMS};
use crate::suggest;

/// The keys of every object, which `json_schema` describes one by one.
pub(crate) mod keys {
    pub(crate) const ROOT: &[&str] = &[
        "version",
        "plugins",
        "defaults",
        "fs",
        "net",
        "exec",
        "env",
        "ffi",
        "sys",
        "antiEscape",
        "audit",
        "minTier",
        "rules",
        "$schema",
    ];
    pub(crate) const PLUGINS: &[&str] = &["namespaces", "landlock", "seccomp"];
    pub(crate) const DEFAULTS: &[&str] = &["fs", "net", "exec"];
    pub(crate) const ANTI_ESCAPE: &[&str] = &["denySyscalls"];
    pub(crate) const AUDIT: &[&str] = &["enabled", "events"];
    pub(crate) const KIND: &[&str] = &["rules"];
    /// Of every rule, besides those of its kind.
    pub(crate) const RULE: &[&str] = &["action", "locked"];
    pub(crate) const FS_RULE: &[&str] = &["path", "perms"];
    pub(crate) const NET_RULE: &[&str] = &["proto", "cidr", "host", "ports"];
    pub(crate) const EXEC_RULE: &[&str] = &["path", "sha256"];
    pub(crate) const ENV_RULE: &[&str] = &["name"];
    pub(crate) const FFI_RULE: &[&str] = &["path"];
    pub(crate) const SYS_RULE: &[&str] = &["name"];
    pub(crate) const PORT_RANGE: &[&str] = &["from", "to"];
    pub(crate) const LISTS: &[&str] = &["fs", "net", "exec"];
    pub(crate) const LIST_WITH_MODE: &[&str] = &["allow", "deny", "mode"];
    pub(crate) const LIST: &[&str] = &["allow", "deny"];
}

const PATH: &str = "a path";
const NAME: &str = "a name";
const HOST: &str = "a host name";
const BLOCK: &str = "an address block";
const PORTS: &str = r#"ports such as "443", "80,443" or "8000-9000""#;

/// Reads a policy in either spelling. `source_name` is what errors and origins call the document, usually its file.
///
/// Relative paths stay relative until [`Policy::absolute`] is called.
pub fn parse_policy(text: &str, source_name: &str) -> Result<Policy, PolicyError> {
    let document = Document::parse(text, source_name)?;
    let root = document.root();

    // Before anything else: another version may well have other keys.
    let version = root.any_object()?.require("version", "1")?;
    match version.integer("1")? {
        1 => {}
        other => return Err(version.fail(format!("found {other}, expected 1"))),
    }

    let root = root.object(keys::ROOT)?;
    // For editors; it says nothing of what is allowed.
    root.optional("$schema", |node| node.text("the address of a schema", |_| Ok(())))?;
    let mut rules = Vec::new();
    read_rules(&root, "fs", keys::FS_RULE, &mut rules, fs_rule)?;
    split_execute(&mut rules);
    read_rules(&root, "net", keys::NET_RULE, &mut rules, net_rule)?;
    read_rules(&root, "exec", keys::EXEC_RULE, &mut rules, exec_rule)?;
    read_rules(&root, "env", keys::ENV_RULE, &mut rules, env_rule)?;
    read_rules(&root, "ffi", keys::FFI_RULE, &mut rules, ffi_rule)?;
    read_rules(&root, "sys", keys::SYS_RULE, &mut rules, sys_rule)?;
    if let Some(lists) = root.get("rules") {
        read_lists(&lists, &mut rules)?;
    }
    Ok(Policy { rules, settings: read_settings(&root)? })
}

fn read_settings(root: &Object) -> Result<Settings, PolicyError> {
    let mut settings = Settings::default();
    if let Some(node) = root.get("plugins") {
        let plugins = node.object(keys::PLUGINS)?;
        let layer = |key| stated(&plugins, key, Node::bool);
        settings.plugins =
            Plugins { namespaces: layer("namespaces")?, landlock: layer("landlock")?, seccomp: layer("seccomp")? };
    }
    if let Some(node) = root.get("defaults") {
        let defaults = node.object(keys::DEFAULTS)?;
        let kind = |key| stated(&defaults, key, Node::keyword);
        settings.defaults = Defaults { fs: kind("fs")?, net: kind("net")?, exec: kind("exec")? };
    }
    if let Some(node) = root.get("antiEscape") {
        settings.deny_syscalls = node.object(keys::ANTI_ESCAPE)?.optional("denySyscalls", syscalls)?;
    }
    if let Some(node) = root.get("audit") {
        let audit = node.object(keys::AUDIT)?;
        settings.audit_enabled = stated(&audit, "enabled", Node::bool)?;
        settings.audit_events = audit.optional("events", syscalls)?;
    }
    settings.min_tier = stated(root, "minTier", Node::keyword)?;
    Ok(settings)
}

fn stated<'a, T>(
    object: &Object<'a>,
    key: &str,
    read: impl FnOnce(&Node<'a>) -> Result<T, PolicyError>,
) -> Result<Option<Stated<T>>, PolicyError> {
    object.optional(key, |node| Ok(Stated { value: read(node)?, origin: origin(node) }))
}

fn origin(node: &Node) -> Origin {
    Origin::Document { name: node.document.to_owned(), path: node.path.clone() }
}

/// A list of system calls, each known and each once.
fn syscalls(list: &Node) -> Result<Vec<String>, PolicyError> {
    let mut names = Vec::new();
    for node in list.list()? {
        let name = node.text("a system call's name", |text| match text.parse::<syscalls::x86_64::Sysno>() {
            Ok(_) => Ok(text.to_owned()),
            Err(()) => {
                let known = syscalls::x86_64::Sysno::iter().map(|call| call.name());
                let remedy = suggest::nearest(text, known).map(|near| format!(", did you mean {near:?}?"));
                Err(format!("found {text:?}, an unknown system call{}", remedy.unwrap_or_default()))
            }
        })?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The rule-list spelling of one kind: `{"rules": [{"action": …, …}]}`.
fn read_rules(
    root: &Object,
    kind: &str,
    keys: &[&str],
    rules: &mut Vec<Rule>,
    target: impl Fn(&Object, Action) -> Result<Target, PolicyError>,
) -> Result<(), PolicyError> {
    let Some(kind) = root.optional(kind, |node| node.object(keys::KIND))? else {
        return Ok(());
    };
    let Some(list) = kind.get("rules") else {
        return Ok(());
    };
    let known = [keys::RULE, keys].concat();
    for node in list.list()? {
        let object = node.object(&known)?;
        let action = object.require("action", r#""allow", "warn" or "deny""#)?.keyword()?;
        let locked = object.optional("locked", Node::bool)?.unwrap_or(false);
        rules.push(Rule { action, target: target(&object, action)?, locked, origin: origin(&node) });
    }
    Ok(())
}

fn fs_rule(object: &Object, _: Action) -> Result<Target, PolicyError> {
    let path = object.require("path", PATH)?.text(PATH, PathPattern::parse)?;
    let mut perms: Vec<FsPerm> = Vec::new();
    for node in object.require("perms", r#"a list such as ["read_file", "read_dir"]"#)?.list()? {
        let perm = node.keyword()?;
        if !perms.contains(&perm) {
            perms.push(perm);
        }
    }
    Ok(Target::Fs { path, perms })
}

/// To execute a file is one permission, whichever of its two places it is written in: `exec` rules are judged by it.
fn split_execute(rules: &mut Vec<Rule>) {
    let mut programs = Vec::new();
    rules.retain_mut(|rule| {
        let Target::Fs { path, perms } = &mut rule.target else { return true };
        let count = perms.len();
        perms.retain(|perm| *perm != FsPerm::Execute);
        if perms.len() < count {
            let target = Target::Exec { program: Program::Path(path.clone()), sha256: None };
            programs.push(Rule { target, origin: rule.origin.clone(), ..*rule });
        }
        perms.len() == count || !perms.is_empty()
    });
    rules.append(&mut programs);
}

fn net_rule(object: &Object, action: Action) -> Result<Target, PolicyError> {
    let proto = object.optional("proto", Node::keyword)?.or(unsaid_proto(action));
    match (object.get("cidr"), object.get("host")) {
        (Some(cidr), None) => {
            object.require("proto", r#""tcp" or "udp""#)?;
            let host = Host::Cidr(cidr.text(BLOCK, Cidr::parse)?);
            Ok(Target::Net { host, proto, ports: ports(&object.require("ports", PORTS)?)? })
        }
        (None, Some(host)) => {
            let host = host.text(HOST, Host::parse_name)?;
            let ports = object.optional("ports", ports)?.unwrap_or_else(Ports::any);
            Ok(Target::Net { host, proto, ports })
        }
        (Some(_), Some(host)) => Err(host.fail("expected either \"cidr\" or \"host\", not both")),
        (None, None) => Err(object.place().fail("expected \"cidr\" or \"host\"")),
    }
}

/// The protocol of a rule that names none: UDP is allowed where it is asked for alone, a denial is about both.
pub(crate) fn unsaid_proto(action: Action) -> Option<Proto> {
    (action != Action::Deny).then_some(Proto::Tcp)
}

/// Ports as text, or as the list of ranges of the normalised form.
fn ports(node: &Node) -> Result<Ports, PolicyError> {
    if !node.is_list() {
        return node.text(PORTS, Ports::parse);
    }
    let mut ranges = Vec::new();
    for node in node.list()? {
        let range = node.object(keys::PORT_RANGE)?;
        let port = |key| {
            const PORT: &str = "a port from 0 to 65535";
            let node = range.require(key, PORT)?;
            let number = node.integer(PORT)?;
            u16::try_from(number).map_err(|_| node.fail(format!("found {number}, expected {PORT}")))
        };
        let (from, to) = (port("from")?, port("to")?);
        if from > to {
            return Err(node.fail(format!("found {from} to {to}, expected a range that ascends")));
        }
        ranges.push(PortRange { from, to });
    }
    Ok(Ports::new(ranges))
}

fn exec_rule(object: &Object, _: Action) -> Result<Target, PolicyError> {
    let program = object.require("path", PATH)?.text(PATH, Program::parse)?;
    let sha256 = object.optional("sha256", |node| node.text("a sha256 sum", parse_sha256))?;
    Ok(Target::Exec { program, sha256 })
}

fn parse_sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("found {text:?}, expected 64 hexadecimal digits"))
    }
}

fn env_rule(object: &Object, action: Action) -> Result<Target, PolicyError> {
    object.require("name", NAME)?.text(NAME, |text| parse_env(text, action)).map(Target::Env)
}

/// A variable's name, refused where allowing it could only be a mistake.
pub(crate) fn parse_env(text: &str, action: Action) -> Result<EnvName, String> {
    let name = EnvName::parse(text)?;
    if action != Action::Deny && name.is_reserved() {
        return Err(format!("found {text:?}, which no rule can let into a sandbox"));
    }
    Ok(name)
}

fn ffi_rule(object: &Object, _: Action) -> Result<Target, PolicyError> {
    object.require("path", PATH)?.text(PATH, PathPattern::parse).map(Target::Ffi)
}

fn sys_rule(object: &Object, _: Action) -> Result<Target, PolicyError> {
    object.require("name", NAME)?.text(NAME, SysName::parse).map(Target::Sys)
}

/// The lambda spelling: `{"fs": {"allow": […], "deny": […], "mode": …}, "net": …, "exec": …}`.
fn read_lists(node: &Node, rules: &mut Vec<Rule>) -> Result<(), PolicyError> {
    let lists = node.object(keys::LISTS)?;
    if let Some(node) = lists.get("fs") {
        let list = node.object(keys::LIST_WITH_MODE)?;
        let perms = match list.optional("mode", Node::keyword)? {
            None | Some(FsMode::Read) => READ_PERMS,
            Some(FsMode::Write) => WRITE_PERMS,
        };
        read_list(&list, rules, PATH, |text, action| {
            // A label must not turn a refusal into half a refusal.
            let perms = if action == Action::Deny { FsPerm::ALL } else { perms };
            Ok(Target::Fs { path: PathPattern::parse(text)?, perms: perms.to_vec() })
        })?;
    }
    if let Some(node) = lists.get("net") {
        let list = node.object(keys::LIST_WITH_MODE)?;
        // A label, and no more: the lists say what is allowed.
        list.optional("mode", Node::keyword::<DefaultAction>)?;
        read_list(&list, rules, HOST, |text, action| {
            let proto = unsaid_proto(action);
            Host::parse_with_ports(text).map(|(host, ports)| Target::Net { host, proto, ports })
        })?;
    }
    if let Some(node) = lists.get("exec") {
        let list = node.object(keys::LIST)?;
        read_list(&list, rules, PATH, |text, _| Ok(Target::Exec { program: Program::parse(text)?, sha256: None }))?;
    }
    Ok(())
}

fn read_list(
    list: &Object,
    rules: &mut Vec<Rule>,
    expected: &str,
    target: impl Fn(&str, Action) -> Result<Target, String>,
) -> Result<(), PolicyError> {
    for action in [Action::Allow, Action::Deny] {
        let Some(items) = list.get(action.as_str()) else {
            continue;
        };
        for node in items.list()? {
            let target = node.text(expected, |text| target(text, action))?;
            rules.push(Rule { action, target, locked: false, origin: origin(&node) });
        }
    }
    Ok(())
}
