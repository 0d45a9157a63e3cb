//! Policies and the configuration as plain functions, and permissions as options.

use std::path::PathBuf;

use buntime_policy::{Grants, MetaSource, Permissions, Policy, Selection, merge_policies as merge, parse_policy};
use buntime_supervisor::{Error, PolicySet};
use napi::bindgen_prelude::Unknown;
use napi_derive::napi;
use serde_json::Value;

use crate::error::{invalid_option, to_js};
use crate::options::{strings, unexpected, unknown};
use crate::value;

#[napi(ts_return_type = "Promise<object>")]
pub async fn load_config(path: Option<String>) -> napi::Result<Value> {
    let path = path.map(PathBuf::from);
    let config = buntime_supervisor::load_config(path.as_deref()).map_err(to_js)?;
    Ok(serde_json::to_value(config)?)
}

#[napi(ts_return_type = "Promise<object>")]
pub async fn load_policy(path_or_name: String) -> napi::Result<Value> {
    let policy = buntime_supervisor::load_policy(&path_or_name).map_err(to_js)?;
    Ok(serde_json::to_value(policy)?)
}

#[napi(catch_unwind, ts_return_type = "object")]
pub fn merge_policies(policies: Unknown<'_>) -> napi::Result<Value> {
    let policies = list(value::plain(policies, "policies")?).map_err(to_js)?;
    Ok(serde_json::to_value(merge(&policies))?)
}

fn list(policies: Value) -> Result<Vec<Policy>, Error> {
    let Value::Array(policies) = policies else {
        return Err(unexpected("policies", &policies, "a list of policies"));
    };
    policies
        .iter()
        .enumerate()
        // By way of text, which is what the parser reads: its errors then name the place in it.
        .map(|(index, policy)| parse_policy(&policy.to_string(), &format!("policies[{index}]")))
        .collect::<Result<_, _>>()
        .map_err(|error| Error::policy("ERR_BUNTIME_POLICY", error.to_string()))
}

/// Reads what `applyPolicySet` takes.
pub fn set(set: Value, source: Value) -> Result<PolicySet, Error> {
    let Value::Object(mut map) = set else {
        return Err(unexpected("set", &set, "an object with a list of policies"));
    };
    const KEYS: [&str; 2] = ["policies", "policyKeys"];
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(unknown("key of a policy set", key, &KEYS));
    }
    let policies = list(map.remove("policies").unwrap_or_default())?;
    let keys = match map.remove("policyKeys") {
        None => (0..policies.len()).map(|index| format!("policies[{index}]")).collect(),
        Some(keys) => strings("policyKeys", keys)?,
    };
    if keys.len() != policies.len() {
        let message = format!("policyKeys has {} names for {} policies", keys.len(), policies.len());
        return Err(invalid_option(message));
    }
    let source = match source {
        Value::Null => MetaSource::Apply,
        Value::String(word) if word == "run" => MetaSource::Run,
        Value::String(word) if word == "apply" => MetaSource::Apply,
        other => return Err(unexpected("source", &other, r#""run" or "apply""#)),
    };
    Ok(PolicySet { policies, keys, source })
}

const KEYS: [&str; 14] = [
    "allowRead",
    "denyRead",
    "allowWrite",
    "denyWrite",
    "allowNet",
    "denyNet",
    "allowEnv",
    "denyEnv",
    "allowRun",
    "denyRun",
    "allowFfi",
    "denyFfi",
    "allowSys",
    "denySys",
];

/// Reads the option `permissions`: the flags of the command line, in camel case.
pub fn permissions(option: &str, value: Value) -> Result<Permissions, Error> {
    let Value::Object(map) = value else {
        return Err(unexpected(option, &value, "an object"));
    };
    let mut permissions = Permissions::default();
    for (key, value) in map {
        let Some(selection) = selection_mut(&mut permissions, &key) else {
            return Err(unknown("permission", &key, &KEYS));
        };
        let path = format!("{option}.{key}");
        *selection = match value {
            Value::Bool(true) => Selection::All,
            Value::Array(_) => Selection::List(strings(&path, value)?),
            other => return Err(unexpected(&path, &other, "true or a list of strings")),
        };
    }
    Ok(permissions)
}

fn selection_mut<'a>(permissions: &'a mut Permissions, key: &str) -> Option<&'a mut Selection> {
    let (allow, kind) = match key.strip_prefix("allow") {
        Some(kind) => (true, kind),
        None => (false, key.strip_prefix("deny")?),
    };
    let Grants { allow: allowed, deny: denied } = match kind {
        "Read" => &mut permissions.read,
        "Write" => &mut permissions.write,
        "Net" => &mut permissions.net,
        "Env" => &mut permissions.env,
        "Run" => &mut permissions.run,
        "Ffi" => &mut permissions.ffi,
        "Sys" => &mut permissions.sys,
        _ => return None,
    };
    Some(if allow { allowed } else { denied })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_permission_has_a_place() {
        for key in KEYS {
            let parsed = permissions("permissions", json!({ key: ["x"] })).expect(key);
            assert_ne!(parsed, Permissions::default(), "{key}");
        }
    }

    #[test]
    fn true_is_all_and_an_empty_list_is_nothing() {
        let parsed = permissions("permissions", json!({"allowRead": true, "allowWrite": []})).expect("valid");
        assert_eq!(parsed.read.allow, Selection::All);
        assert_eq!(parsed.write.allow, Selection::List(Vec::new()));
    }

    #[test]
    fn a_string_in_place_of_a_list_is_refused() {
        let error = permissions("permissions", json!({"allowRead": "/tmp"})).expect_err("not a list");
        assert_eq!(
            error.message,
            r#"option "permissions.allowRead": expected true or a list of strings, found "/tmp""#
        );
        let error = permissions("permissions", json!({"allowReed": []})).expect_err("unknown");
        assert_eq!(error.hint.as_deref(), Some(r#"did you mean "allowRead"?"#));
    }
}
