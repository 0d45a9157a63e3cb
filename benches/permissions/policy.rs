//! A policy of 1,000 rules: read, put together with flags, and asked.
//! `cargo run --release -p buntime-policy --example policy_bench`. Prints medians in microseconds; its rival, in the
//! same turns, is what any program that takes JSON does at least: `serde_json` reading the same text into a value.

use std::hint::black_box;
use std::time::Instant;

use buntime_policy::{
    Ceiling, Egress, Name, PermissionKind, Permissions, PolicyStack, Proto, Query, merge_policies, parse_policy,
};

const RULES: usize = 1000;
const TURNS: usize = 200;

fn main() {
    let rules: Vec<serde_json::Value> = (0..RULES)
        .map(|number| {
            let action = if number % 5 == 0 { "deny" } else { "allow" };
            let path = match number % 3 {
                0 => format!("/data/project-{number}"),
                1 => format!("/data/project-{}/secrets/file-{number}.key", number / 2),
                _ => format!("/srv/{number}/**/*.txt"),
            };
            serde_json::json!({ "action": action, "path": path, "perms": ["read_file", "read_dir"] })
        })
        .collect();
    let text = serde_json::json!({ "version": 1, "fs": { "rules": rules } }).to_string();
    let mut flags = Permissions::default();
    flags.grants_mut(PermissionKind::Read).allow.add(Some("/data/project-0"));

    let policy = parse_policy(&text, "policy.json").expect("a policy");
    let mut stack = PolicyStack::deny_all();
    stack.push_file(policy.clone(), "/").expect("a file");
    stack.push_flags(&flags, "/").expect("flags");
    // Checked first: one that a rule allows, one that it denies, one lifted by the flag, one that nothing names.
    let asked = |path: &str| stack.decide(&Query::read(path).expect("a question")).allowed;
    let answers = ["/data/project-3/x", "/data/project-15/x", "/data/project-0", "/home/x"].map(asked);
    assert_eq!(answers, [true, false, true, false]);

    let questions: Vec<Query> =
        (0..100).map(|number| Query::read(&format!("/data/project-{number}/a/b")).expect("a question")).collect();
    let pair = [policy.clone(), policy];
    let egress = egress();
    let names: Vec<Name> =
        (0..100).map(|number| Name::parse(&format!("a.host-{number}.example.com")).expect("a name")).collect();
    let address = "93.184.216.34".parse().expect("an address");
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..TURNS {
        times[0].push(micros(|| {
            black_box(serde_json::from_str::<serde_json::Value>(black_box(&text)).expect("JSON"));
        }));
        times[1].push(micros(|| {
            black_box(parse_policy(black_box(&text), "policy.json").expect("a policy"));
        }));
        times[2].push(micros(|| {
            black_box(merge_policies(black_box(&pair)));
        }));
        times[3].push(micros(|| {
            for question in &questions {
                black_box(stack.decide(black_box(question)));
            }
        }));
        times[4].push(micros(|| {
            for name in &names {
                black_box(egress.decide(Some(black_box(name)), address, 443, Proto::Tcp));
            }
        }));
    }
    let [json, parse, merge, decide, flow] = times.map(median);
    println!("{RULES} rules, {} KB of JSON, medians of {TURNS}", text.len() / 1000);
    println!("serde_json alone   {json:9.1} us");
    println!("parse              {parse:9.1} us   {:.1} x", parse / json);
    println!("merge two          {merge:9.1} us");
    println!("one decision       {:9.2} us", decide / 100.0);
    println!("one of a flow      {:9.2} us", flow / 100.0);
}

/// As many rules about the network: names, what is below names, blocks.
fn egress() -> Egress {
    let rules: Vec<serde_json::Value> = (0..RULES)
        .map(|number| match number % 3 {
            0 => serde_json::json!({ "action": "allow", "host": format!("*.host-{}.example.com", number / 3) }),
            1 => serde_json::json!({ "action": "deny", "host": format!("secret.host-{number}.example.com") }),
            _ => serde_json::json!({
                "action": "deny", "proto": "tcp", "ports": "1-1024", "cidr": format!("10.{}.{}.0/24", number / 256, number % 256)
            }),
        })
        .collect();
    let text = serde_json::json!({ "version": 1, "net": { "rules": rules } }).to_string();
    let mut stack = PolicyStack::deny_all();
    stack.push_file(parse_policy(&text, "policy.json").expect("a policy"), "/").expect("a file");
    let egress = Egress::new(stack, Ceiling::default());
    let asked = |name: &str, address: &str| {
        let name = Name::parse(name).expect("a name");
        egress.decide(Some(&name), address.parse().expect("an address"), 443, Proto::Tcp).allowed
    };
    assert!(asked("a.host-7.example.com", "93.184.216.34"));
    assert!(!asked("a.host-7.example.com", "10.0.2.1") && !asked("secret.host-7.example.com", "93.184.216.34"));
    egress
}

fn micros(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
