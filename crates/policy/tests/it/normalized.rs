use buntime_policy::{MetaSource, PolicyMeta, PolicyStack, parse_policy};
use serde_json::{Value, json};

use crate::{permissions, stack};

const DEFAULT: &str = include_str!("../../../../policies/default.json");
const LAMBDA: &str = include_str!("../../../../policies/lambda.json");

fn to_value(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn the_guides_lambda_policy() {
    let policy = parse_policy(LAMBDA, "lambda.json").unwrap();
    assert_eq!(
        to_value(&policy.normalized()),
        json!({
            "version": 1,
            "plugins": {"namespaces": true, "landlock": true, "seccomp": true},
            "defaults": {"fs": "deny", "net": "deny", "exec": "deny"},
            "fs": {"rules": [
                {"action": "allow", "path": "/tmp", "perms": ["read_file", "read_dir"]},
                {"action": "allow", "path": "/proc/self/fd", "perms": ["read_file", "read_dir"]},
            ]},
            "net": {"rules": []},
            "exec": {"rules": []},
            "env": {"rules": []},
            "ffi": {"rules": []},
            "sys": {"rules": []},
            "antiEscape": {"denySyscalls": [
                "ptrace", "bpf", "mount", "umount2", "setns", "kexec_load", "init_module", "finit_module",
                "perf_event_open", "keyctl", "add_key",
            ]},
            "audit": {"enabled": true, "events": ["openat", "connect", "execve"]},
        })
    );
    assert_eq!(policy.rules()[1].origin.to_string(), "lambda.json: rules.fs.allow[1]");
}

#[test]
fn the_default_policy_is_no_policy() {
    let policy = parse_policy(DEFAULT, "default.json").unwrap();
    assert_eq!(policy.normalized(), PolicyStack::deny_all().normalized());
    assert_eq!(to_value(&policy.normalized()), serde_json::from_str::<Value>(DEFAULT).unwrap());
}

#[test]
fn every_kind_of_rule() {
    let policy = parse_policy(
        r#"{
            "version": 1,
            "net": {"rules": [
                {"action": "warn", "proto": "udp", "cidr": "10.9.9.9/8", "ports": "53,8000-9000", "locked": true},
                {"action": "allow", "host": "GitHub.com."}
            ]},
            "exec": {"rules": [{"action": "deny", "path": "/bin/*"}, {"action": "allow", "path": "python3"}]},
            "env": {"rules": [{"action": "allow", "name": "AWS_*", "locked": false}]},
            "ffi": {"rules": [{"action": "allow", "path": "./lib"}]},
            "sys": {"rules": [{"action": "allow", "name": "username"}]},
            "rules": {"net": {"allow": ["*:443"], "deny": ["a.com"]}, "fs": {"allow": ["out/../x"], "mode": "write"}},
            "antiEscape": {"denySyscalls": []},
            "minTier": "full"
        }"#,
        "p.json",
    )
    .unwrap();
    let all = json!([{"from": 0, "to": 65535}]);
    let https = json!([{"from": 443, "to": 443}]);
    let normalized = to_value(&policy.normalized());
    assert_eq!(
        normalized["net"]["rules"],
        json!([
            {
                "action": "warn", "proto": "udp", "cidr": "10.0.0.0/8",
                "ports": [{"from": 53, "to": 53}, {"from": 8000, "to": 9000}], "locked": true,
            },
            {"action": "allow", "proto": "tcp", "host": "github.com", "ports": all},
            {"action": "allow", "proto": "tcp", "host": "*", "ports": https},
            {"action": "deny", "proto": "tcp", "host": "a.com", "ports": all},
            {"action": "deny", "proto": "udp", "host": "a.com", "ports": all},
        ])
    );
    assert_eq!(
        normalized["exec"]["rules"],
        json!([{"action": "deny", "path": "/bin/*"}, {"action": "allow", "path": "python3"}])
    );
    assert_eq!(normalized["env"]["rules"], json!([{"action": "allow", "name": "AWS_*"}]));
    assert_eq!(normalized["ffi"]["rules"], json!([{"action": "allow", "path": "lib"}]));
    assert_eq!(normalized["sys"]["rules"], json!([{"action": "allow", "name": "userInfo"}]));
    assert_eq!(normalized["antiEscape"]["denySyscalls"], json!([]));
    assert_eq!(normalized["minTier"], Value::Null);

    let absolute = to_value(&policy.clone().absolute("/etc/app").unwrap().normalized());
    assert_eq!(absolute["fs"]["rules"][0]["path"], "/etc/app/x");
    assert_eq!(absolute["ffi"]["rules"][0]["path"], "/etc/app/lib");
    assert_eq!(absolute["exec"]["rules"][1]["path"], "python3");

    let file = to_value(&policy);
    assert_eq!(file["net"]["rules"][0]["ports"], "53,8000-9000");
    assert_eq!(file["minTier"], "full");
    assert_eq!(parse_policy(&file.to_string(), "p.json").unwrap().normalized(), policy.normalized());
}

#[test]
fn flags_as_a_policy_file() {
    let policy = permissions("--allow-net=github.com --allow-read --deny-env=AWS_*").to_policy().unwrap();
    let file = to_value(&policy);
    assert_eq!(
        file["net"]["rules"][0],
        json!({"action": "allow", "proto": "tcp", "host": "github.com", "ports": "0-65535"})
    );
    assert_eq!(file["fs"]["rules"], json!([{"action": "allow", "path": "/", "perms": ["read_file", "read_dir"]}]));
    assert_eq!(file["env"]["rules"], json!([{"action": "deny", "name": "AWS_*"}]));
}

#[test]
fn the_merged_view_drops_what_a_higher_source_lifts_altogether() {
    let file = r#""fs": {"rules": [
        {"action": "deny", "path": "/data/x", "perms": ["read_file"]},
        {"action": "deny", "path": "/data", "perms": ["read_file"]},
        {"action": "deny", "path": "/data/x", "perms": ["read_file"], "locked": true}
    ]}, "env": {"rules": [{"action": "deny", "name": "A"}]}"#;
    let rules = |flags| -> Vec<String> { stack(flags, "", file).rules().map(ToString::to_string).collect() };
    assert_eq!(
        rules("--allow-read=/data/x"),
        ["allow read /data/x", "deny read_file /data", "deny read_file /data/x", "deny env A"]
    );
    assert_eq!(rules("--allow-all"), ["allow all", "deny read_file /data/x"]);
    assert_eq!(
        rules("--allow-all --deny-env=B"),
        ["allow all", "deny env B", "deny read_file /data/x", "deny env A"],
        "a source that denies within a kind lifts nothing altogether"
    );
    let programs = |flags: &str, path: &str| {
        let file = format!(r#""exec": {{"rules": [{{"action": "deny", "path": "{path}"}}]}}"#);
        stack(flags, "", &file).rules().count()
    };
    assert_eq!(programs("--allow-run=/bin/sh", "/bin/sh"), 1);
    assert_eq!(programs("--allow-run=sh", "sh"), 2, "the denial is about sh in every directory");
    let normalized = to_value(&stack("--allow-all", "", "").normalized());
    assert_eq!(normalized["fs"]["rules"][0]["perms"].as_array().map(Vec::len), Some(14));
    for kind in ["net", "exec", "env", "ffi", "sys"] {
        assert_ne!(normalized[kind]["rules"], json!([]), "{kind}");
    }
}

#[test]
fn metadata() {
    let policy = parse_policy(LAMBDA, "lambda.json").unwrap().normalized();
    let meta = PolicyMeta::new(&policy, vec!["lambda".into()], MetaSource::Boot, "2025-01-01T00:00:00Z".into());
    assert_eq!(
        to_value(&meta),
        json!({
            "policyKeys": ["lambda"], "policyCount": 1,
            "defaults": {"fs": "deny", "net": "deny", "exec": "deny"},
            "rules": {"fs": 2, "net": 0, "exec": 0, "antiEscape": 11, "total": 13},
            "audit": {"enabled": true, "events": ["openat", "connect", "execve"]},
            "source": "boot", "appliedAt": "2025-01-01T00:00:00Z",
        })
    );
}
