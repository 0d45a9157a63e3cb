use buntime_policy::{DEFAULT_DENY_SYSCALLS, PolicyStack, Query, Tier, merge_policies, parse_policy};
use serde_json::json;

fn merged(bodies: &[&str]) -> buntime_policy::Policy {
    let policies: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(index, body)| parse_policy(&format!(r#"{{"version": 1{body}}}"#), &format!("{index}.json")).unwrap())
        .collect();
    merge_policies(&policies)
}

#[test]
fn each_part_by_its_own_law() {
    let policy = merged(&[
        r#", "plugins": {"seccomp": false, "landlock": false}, "defaults": {"fs": "allow", "net": "allow"},
            "rules": {"fs": {"allow": ["/a"]}}, "antiEscape": {"denySyscalls": ["bpf", "clone3"]},
            "audit": {"enabled": true, "events": ["openat"]}, "minTier": "landlock""#,
        r#", "plugins": {"seccomp": true, "landlock": false}, "defaults": {"fs": "deny", "net": "allow"},
            "fs": {"rules": [{"action": "deny", "path": "/a/b", "perms": ["read_file"]}]},
            "antiEscape": {"denySyscalls": ["unshare", "bpf"]}, "audit": {"events": ["connect"]}, "minTier": "nested""#,
    ]);
    let value = serde_json::to_value(policy.normalized()).unwrap();
    assert_eq!(value["plugins"], json!({"namespaces": true, "landlock": false, "seccomp": true}));
    assert_eq!(value["defaults"], json!({"fs": "deny", "net": "allow", "exec": "deny"}));
    assert_eq!(value["antiEscape"]["denySyscalls"], json!(["bpf", "clone3", "unshare"]));
    assert_eq!(value["audit"], json!({"enabled": true, "events": ["openat", "connect"]}));
    assert_eq!(policy.min_tier(), Some(Tier::Nested));

    let mut stack = PolicyStack::deny_all();
    stack.push_file(policy, "/").unwrap();
    assert!(stack.decide(&Query::read("/a/c").unwrap()).allowed);
    assert_eq!(stack.decide(&Query::read("/a/b").unwrap()).source, "1.json: fs.rules[0]");
}

#[test]
fn what_is_not_stated_counts_with_its_default() {
    let policy = merged(&[
        r#", "plugins": {"seccomp": false}, "defaults": {"fs": "allow"}, "antiEscape": {"denySyscalls": []}"#,
        "",
    ]);
    let value = serde_json::to_value(policy.normalized()).unwrap();
    assert_eq!(value["plugins"]["seccomp"], true);
    assert_eq!(value["defaults"]["fs"], "deny");
    assert_eq!(value["antiEscape"]["denySyscalls"], json!(DEFAULT_DENY_SYSCALLS));
}

#[test]
fn one_is_itself_and_none_denies_everything() {
    let one = merged(&[r#", "plugins": {"seccomp": false}, "defaults": {"fs": "allow"}"#]).normalized();
    assert_eq!((one.plugins.seccomp, one.defaults.fs.as_str()), (false, "allow"));
    assert_eq!(merged(&[]).normalized(), PolicyStack::deny_all().normalized());
}
