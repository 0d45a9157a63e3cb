use buntime_policy::{
    Action, Grants, PermissionKind, Permissions, PolicyError, PolicyStack, Proto, Query, Selection, SourceKind,
    parse_policy,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Words that the schema knows, so that random documents get past its first checks.
const WORDS: &[&str] = &[
    "version",
    "plugins",
    "defaults",
    "fs",
    "net",
    "exec",
    "env",
    "ffi",
    "sys",
    "antiEscape",
    "denySyscalls",
    "audit",
    "rules",
    "allow",
    "deny",
    "mode",
    "action",
    "path",
    "perms",
    "host",
    "cidr",
    "ports",
    "proto",
    "name",
    "tcp",
    "read_file",
    "/a/**",
    "10.0.0.0/8",
    "1-2",
    "*.a.com",
    "from",
    "to",
    "locked",
    "sha256",
    "LD_*",
    "",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => any::<String>()]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(word(), tree, 0..6).prop_map(|map| {
        let mut object: serde_json::Map<String, Value> = map.into_iter().collect();
        object.insert("version".into(), 1.into());
        Value::Object(object)
    })
}

fn path() -> impl Strategy<Value = String> {
    let component = prop::sample::select(&["a", "b", "ab", "*", "**", "?", ".", "a*"][..]);
    prop::collection::vec(component, 0..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn host() -> impl Strategy<Value = Value> {
    let ports = prop::sample::select(&["0-65535", "80", "80,443", "1-100"][..]);
    let host = prop::sample::select(&["a.com", "*.a.com", "b.a.com", "*"][..]);
    let cidr = prop::sample::select(&["93.0.0.0/8", "93.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "2606::1"][..]);
    let proto = prop::sample::select(&["tcp", "udp"][..]);
    (any::<bool>(), host, cidr, proto, ports).prop_map(|(named, host, cidr, proto, ports)| match named {
        true => json!({"host": host, "ports": ports}),
        false => json!({"cidr": cidr, "proto": proto, "ports": ports}),
    })
}

/// A valid policy in which rules often overlap.
fn policy() -> impl Strategy<Value = Value> {
    let action = || prop::sample::select(&["allow", "warn", "deny"][..]);
    let perms = prop::sample::subsequence(vec!["read_file", "read_dir", "write_file", "make_reg"], 0..4);
    let with = |mut rule: Value, action: &str, locked: bool| {
        rule["action"] = action.into();
        rule["locked"] = locked.into();
        rule
    };
    let fs = (path(), perms, action(), any::<bool>())
        .prop_map(move |(path, perms, action, locked)| with(json!({"path": path, "perms": perms}), action, locked));
    let net = (host(), action(), any::<bool>()).prop_map(move |(rule, action, locked)| with(rule, action, locked));
    let exec = (prop_oneof![path(), Just("b".to_owned())], action(), any::<bool>())
        .prop_map(move |(path, action, locked)| with(json!({"path": path}), action, locked));
    let env = (prop::sample::select(&["A", "A*", "*", "AB"][..]), action(), any::<bool>())
        .prop_map(move |(name, action, locked)| with(json!({"name": name}), action, locked));
    let default = prop::sample::select(&["allow", "deny"][..]);
    let list = 0..4_usize;
    (
        prop::collection::vec(fs, list.clone()),
        prop::collection::vec(net, list.clone()),
        prop::collection::vec(exec, list.clone()),
        prop::collection::vec(env, list),
        default,
    )
        .prop_map(|(fs, net, exec, env, default)| {
            json!({
                "version": 1, "defaults": {"fs": default, "net": default, "exec": default},
                "fs": {"rules": fs}, "net": {"rules": net}, "exec": {"rules": exec}, "env": {"rules": env},
            })
        })
}

fn stack(policies: &[(SourceKind, &str)]) -> PolicyStack {
    let mut stack = PolicyStack::deny_all();
    for (kind, text) in policies {
        stack.push_policy(*kind, parse_policy(text, "p.json").unwrap(), "/").unwrap();
    }
    stack
}

/// Questions that random rules have a chance to answer.
fn questions() -> Vec<Query> {
    let mut questions = Vec::new();
    for path in ["/", "/a", "/a/b", "/b/a", "/ab", "/a/ab/b", "/c"] {
        questions.extend([Query::read(path), Query::list(path), Query::write(path), Query::run(path)]);
    }
    questions.extend(peers(&["a.com", "b.a.com", "93.1.2.3", "93.9.9.9", "2606::1"]));
    questions.extend([Query::run("b"), Query::env("A"), Query::env("AB"), Query::env("B"), Query::sys("uid")]);
    questions.into_iter().map(Result::unwrap).collect()
}

/// The same, and about addresses that have to be named.
fn all_questions() -> Vec<Query> {
    let special = peers(&["10.1.2.3", "::ffff:10.9.9.9", "127.0.0.1", "169.254.169.254", "localhost", "::1"]);
    questions().into_iter().chain(special.into_iter().map(Result::unwrap)).collect()
}

fn peers(hosts: &[&str]) -> Vec<Result<Query, PolicyError>> {
    let mut questions = Vec::new();
    for host in hosts {
        for port in [None, Some(80), Some(443), Some(444)] {
            questions.extend([Query::net(host, port, Proto::Tcp), Query::net(host, port, Proto::Udp)]);
        }
    }
    questions
}

fn selection(items: &'static [&'static str]) -> impl Strategy<Value = Selection> {
    prop_oneof![
        2 => Just(Selection::None),
        1 => Just(Selection::All),
        3 => prop::collection::vec(prop::sample::select(items), 1..3)
            .prop_map(|items| Selection::List(items.into_iter().map(str::to_owned).collect())),
    ]
}

fn permissions() -> impl Strategy<Value = Permissions> {
    let of = |items| (selection(items), selection(items)).prop_map(|(allow, deny)| Grants { allow, deny });
    let paths = &["/a", "/a/b", "/ab", "a", "/a/*"];
    let named = (
        of(&["a.com", "*.a.com:443", "10.0.0.0/8", "b.a.com:80", ":443", "localhost", "93.1.0.0/16:80"]),
        of(&["A", "A*", "B"]),
        of(&["uid", "hostname"]),
    );
    (any::<bool>(), of(paths), of(paths), of(&["/a/b", "b"]), of(paths), named).prop_map(
        |(allow_all, read, write, run, ffi, (net, env, sys))| Permissions {
            allow_all,
            read,
            write,
            net,
            run,
            env,
            ffi,
            sys,
        },
    )
}

proptest! {
    #[test]
    fn flags_as_a_policy_file_make_the_same_decisions(permissions in permissions()) {
        let mut flags = PolicyStack::deny_all();
        flags.push_flags(&permissions, "/").unwrap();
        let file = serde_json::to_string(&permissions.to_policy().unwrap()).unwrap();
        let copy = stack(&[(SourceKind::File, &file)]);
        for question in all_questions() {
            prop_assert_eq!(copy.decide(&question).action, flags.decide(&question).action, "{:?} {}", question, file);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = parse_policy(&text, "p.json");
    }

    #[test]
    fn arbitrary_json_never_panics_and_errors_are_one_line(document in document()) {
        if let Err(error) = parse_policy(&document.to_string(), "p.json") {
            let text = error.to_string();
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            prop_assert!(!text.ends_with('.'), "{text:?}");
        }
    }

    #[test]
    fn a_normalised_policy_reads_back_to_the_same_decisions(policy in policy()) {
        let original = stack(&[(SourceKind::File, &policy.to_string())]);
        let normalized = serde_json::to_string(&original.normalized()).unwrap();
        let file = serde_json::to_string(&parse_policy(&policy.to_string(), "p.json").unwrap()).unwrap();
        let copies = [stack(&[(SourceKind::File, &normalized)]), stack(&[(SourceKind::File, &file)])];
        prop_assert_eq!(serde_json::to_string(&copies[0].normalized()).unwrap(), normalized);
        for question in all_questions() {
            let expected = original.decide(&question).action;
            for copy in &copies {
                prop_assert_eq!(copy.decide(&question).action, expected, "{:?}", question);
            }
        }
    }

    #[test]
    fn within_a_source_the_strictest_rule_decides(policy in policy()) {
        let all = stack(&[(SourceKind::File, &policy.to_string())]);
        // Each rule alone, over a default that denies: what it answers is what it says.
        let mut single = Vec::new();
        for kind in ["fs", "net", "exec", "env"] {
            for rule in policy[kind]["rules"].as_array().unwrap() {
                single.push(stack(&[(SourceKind::File, &json!({"version": 1, kind: {"rules": [rule]}}).to_string())]));
            }
        }
        for question in questions() {
            let answers = single.iter().map(|stack| stack.decide(&question)).filter(|answer| answer.rule.is_some());
            if let Some(strictest) = answers.map(|answer| answer.action).max() {
                let answer = all.decide(&question);
                // What may not be read is not written either: then a rule about reading has answered.
                let hidden = question.kind() == PermissionKind::Write && answer.rule.unwrap_or_default().contains("read");
                prop_assert!(answer.action == strictest || hidden && answer.action == Action::Deny, "{:?}", question);
            }
        }
    }

    #[test]
    fn the_merged_view_is_never_laxer(low in policy(), high in policy()) {
        let (low, high) = (low.to_string(), high.to_string());
        let both = stack(&[(SourceKind::File, &low), (SourceKind::Env, &high)]);
        let view = stack(&[(SourceKind::File, &serde_json::to_string(&both.normalized()).unwrap())]);
        for question in all_questions() {
            let view = view.decide(&question).action;
            prop_assert!(view >= both.decide(&question).action, "{:?}", question);
        }
    }

    #[test]
    fn what_is_locked_stays_as_strict(low in policy(), high in policy()) {
        let (low_text, high) = (low.to_string(), high.to_string());
        let both = stack(&[(SourceKind::File, &low_text), (SourceKind::Flags, &high)]);
        let mut locked = json!({"version": 1});
        for kind in ["fs", "net", "exec", "env"] {
            let rules = low[kind]["rules"].as_array().unwrap().iter().filter(|rule| rule["locked"] == true);
            locked[kind] = json!({"rules": rules.collect::<Vec<_>>()});
        }
        let locked = stack(&[(SourceKind::File, &locked.to_string())]);
        for question in all_questions() {
            let alone = locked.decide(&question);
            // What is built in is no lock.
            if alone.source != "default" {
                prop_assert!(both.decide(&question).action >= alone.action, "{:?}", question);
            }
        }
    }

    #[test]
    fn a_denial_added_anywhere_above_holds(low in policy()) {
        let deny = json!({"version": 1,
            "fs": {"rules": [{"action": "deny", "path": "/", "perms": ["read_file", "read_dir", "write_file"]}]},
            "net": {"rules": [{"action": "deny", "host": "*"}]},
            "exec": {"rules": [{"action": "deny", "path": "/"}]},
            "env": {"rules": [{"action": "deny", "name": "*"}]}}).to_string();
        let stack = stack(&[(SourceKind::File, &low.to_string()), (SourceKind::Flags, &deny)]);
        for question in all_questions() {
            prop_assert!(!stack.decide(&question).allowed, "{:?}", question);
        }
    }
}
