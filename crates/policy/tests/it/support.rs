use buntime_policy::{parse_policy, unsupported};

use crate::stack;

/// A rule for a program of a certain content.
fn pinned(path: &str) -> String {
    let sum = "a".repeat(64);
    format!(r#""exec": {{"rules": [{{"action": "allow", "path": "{path}", "sha256": "{sum}"}}]}}"#)
}

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
        ("--allow-run --deny-run=sh --allow-ffi=/l,/m/*.so --deny-ffi=/l/x", ""),
        ("--allow-all --deny-run=/bin/sh --deny-ffi=/usr/lib", ""),
        ("--allow-run=/b/*,ls,/usr/bin/", r#""defaults": {"exec": "allow"}"#),
        ("", &pinned("/a")),
        ("--deny-read=/etc --deny-write", ""),
        ("", r#""plugins": {"namespaces": true}, "defaults": {"fs": "deny"}, "minTier": "nested""#),
        ("", r#""minTier": "none""#),
        ("", r#""antiEscape": {"denySyscalls": ["unshare", "clone3"]}"#),
        // What mounts and filter hold.
        ("--allow-env=HOME --deny-read=/etc", r#""plugins": {"landlock": false}"#),
        ("--allow-all", r#""plugins": {"landlock": false}"#),
        ("", r#""fs": {"rules": [{"action": "allow", "path": "/a", "perms": [], "locked": true}]}"#),
        ("--allow-read=/a/* --deny-read=/a/**/*.key --deny-write=/a/b", r#""defaults": {"fs": "allow"}"#),
        ("", r#""fs": {"rules": [{"action": "allow", "path": "/a", "perms": ["read_file", "make_dir"]}]}"#),
        ("", r#""fs": {"rules": [{"action": "warn", "path": "/a", "perms": ["read_file", "read_dir"]}]}"#),
        ("", r#""env": {"rules": [{"action": "warn", "name": "A_*"}]}"#),
        ("--allow-all --deny-sys=hostname", ""),
        ("--allow-sys=os", ""),
        ("--allow-net=a.com:443,10.0.0.0/8 --deny-net=:25", r#""defaults": {"net": "allow"}"#),
        ("", r#""net": {"rules": [{"action": "warn", "host": "a.com", "ports": "25", "proto": "udp"}]}"#),
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
    let sum = "a".repeat(64);
    for (flags, file, expected) in [
        (
            "",
            pinned("/a/*").as_str(),
            format!(
                "p.json: exec.rules[0]: allow run /a/* sha256 {sum}: sha256 pins the content of one program: name that one"
            ),
        ),
        (
            "",
            r#""plugins": {"seccomp": false}"#,
            "p.json: plugins.seccomp: plugins.seccomp = false is not supported: nothing else keeps the interpreter from being \
             executed again"
                .into(),
        ),
        (
            "",
            r#""plugins": {"namespaces": false}"#,
            "p.json: plugins.namespaces: plugins.namespaces = false is not supported: nothing else keeps the network and the \
             host's processes away"
                .into(),
        ),
        (
            "--allow-read=/a",
            r#""plugins": {"landlock": false}"#,
            "p.json: plugins.landlock: allow read /a (--allow-read=/a): plugins.landlock = false, and without Landlock a named \
             pipe that may be read can be written to, what may be written can be read, and a directory that may be written \
             can be given device nodes"
                .into(),
        ),
        (
            "--allow-ffi=/l",
            r#""plugins": {"landlock": false}"#,
            "p.json: plugins.landlock: allow ffi /l (--allow-ffi=/l): plugins.landlock = false, and without Landlock a named \
             pipe beside a library can be written to"
                .into(),
        ),
    ] {
        assert_eq!(complaints(flags, file), [expected], "{flags} {file}");
    }
}
