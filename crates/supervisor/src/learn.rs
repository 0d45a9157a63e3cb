//! From what a run was seen to need to the smallest policy under which it passes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use buntime_policy::Proto;
use buntime_sandbox::view::is_own;
use serde::Serialize;
use serde_json::{Value, json};

/// From this many files of one directory on the directory is named in their place.
const MANY: usize = 64;
/// Most different things of a kind that are kept. A run that needs more is no case for a list.
const MAX_KEPT: usize = 20_000;
/// Variables that every worker has, from the sandbox itself.
const OWN_VARIABLES: [&str; 6] = ["PATH", "HOME", "LANG", "TMPDIR", "POLICY_PATH", "PYTHONUNBUFFERED"];
/// Names of files and directories, and ends of names, that mostly hold secrets.
const SENSITIVE_NAMES: [&str; 18] = [
    ".ssh",
    ".aws",
    ".gnupg",
    ".kube",
    ".docker",
    ".azure",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".env",
    ".pgpass",
    ".mozilla",
    "gcloud",
    "keyrings",
    "shadow",
    "id_rsa",
    "id_ed25519",
];
const SENSITIVE_ENDS: [&str; 5] = [".pem", ".key", ".p12", ".kdbx", ".keystore"];
const SENSITIVE_WORDS: [&str; 5] = ["TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "API_KEY"];

/// What something was needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// A file's content, or to see that it is there.
    Read,
    /// A directory's names.
    List,
    /// A directory's names, for the script itself: of `List` alone it is not known whether the import system looked.
    Listing,
    /// A file that was there.
    Write,
    /// A name that came or went; the directory is what has to be written.
    Name,
    /// A program.
    Run,
    /// A library.
    Load,
    /// A variable of the environment.
    Variable,
    /// A host and port, over TCP.
    Connect,
    /// A host and port, over UDP.
    Send,
}

/// What a run was seen to need.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    seen: BTreeMap<Need, BTreeSet<PathBuf>>,
    /// Needs that found no room.
    more: u64,
}

impl Needs {
    /// Takes one need.
    pub fn add(&mut self, need: Need, what: PathBuf) {
        let seen = self.seen.entry(need).or_default();
        if seen.len() < MAX_KEPT {
            seen.insert(what);
        } else if !seen.contains(&what) {
            self.more += 1;
        }
    }

    /// Takes all of them.
    pub fn absorb(&mut self, others: Self) {
        self.more += others.more;
        for (need, seen) in others.seen {
            seen.into_iter().for_each(|what| self.add(need, what));
        }
    }

    fn of(&self, need: Need) -> impl Iterator<Item = &Path> {
        self.seen.get(&need).into_iter().flatten().map(PathBuf::as_path)
    }
}

/// A policy that was learned.
#[derive(Clone, Debug, Serialize)]
pub struct Learned {
    /// As a policy file says it.
    pub policy: Value,
    /// What to look at before it is used, in words.
    pub notes: Vec<String>,
}

/// What every worker has without a policy.
pub struct Given<'a> {
    /// The interpreter's files and directories.
    pub runtime: &'a [PathBuf],
    /// The script.
    pub entry: Option<&'a Path>,
}

/// The smallest policy that gives a worker what `needs` holds beyond what it is given.
pub fn synthesise(needs: &Needs, given: &Given<'_>) -> Learned {
    let mut notes = Vec::new();
    if needs.more > 0 {
        notes.push(format!("{} more accesses were not kept: the policy is not complete", needs.more));
    }
    let is_given = |path: &Path| {
        given.runtime.iter().any(|place| path.starts_with(place))
            || is_own(path)
            || given.entry == Some(path)
            || path.components().any(|part| part.as_os_str() == "__pycache__")
    };
    let wanted = |need: Need| needs.of(need).filter(|path| !is_given(path)).map(Path::to_owned).collect::<Vec<_>>();

    // A name that comes or goes takes a writable directory, as a rule holds for what is there at the start.
    let names = wanted(Need::Name);
    let directory = |path: &Path| path.parent().unwrap_or(Path::new("/")).to_owned();
    let made: Vec<PathBuf> = names.iter().map(|name| directory(name)).collect();
    let mut write = Places::from_iter(wanted(Need::Write).into_iter().chain(made.iter().cloned()));
    write.gather(&mut notes, "written");

    // Libraries are loaded, which has rules of its own.
    let mut read = Places::from_iter(wanted(Need::Read).into_iter().filter(|path| !is_library(path)));
    // What was made in this run is not there when the next one starts.
    let fresh: Vec<PathBuf> =
        read.0.iter().filter(|path| names.iter().any(|name| path.starts_with(name))).cloned().collect();
    for path in fresh {
        read.0.remove(&path);
        if let Some(name) = names.iter().find(|name| path.starts_with(name)) {
            read.0.insert(directory(name));
        }
    }
    // The import system lists the script's directory whatever is imported; that counts where it found something.
    let beside = given.entry.and_then(Path::parent);
    let is_module = |path: &PathBuf| {
        path.parent() == beside && path.extension().is_some_and(|end| end == "py" || end == "so" || end == "pyc")
    };
    let is_used = |path: &PathBuf| Some(path.as_path()) != beside || read.0.iter().any(is_module);
    let listed: Vec<PathBuf> = wanted(Need::List).into_iter().filter(is_used).chain(wanted(Need::Listing)).collect();
    read.0.extend(listed);
    read.gather(&mut notes, "read");

    // Of the runtime, too: nothing but the worker's own start may execute the interpreter.
    let run: Vec<PathBuf> = needs.of(Need::Run).map(Path::to_owned).collect();
    let load: Vec<PathBuf> = wanted(Need::Load).into_iter().filter(|path| !is_library_of_the_system(path)).collect();
    let variables: Vec<String> = needs
        .of(Need::Variable)
        .filter_map(Path::to_str)
        .filter(|name| !OWN_VARIABLES.contains(name))
        .map(str::to_owned)
        .collect();

    let mut policy = json!({"version": 1});
    let mut rules = Vec::new();
    for (places, perms) in [(&read.0, json!(["read_file", "read_dir"])), (&write.0, write_perms())] {
        let paths = places.iter().filter_map(|path| said(path, &mut notes));
        rules.extend(paths.map(|path| json!({"action": "allow", "path": path, "perms": perms})));
    }
    let mut put = |key: &str, rules: Vec<Value>| {
        if !rules.is_empty() {
            policy[key] = json!({"rules": rules});
        }
    };
    put("fs", rules);
    let mut paths = |paths: Vec<PathBuf>| -> Vec<Value> {
        let said = paths.iter().filter_map(|path| said(path, &mut notes));
        said.map(|path| json!({"action": "allow", "path": path})).collect()
    };
    put("exec", paths(run));
    put("ffi", paths(load));
    let reached = |need: Need, proto: Proto| needs.of(need).filter_map(move |peer| net_rule(peer.to_str()?, proto));
    put("net", reached(Need::Connect, Proto::Tcp).chain(reached(Need::Send, Proto::Udp)).collect());
    put("env", variables.iter().map(|name| json!({"action": "allow", "name": name})).collect());

    // Of what was read too, where a directory is named in its place.
    let reads = BTreeSet::from_iter(wanted(Need::Read).into_iter().chain(wanted(Need::List)).chain(read.0));
    let writes = BTreeSet::from_iter(wanted(Need::Write).into_iter().chain(names).chain(write.0));
    for (path, what) in reads.iter().map(|path| (path, "read")).chain(writes.iter().map(|path| (path, "write"))) {
        if is_sensitive(path) {
            notes.push(format!("it may {what} {}, which may hold secrets", path.display()));
        }
    }
    for name in variables.iter().filter(|name| SENSITIVE_WORDS.iter().any(|word| name.to_uppercase().contains(word))) {
        notes.push(format!("it sees the variable {name}, which may hold a secret"));
    }
    Learned { policy, notes }
}

/// The rule for a flow to `host:port`, by name or by address.
fn net_rule(peer: &str, proto: Proto) -> Option<Value> {
    if let Ok(peer) = peer.parse::<SocketAddr>() {
        let address = buntime_policy::Cidr::from(peer.ip());
        return Some(json!({
            "action": "allow", "proto": proto, "cidr": address.to_string(), "ports": peer.port().to_string()
        }));
    }
    let (host, port) = peer.rsplit_once(':')?;
    Some(json!({"action": "allow", "host": host, "proto": proto, "ports": port}))
}

fn write_perms() -> Value {
    buntime_policy::WRITE_PERMS.iter().map(|perm| json!(perm)).collect()
}

/// Paths, none of which lies below another once they are gathered.
struct Places(BTreeSet<PathBuf>);

impl FromIterator<PathBuf> for Places {
    fn from_iter<I: IntoIterator<Item = PathBuf>>(paths: I) -> Self {
        Self(paths.into_iter().collect())
    }
}

impl Places {
    fn gather(&mut self, notes: &mut Vec<String>, verb: &str) {
        let mut files: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for directory in self.0.iter().filter_map(|path| path.parent()) {
            *files.entry(directory.to_owned()).or_default() += 1;
        }
        for (directory, count) in files.into_iter().filter(|(_, count)| *count >= MANY) {
            notes.push(format!("{count} files of {} were {verb}: the directory is named for all", directory.display()));
            self.0.insert(directory);
        }
        let all = self.0.clone();
        self.0.retain(|path| !path.ancestors().skip(1).any(|above| all.contains(above)));
    }
}

/// A path as a rule says it; one that no rule can say is told of.
fn said(path: &Path, notes: &mut Vec<String>) -> Option<String> {
    let text = path.to_str().filter(|text| !text.contains(['*', '?', '[']));
    if text.is_none() {
        notes.push(format!("{} cannot be named in a policy: name its directory", path.display()));
    }
    text.map(str::to_owned)
}

/// A shared library by its name: programs bring their own.
fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path == Path::new("/etc/ld.so.cache")
        || is_library_of_the_system(path) && (name.ends_with(".so") || name.contains(".so."))
}

fn is_library_of_the_system(path: &Path) -> bool {
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"].iter().any(|place| path.starts_with(place))
}

fn is_sensitive(path: &Path) -> bool {
    let by_name = |name: &str| {
        SENSITIVE_NAMES.contains(&name)
            || name.starts_with(".env.")
            || SENSITIVE_ENDS.iter().any(|end| name.ends_with(end))
    };
    let is_home = path == Path::new("/root") || path.parent() == Some(Path::new("/home")) || path == Path::new("/");
    is_home || path.components().any(|part| by_name(&part.as_os_str().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(needs: &[(Need, &str)]) -> Learned {
        let mut all = Needs::default();
        needs.iter().for_each(|(need, what)| all.add(*need, PathBuf::from(what)));
        let given = Given { runtime: &["/usr/lib/python3".into()], entry: Some(Path::new("/w/main.py")) };
        synthesise(&all, &given)
    }

    fn paths(learned: &Learned, key: &str, perm: Option<&str>) -> Vec<String> {
        let rules = learned.policy[key]["rules"].as_array().cloned().unwrap_or_default();
        let has = |rule: &Value| perm.is_none_or(|perm| rule["perms"].as_array().unwrap().contains(&json!(perm)));
        rules.iter().filter(|rule| has(rule)).map(|rule| rule["path"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn nothing_is_needed_beyond_what_every_worker_has() {
        let learned = learned(&[
            (Need::Read, "/usr/lib/python3/os.py"),
            (Need::Read, "/w/main.py"),
            (Need::List, "/w"),
            (Need::Read, "/proc/self/maps"),
            (Need::Name, "/w/__pycache__/x.pyc"),
            (Need::Variable, "PATH"),
        ]);
        assert_eq!(learned.policy, json!({"version": 1}));
        assert_eq!(learned.notes, [""; 0]);
    }

    #[test]
    fn files_are_named_one_by_one_and_directories_where_they_were_listed() {
        let learned = learned(&[
            (Need::Read, "/data/a"),
            (Need::Read, "/tree/x/1"),
            (Need::List, "/tree"),
            (Need::List, "/tree/x"),
            (Need::Write, "/out/there"),
            (Need::Run, "/usr/bin/git"),
            (Need::Variable, "LOOKED_AT"),
        ]);
        assert_eq!(paths(&learned, "fs", Some("read_file")), ["/data/a", "/tree"]);
        assert_eq!(paths(&learned, "fs", Some("write_file")), ["/out/there"]);
        assert_eq!(paths(&learned, "exec", None), ["/usr/bin/git"]);
        assert_eq!(learned.policy["env"], json!({"rules": [{"action": "allow", "name": "LOOKED_AT"}]}));
    }

    #[test]
    fn what_is_made_takes_its_directory_and_so_does_reading_it_again() {
        let learned = learned(&[
            (Need::Name, "/out/new"),
            (Need::Name, "/out/new/file"),
            (Need::Read, "/out/new/file"),
            (Need::Read, "/in"),
        ]);
        assert_eq!(paths(&learned, "fs", Some("write_file")), ["/out"]);
        assert_eq!(paths(&learned, "fs", Some("read_file")), ["/in", "/out"]);
    }

    #[test]
    fn modules_beside_the_script_take_its_directory() {
        let learned = learned(&[(Need::List, "/w"), (Need::Read, "/w/helper.py")]);
        assert_eq!(paths(&learned, "fs", None), ["/w"]);
    }

    #[test]
    fn data_beside_the_script_does_not_unless_the_script_lists_it() {
        let needs = [(Need::List, "/w"), (Need::Read, "/w/data.csv"), (Need::Read, "/w/package/x.py")];
        assert_eq!(paths(&learned(&needs), "fs", None), ["/w/data.csv", "/w/package/x.py"]);
        let needs = [(Need::List, "/w"), (Need::Listing, "/w"), (Need::Read, "/w/data.csv")];
        assert_eq!(paths(&learned(&needs), "fs", None), ["/w"]);
    }

    #[test]
    fn many_files_of_one_directory_become_the_directory() {
        let names: Vec<String> = (0..MANY).map(|number| format!("/many/{number}")).collect();
        let needs: Vec<(Need, &str)> = names.iter().map(|name| (Need::Read, name.as_str())).collect();
        let learned = learned(&needs);
        assert_eq!(paths(&learned, "fs", None), ["/many"]);
        assert!(learned.notes[0].contains("/many"), "{:?}", learned.notes);
    }

    #[test]
    fn secrets_and_what_no_rule_can_say_are_told_of() {
        let learned = learned(&[
            (Need::Read, "/root/.ssh/id_rsa"),
            (Need::Read, "/w/.env"),
            (Need::Read, "/data/server.pem"),
            (Need::Read, "/data/what?"),
            (Need::List, "/home/me"),
            (Need::Variable, "GITHUB_TOKEN"),
        ]);
        for part in [".ssh", "/w/.env", "server.pem", "/data/what?", "/home/me", "GITHUB_TOKEN"] {
            assert!(learned.notes.iter().any(|note| note.contains(part)), "{part}: {:?}", learned.notes);
        }
        assert!(!paths(&learned, "fs", None).contains(&"/data/what?".to_owned()));
    }

    #[test]
    fn what_is_learned_is_a_policy() {
        let learned = learned(&[
            (Need::Read, "/a"),
            (Need::Name, "/b/c"),
            (Need::Run, "/bin/x"),
            (Need::Load, "/opt/lib.so"),
            (Need::Variable, "A"),
            (Need::Connect, "db.example:5432"),
            (Need::Connect, "10.0.0.1:443"),
            (Need::Send, "[2001:db8::1]:53"),
        ]);
        assert_eq!(
            learned.policy["net"]["rules"],
            json!([
                {"action": "allow", "proto": "tcp", "cidr": "10.0.0.1/32", "ports": "443"},
                {"action": "allow", "host": "db.example", "proto": "tcp", "ports": "5432"},
                {"action": "allow", "proto": "udp", "cidr": "2001:db8::1/128", "ports": "53"},
            ])
        );
        buntime_policy::parse_policy(&learned.policy.to_string(), "learned").unwrap();
    }

    #[test]
    fn a_run_without_end_is_bounded_and_said_to_be() {
        let mut needs = Needs::default();
        for number in 0..MAX_KEPT + 5 {
            needs.add(Need::Read, PathBuf::from(format!("/d{number}/x")));
        }
        let learned = synthesise(&needs, &Given { runtime: &[], entry: None });
        assert!(learned.notes[0].starts_with("5 more accesses"), "{:?}", learned.notes[0]);
    }
}
