//! `config.json`: the guide's `SandboxConfig`, its defaults, and what of it is enforced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use buntime_policy::{Ceiling, Origin};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;

/// The guide's configuration, every key present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SandboxConfig {
    /// What becomes of what is denied.
    pub security: Security,
    /// The ceiling of the network.
    pub network: Network,
    /// Scratch space.
    pub filesystem: Filesystem,
    /// Limits.
    pub resources: Resources,
}

/// `security` of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// `strict` or `monitor`.
    pub mode: String,
}

/// `network` of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// False: no network, whatever a policy says.
    pub enabled: bool,
    /// `allow_list` or `deny_all`.
    pub policy: String,
    /// Hosts; `*` is all.
    pub allow_list: Vec<String>,
    /// Hosts.
    pub deny_list: Vec<String>,
    /// New connections per second.
    pub rate_limit: f64,
    /// `HTTP_PROXY` and its like name the sandbox's proxy, for clients that go by them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_variables: Option<bool>,
    /// Who gave which of the keys. A refusal names the place.
    #[serde(skip)]
    given_by: BTreeMap<String, String>,
}

/// `filesystem` of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// A private, writable `/tmp`.
    pub allow_write: bool,
}

/// `resources` of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// MB.
    pub memory_limit: f64,
    /// Percent of one core.
    pub cpu_limit: f64,
    /// Processes and threads at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pids: Option<u64>,
    /// Descriptors of one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_open_files: Option<u64>,
    /// MB that one file may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<f64>,
    /// MB that the private `/tmp` of `filesystem.allow_write` holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_size: Option<f64>,
    /// Of one execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_bytes: Option<u64>,
    /// For one execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            security: Security { mode: "strict".into() },
            network: Network {
                enabled: true,
                policy: "allow_list".into(),
                allow_list: vec!["*".into()],
                deny_list: vec![],
                rate_limit: 5.0,
                proxy_variables: None,
                given_by: BTreeMap::new(),
            },
            filesystem: Filesystem { allow_write: false },
            resources: Resources {
                memory_limit: 64.0,
                cpu_limit: 50.0,
                max_pids: None,
                max_open_files: None,
                max_file_size: None,
                tmpfs_size: None,
                max_output_bytes: None,
                timeout_ms: None,
            },
        }
    }
}

impl Network {
    /// What no policy goes beyond.
    pub fn ceiling(&self) -> Result<Ceiling, Error> {
        let origin = |key: &str| match self.given_by.get(key) {
            Some(name) => Origin::Document { name: name.clone(), path: format!("network.{key}") },
            None => Origin::Default,
        };
        if !self.enabled {
            return Ok(Ceiling::closed("network.enabled = false", origin("enabled")));
        }
        if self.policy != "allow_list" {
            return Ok(Ceiling::closed(&format!("network.policy = {:?}", self.policy), origin("policy")));
        }
        let lists = Ceiling::lists((&self.allow_list, origin("allow_list")), (&self.deny_list, origin("deny_list")));
        lists.map_err(|error| bad(error.to_string()))
    }
}

/// A value and who gave it: only what was written somewhere is held against what is enforced.
#[derive(Clone, Debug)]
pub struct Configured {
    pub config: SandboxConfig,
    /// What of the given keys cannot be enforced yet, in words that name file and key.
    pub unsupported: Vec<String>,
    pub notes: Vec<String>,
    /// The file that it came from.
    pub file: Option<PathBuf>,
}

/// A file's object.
struct Given {
    file: PathBuf,
    /// As a refusal names it: as the caller did, else without the way to it.
    name: String,
    value: Value,
    /// By the caller; else it lay in the working directory, where anybody may have put it.
    named: bool,
}

/// Reads `path`, or `config.json` in the working directory, or gives the defaults. Broken files are errors.
pub fn load_config(path: Option<&Path>) -> Result<SandboxConfig, Error> {
    let mut notes = Vec::new();
    let given = read(path, Path::new("."), &mut notes)?;
    merge(given, None, notes).map(|loaded| loaded.config)
}

/// For a start: from `cwd`, with an object merged deeply over it.
pub(crate) fn load(path: Option<&Path>, cwd: &Path, over: Option<&Value>) -> Result<Configured, Error> {
    let mut notes = Vec::new();
    let file = match read(path, cwd, &mut notes) {
        // Nobody named it, and whoever can put a file there is not to fail every start. The defaults allow nothing.
        Err(error) if path.is_none() => {
            notes.push(format!("{error}; it was found, not named, and is left alone"));
            None
        }
        read => read?,
    };
    merge(file, over, notes)
}

fn merge(given: Option<Given>, over: Option<&Value>, notes: Vec<String>) -> Result<Configured, Error> {
    let mut merged = serde_json::to_value(SandboxConfig::default()).unwrap_or_default();
    let mut loaded = Configured { config: SandboxConfig::default(), unsupported: vec![], file: None, notes };
    let mut given_by = BTreeMap::new();
    if let Some(Given { file, name: short_name, mut value, named }) = given {
        let name = file.display().to_string();
        if !named && forget_monitor(&mut value) {
            let note = "security.mode = \"monitor\" has no effect, since the file was found, not named";
            loaded.notes.push(format!("{name}: {note}: whoever put it there could turn the sandbox off"));
        }
        take(&mut merged, &value, &name, &mut loaded.unsupported)?;
        note_network(&mut given_by, &value, &short_name);
        loaded.file = Some(file);
    }
    if let Some(given) = over {
        take(&mut merged, given, OVERRIDE, &mut loaded.unsupported)?;
        note_network(&mut given_by, given, OVERRIDE);
    }
    loaded.config = serde_json::from_value(merged).map_err(|error| bad(format!("configuration: {error}")))?;
    loaded.config.network.given_by = given_by;
    loaded.config.network.ceiling()?;
    Ok(loaded)
}

/// What a second object over the file's is called.
const OVERRIDE: &str = "start(configOverride)";

/// Notes whose the keys of `network` are.
fn note_network(given_by: &mut BTreeMap<String, String>, value: &Value, name: &str) {
    let keys = value.get("network").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    given_by.extend(keys.map(|key| (key.clone(), name.to_owned())));
}

/// Takes the order to deny nothing out of a configuration. True where it was there.
fn forget_monitor(value: &mut Value) -> bool {
    let security = value.get_mut("security").and_then(Value::as_object_mut);
    security.is_some_and(|keys| {
        let monitors = keys.get("mode").is_some_and(|mode| mode == "monitor");
        if monitors {
            keys.remove("mode");
        }
        monitors
    })
}

fn bad(message: String) -> Error {
    Error::policy("ERR_BUNTIME_CONFIG", message)
}

/// The file's object. A `config.json` that was only found, and holds none of our keys, is somebody else's.
fn read(path: Option<&Path>, cwd: &Path, notes: &mut Vec<String>) -> Result<Option<Given>, Error> {
    let file = cwd.join(path.unwrap_or(Path::new("config.json")));
    let text = match crate::files::read_text(&file, path.is_some()) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_none() => return Ok(None),
        Err(error) => return Err(bad(format!("{}: {error}", file.display()))),
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| bad(format!("{}: {error}", file.display())))?;
    let ours = value.as_object().is_some_and(|keys| SECTIONS.iter().any(|(name, _)| keys.contains_key(*name)));
    if path.is_none() && !ours {
        notes.push(format!("{} holds none of our keys and is left alone", file.display()));
        return Ok(None);
    }
    let name = path.map_or_else(|| "config.json".to_owned(), |path| path.display().to_string());
    Ok(Some(Given { file, name, value, named: path.is_some() }))
}

/// The type of a key's value.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Number,
    Whole,
    OneOf(&'static [&'static str]),
    Texts,
}

const SECTIONS: [(&str, &[(&str, Kind)]); 4] = [
    ("security", &[("mode", Kind::OneOf(&["strict", "monitor"]))]),
    (
        "network",
        &[
            ("enabled", Kind::Bool),
            ("policy", Kind::OneOf(&["allow_list", "deny_all"])),
            ("allow_list", Kind::Texts),
            ("deny_list", Kind::Texts),
            ("rate_limit", Kind::Number),
            ("proxy_variables", Kind::Bool),
        ],
    ),
    ("filesystem", &[("allow_write", Kind::Bool)]),
    (
        "resources",
        &[
            ("memory_limit", Kind::Number),
            ("cpu_limit", Kind::Number),
            ("max_pids", Kind::Whole),
            ("max_open_files", Kind::Whole),
            ("max_file_size", Kind::Number),
            ("tmpfs_size", Kind::Number),
            ("max_output_bytes", Kind::Whole),
            ("timeout_ms", Kind::Whole),
        ],
    ),
];

/// Checks `given` and merges it over `into`.
fn take(into: &mut Value, given: &Value, name: &str, unsupported: &mut Vec<String>) -> Result<(), Error> {
    let sections = object(given, name, "")?;
    for (section, value) in sections {
        let known: Vec<&str> = SECTIONS.iter().map(|(known, _)| *known).collect();
        let Some((_, keys)) = SECTIONS.iter().find(|(known, _)| known == section) else {
            return Err(unknown(name, section, &known));
        };
        for (key, value) in object(value, name, section)? {
            let path = format!("{section}.{key}");
            let Some((_, kind)) = keys.iter().find(|(known, _)| known == key) else {
                return Err(unknown(name, &path, &keys.iter().map(|(known, _)| *known).collect::<Vec<_>>()));
            };
            check(value, *kind).map_err(|expected| bad(format!("{name}: {path} is {value}, expected {expected}")))?;
            if !is_enforced(&path) {
                unsupported.push(format!("{name}: {path} = {value} is not supported yet"));
            }
            into[section.as_str()][key.as_str()] = value.clone();
        }
    }
    Ok(())
}

fn object<'a>(value: &'a Value, name: &str, path: &str) -> Result<&'a Map<String, Value>, Error> {
    let colon = if path.is_empty() { "" } else { ": " };
    value.as_object().ok_or_else(|| bad(format!("{name}{colon}{path} is {value}, expected an object")))
}

fn unknown(name: &str, path: &str, known: &[&str]) -> Error {
    let key = path.rsplit('.').next().unwrap_or(path);
    bad(format!("{name}: unknown key {path:?}, {}", buntime_policy::did_you_mean(key, known)))
}

fn check(value: &Value, kind: Kind) -> Result<(), String> {
    let fits = match kind {
        Kind::Bool => value.is_boolean(),
        Kind::Number => value.as_f64().is_some_and(|number| number.is_finite() && number > 0.0),
        Kind::Whole => value.as_u64().is_some_and(|number| number > 0),
        Kind::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Kind::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
    };
    if fits {
        return Ok(());
    }
    Err(match kind {
        Kind::Bool => "true or false".into(),
        Kind::Number => "a number above 0".into(),
        Kind::Whole => "a whole number above 0".into(),
        Kind::OneOf(words) => format!("one of {words:?}"),
        Kind::Texts => "a list of strings".into(),
    })
}

/// Whether a given key is in force: there is no limit of memory or processor time yet.
fn is_enforced(path: &str) -> bool {
    path.starts_with("network.") || matches!(path, "security.mode" | "filesystem.allow_write" | "resources.tmpfs_size")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn over(value: Value) -> Result<Configured, Error> {
        load(None, Path::new("/nonexistent"), Some(&value))
    }

    #[test]
    fn the_guides_defaults() {
        let config = load(None, Path::new("/nonexistent"), None).unwrap().config;
        assert_eq!(
            serde_json::to_value(config).unwrap(),
            json!({
                "security": {"mode": "strict"},
                "network": {
                    "enabled": true, "policy": "allow_list", "allow_list": ["*"], "deny_list": [], "rate_limit": 5.0
                },
                "filesystem": {"allow_write": false},
                "resources": {"memory_limit": 64.0, "cpu_limit": 50.0},
            })
        );
    }

    #[test]
    fn merges_deeply_and_says_what_is_not_enforced() {
        let loaded = over(json!({"network": {"enabled": false}, "resources": {"memory_limit": 128}})).unwrap();
        assert!(!loaded.config.network.enabled);
        assert_eq!(loaded.config.network.rate_limit, 5.0);
        assert_eq!(loaded.config.resources.memory_limit, 128.0);
        assert_eq!(loaded.unsupported, ["start(configOverride): resources.memory_limit = 128 is not supported yet"]);
        assert!(over(json!({"filesystem": {"allow_write": true}})).unwrap().unsupported.is_empty());
    }

    /// Whether a flow to a name passes, or who refuses it by which rule.
    fn asked(network: Value, host: &str, port: u16) -> Option<(String, String)> {
        let ceiling = over(json!({ "network": network })).unwrap().config.network.ceiling().unwrap();
        let flags = buntime_policy::Permissions { allow_all: true, ..Default::default() };
        let mut stack = buntime_policy::PolicyStack::deny_all();
        stack.push_flags(&flags, "/").unwrap();
        let name = buntime_policy::Name::parse(host).unwrap();
        let decision =
            buntime_policy::Egress::new(stack, ceiling).decide_named(&name, port, buntime_policy::Proto::Tcp);
        (!decision.allowed).then(|| (decision.source, decision.rule.unwrap_or_default()))
    }

    #[test]
    fn the_network_has_a_ceiling_that_names_its_place() {
        let refused = |key: &str, rule: &str| Some((format!("start(configOverride): network.{key}"), rule.to_owned()));
        for (network, expected) in [
            (json!({}), None),
            (json!({"allow_list": ["*"], "enabled": true, "policy": "allow_list"}), None),
            (json!({"allow_list": ["a.com"]}), None),
            (json!({"allow_list": ["a.com:443"]}), None),
            (json!({"enabled": false}), refused("enabled", "network.enabled = false")),
            (json!({"policy": "deny_all"}), refused("policy", "network.policy = \"deny_all\"")),
            (json!({"allow_list": []}), refused("allow_list", "not on network.allow_list")),
            (json!({"allow_list": ["b.com", "a.com:80"]}), refused("allow_list", "not on network.allow_list")),
            (json!({"deny_list": ["b.com", "*.com"]}), refused("deny_list[1]", "deny net *.com")),
        ] {
            assert_eq!(asked(network.clone(), "a.com", 443), expected, "{network}");
        }
    }

    #[test]
    fn every_key_of_the_network_is_in_force_and_a_bad_one_an_error() {
        let network = json!({
            "enabled": true, "policy": "allow_list", "allow_list": ["*.com:80"], "deny_list": [], "rate_limit": 0.5
        });
        assert!(over(json!({ "network": network })).unwrap().unsupported.is_empty());
        for (network, expected) in [
            (json!({"rate_limit": 0}), "network.rate_limit is 0, expected a number above 0"),
            (json!({"rate_limit": -5}), "network.rate_limit is -5, expected a number above 0"),
            (json!({"deny_list": ["a.com", "0x7f.1"]}), "network.deny_list[1]: found \"0x7f.1\""),
            (json!({"allow_list": ["http://a.com"]}), "expected a host name, not a URL"),
            (json!({"policy": "allow"}), "one of [\"allow_list\", \"deny_all\"]"),
        ] {
            let error = over(json!({ "network": network })).unwrap_err();
            assert_eq!(error.code, "ERR_BUNTIME_CONFIG");
            assert!(error.message.contains(expected), "{}", error.message);
        }
    }

    #[test]
    fn a_file_that_was_only_found_does_not_turn_the_sandbox_off() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, r#"{"security": {"mode": "monitor"}, "filesystem": {"allow_write": true}}"#).unwrap();
        let found = load(None, dir.path(), None).unwrap();
        assert_eq!((&*found.config.security.mode, found.config.filesystem.allow_write), ("strict", true));
        assert!(matches!(&found.notes[..], [note] if note.contains("config.json: security.mode = \"monitor\"")));
        for named in [Path::new("config.json"), &file] {
            let named = load(Some(named), dir.path(), None).unwrap();
            assert_eq!((&*named.config.security.mode, named.notes.len()), ("monitor", 0));
        }
        assert_eq!(over(json!({"security": {"mode": "monitor"}})).unwrap().config.security.mode, "monitor");
        assert_eq!(load_config(Some(&file)).unwrap().security.mode, "monitor");
    }

    #[test]
    fn further_limits_are_known_and_absent_unless_given() {
        let loaded = over(json!({"resources": {"max_pids": 7, "tmpfs_size": 1.5}})).unwrap();
        assert_eq!((loaded.config.resources.max_pids, loaded.config.resources.tmpfs_size), (Some(7), Some(1.5)));
        assert_eq!(loaded.unsupported, ["start(configOverride): resources.max_pids = 7 is not supported yet"]);
        let wrong = over(json!({"resources": {"max_open_files": 1.5}})).unwrap_err().message;
        assert!(wrong.contains("resources.max_open_files is 1.5, expected a whole number above 0"), "{wrong}");
    }

    #[test]
    fn errors_name_place_value_and_what_was_expected() {
        let message = |value| over(value).unwrap_err().message;
        let unknown = message(json!({"netwrok": {}}));
        assert!(unknown.contains("\"netwrok\"") && unknown.contains("network"), "{unknown}");
        let unknown = message(json!({"network": {"ratelimit": 5}}));
        assert!(unknown.contains("network.ratelimit") && unknown.contains("rate_limit"), "{unknown}");
        let wrong = message(json!({"filesystem": {"allow_write": "yes"}}));
        assert!(wrong.contains("filesystem.allow_write is \"yes\", expected true or false"), "{wrong}");
        assert!(message(json!({"resources": {"cpu_limit": -1}})).contains("above 0"));
        assert!(message(json!([])).contains("expected an object"));
    }

    #[test]
    fn a_file_of_somebody_elses_is_left_alone_unless_it_was_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"port": 3000}"#).unwrap();
        let loaded = load(None, dir.path(), None).unwrap();
        assert_eq!(loaded.config, SandboxConfig::default());
        assert_eq!(loaded.notes.len(), 1);
        assert!(load(Some(Path::new("config.json")), dir.path(), None).is_err());
        assert!(load(Some(Path::new("missing.json")), dir.path(), None).is_err());
    }

    #[test]
    fn a_broken_file_that_was_only_found_is_a_note_and_a_named_one_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        let check = |expected: &str| {
            let loaded = load(None, dir.path(), None).unwrap();
            assert_eq!(loaded.config, SandboxConfig::default());
            assert!(matches!(&loaded.notes[..], [note] if note.contains("config.json") && note.contains(expected)));
        };
        std::fs::write(&file, "{").unwrap();
        check("EOF");
        let error = load(Some(Path::new("config.json")), dir.path(), None).unwrap_err();
        assert!(error.message.contains("config.json"), "{error}");
        assert!(load_config(Some(&file)).is_err());

        std::fs::rename(&file, dir.path().join("other.json")).unwrap();
        std::fs::write(dir.path().join("other.json"), r#"{"filesystem": {"allow_write": true}}"#).unwrap();
        std::os::unix::fs::symlink("other.json", &file).unwrap();
        check("");
        assert!(load(Some(Path::new("config.json")), dir.path(), None).unwrap().config.filesystem.allow_write);
    }
}
