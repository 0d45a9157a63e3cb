//! The object that JavaScript gives to `new Supervisor(…)`, checked key by key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use buntime_policy::Tier;
use buntime_supervisor::{Error, Options, SHM_SIZE_RANGE, WorkerKind};
use serde_json::{Map, Value};

use crate::error::invalid_option;
use crate::policy;

const KEYS: [&str; 12] = [
    "policyPath",
    "activePolicyPath",
    "activePolicyMetaPath",
    "shmSize",
    "workerType",
    "sandboxEnabled",
    "minTier",
    "interpreter",
    "cwd",
    "env",
    "args",
    "permissions",
];

/// A key of the design that comes later: told apart from typing errors.
const NOT_YET: &str = "workerCommand";

/// Reads the options. An unknown key is an error: a misspelt `permisions` that was ignored would be found in
/// production.
pub fn parse(options: Value) -> Result<Options, Error> {
    let map = match options {
        Value::Null => Map::new(),
        Value::Object(map) => map,
        other => return Err(unexpected("options", &other, "an object")),
    };
    let mut parsed = Options::default();
    for (key, value) in map {
        match key.as_str() {
            "policyPath" => parsed.policy_path = Some(text(&key, value)?),
            "activePolicyPath" => parsed.active_policy_path = Some(path(&key, value)?),
            "activePolicyMetaPath" => parsed.active_policy_meta_path = Some(path(&key, value)?),
            "shmSize" => parsed.shm_size = shm_size(&key, &value)?,
            "workerType" => parsed.worker = worker(&key, &value)?,
            "sandboxEnabled" => parsed.sandbox_enabled = boolean(&key, &value)?,
            "minTier" => parsed.min_tier = Some(tier(&key, &value)?),
            "interpreter" => parsed.interpreter = Some(path(&key, value)?),
            "cwd" => parsed.cwd = Some(path(&key, value)?),
            "env" => parsed.env = env(&key, value)?,
            "args" => parsed.args = strings(&key, value)?.into_iter().map(OsString::from).collect(),
            "permissions" => parsed.permissions = policy::permissions(&key, value)?,
            NOT_YET => {
                return Err(invalid_option(format!("option {key:?} is not supported yet")));
            }
            _ => return Err(unknown("option", &key, &KEYS)),
        }
    }
    Ok(parsed)
}

fn text(key: &str, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains('\0') => Ok(text),
        other => Err(unexpected(key, &other, "a string that is not empty")),
    }
}

fn path(key: &str, value: Value) -> Result<PathBuf, Error> {
    text(key, value).map(PathBuf::from)
}

fn boolean(key: &str, value: &Value) -> Result<bool, Error> {
    value.as_bool().ok_or_else(|| unexpected(key, value, "true or false"))
}

fn shm_size(key: &str, value: &Value) -> Result<usize, Error> {
    value
        .as_u64()
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| SHM_SIZE_RANGE.contains(bytes))
        .ok_or_else(|| {
            let (least, most) = (SHM_SIZE_RANGE.start(), SHM_SIZE_RANGE.end());
            unexpected(key, value, &format!("a whole number of bytes from {least} to {most}"))
        })
}

fn worker(key: &str, value: &Value) -> Result<WorkerKind, Error> {
    match value.as_str() {
        Some("python") => Ok(WorkerKind::Python),
        Some("bun") => Ok(WorkerKind::Bun),
        _ => Err(unexpected(key, value, r#""python" or "bun""#)),
    }
}

fn tier(key: &str, value: &Value) -> Result<Tier, Error> {
    let named = |tier: &&Tier| value.as_str() == Some(tier.as_str());
    let found = Tier::ALL.iter().find(named).copied();
    found.ok_or_else(|| unexpected(key, value, r#""full", "nested", "landlock" or "none""#))
}

fn env(key: &str, value: Value) -> Result<BTreeMap<String, String>, Error> {
    let Value::Object(map) = value else {
        return Err(unexpected(key, &value, "an object of strings"));
    };
    map.into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            other => Err(unexpected(&format!("{key}.{name}"), &other, "a string")),
        })
        .collect()
}

/// A list of strings, empty ones included: `sys.argv` may hold them.
pub fn strings(key: &str, value: Value) -> Result<Vec<String>, Error> {
    let Value::Array(items) = value else {
        return Err(unexpected(key, &value, "a list of strings"));
    };
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| match item {
            Value::String(text) => Ok(text),
            other => Err(unexpected(&format!("{key}[{index}]"), &other, "a string")),
        })
        .collect()
}

/// `option "shmSize": expected …, found "1mb"`.
pub fn unexpected(key: &str, found: &Value, expected: &str) -> Error {
    let mut found = found.to_string();
    if found.len() > 80 {
        found = found.chars().take(77).chain("...".chars()).collect();
    }
    invalid_option(format!("option {key:?}: expected {expected}, found {found}"))
}

/// `unknown option "shmsize"`, with the name that was probably meant.
pub fn unknown(what: &str, key: &str, known: &[&str]) -> Error {
    let error = invalid_option(format!("unknown {what} {key:?}"));
    match buntime_policy::nearest(key, known.iter().copied()) {
        Some(name) => error.with_hint(format!("did you mean {name:?}?")),
        None => error.with_hint(format!("known: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(options: Value) -> (String, Option<String>) {
        let error = parse(options).expect_err("must be refused");
        (error.message, error.hint)
    }

    #[test]
    fn reads_every_key() {
        let parsed = parse(json!({
            "policyPath": "lambda",
            "shmSize": 4096,
            "workerType": "bun",
            "sandboxEnabled": false,
            "cwd": "/tmp",
            "env": {"A": "1"},
            "args": ["", "x"],
        }))
        .expect("valid");
        assert_eq!(parsed.policy_path.as_deref(), Some("lambda"));
        assert_eq!(parsed.shm_size, 4096);
        assert_eq!(parsed.worker, WorkerKind::Bun);
        assert!(!parsed.sandbox_enabled);
        assert_eq!(parsed.env["A"], "1");
        assert_eq!(parsed.args, ["", "x"]);
    }

    #[test]
    fn names_the_key_the_value_and_what_was_expected() {
        let (text, _) = message(json!({"shmSize": "1mb"}));
        assert_eq!(text, r#"option "shmSize": expected a whole number of bytes from 4096 to 1073741824, found "1mb""#);
        let (text, _) = message(json!({"env": {"A": 1}}));
        assert_eq!(text, r#"option "env.A": expected a string, found 1"#);
    }

    #[test]
    fn an_unknown_key_is_told_with_the_nearest_name() {
        let (text, hint) = message(json!({"permisions": {}}));
        assert_eq!(text, r#"unknown option "permisions""#);
        assert_eq!(hint.as_deref(), Some(r#"did you mean "permissions"?"#));
        let (_, hint) = message(json!({"colour": 1}));
        assert!(hint.expect("lists the names").starts_with("known: policyPath, "));
    }
}
