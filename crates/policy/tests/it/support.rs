use buntime_policy::{parse_policy, unsupported};

use crate::stack;

fn complaints(flags: &str, file: &str) -> Vec<String> {
    unsupported(&stack(flags, "", file)).iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_enforced_passes() {
    for (flags, file) in [
        ("", ""),
        ("--allow-read=/tmp,/data --allow-write=out --allow-env=HOME,AWS_* --deny-env=AWS_SECRET", ""),
        ("--allow-read", ""),
        ("--deny-net --deny-run=/bin/sh --deny-ffi --deny-sys", ""),
        ("--deny-read=/etc --deny-write", ""),
        ("", r#""plugins": {"namespaces": true}, "defaults": {"fs": "deny"}, "minTier": "nested""#),
        ("", r#""antiEscape": {"denySyscalls": ["unshare", "clone3"]}"#),
        ("", r#""fs": {"rules": [{"action": "allow", "path": "/a", "perms": [], "locked": true}]}"#),
        ("", r#""fs": {"rules": [{"action": "warn", "path": "/a", "perms": ["read_file", "read_dir"]}]}"#),
        ("", r#""env": {"rules": [{"action": "warn", "name": "A_*"}]}"#),
        ("--allow-all --deny-sys=hostname", ""),
        ("--allow-sys=os", ""),
        // Lifted altogether by the flag.
        ("--allow-read=/a", r#""fs": {"rules": [{"action": "deny", "path": "/a", "perms": ["read_file"]}]}"#),
    ] {
        assert_eq!(complaints(flags, file), [""; 0], "{flags} {file}");
    }
}

#[test]
fn the_guides_lambda_policy_passes() {
    let mut stack = buntime_policy::PolicyStack::deny_all();
    let text = include_str!("../../../../policies/lambda.json");
    stack.push_file(parse_policy(text, "lambda.json").unwrap(), "/").unwrap();
    assert_eq!(unsupported(&stack), []);
}

#[test]
fn everything_else_is_named_with_its_place() {
    let partial = "perms other than the whole read set, the whole write set, or both are not supported yet";
    let sum = "a".repeat(64);
    for (flags, file, expected) in [
        ("--allow-net", "", "--allow-net: allow net *: network access is not supported yet".to_owned()),
        ("--allow-run=ls", "", "--allow-run=ls: allow run ls: starting programs is not supported yet".into()),
        ("--allow-ffi=/l", "", "--allow-ffi=/l: allow ffi /l: loading libraries is not supported yet".into()),
        (
            "--allow-all --deny-run=/bin/sh",
            "",
            "--deny-run=/bin/sh: deny run /bin/sh: denials beside --allow-all are not supported yet".into(),
        ),
        ("--allow-read=/a/*", "", "--allow-read=/a/*: allow read /a/*: globs are not supported yet".into()),
        (
            "--allow-read=/a --deny-read=/a/b",
            "",
            "--deny-read=/a/b: deny read /a/b: denials inside allowed paths are not supported yet".into(),
        ),
        (
            "",
            r#""fs": {"rules": [{"action": "allow", "path": "/a", "perms": ["read_file"]}]}"#,
            format!("p.json: fs.rules[0]: allow read_file /a: {partial}"),
        ),
        (
            "",
            r#""fs": {"rules": [{"action": "allow", "path": "/a", "perms": ["read_file", "read_dir", "execute"]}]}"#,
            format!("p.json: fs.rules[0]: allow read,execute /a: {partial}"),
        ),
        (
            "",
            r#""net": {"rules": [{"action": "warn", "host": "a.com", "ports": "25", "proto": "tcp"}]}"#,
            "p.json: net.rules[0]: warn net a.com:25/tcp: network access is not supported yet".into(),
        ),
        (
            "",
            &format!(r#""exec": {{"rules": [{{"action": "deny", "path": "/a", "sha256": "{sum}"}}]}}"#),
            format!("p.json: exec.rules[0]: deny run /a sha256 {sum}: sha256 is not supported yet"),
        ),
        (
            "",
            r#""plugins": {"seccomp": false}"#,
            "p.json: plugins.seccomp: plugins.seccomp = false is not supported yet".into(),
        ),
        (
            "",
            r#""defaults": {"net": "allow"}"#,
            r#"p.json: defaults.net: defaults.net = "allow" is not supported yet"#.into(),
        ),
        ("", r#""minTier": "none""#, r#"p.json: minTier: minTier = "none" is not supported yet"#.into()),
    ] {
        assert_eq!(complaints(flags, file), [expected], "{flags} {file}");
    }
}
