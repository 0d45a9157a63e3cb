use buntime_policy::{FsPerm, PermissionKind, PolicyStack, Proto, Query, parse_policy};
use serde_json::json;

use crate::stack;

/// Asks `read /etc/passwd`, `net host:port`, `list /dir` and so on, and answers `allow by <rule>` or `deny by default`.
fn ask(flags: &str, variables: &str, file: &str, question: &str) -> String {
    let (kind, target) = question.split_once(' ').unwrap();
    let query = match PermissionKind::ALL.iter().find(|known| known.as_str() == kind) {
        Some(kind) => Query::parse(*kind, target).unwrap(),
        None if kind == "list" => Query::list(target).unwrap(),
        None => Query::net(target, Some(53), Proto::Udp).unwrap(),
    };
    let decision = stack(flags, variables, file).decide(&query);
    assert_eq!(decision.allowed, decision.action.as_str() != "deny");
    // What is built in has a reason where it needs one, and is nobody's rule.
    let is_built_in = decision.rule.is_none() || decision.source == "default";
    format!("{} by {}", decision.action, if is_built_in { "default".into() } else { decision.source })
}

#[test]
fn flags_alone() {
    for (flags, question, expected) in [
        ("", "read /etc/passwd", "deny by default"),
        ("", "run /bin/sh", "deny by default"),
        ("--allow-read=/tmp", "read /tmp", "allow by --allow-read=/tmp"),
        ("--allow-read=/tmp", "list /tmp", "allow by --allow-read=/tmp"),
        ("--allow-read=/tmp", "read /tmp/x/y", "allow by --allow-read=/tmp"),
        ("--allow-read=/tmp", "read /tmpfile", "deny by default"),
        ("--allow-read=/tmp", "read /tmp/../etc/passwd", "deny by default"),
        ("--allow-read=/tmp", "write /tmp/x", "deny by default"),
        ("--allow-write=/tmp", "read /tmp/x", "deny by default"),
        ("--allow-read=data", "read /work/data/x", "allow by --allow-read=data"),
        ("--allow-read", "read /etc/passwd", "allow by --allow-read"),
        ("--allow-read --deny-read=/etc", "read /etc/passwd", "deny by --deny-read=/etc"),
        ("--allow-read=/etc/passwd --deny-read", "read /etc/passwd", "deny by --deny-read"),
        ("--allow-read --deny-read=/home/*/.ssh", "read /home/ann/.ssh/id", "deny by --deny-read=/home/*/.ssh"),
        ("--allow-all", "read /etc/passwd", "allow by --allow-all"),
        ("--allow-all", "sys hostname", "allow by --allow-all"),
        ("--allow-all --deny-net=10.0.0.0/8", "net 10.1.2.3:80", "deny by --deny-net=10.0.0.0/8"),
        ("--allow-all --deny-net=10.0.0.0/8", "net [::ffff:10.1.2.3]:80", "deny by --deny-net=10.0.0.0/8"),
        ("--allow-all", "env LD_PRELOAD", "deny by default"),
        ("--allow-env", "env POD_ALLOW_NET", "deny by default"),
        ("--allow-env=AWS_* --deny-env=AWS_SECRET", "env AWS_REGION", "allow by --allow-env=AWS_*"),
        ("--allow-env=AWS_* --deny-env=AWS_SECRET", "env AWS_SECRET", "deny by --deny-env=AWS_SECRET"),
        ("--allow-env=AWS_*", "env aws_region", "deny by default"),
        ("--allow-net=github.com", "net GitHub.com.:443", "allow by --allow-net=github.com"),
        ("--allow-net=github.com", "udp github.com", "deny by default"),
        ("--allow-net=github.com --deny-net=github.com", "udp github.com", "deny by --deny-net=github.com"),
        ("--allow-all", "udp github.com", "allow by --allow-all"),
        ("--allow-net=github.com", "net api.github.com:443", "deny by default"),
        ("--allow-net=*.github.com", "net api.github.com:443", "allow by --allow-net=*.github.com"),
        ("--allow-net=*.github.com", "net github.com:443", "deny by default"),
        ("--allow-net=a.com:443", "net a.com:80", "deny by default"),
        ("--allow-net=a.com:443", "net a.com", "deny by default"),
        ("--allow-net", "net 1.1.1.1:1", "allow by --allow-net"),
        ("--allow-net", "net 127.0.0.1:1", "deny by default"),
        ("--allow-net=127.0.0.1", "net 127.0.0.1:1", "allow by --allow-net=127.0.0.1"),
        ("--allow-net=0.0.0.0/0", "net a.com:1", "deny by default"),
        ("--allow-run=/usr/bin/python3", "run /usr/bin/python3", "allow by --allow-run=/usr/bin/python3"),
        ("--allow-run=python3", "run python3", "allow by --allow-run=python3"),
        ("--allow-run=python3", "run /tmp/python3", "deny by default"),
        ("--allow-run --deny-run=sh", "run /bin/sh", "deny by --deny-run=sh"),
        ("--allow-run=/bin/*", "run /bin/ls", "allow by --allow-run=/bin/*"),
        ("--allow-run=/bin/*", "run /bin/sub/ls", "deny by default"),
        ("--allow-ffi=/lib", "ffi /lib/x.so", "allow by --allow-ffi=/lib"),
        ("--allow-sys=os", "sys osRelease", "allow by --allow-sys=os"),
        ("--allow-sys=os", "sys hostname", "deny by default"),
        ("--allow-sys=username", "sys userInfo", "allow by --allow-sys=username"),
    ] {
        assert_eq!(ask(flags, "", "", question), expected, "{flags}: {question}");
    }
}

#[test]
fn one_file() {
    let file = r#""defaults": {"net": "allow"},
        "fs": {"rules": [
            {"action": "allow", "path": "/d", "perms": ["read_file"]},
            {"action": "warn", "path": "/d/w", "perms": ["read_file"]},
            {"action": "deny", "path": "/d/w/x", "perms": ["read_file"]},
            {"action": "allow", "path": "/d/w/x/y", "perms": ["read_file"]},
            {"action": "allow", "path": "rel", "perms": ["read_file"]},
            {"action": "allow", "path": "/none", "perms": []}
        ]},
        "net": {"rules": [{"action": "warn", "host": "*", "proto": "tcp", "ports": "25"}]}"#;
    for (question, expected) in [
        ("read /d/a", "allow by p.json: fs.rules[0]"),
        ("list /d/a", "deny by default"),
        ("read /d/w/a", "warn by p.json: fs.rules[1]"),
        ("read /d/w/x/y", "deny by p.json: fs.rules[2]"),
        ("read /file/rel/a", "allow by p.json: fs.rules[4]"),
        ("read /none", "deny by default"),
        ("net a.com:25", "warn by p.json: net.rules[0]"),
        ("net a.com:26", "allow by default"),
        ("udp a.com", "deny by default"),
    ] {
        assert_eq!(ask("", "", file, question), expected, "{question}");
    }
}

#[test]
fn between_sources() {
    let rule = |action: &str, path: &str, more: &str| {
        format!(r#""fs": {{"rules": [{{"action": "{action}", "path": "{path}", "perms": ["read_file"]{more}}}]}}"#)
    };
    let deny = rule("deny", "/data/x", "");
    let allow = rule("allow", "/data", "");
    let warn = rule("warn", "/data/x", "");
    let locked_deny = rule("deny", "/data/x", r#", "locked": true"#);
    let locked_warn = rule("warn", "/data/x", r#", "locked": true"#);
    let locked_allow = rule("allow", "/data", r#", "locked": true"#);
    let file = "p.json: fs.rules[0]";
    let cases: &[(&str, &str, &str, &str)] = &[
        // A wider allow leaves the lower denial as it is; the same or a narrower one lifts it.
        ("--allow-read=/data", "", &deny, &format!("deny by {file}")),
        ("--allow-read", "", &deny, &format!("deny by {file}")),
        ("--allow-read=/data/x", "", &deny, "allow by --allow-read=/data/x"),
        ("--allow-read=/data/x/y", "", &deny, "allow by --allow-read=/data/x/y"),
        ("--allow-read=/data/*", "", &deny, &format!("deny by {file}")),
        ("--allow-write=/data/x", "", &deny, &format!("deny by {file}")),
        ("--allow-all", "", &deny, "allow by --allow-all"),
        ("", "--allow-read=/data/x", &deny, "allow by POD_ALLOW_READ=/data/x"),
        // The other way round a denial always holds.
        ("--deny-read=/data", "", &allow, "deny by --deny-read=/data"),
        ("--deny-read=/data", "", &locked_allow, "deny by --deny-read=/data"),
        ("--deny-read=/data", "--allow-read=/data/x/y", "", "deny by --deny-read=/data"),
        ("--allow-read=/data/x/y", "--deny-read=/data", "", "allow by --allow-read=/data/x/y"),
        // A source that denies the target itself lifts nothing.
        ("--allow-read=/data/x --deny-read=/data", "", &deny, "deny by --deny-read=/data"),
        (
            "--allow-read=/data/x/y",
            "--allow-read=/data/x/y --deny-read=/data/x/y",
            &deny,
            "allow by --allow-read=/data/x/y",
        ),
        // A lock keeps what is strict, and only that.
        ("--allow-read=/data/x", "", &locked_deny, &format!("deny by {file}")),
        ("--allow-all", "", &locked_deny, &format!("deny by {file}")),
        ("--allow-all", "", &locked_warn, &format!("warn by {file}")),
        // Warnings stay visible unless they are named.
        ("--allow-read", "", &warn, &format!("warn by {file}")),
        ("--allow-read=/data/x", "", &warn, "allow by --allow-read=/data/x"),
        ("--allow-all", "", &warn, "allow by --allow-all"),
        // The highest source speaks.
        ("--allow-read=/data", "--allow-read=/data", &allow, "allow by --allow-read=/data"),
        ("--allow-all --deny-read=/data", "", "", "deny by --deny-read=/data"),
        ("--allow-all", "--deny-read", "", "allow by --allow-all"),
    ];
    for (flags, variables, file, expected) in cases {
        assert_eq!(ask(flags, variables, file, "read /data/x/y"), *expected, "{flags} | {variables} | {file}");
    }
}

#[test]
fn hosts_between_sources() {
    let file = r#""net": {"rules": [
        {"action": "deny", "proto": "tcp", "cidr": "10.0.0.0/8", "ports": "0-65535"},
        {"action": "allow", "host": "github.com"},
        {"action": "deny", "host": "a.com", "ports": "25"}
    ]}"#;
    for (flags, question, expected) in [
        ("--deny-net=github.com", "net github.com:443", "deny by --deny-net=github.com"),
        ("--allow-net=10.0.0.5", "net 10.0.0.5:80", "allow by --allow-net=10.0.0.5"),
        ("--allow-net", "net 10.0.0.5:80", "deny by p.json: net.rules[0]"),
        ("--allow-net=a.com", "net a.com:25", "deny by p.json: net.rules[2]"),
        ("--allow-net=a.com:25", "net a.com:25", "allow by --allow-net=a.com:25"),
    ] {
        assert_eq!(ask(flags, "", file, question), expected, "{flags}: {question}");
    }
}

#[test]
fn defaults_of_the_highest_source_that_states_them() {
    let mut stack = stack("", "", r#""defaults": {"fs": "deny"}"#);
    let higher = buntime_policy::parse_policy(r#"{"version": 1, "defaults": {"fs": "allow"}}"#, "POD_POLICY_JSON");
    stack.push_policy(buntime_policy::SourceKind::Env, higher.unwrap(), "/").unwrap();
    let decision = stack.decide(&Query::read("/x").unwrap());
    assert_eq!((decision.allowed, &*decision.source), (true, "POD_POLICY_JSON: defaults.fs"));
}

#[test]
fn a_decision_as_json() {
    let file = r#""fs": {"rules": [{"action": "deny", "path": "/a", "perms": ["read_file"]}]}"#;
    let decision = stack("--allow-read=/a", "", file).decide(&Query::read("/a/b").unwrap());
    assert_eq!(
        serde_json::to_value(decision).unwrap(),
        json!({
            "allowed": true, "action": "allow", "rule": "allow read /a", "source": "--allow-read=/a",
            "overridden": [{"rule": "deny read_file /a", "source": "p.json: fs.rules[0]"}],
        })
    );
    let decision = stack("", "", "").decide(&Query::read("/a").unwrap());
    assert_eq!(
        serde_json::to_value(decision).unwrap(),
        json!({"allowed": false, "action": "deny", "rule": null, "source": "default"})
    );
}

#[test]
fn what_is_hidden_is_not_written_unless_a_rule_names_it() {
    for (flags, file, question, expected) in [
        ("--allow-read=/d --allow-write=/d --deny-read=/d/k", "", "write /d/k", "deny by --deny-read=/d/k"),
        ("--allow-read=/d --allow-write=/d --deny-read=/d/k", "", "write /d/k/x", "deny by --deny-read=/d/k"),
        ("--allow-read=/d --allow-write=/d --deny-read=/d/k", "", "write /d/l", "allow by --allow-write=/d"),
        ("--allow-write=/d/k --deny-read=/d/k", "", "write /d/k/x", "allow by --allow-write=/d/k"),
        ("--allow-write=/d/k/x --deny-read=/d/k", "", "write /d/k/x", "allow by --allow-write=/d/k/x"),
        ("--allow-write=/d/k/x --deny-read=/d/k", "", "write /d/k/y", "deny by default"),
        ("--allow-write=/d --deny-read", "", "write /d/k", "allow by --allow-write=/d"),
        ("--allow-write --deny-read", "", "write /d/k", "allow by --allow-write"),
        ("--allow-write=/d --deny-read=/d/*.k", "", "write /d/a.k", "deny by --deny-read=/d/*.k"),
        ("--allow-all --deny-read=/d", "", "write /d/k", "deny by --deny-read=/d"),
        ("--allow-all --deny-read", "", "write /d/k", "allow by --allow-all"),
        ("--deny-read=/d", r#""defaults": {"fs": "allow"}"#, "write /d/k", "deny by --deny-read=/d"),
        ("--deny-read", r#""defaults": {"fs": "allow"}"#, "write /d/k", "allow by default"),
        // One reading right is left, and nothing hidden.
        (
            "--allow-write=/d",
            r#""fs": {"rules": [{"action": "deny", "path": "/d/k", "perms": ["read_dir"]}]}"#,
            "write /d/k",
            "allow by --allow-write=/d",
        ),
        // Lifted for reading, lifted for this.
        (
            "--allow-write=/d --allow-read=/d/k",
            r#""fs": {"rules": [{"action": "deny", "path": "/d/k", "perms": ["read_file", "read_dir"]}]}"#,
            "write /d/k",
            "allow by --allow-write=/d",
        ),
    ] {
        assert_eq!(ask(flags, "", file, question), expected, "{flags} {file}: {question}");
    }
}

#[test]
fn all_rights_over_a_path_are_decided_as_one_by_one() {
    let stack = stack("--allow-read=/d --allow-write=/d --deny-read=/d/k --deny-write=/d/w", "", "");
    for path in ["/", "/d", "/d/k", "/d/k/x", "/d/w", "/e"] {
        let rights = stack.fs_rights(path.as_ref());
        for &perm in FsPerm::ALL {
            let decision = stack.decide(&Query::fs(path, perm).unwrap());
            assert_eq!(rights.allowed.contains(&perm), decision.allowed, "{path} {perm}");
            assert_eq!(rights.denied.contains(&perm), !decision.allowed && decision.rule.is_some(), "{path} {perm}");
        }
    }
}

#[test]
fn to_execute_is_one_permission_in_both_of_its_places() {
    let file = r#"{"version": 1,
        "fs": {"rules": [
            {"action": "allow", "path": "/bin", "perms": ["read_file", "execute"]},
            {"action": "deny", "path": "/bin/x", "perms": ["execute"], "locked": true}
        ]},
        "exec": {"rules": [{"action": "allow", "path": "/bin/x"}]}
    }"#;
    let mut stack = PolicyStack::deny_all();
    stack.push_file(parse_policy(file, "p.json").unwrap(), "/").unwrap();
    for query in [Query::run("/bin/x").unwrap(), Query::fs("/bin/x", FsPerm::Execute).unwrap()] {
        let decision = stack.decide(&query);
        assert_eq!((decision.allowed, decision.source.as_str()), (false, "p.json: fs.rules[1]"));
    }
    assert!(stack.decide(&Query::run("/bin/y").unwrap()).allowed);
    assert!(stack.decide(&Query::read("/bin/y").unwrap()).allowed);
    assert!(!stack.decide(&Query::run("/usr/y").unwrap()).allowed);
}
