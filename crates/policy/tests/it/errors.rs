use buntime_policy::{PermissionKind, Permissions, PolicyStack, Query, hint_flag, parse_policy};

use crate::permissions;

fn error(text: &str) -> String {
    parse_policy(text, "p.json").unwrap_err().to_string()
}

#[test]
fn documents_that_are_not_json() {
    for (text, expected) in [
        ("", "p.json:1:0: eof while parsing a value"),
        ("{\n  \"version\": 1,\n}", "p.json:3:1: trailing comma"),
        ("{\"version\" 1}", "p.json:1:12: expected `:`"),
        ("{} x", "p.json:1:4: trailing characters"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    assert_eq!(error(&"[".repeat(500)), "p.json:1:128: recursion limit exceeded");
}

#[test]
fn documents_as_a_whole() {
    for (text, expected) in [
        ("[]", "p.json: found a list, expected an object"),
        ("null", "p.json: found null, expected an object"),
        ("{}", "p.json: version: missing, expected 1"),
        (r#"{"version": 2, "future": {}}"#, "p.json: version: found 2, expected 1"),
        (r#"{"version": "1"}"#, r#"p.json: version: found "1", expected 1"#),
        (r#"{"version": 1.0}"#, "p.json: version: found 1.0, expected 1"),
        (r#"{"version": -1}"#, "p.json: version: found -1, expected 1"),
        (r#"{"version": 1, "version": 1}"#, "p.json: version: this key occurs twice"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn everything_inside_says_where_what_and_what_else() {
    let call = |name: &str| format!(r#""antiEscape": {{"denySyscalls": ["bpf", "{name}"]}}"#);
    let net = |rule: &str| format!(r#""net": {{"rules": [{{"action": "allow", {rule}}}]}}"#);
    let fs = |rule: &str| format!(r#""fs": {{"rules": [{{{rule}}}]}}"#);
    let sum = "0".repeat(63);
    for (body, expected) in [
        (r#""defalts": {}"#.into(), r#"defalts: unknown key, did you mean "defaults"?"#),
        (
            r#""zebra stripes": 1"#.into(),
            concat!(
                r#"["zebra stripes"]: unknown key, expected "version", "plugins", "defaults", "fs", "net", "exec", "#,
                r#""env", "ffi", "sys", "antiEscape", "audit", "minTier", "rules" or "$schema""#
            ),
        ),
        (r#""plugins": {"secomp": true}"#.into(), r#"plugins.secomp: unknown key, did you mean "seccomp"?"#),
        (r#""plugins": {"seccomp": "yes"}"#.into(), r#"plugins.seccomp: found "yes", expected true or false"#),
        (r#""defaults": {"fs": "warn"}"#.into(), r#"defaults.fs: found "warn", expected "allow" or "deny""#),
        (r#""defaults": {"fs": "dney"}"#.into(), r#"defaults.fs: found "dney", did you mean "deny"?"#),
        (r#""defaults": {"fs": null}"#.into(), r#"defaults.fs: found null, expected "allow" or "deny""#),
        (r#""fs": []"#.into(), "fs: found a list, expected an object"),
        (r#""fs": {"rule": []}"#.into(), r#"fs.rule: unknown key, did you mean "rules"?"#),
        (r#""fs": {"rules": {}}"#.into(), "fs.rules: found an object, expected a list"),
        (r#""fs": {"rules": ["x"]}"#.into(), r#"fs.rules[0]: found "x", expected an object"#),
        (fs(""), r#"fs.rules[0].action: missing, expected "allow", "warn" or "deny""#),
        (fs(r#""action": "alow""#), r#"fs.rules[0].action: found "alow", did you mean "allow"?"#),
        (fs(r#""action": "allow""#), "fs.rules[0].path: missing, expected a path"),
        (fs(r#""action": "allow", "path": 7"#), "fs.rules[0].path: found 7, expected a path"),
        (fs(r#""action": "allow", "path": """#), r#"fs.rules[0].path: found "", expected a path"#),
        (
            fs(r#""action": "allow", "path": "/a\u0000b""#),
            r#"fs.rules[0].path: found "/a\0b", expected a path without a NUL byte"#,
        ),
        (
            fs(r#""action": "allow", "path": "/a""#),
            r#"fs.rules[0].perms: missing, expected a list such as ["read_file", "read_dir"]"#,
        ),
        (
            fs(r#""action": "allow", "path": "/a", "perms": ["read_file", "reed_dir"]"#),
            r#"fs.rules[0].perms[1]: found "reed_dir", did you mean "read_dir"?"#,
        ),
        (
            fs(r#""action": "allow", "path": "/a", "perms": [], "lock": true"#),
            r#"fs.rules[0].lock: unknown key, expected "action", "locked", "path" or "perms""#,
        ),
        (
            fs(r#""action": "allow", "path": "/a", "perms": [], "path": "/b""#),
            "fs.rules[0].path: this key occurs twice",
        ),
        (net(r#""proto": "tcp""#), r#"net.rules[0]: expected "cidr" or "host""#),
        (
            net(r#""cidr": "10.0.0.0/8", "host": "a""#),
            r#"net.rules[0].host: expected either "cidr" or "host", not both"#,
        ),
        (net(r#""cidr": "10.0.0.0/8", "ports": "1""#), r#"net.rules[0].proto: missing, expected "tcp" or "udp""#),
        (
            net(r#""cidr": "10.0.0.0/8", "proto": "tcp""#),
            r#"net.rules[0].ports: missing, expected ports such as "443", "80,443" or "8000-9000""#,
        ),
        (net(r#""host": "a", "proto": "icmp""#), r#"net.rules[0].proto: found "icmp", expected "tcp" or "udp""#),
        (
            net(r#""cidr": "10.0.0/8", "proto": "tcp", "ports": "1""#),
            r#"net.rules[0].cidr: found "10.0.0/8", expected an address block such as "10.0.0.0/8" or "fd00::/8""#,
        ),
        (net(r#""host": "http://a""#), r#"net.rules[0].host: found "http://a", expected a host name, not a URL"#),
        (
            net(r#""host": "a:80""#),
            r#"net.rules[0].host: found "a:80", expected a host name alone; ports belong under "ports""#,
        ),
        (
            net(r#""host": "10.0.0.1""#),
            r#"net.rules[0].host: found "10.0.0.1", expected a host name; an address belongs under "cidr""#,
        ),
        (
            net(r#""host": "a", "ports": "90-80""#),
            r#"net.rules[0].ports: found "90-80", expected a range that ascends"#,
        ),
        (
            net(r#""host": "a", "ports": "65536""#),
            concat!(
                r#"net.rules[0].ports: found "65536", expected ports from 0 to 65535 "#,
                r#"such as "443", "80,443" or "8000-9000""#
            ),
        ),
        (
            net(r#""host": "a", "ports": [{"from": 1, "to": 70000}]"#),
            "net.rules[0].ports[0].to: found 70000, expected a port from 0 to 65535",
        ),
        (
            net(r#""host": "a", "ports": [{"from": 2, "to": 1}]"#),
            "net.rules[0].ports[0]: found 2 to 1, expected a range that ascends",
        ),
        (
            format!(r#""exec": {{"rules": [{{"action": "allow", "path": "/a", "sha256": "{sum}"}}]}}"#),
            &*format!(r#"exec.rules[0].sha256: found "{sum}", expected 64 hexadecimal digits"#),
        ),
        (
            r#""env": {"rules": [{"action": "allow", "name": "LD_PRELOAD"}]}"#.into(),
            r#"env.rules[0].name: found "LD_PRELOAD", which no rule can let into a sandbox"#,
        ),
        (
            r#""env": {"rules": [{"action": "allow", "name": "A*B"}]}"#.into(),
            r#"env.rules[0].name: found "A*B", expected a variable's name, or its beginning such as "AWS_*""#,
        ),
        (call("ptrac"), r#"antiEscape.denySyscalls[1]: found "ptrac", an unknown system call, did you mean "ptrace"?"#),
        (call("frobnicate"), r#"antiEscape.denySyscalls[1]: found "frobnicate", an unknown system call"#),
        (
            r#""audit": {"enabled": true, "events": ["opnat"]}"#.into(),
            r#"audit.events[0]: found "opnat", an unknown system call, did you mean "openat"?"#,
        ),
        (r#""minTier": "fulll""#.into(), r#"minTier: found "fulll", did you mean "full"?"#),
        (r#""rules": {"fs": {"allows": []}}"#.into(), r#"rules.fs.allows: unknown key, did you mean "allow"?"#),
        (
            r#""rules": {"fs": {"mode": "readwrite"}}"#.into(),
            r#"rules.fs.mode: found "readwrite", expected "read" or "write""#,
        ),
        (r#""rules": {"net": {"mode": "read"}}"#.into(), r#"rules.net.mode: found "read", expected "allow" or "deny""#),
        (
            r#""rules": {"exec": {"mode": "read"}}"#.into(),
            r#"rules.exec.mode: unknown key, expected "allow" or "deny""#,
        ),
        (r#""rules": {"fs": {"allow": ["/a", ""]}}"#.into(), r#"rules.fs.allow[1]: found "", expected a path"#),
        (r#""rules": {"fs": {"allow": "/a"}}"#.into(), r#"rules.fs.allow: found "/a", expected a list"#),
    ] {
        assert_eq!(error(&format!(r#"{{"version": 1, {body}}}"#)), format!("p.json: {expected}"), "{body}");
    }
}

#[test]
fn flags() {
    for (flags, expected) in [
        ("--allow-read=", r#"--allow-read: found "", expected a path"#),
        ("--allow-read=/a,", r#"--allow-read: found "", expected a path"#),
        ("--deny-write=~/x", r#"--deny-write: found "~/x", expected a path without "~", which is not expanded here"#),
        ("--allow-run=", r#"--allow-run: found "", expected a path"#),
        ("--deny-net=", r#"--deny-net: found "", expected a host name such as "example.com" or "*.example.com""#),
        ("--allow-env=", r#"--allow-env: found "", expected a variable's name, or its beginning such as "AWS_*""#),
        ("--allow-env=POD_X", r#"--allow-env: found "POD_X", which no rule can let into a sandbox"#),
        ("--allow-env=LD_*", r#"--allow-env: found "LD_*", which no rule can let into a sandbox"#),
    ] {
        let error = PolicyStack::deny_all().push_flags(&permissions(flags), "/").unwrap_err();
        assert_eq!(error.to_string(), expected, "{flags}");
    }
    let error = permissions("--allow-sys=oss").to_policy().unwrap_err().to_string();
    assert!(error.starts_with(r#"--allow-sys: found "oss", expected "hostname", "inspector", "os", "#), "{error}");
}

#[test]
fn variables() {
    let read = |name, value| Permissions::from_variables([(name, value)]);
    for name in ["POD_NAME", "POD_POLICY_JSON", "PATH"] {
        assert_eq!(read(name, "x"), Ok(Permissions::default()), "{name}");
    }
    assert_eq!(read("POD_DENY_NET", "10.0.0.0/8,a.com"), Ok(permissions("--deny-net=10.0.0.0/8,a.com")));
    let error = read("POD_DENY_RAED", "/etc").unwrap_err().to_string();
    assert_eq!(error, r#"POD_DENY_RAED: unknown variable, did you mean "POD_DENY_READ"?"#);
    let error = PolicyStack::deny_all().push_variables(&read("POD_ALLOW_READ", "").unwrap(), "/").unwrap_err();
    assert_eq!(error.to_string(), r#"POD_ALLOW_READ: found "", expected a path"#);
}

#[test]
fn questions() {
    for (kind, target, expected) in [
        (PermissionKind::Read, "etc/passwd", r#"read "etc/passwd": expected an absolute path"#),
        (PermissionKind::Write, "", r#"write "": expected an absolute path"#),
        (PermissionKind::Net, "a:x", r#"net "a:x": expected a host, host:port or [ipv6]:port"#),
        (PermissionKind::Net, "*.a.com", r#"net "*.a.com": expected a host name such as "example.com""#),
        (PermissionKind::Env, "A=B", r#"env "A=B": expected a variable's name"#),
    ] {
        assert_eq!(Query::parse(kind, target).unwrap_err().to_string(), expected);
    }
    assert!(Query::parse(PermissionKind::Net, "0x7f.1").is_err(), "an address in disguise");
}

#[test]
fn hints_name_the_target_and_nothing_more() {
    for (kind, target, expected) in [
        (PermissionKind::Read, "/etc/passwd", Some("--allow-read=/etc/passwd")),
        (PermissionKind::Write, "/tmp/a b", Some("--allow-write='/tmp/a b'")),
        (PermissionKind::Read, "/tmp/it's;rm", Some(r"--allow-read='/tmp/it'\''s;rm'")),
        (PermissionKind::Net, "github.com:443", Some("--allow-net=github.com:443")),
        (PermissionKind::Run, "/bin/sh", Some("--allow-run=/bin/sh")),
        (PermissionKind::Env, "HOME", Some("--allow-env=HOME")),
        (PermissionKind::Sys, "hostname", Some("--allow-sys=hostname")),
        (PermissionKind::Read, "/tmp/x,/", None),
        (PermissionKind::Read, "/*", None),
        (PermissionKind::Read, "/x\n--allow-all", None),
        (PermissionKind::Read, "", None),
        (PermissionKind::Env, "LD_PRELOAD", None),
        (PermissionKind::Sys, "nonsense", None),
    ] {
        assert_eq!(hint_flag(kind, target).as_deref(), expected, "{target}");
    }
}
