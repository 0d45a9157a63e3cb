//! Policies on disk, and those that come with the package.

use std::io;
use std::path::{Path, PathBuf};

use buntime_policy::{
    Lift, MetaSource, NormalizedPolicy, Policy, PolicyError, PolicyStack, merge_policies, parse_policy,
};

use crate::error::Error;
use crate::options::Options;

macro_rules! shipped {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../policies/", $name, ".json")))),*]
    };
}

/// The shipped policies, by name.
const SHIPPED: [(&str, &str); 12] = shipped! {
    "anti-escape"
    "default"
    "ebpf-audit"
    "exec-policy"
    "fs-allowlist"
    "lambda"
    "lambda-backend"
    "net-egress"
    "networked"
    "no-network"
    "readonly"
    "strict"
};

/// A policy that was found.
pub struct Found {
    pub policy: Policy,
    /// Its name in `policyKeys`.
    pub key: String,
    /// Where its relative paths start.
    pub base: PathBuf,
    /// The file, unless it came with the package.
    pub file: Option<PathBuf>,
    /// Said to the user when the name was taken for another.
    pub note: Option<String>,
}

/// The policy of some options, and what it was made of.
pub struct Stacked {
    pub stack: PolicyStack,
    /// The names in `policyKeys`.
    pub keys: Vec<String>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// What the user is told.
    pub notes: Vec<String>,
}

/// The absolute path of the directory that relative paths start from.
pub fn working_directory(options: &Options) -> Result<PathBuf, Error> {
    match &options.cwd {
        Some(dir) => std::path::absolute(dir),
        None => std::env::current_dir(),
    }
    .map_err(|error| Error::setup("ERR_BUNTIME_CWD", format!("working directory: {error}")))
}

/// Policies that together take the place of the policy file.
#[derive(Clone, Debug)]
pub struct PolicySet {
    /// Relative paths in them start from the worker's working directory.
    pub policies: Vec<Policy>,
    /// Their names in `policyKeys`.
    pub keys: Vec<String>,
    /// What made them take effect.
    pub source: MetaSource,
}

/// Reads all sources of a policy. Nothing is refused here for not being enforced.
pub fn stack(options: &Options, cwd: &Path) -> Result<Stacked, Error> {
    let mut stacked = Stacked { stack: PolicyStack::deny_all(), keys: vec![], files: vec![], notes: vec![] };
    if let Some(name) = &options.policy_path {
        let loaded = find(name, cwd)?;
        stacked.notes.extend(loaded.note);
        stacked.keys.push(loaded.key);
        stacked.files.extend(loaded.file);
        stacked.stack.push_file(loaded.policy, text(&loaded.base)?).map_err(error)?;
    }
    push_higher(&mut stacked, options, cwd)?;
    Ok(stacked)
}

/// The same with a set of policies in the place of the policy file.
pub fn stack_set(options: &Options, cwd: &Path, set: PolicySet) -> Result<Stacked, Error> {
    let mut stacked = Stacked { stack: PolicyStack::deny_all(), keys: set.keys, files: vec![], notes: vec![] };
    stacked.stack.push_file(merge_policies(&set.policies), text(cwd)?).map_err(error)?;
    push_higher(&mut stacked, options, cwd)?;
    Ok(stacked)
}

/// Adds variables and flags to the policy file, and tells what they override.
fn push_higher(stacked: &mut Stacked, options: &Options, cwd: &Path) -> Result<(), Error> {
    let stack = &mut stacked.stack;
    if let Some(encoded) = &options.variables_policy {
        stack.push_variables_json(encoded, text(cwd)?).map_err(error)?;
        stacked.keys.push("POD_POLICY_JSON".to_owned());
    }
    stack.push_variables(&options.variables, text(cwd)?).map_err(error)?;
    stack.push_flags(&options.permissions, text(cwd)?).map_err(error)?;
    let lift = |lift: Lift| {
        let Lift { restriction, by } = lift;
        format!("{} ({}) overrides {} ({})", by.rule, by.source, restriction.rule, restriction.source)
    };
    stacked.notes.extend(stack.lifts().into_iter().map(lift));
    Ok(())
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| {
        Error::policy(
            "ERR_BUNTIME_CWD",
            format!("{}: relative paths need a directory whose name is UTF-8", path.display()),
        )
    })
}

/// Finds a policy by path, or by the bare name of a shipped one.
pub fn find(name: &str, cwd: &Path) -> Result<Found, Error> {
    if let Some(text) = shipped(name) {
        return found(text, &format!("policies/{name}.json"), name, cwd.to_owned(), None);
    }
    let path = cwd.join(name);
    match crate::files::read_text(&path, true) {
        Ok(text) => {
            let base = path.parent().unwrap_or(cwd).to_owned();
            Ok(Found { file: Some(path), ..found(&text, name, name, base, None)? })
        }
        Err(error) => {
            // The guide's own spelling of a shipped policy, where no such file exists.
            let meant = name.strip_prefix("src/policies/").and_then(|rest| rest.strip_suffix(".json"));
            match meant.and_then(|meant| Some((meant, shipped(meant)?))) {
                Some((meant, text)) if error.kind() == io::ErrorKind::NotFound => {
                    let note = format!("{name} does not exist: the shipped policy {meant:?} is used");
                    found(text, &format!("policies/{meant}.json"), meant, cwd.to_owned(), Some(note))
                }
                _ => Err(unreadable(name, &path, &error)),
            }
        }
    }
}

fn unreadable(name: &str, path: &Path, error: &io::Error) -> Error {
    let error = Error::policy("ERR_BUNTIME_POLICY", format!("policy {}: {error}", path.display()));
    if name.contains('/') {
        return error;
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    error.with_hint(format!("shipped policies: {}; {}", names.join(", "), buntime_policy::did_you_mean(name, &names)))
}

fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

fn found(text: &str, document: &str, key: &str, base: PathBuf, note: Option<String>) -> Result<Found, Error> {
    let policy = parse_policy(text, document).map_err(error)?;
    Ok(Found { policy, key: key.to_owned(), base, file: None, note })
}

/// `loadPolicy(pathOrName)`.
pub fn load_policy(name: &str) -> Result<NormalizedPolicy, Error> {
    let cwd = std::env::current_dir()
        .map_err(|error| Error::setup("ERR_BUNTIME_CWD", format!("working directory: {error}")))?;
    Ok(find(name, &cwd)?.policy.normalized())
}

pub fn error(error: PolicyError) -> Error {
    Error::policy("ERR_BUNTIME_POLICY", error.to_string())
}

#[cfg(test)]
mod tests {
    use buntime_policy::{Action, Ceiling, Egress, Grants, Name, PermissionKind, Permissions, Proto, Query, Selection};

    use super::*;

    #[test]
    fn every_shipped_policy_loads() {
        for (name, _) in SHIPPED {
            assert_eq!(find(name, Path::new("/")).unwrap().key, name);
        }
    }

    fn of(name: &str) -> Stacked {
        let options = Options { policy_path: Some(name.into()), ..Options::default() };
        stack(&options, Path::new("/work")).unwrap()
    }

    /// What each allows and denies, by a few questions that tell it from the others.
    #[test]
    fn shipped_policies_do_what_their_names_say() {
        use PermissionKind::{Env, Net, Read, Run, Write};
        const INTERNET: (PermissionKind, &str) = (Net, "example.com:443");
        const HERE: (PermissionKind, &str) = (Read, "/work/data.csv");
        type Questions<'a> = &'a [(PermissionKind, &'a str)];
        let table: [(&str, Questions<'_>, Questions<'_>); 12] = [
            ("default", &[], &[HERE, (Write, "/work/x"), INTERNET, (Run, "/bin/sh"), (Env, "HOME")]),
            ("strict", &[], &[HERE, (Write, "/work/x"), INTERNET, (Run, "/bin/sh"), (Env, "HOME")]),
            ("anti-escape", &[], &[HERE, INTERNET, (Run, "/bin/sh")]),
            ("ebpf-audit", &[], &[HERE, INTERNET, (Run, "/bin/sh")]),
            ("lambda", &[(Read, "/tmp/x")], &[HERE, (Write, "/tmp/x"), INTERNET]),
            ("no-network", &[HERE], &[(Read, "/etc/passwd"), (Write, "/work/x"), INTERNET]),
            ("readonly", &[HERE, (Read, "/etc/passwd")], &[(Write, "/work/x"), (Write, "/tmp/x"), INTERNET]),
            (
                "fs-allowlist",
                &[HERE, (Write, "/work/output/x")],
                &[(Write, "/work/x"), (Read, "/etc/passwd"), INTERNET],
            ),
            ("exec-policy", &[(Run, "python3")], &[(Run, "/bin/sh"), (Run, "sh"), INTERNET]),
            (
                "networked",
                &[INTERNET, (Net, "1.1.1.1:53/udp"), (Net, "example.com:443/udp")],
                &[HERE, (Run, "/bin/sh"), (Net, "10.0.0.1:80"), (Net, "127.0.0.1:80"), (Net, "169.254.169.254:80")],
            ),
            (
                "net-egress",
                &[INTERNET, (Net, "example.com:25"), (Net, "1.1.1.1:22"), (Net, "[2606:4700::1]:443")],
                &[
                    (Net, "10.0.0.1:80"),
                    (Net, "172.31.255.1:80"),
                    (Net, "192.168.0.1:80"),
                    (Net, "100.64.0.1:80"),
                    (Net, "169.254.169.254:80"),
                    (Net, "[fd00:ec2::254]:80"),
                    (Net, "[::ffff:10.0.0.1]:80"),
                    (Net, "127.0.0.1:80"),
                    (Net, "metadata.google.internal:80"),
                    (Net, "1.1.1.1:53/udp"),
                    HERE,
                ],
            ),
            (
                "lambda-backend",
                &[INTERNET, (Read, "/tmp/x")],
                &[
                    (Net, "192.168.1.1:443"),
                    (Net, "metadata.google.internal:80"),
                    (Net, "1.1.1.1:53/udp"),
                    (Write, "/tmp/x"),
                    HERE,
                ],
            ),
        ];
        assert_eq!(table.len(), SHIPPED.len());
        for (name, allowed, denied) in table {
            let stack = of(name).stack;
            let decide = |(kind, target): &(PermissionKind, &str)| stack.decide(&Query::parse(*kind, target).unwrap());
            for question in allowed {
                assert!(decide(question).allowed, "{name}: {question:?}");
            }
            for question in denied {
                assert!(!decide(question).allowed, "{name}: {question:?}");
            }
        }
        for port in [25, 2222, 3306, 5432, 6379] {
            for (name, host) in [("net-egress", "example.com"), ("lambda-backend", "1.1.1.1")] {
                let warned = Query::net(host, Some(port), Proto::Tcp).unwrap();
                assert_eq!(of(name).stack.decide(&warned).action, Action::Warn, "{name} {port}");
            }
        }
        for hardened in ["anti-escape", "strict", "lambda-backend"] {
            let denied = of(hardened).stack.normalized().anti_escape.deny_syscalls;
            assert!(
                ["ptrace", "unshare", "clone3"].iter().all(|call| denied.iter().any(|name| name == call)),
                "{hardened}"
            );
        }
    }

    /// Where a name leads is judged as well; a flag that names a denied address exactly lifts the denial.
    #[test]
    fn shipped_policies_hold_for_what_names_resolve_to() {
        let ask = |policy: &str, flag: Option<&str>, address: &str| {
            let mut options = Options { policy_path: Some(policy.into()), ..Options::default() };
            if let Some(item) = flag {
                options.permissions.net.allow.add(Some(item));
            }
            let egress = Egress::new(stack(&options, Path::new("/work")).unwrap().stack, Ceiling::default());
            let name = Name::parse("db.example.com").unwrap();
            egress.decide(Some(&name), address.parse().unwrap(), 443, Proto::Tcp).allowed
        };
        for policy in ["networked", "net-egress", "lambda-backend"] {
            assert!(ask(policy, None, "93.184.216.34"), "{policy}");
            for address in ["10.0.0.5", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "64:ff9b::a00:5"] {
                assert!(!ask(policy, None, address), "{policy} {address}");
            }
        }
        for policy in ["net-egress", "lambda-backend"] {
            assert!(!ask(policy, Some("db.example.com"), "10.0.0.5"), "{policy}: the address is denied, whoever asks");
            assert!(ask(policy, Some("db.example.com,10.0.0.5"), "10.0.0.5"), "{policy}");
        }
        assert!(ask("networked", Some("db.example.com"), "10.0.0.5"));
        for policy in ["strict", "no-network"] {
            assert!(!ask(policy, Some("db.example.com,93.184.216.34"), "93.184.216.34"), "{policy}");
        }
    }

    #[test]
    fn what_strict_denies_no_flag_allows() {
        let permissions = Permissions { allow_all: true, ..Permissions::default() };
        let options = Options { policy_path: Some("strict".into()), permissions, ..Options::default() };
        let stack = stack(&options, Path::new("/work")).unwrap().stack;
        assert!(!stack.decide(&Query::read("/work/x").unwrap()).allowed);
    }

    #[test]
    fn variables_stand_between_file_and_flags() {
        let json = r#"{"version":1,"env":{"rules":[{"action":"allow","name":"A"}]},"fs":{"rules":[{"action":"deny","path":"/tmp/a","perms":["read_file"]}]}}"#;
        let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
        let listed = |path: &str| Grants { allow: Selection::List(vec![path.into()]), ..Grants::default() };
        let mut options = Options {
            policy_path: Some("lambda".into()),
            variables_policy: Some(encode(json)),
            variables: Permissions { read: listed("data"), ..Permissions::default() },
            ..Options::default()
        };
        let decide = |options: &Options, path: &str| {
            let stacked = stack(options, Path::new("/work")).unwrap();
            (stacked.stack.decide(&Query::read(path).unwrap()), stacked.notes)
        };
        assert!(decide(&options, "/work/data/x").0.allowed, "a variable's relative path starts from the directory");
        assert_eq!(decide(&options, "/tmp/a").0.source, "POD_POLICY_JSON: fs.rules[0]");
        assert!(decide(&options, "/tmp/b").0.allowed, "the file's grant");
        options.permissions.read = listed("/tmp/a");
        let (decision, notes) = decide(&options, "/tmp/a");
        assert!(decision.allowed);
        assert_eq!(
            notes,
            ["allow read /tmp/a (--allow-read=/tmp/a) overrides deny read_file /tmp/a (POD_POLICY_JSON: fs.rules[0])"]
        );
        for bad in ["", "%%", "e30", &encode("{}"), &encode("[1")] {
            options.variables_policy = Some(bad.into());
            let error = stack(&options, Path::new("/work")).err().unwrap();
            assert!(error.message.contains("POD_POLICY_JSON"), "{}", error.message);
        }
    }

    #[test]
    fn the_guides_spelling_means_the_shipped_one_and_says_so() {
        let found = find("src/policies/lambda.json", Path::new("/nonexistent")).unwrap();
        assert_eq!(found.key, "lambda");
        assert!(found.note.unwrap().contains("src/policies/lambda.json"));
    }

    #[test]
    fn missing_files_are_errors_with_the_nearest_name() {
        let error = find("lamda", Path::new("/nonexistent")).err().unwrap();
        assert!(error.hint.unwrap().contains("\"lambda\""));
        assert!(find("src/policies/nothing.json", Path::new("/nonexistent")).is_err());
        assert!(find("./lambda", Path::new("/nonexistent")).is_err());
    }
}
