use buntime_policy::{Ceiling, Decision, Egress, Name, Origin, Peer, Proto};

use crate::stack;

fn egress(flags: &str, file: &str) -> Egress {
    Egress::new(stack(flags, "", file), Ceiling::default())
}

/// `name:port`, `address:port`, or `name=address:port` for a name that resolves so; `/udp` may follow.
fn decide(egress: &Egress, question: &str) -> Decision {
    let (question, proto) = question.strip_suffix("/udp").map_or((question, Proto::Tcp), |rest| (rest, Proto::Udp));
    let (name, address) = question.split_once('=').map_or((None, question), |(name, rest)| (Some(name), rest));
    let (address, port) = address.rsplit_once(':').unwrap();
    let port = port.parse().unwrap();
    let address = address.trim_matches(['[', ']']);
    let name = name.map(|name| Name::parse(name).unwrap());
    match address.parse() {
        Ok(address) => egress.decide(name.as_ref(), address, port, proto),
        Err(_) => egress.decide_named(&Name::parse(address).unwrap(), port, proto),
    }
}

/// `allow by <source>`, or `deny by <source>: <rule>` where no rule that was written decides.
fn answer(egress: &Egress, question: &str) -> String {
    let Decision { action, source, rule, allowed, .. } = decide(egress, question);
    assert_eq!(allowed, action.as_str() != "deny");
    match rule {
        Some(rule) if source == "default" => format!("{action}: {rule}"),
        _ => format!("{action} by {source}"),
    }
}

const PRIVATE: &str = "deny: private addresses need a rule with the address, or with the very name";
const LOOPBACK: &str = "deny: addresses of the machine itself need a rule with the address, or localhost";

fn special(what: &str) -> String {
    format!("deny: {what} need a rule with the address")
}

#[test]
fn an_address_of_this_machine_is_named_or_not_reached() {
    let name = |text: &str| Some(Name::parse(text).unwrap());
    let address = "140.82.112.3".parse().unwrap();
    for (flags, asked, expected) in [
        ("--allow-net", None, false),
        ("--allow-net", name("a.com"), false),
        ("--allow-net=*.com", name("a.com"), false),
        ("--allow-net=a.com", name("a.com"), true),
        ("--allow-net=140.82.112.0/24", None, true),
        ("--allow-net=*,140.82.112.3", name("a.com"), true),
        ("--allow-all", None, true),
    ] {
        let egress = egress(flags, "");
        assert_eq!(egress.decide_own(asked.as_ref(), address, 443, Proto::Tcp).allowed, expected, "{flags} {asked:?}");
        assert!(egress.decide(asked.as_ref(), address, 443, Proto::Tcp).allowed, "{flags} {asked:?}: somebody else's");
    }
}

#[test]
fn a_denial_of_localhost_holds_for_every_name_that_leads_there() {
    let flags = "--allow-net=a.localhost,127.0.0.0/8,localhost --deny-net=localhost:5432";
    for (question, expected) in [
        ("a.localhost=127.0.0.1:5432", false),
        ("localhost=127.0.0.1:5432", false),
        ("127.0.0.1:5432", false),
        ("a.localhost=127.0.0.1:5433", true),
    ] {
        assert_eq!(decide(&egress(flags, ""), question).allowed, expected, "{question}");
    }
    let list = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
    let (all, denied) = (list(&["*"]), list(&["localhost"]));
    let ceiling = Ceiling::lists((&all, Origin::Default), (&denied, Origin::Default)).unwrap();
    let egress = Egress::new(stack("--allow-net=a.localhost,127.0.0.0/8", "", ""), ceiling);
    assert!(!decide(&egress, "a.localhost=127.0.0.1:80").allowed);
    assert!(decide(&egress, "a.localhost=127.0.0.2:80").allowed);
}

#[test]
fn a_name_is_judged_with_what_it_resolves_to() {
    let metadata = special("metadata of clouds");
    let link_local = special("link-local addresses");
    for (flags, question, expected) in [
        ("--allow-net=github.com:443", "github.com:443", "allow by --allow-net=github.com:443"),
        ("--allow-net=github.com:443", "github.com=140.82.112.3:443", "allow by --allow-net=github.com:443"),
        ("--allow-net=github.com:443", "github.com=140.82.112.3:80", "deny by default"),
        ("--allow-net=github.com:443", "api.github.com=140.82.112.3:443", "deny by default"),
        ("--allow-net=github.com:443", "140.82.112.3:443", "deny by default"),
        ("--allow-net=*.github.com", "a.b.github.com=140.82.112.3:1", "allow by --allow-net=*.github.com"),
        ("--allow-net=*.github.com", "github.com=140.82.112.3:443", "deny by default"),
        ("--allow-net=:443", "a.com=1.1.1.1:443", "allow by --allow-net=:443"),
        ("--allow-net=:443", "a.com=1.1.1.1:80", "deny by default"),
        ("--allow-net=a.com:80,443,b.com", "a.com=1.1.1.1:443", "allow by --allow-net=a.com:80,443"),
        ("--allow-net=a.com:80,8000-9000,443", "a.com=1.1.1.1:8500", "allow by --allow-net=a.com:80,8000-9000,443"),
        ("--allow-net=a.com:80,443,b.com", "b.com=1.1.1.1:81", "allow by --allow-net=b.com"),
        ("--allow-net=:80,443", "b.com=1.1.1.1:443", "allow by --allow-net=:80,443"),
        // The address alone allows no name.
        ("--allow-net=1.1.1.0/24", "a.com=1.1.1.1:443", "deny by default"),
        ("--allow-net=1.1.1.0/24", "1.1.1.1:443", "allow by --allow-net=1.1.1.0/24"),
        // Private: the very name, or the address.
        ("--allow-net=db:5432", "db=10.0.0.5:5432", "allow by --allow-net=db:5432"),
        ("--allow-net=db:5432", "db=[fd00::5]:5432", "allow by --allow-net=db:5432"),
        ("--allow-net=db:5432", "db=100.64.0.9:5432", "allow by --allow-net=db:5432"),
        ("--allow-net", "db=10.0.0.5:5432", PRIVATE),
        ("--allow-net=*", "db=192.168.1.1:80", PRIVATE),
        ("--allow-net=*.corp", "db.corp=172.31.0.1:80", PRIVATE),
        ("--allow-net=*.corp,172.16.0.0/12", "db.corp=172.31.0.1:80", "allow by --allow-net=*.corp"),
        ("--allow-net=*.corp,172.16.0.0/12:81", "db.corp=172.31.0.1:80", PRIVATE),
        ("--allow-net=db:5432,*", "db=10.0.0.5:80", PRIVATE),
        // Rebinding.
        ("--allow-net=evil.com", "evil.com=127.0.0.1:80", LOOPBACK),
        ("--allow-net=evil.com", "evil.com=[::1]:80", LOOPBACK),
        ("--allow-net=evil.com", "evil.com=0.0.0.0:80", LOOPBACK),
        ("--allow-net=evil.com", "evil.com=[::]:80", LOOPBACK),
        ("--allow-net=evil.com", "evil.com=[::ffff:127.0.0.1]:80", LOOPBACK),
        ("--allow-net=evil.com", "evil.com=[64:ff9b::7f00:1]:80", LOOPBACK),
        ("--allow-net=evil.com,0.0.0.0/0", "evil.com=127.0.0.1:80", LOOPBACK),
        ("--allow-net=evil.com,localhost:80", "evil.com=127.0.0.1:80", LOOPBACK),
        ("--allow-net=evil.com,127.0.0.1:80", "evil.com=127.0.0.1:80", "allow by --allow-net=evil.com"),
        ("--allow-net=evil.com", "evil.com=169.254.169.254:80", &metadata),
        ("--allow-net=evil.com", "evil.com=[fd00:ec2::254]:80", &metadata),
        ("--allow-net=evil.com", "evil.com=100.100.100.200:80", &metadata),
        ("--allow-net=evil.com", "evil.com=168.63.129.16:80", &metadata),
        ("--allow-net=evil.com", "evil.com=169.254.1.1:8080", &link_local),
        ("--allow-net=evil.com", "evil.com=[fe80::1]:80", &link_local),
        ("--allow-net=evil.com,169.254.169.254", "evil.com=169.254.169.254:80", "allow by --allow-net=evil.com"),
        ("--allow-net=evil.com", "evil.com=224.0.0.1:80", &special("multicast")),
        ("--allow-net=evil.com", "evil.com=[ff02::1]:80", &special("multicast")),
        ("--allow-net=evil.com", "evil.com=255.255.255.255:80", &special("broadcast")),
        ("--allow-net=evil.com", "evil.com=192.0.2.1:80", &special("addresses of documentation")),
        ("--allow-net=evil.com", "evil.com=198.18.0.1:80", &special("addresses of benchmarks")),
        ("--allow-net=evil.com", "evil.com=240.0.0.1:80", &special("reserved addresses")),
        (
            "--allow-net=evil.com",
            "evil.com=[2002:7f00:1::]:80",
            &special("ipv6 addresses with an ipv4 address in them"),
        ),
        ("--allow-net=evil.com", "evil.com=[::127.0.0.1]:80", &special("ipv6 addresses with an ipv4 address in them")),
        ("--allow-net=evil.com", "evil.com=[64:ff9b:1::1]:80", &special("ipv6 addresses with an ipv4 address in them")),
        ("--allow-net=evil.com", "evil.com=[2001::1]:80", &special("addresses of protocols")),
        ("--allow-net=evil.com", "evil.com=[4000::1]:80", &special("reserved addresses")),
        ("--allow-net=evil.com", "evil.com=[2606:4700::1]:80", "allow by --allow-net=evil.com"),
        ("--allow-net=evil.com", "evil.com=[64:ff9b::808:808]:80", "allow by --allow-net=evil.com"),
        // Denials of addresses hold for names, too.
        ("--allow-net=a.com --deny-net=1.0.0.0/8", "a.com=1.1.1.1:80", "deny by --deny-net=1.0.0.0/8"),
        ("--allow-net=a.com --deny-net=1.0.0.0/8:25", "a.com=1.1.1.1:80", "allow by --allow-net=a.com"),
        ("--allow-net=db --deny-net=10.0.0.0/8", "db=10.0.0.5:80", "deny by --deny-net=10.0.0.0/8"),
        ("--allow-net --deny-net=a.com", "a.com=1.1.1.1:80", "deny by --deny-net=a.com"),
        ("--allow-net --deny-net=*.a.com", "b.a.com=1.1.1.1:80", "deny by --deny-net=*.a.com"),
        ("--allow-net --deny-net=:25", "a.com=1.1.1.1:25", "deny by --deny-net=:25"),
        ("--allow-net --deny-net=10.0.0.0/8", "a.com=[64:ff9b::a00:1]:80", "deny by --deny-net=10.0.0.0/8"),
        ("--allow-net --deny-net=64:ff9b::/96", "a.com=[64:ff9b::808:808]:80", "deny by --deny-net=64:ff9b::/96"),
        ("--allow-net --deny-net=::/0", "a.com=[64:ff9b::808:808]:80", "deny by --deny-net=::/0"),
        // Everything.
        ("--allow-all", "db=10.0.0.5:80", "allow by --allow-all"),
        ("--allow-all", "db=169.254.169.254:80", "allow by --allow-all"),
        ("--allow-all", "evil.com=127.0.0.1:80", LOOPBACK),
        ("--allow-all", "evil.com=0.0.0.0:80", LOOPBACK),
    ] {
        assert_eq!(answer(&egress(flags, ""), question), *expected, "{flags}: {question}");
    }
}

#[test]
fn a_literal_address_is_judged_by_blocks_and_only_public_ones_by_any() {
    for (flags, question, expected) in [
        ("--allow-net", "1.1.1.1:80", "allow by --allow-net"),
        ("--allow-net", "[2606:4700::1]:80", "allow by --allow-net"),
        ("--allow-net=:80", "1.1.1.1:80", "allow by --allow-net=:80"),
        ("--allow-net", "10.0.0.1:80", PRIVATE),
        ("--allow-net", "127.0.0.1:80", LOOPBACK),
        ("--allow-net", "[::ffff:10.0.0.1]:80", PRIVATE),
        ("--allow-net", "169.254.169.254:80", &special("metadata of clouds")),
        ("--allow-net=10.0.0.0/8", "10.0.0.1:80", "allow by --allow-net=10.0.0.0/8"),
        ("--allow-net=10.0.0.0/8", "[::ffff:10.0.0.1]:80", "allow by --allow-net=10.0.0.0/8"),
        ("--allow-net=10.0.0.0/8", "[64:ff9b::a00:1]:80", "allow by --allow-net=10.0.0.0/8"),
        ("--allow-net=::/0", "[64:ff9b::a00:1]:80", "deny by default"),
        ("--allow-net=::/0", "10.0.0.1:80", "deny by default"),
        ("--allow-net=0.0.0.0/0", "10.0.0.1:80", "allow by --allow-net=0.0.0.0/0"),
        ("--allow-net=0.0.0.0/0", "127.0.0.1:80", LOOPBACK),
        ("--allow-net=127.0.0.1:80", "127.0.0.1:80", "allow by --allow-net=127.0.0.1:80"),
        ("--allow-net=127.0.0.1:80", "127.0.0.1:81", "deny by default"),
        ("--allow-net=127.0.0.1:80", "127.0.0.2:80", "deny by default"),
        ("--allow-net=localhost:80", "127.0.0.1:80", "allow by --allow-net=localhost:80"),
        ("--allow-net=localhost:80", "[::1]:80", "allow by --allow-net=localhost:80"),
        ("--allow-net=localhost:80", "127.0.0.2:80", "deny by default"),
        ("--allow-net=localhost:80", "localhost=127.0.0.1:80", "allow by --allow-net=localhost:80"),
        ("--allow-net=localhost:80", "localhost=127.0.0.1:81", "deny by default"),
        ("--allow-net=localhost:80", "localhost=10.0.0.1:80", PRIVATE),
        ("--allow-net", "localhost=127.0.0.1:80", LOOPBACK),
        ("--allow-net=127.0.0.1 --deny-net=localhost:22", "127.0.0.1:22", "deny by --deny-net=localhost:22"),
        ("--allow-net=github.com", "1.1.1.1:80", "deny by default"),
        ("--allow-all", "10.0.0.1:80", "allow by --allow-all"),
        ("--allow-all", "127.0.0.1:80", LOOPBACK),
        ("--allow-all --deny-net=10.0.0.0/8", "10.0.0.1:80", "deny by --deny-net=10.0.0.0/8"),
    ] {
        assert_eq!(answer(&egress(flags, ""), question), *expected, "{flags}: {question}");
    }
}

#[test]
fn udp_is_allowed_by_rules_that_say_so() {
    let rule = |action: &str, what: &str| format!(r#"{{"action": "{action}", {what}}}"#);
    let file = |rules: &[String]| format!(r#""net": {{"rules": [{}]}}"#, rules.join(","));
    let dns = rule("allow", r#""proto": "udp", "cidr": "8.8.8.8", "ports": "53""#);
    let named = rule("allow", r#""proto": "udp", "host": "ntp.org", "ports": "123""#);
    let both = rule("allow", r#""host": "a.com""#);
    for (flags, file, question, expected) in [
        ("--allow-net", String::new(), "8.8.8.8:53/udp", "deny by default"),
        ("--allow-net=a.com", String::new(), "a.com=8.8.8.8:53/udp", "deny by default"),
        ("", file(std::slice::from_ref(&both)), "a.com=8.8.8.8:53/udp", "deny by default"),
        ("", file(&[both]), "a.com=8.8.8.8:53", "allow by p.json: net.rules[0]"),
        ("", r#""defaults": {"net": "allow"}"#.into(), "8.8.8.8:53/udp", "deny: udp needs a rule of its own"),
        ("", r#""defaults": {"net": "allow"}"#.into(), "8.8.8.8:53", "allow by p.json: defaults.net"),
        ("", r#""defaults": {"net": "allow"}"#.into(), "10.8.8.8:53", PRIVATE),
        ("", file(std::slice::from_ref(&dns)), "8.8.8.8:53/udp", "allow by p.json: net.rules[0]"),
        ("", file(std::slice::from_ref(&dns)), "8.8.8.8:53", "deny by default"),
        ("", file(&[named]), "ntp.org=8.8.8.8:123/udp", "allow by p.json: net.rules[0]"),
        ("--deny-net=8.8.8.8", file(&[dns]), "8.8.8.8:53/udp", "deny by --deny-net=8.8.8.8"),
        ("--allow-all", String::new(), "8.8.8.8:53/udp", "allow by --allow-all"),
    ] {
        assert_eq!(answer(&egress(flags, &file), question), expected, "{flags} {file}: {question}");
    }
}

#[test]
fn between_sources_a_denied_address_yields_to_the_address_alone() {
    let file = r#""net": {"rules": [
        {"action": "deny", "proto": "tcp", "cidr": "10.0.0.0/8", "ports": "0-65535"},
        {"action": "warn", "proto": "tcp", "cidr": "1.0.0.0/8", "ports": "25"},
        {"action": "deny", "host": "c.com"},
        {"action": "deny", "proto": "tcp", "cidr": "127.0.0.0/8", "ports": "0-65535"}
    ]}"#;
    for (flags, question, expected, overridden) in [
        ("--allow-net=db", "db=10.0.0.5:80", "deny by p.json: net.rules[0]", 0),
        ("--allow-net=db,10.0.0.5", "db=10.0.0.5:80", "allow by --allow-net=db", 1),
        ("--allow-net=db,0.0.0.0/0", "db=10.0.0.5:80", "deny by p.json: net.rules[0]", 0),
        ("--allow-net=10.0.0.5", "10.0.0.5:80", "allow by --allow-net=10.0.0.5", 1),
        ("--allow-net", "a.com=1.1.1.1:25", "warn by p.json: net.rules[1]", 0),
        ("--allow-net", "1.1.1.1:25", "warn by p.json: net.rules[1]", 0),
        ("--allow-net", "c.com=1.1.1.1:80", "deny by p.json: net.rules[2]", 0),
        ("--allow-net=c.com", "c.com=1.1.1.1:80", "allow by --allow-net=c.com", 1),
        ("--allow-all", "db=10.0.0.5:80", "allow by --allow-all", 1),
        ("--allow-net=localhost:80", "127.0.0.1:80", "allow by --allow-net=localhost:80", 1),
        ("--allow-net=localhost:80", "localhost=127.0.0.1:80", "allow by --allow-net=localhost:80", 1),
        ("--allow-net=a.com", "a.com=127.0.0.1:80", "deny by p.json: net.rules[3]", 0),
    ] {
        let egress = egress(flags, file);
        assert_eq!(answer(&egress, question), expected, "{flags}: {question}");
        assert_eq!(decide(&egress, question).overridden.len(), overridden, "{flags}: {question}");
    }
}

#[test]
fn a_name_may_be_looked_up_where_some_port_of_it_is_allowed() {
    let warn = r#""net": {"rules": [{"action": "warn", "host": "*", "ports": "25"}]}"#;
    let udp = r#""net": {"rules": [{"action": "allow", "host": "a.com", "proto": "udp", "ports": "123"}]}"#;
    for (flags, file, name, expected) in [
        ("", "", "a.com", "deny by default"),
        ("--allow-net=a.com:443", "", "a.com", "allow by --allow-net=a.com:443"),
        ("--allow-net=a.com:443", "", "b.a.com", "deny by default"),
        ("--allow-net=a.com:443 --deny-net=a.com:443", "", "a.com", "deny by --deny-net=a.com:443"),
        ("--allow-net=a.com:443-445 --deny-net=a.com:443-444", "", "a.com", "allow by --allow-net=a.com:443-445"),
        ("--allow-net=:443 --deny-net=a.com", "", "a.com", "deny by --deny-net=a.com"),
        ("--allow-net=10.0.0.0/8", "", "a.com", "deny by default"),
        ("--allow-net --deny-net=0.0.0.0/0", "", "a.com", "allow by --allow-net"),
        ("", warn, "a.com", "warn by p.json: net.rules[0]"),
        ("--allow-net=a.com:80", warn, "a.com", "allow by --allow-net=a.com:80"),
        ("", udp, "a.com", "allow by p.json: net.rules[0]"),
    ] {
        let decision = egress(flags, file).decide_name(&Name::parse(name).unwrap());
        let found = format!("{} by {}", decision.action, decision.source);
        assert_eq!(found, expected, "{flags} {file}: {name}");
    }
}

#[test]
fn the_ceiling_yields_to_nothing() {
    let list = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
    let origin = |key: &str| Origin::Document { name: "config.json".into(), path: format!("network.{key}") };
    for (allow, deny, flags, question, expected) in [
        (&["*"][..], &[][..], "--allow-net", "a.com=1.1.1.1:80", "allow by --allow-net"),
        (&["*"], &[], "--allow-net=db", "db=10.0.0.1:80", "allow by --allow-net=db"),
        (&["*"], &[], "--allow-net=127.0.0.1:80", "127.0.0.1:80", "allow by --allow-net=127.0.0.1:80"),
        (&["*"], &[], "", "a.com=1.1.1.1:80", "deny by default"),
        (&[], &[], "--allow-all", "a.com=1.1.1.1:80", "deny by config.json: network.allow_list"),
        (&["*.a.com"], &[], "--allow-all", "b.a.com=10.0.0.1:80", "allow by --allow-all"),
        (&["*.a.com"], &[], "--allow-all", "a.com=1.1.1.1:80", "deny by config.json: network.allow_list"),
        (&["a.com:443"], &[], "--allow-all", "a.com=1.1.1.1:80", "deny by config.json: network.allow_list"),
        (&["a.com"], &[], "--allow-all", "1.1.1.1:80", "deny by config.json: network.allow_list"),
        (&["1.1.1.1"], &[], "--allow-all", "1.1.1.1:80/udp", "allow by --allow-all"),
        (&["10.0.0.0/8"], &[], "--allow-all", "a.com=10.0.0.1:80", "deny by config.json: network.allow_list"),
        (&["localhost:80"], &[], "--allow-net=localhost", "[::1]:80", "allow by --allow-net=localhost"),
        (&["localhost:80"], &[], "--allow-net=localhost", "[::1]:81", "deny by config.json: network.allow_list"),
        (
            &["*"],
            &["10.0.0.0/8"],
            "--allow-net=db,10.0.0.1",
            "db=10.0.0.1:80",
            "deny by config.json: network.deny_list[0]",
        ),
        (&["*"], &["b", "a.com"], "--allow-net=a.com", "a.com:80", "deny by config.json: network.deny_list[1]"),
        (&["*"], &["a.com:25"], "--allow-net=a.com", "a.com:80", "allow by --allow-net=a.com"),
        (&["*"], &["10.0.0.0/8"], "--allow-all", "[64:ff9b::a00:1]:80", "deny by config.json: network.deny_list[0]"),
        (&["*"], &["::/0"], "--allow-all", "[64:ff9b::a00:1]:80", "deny by config.json: network.deny_list[0]"),
    ] {
        let ceiling = Ceiling::lists((&list(allow), origin("allow_list")), (&list(deny), origin("deny_list"))).unwrap();
        let egress = Egress::new(stack(flags, "", ""), ceiling);
        assert_eq!(answer(&egress, question), expected, "{allow:?} {deny:?} {flags}: {question}");
    }
    let closed = Ceiling::closed("network.enabled = false", origin("enabled"));
    let egress = Egress::new(stack("--allow-all", "", ""), closed);
    assert!(!egress.is_wanted() && egress.host_loopback().is_empty() && !egress.wants_udp());
    let decision = egress.decide_name(&Name::parse("a.com").unwrap());
    assert_eq!((decision.source.as_str(), decision.allowed), ("config.json: network.enabled", false));
}

#[test]
fn a_network_is_made_only_where_something_may_pass() {
    let udp = r#""net": {"rules": [{"action": "warn", "host": "a.com", "proto": "udp"}]}"#;
    let open = r#""defaults": {"net": "allow"}"#;
    let locked = r#""net": {"rules": [{"action": "deny", "host": "*", "locked": true}]}"#;
    let by_proto = r#""net": {"rules": [
        {"action": "deny", "host": "*", "proto": "tcp", "locked": true},
        {"action": "deny", "host": "*", "proto": "udp", "locked": true}
    ]}"#;
    let denied = r#""net": {"rules": [{"action": "deny", "host": "a.com"}]}"#;
    for (flags, file, wanted, udp_wanted) in [
        ("", "", false, false),
        ("--deny-net", "", false, false),
        ("--allow-read", "", false, false),
        ("--allow-net=a.com", "", true, false),
        ("--allow-net", "", true, false),
        ("--allow-all", "", true, true),
        ("--allow-all --deny-net", "", false, false),
        ("--allow-net=a.com --deny-net", "", false, false),
        ("--allow-net=a.com:443 --deny-net=*.com", "", false, false),
        ("--allow-net=a.com --deny-net=a.com:443", "", true, false),
        ("--allow-net=10.0.0.0/8 --deny-net=10.0.0.0/16", "", true, false),
        ("", open, true, false),
        ("--deny-net", open, false, false),
        ("", udp, true, true),
        ("--deny-net=a.com", udp, false, false),
        ("--allow-all", locked, false, false),
        ("--allow-all", by_proto, false, false),
        ("--allow-net=a.com", locked, false, false),
        ("--allow-net=a.com", denied, true, false),
    ] {
        let egress = egress(flags, file);
        assert_eq!((egress.is_wanted(), egress.wants_udp()), (wanted, udp_wanted), "{flags} {file}");
    }
}

#[test]
fn loopback_that_rules_name_is_the_hosts() {
    let udp = r#""net": {"rules": [{"action": "allow", "cidr": "127.0.0.1", "proto": "udp", "ports": "53"}]}"#;
    for (flags, file, expected) in [
        ("--allow-net", "", ""),
        ("--allow-all", "", ""),
        ("--allow-net=0.0.0.0/0,::/0,evil.com", "", ""),
        ("--allow-net=localhost:8000", "", "127.0.0.1/32 8000 tcp, ::1/128 8000 tcp"),
        ("--allow-net=127.0.0.1:8000-8001", "", "127.0.0.1/32 8000-8001 tcp"),
        ("--allow-net=[::1]:80,127.0.0.0/8:81", "", "::1/128 80 tcp, 127.0.0.0/8 81 tcp"),
        ("--allow-net=localhost:80,127.0.0.1:80", "", "127.0.0.1/32 80 tcp, ::1/128 80 tcp"),
        ("--allow-net=localhost:80 --deny-net=localhost", "", ""),
        ("", udp, "127.0.0.1/32 53 udp"),
    ] {
        let found: Vec<String> =
            egress(flags, file).host_loopback().iter().map(|(a, b, c)| format!("{a} {b} {c}")).collect();
        assert_eq!(found.join(", "), expected, "{flags} {file}");
    }
}

#[test]
fn a_hint_is_a_flag_that_helps() {
    let list = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
    let ceiling = Ceiling::lists((&list(&["*"]), Origin::Default), (&list(&["c.com"]), Origin::Default)).unwrap();
    let locked = r#""net": {"rules": [{"action": "deny", "host": "b.com", "locked": true}]}"#;
    for (flags, name, address, expected) in [
        ("", Some("a.com"), Some("1.1.1.1"), Some("--allow-net=a.com:443")),
        ("", Some("a.com"), None, Some("--allow-net=a.com:443")),
        ("", None, Some("2606:4700::1"), Some("--allow-net='[2606:4700::1]:443'")),
        ("--allow-net", Some("db"), Some("10.0.0.5"), Some("--allow-net=db:443")),
        ("--allow-net=a.com", Some("a.com"), Some("127.0.0.1"), Some("--allow-net=127.0.0.1:443")),
        ("", Some("a.com"), Some("127.0.0.1"), None),
        ("--deny-net", Some("a.com"), Some("1.1.1.1"), None),
        ("", Some("b.com"), Some("1.1.1.1"), None),
        ("", Some("c.com"), Some("1.1.1.1"), None),
    ] {
        let egress = Egress::new(stack(flags, "", locked), ceiling.clone());
        let name = name.map(|name| Name::parse(name).unwrap());
        let hint = egress.hint(name.as_ref(), address.map(|address| address.parse().unwrap()), 443);
        assert_eq!(hint.as_deref(), expected, "{flags} {name:?} {address:?}");
    }
}

#[test]
fn a_peer_is_a_name_or_an_address() {
    assert_eq!(Peer::parse("GitHub.com.").unwrap(), Peer::Name(Name::parse("github.com").unwrap()));
    for (text, address) in [("[::ffff:10.0.0.1]", "10.0.0.1"), ("64:ff9b::a00:1", "10.0.0.1"), ("[::1]", "::1")] {
        assert_eq!(Peer::parse(text).unwrap(), Peer::Address(address.parse().unwrap()), "{text}");
    }
}

#[test]
fn a_name_leads_to_an_address_where_some_port_of_it_is_allowed() {
    let resolved = |flags: &str, name: &str, address: &str| {
        let decision = egress(flags, "").decide_resolved(&Name::parse(name).unwrap(), address.parse().unwrap());
        decision.allowed
    };
    for (flags, name, address, expected) in [
        ("--allow-net=db:5432", "db", "10.0.0.5", true),
        ("--allow-net=db:5432", "db", "127.0.0.1", false),
        ("--allow-net=*.corp:443", "db.corp", "140.82.112.3", true),
        ("--allow-net=*.corp:443", "db.corp", "10.0.0.5", false),
        ("--allow-net=*.corp:443,10.0.0.0/8:443", "db.corp", "10.0.0.5", true),
        ("--allow-net=*.corp:443,10.0.0.0/8:80", "db.corp", "10.0.0.5", false),
        ("--allow-net --deny-net=140.82.0.0/16:443", "github.com", "140.82.112.3", true),
        ("--allow-net --deny-net=140.82.0.0/16", "github.com", "140.82.112.3", false),
        ("--allow-net=evil.com", "evil.com", "169.254.169.254", false),
        ("--allow-net=other.com", "evil.com", "140.82.112.3", false),
    ] {
        assert_eq!(resolved(flags, name, address), expected, "{flags} {name} {address}");
    }
}
