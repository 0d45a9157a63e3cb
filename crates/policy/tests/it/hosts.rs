//! The golden table of host spellings, and what random ones must not do.

use std::net::IpAddr;

use buntime_policy::{Ceiling, Egress, Name, Peer, PermissionKind, Permissions, Proto, Query, hint_flag};
use proptest::prelude::*;
use serde_json::Value;

use crate::stack;

fn golden() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../../__test__/golden/hosts.json")).unwrap()
}

fn flag(item: &str) -> Result<(), String> {
    let mut permissions = Permissions::default();
    permissions.net.allow.add(Some(item));
    permissions.to_policy().map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_golden_spelling_has_its_one_meaning() {
    for row in golden() {
        let text = row["text"].as_str().unwrap();
        let found = Peer::parse(text);
        match (row["name"].as_str(), row["address"].as_str(), row["refused"].as_str()) {
            (Some(name), None, None) => {
                assert_eq!(found.as_ref().map(ToString::to_string).as_deref(), Ok(name), "{text:?}");
                assert!(matches!(found, Ok(Peer::Name(_))) && flag(text).is_ok(), "{text:?}");
            }
            (None, Some(address), None) => {
                let address: IpAddr = address.parse().unwrap();
                assert_eq!(found, Ok(Peer::Address(address)), "{text:?}");
                assert!(Name::parse(text).is_err(), "{text:?} is no name");
            }
            (None, None, Some(reason)) => {
                let problem = found.unwrap_err();
                assert!(problem.contains(reason), "{text:?}: {problem}");
                assert!(Query::net(text, Some(443), Proto::Tcp).is_err(), "{text:?}");
                assert!(hint_flag(PermissionKind::Net, text).is_none() || flag(text).is_ok(), "{text:?}");
            }
            _ => panic!("{row}"),
        }
    }
}

/// Spellings that only some readers take for an address are no rule either, whatever allows "everything".
#[test]
fn an_address_in_disguise_is_no_rule() {
    for row in golden().iter().filter(|row| row["refused"] == "its last part is a number") {
        let text = row["text"].as_str().unwrap();
        for item in [text.to_owned(), format!("{text}:80"), format!("*.{text}")] {
            let problem = flag(&item).unwrap_err();
            assert!(problem.starts_with("--allow-net: found "), "{item:?}: {problem}");
        }
    }
}

/// Parts of hosts, so that random ones come near to what matters.
fn spelling() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "127",
        "0",
        "1",
        "0x7f",
        "0177",
        "2130706433",
        ".",
        ".",
        ":",
        "::",
        "[",
        "]",
        "%",
        "@",
        "*",
        "a",
        "com",
        "xn--",
        "-",
        "_",
        "ffff",
        "64:ff9b",
        "\u{ff11}",
        "\u{3002}",
        "\u{ad}",
        "\u{df}",
        "\u{200d}",
        "\0",
        " ",
        "/",
        "localhost",
        "A",
    ];
    let near = prop::collection::vec(prop::sample::select(PARTS), 0..9).prop_map(|parts| parts.concat());
    prop_oneof![3 => near, 1 => any::<String>()]
}

proptest! {
    #[test]
    fn a_name_is_canonical(text in spelling()) {
        if let Ok(name) = Name::parse(&text) {
            let canonical = name.as_str();
            prop_assert_eq!(&Name::parse(canonical).unwrap(), &name, "{:?}", text);
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
            prop_assert!(canonical.chars().all(is_plain), "{:?}: {:?}", text, canonical);
            prop_assert!(canonical.len() <= 253 && canonical.split('.').all(|label| (1..=63).contains(&label.len())));
            // No reader of addresses takes it for one, the C library's included.
            let last = canonical.rsplit('.').next().unwrap();
            let is_number = last.chars().all(|c| c.is_ascii_digit())
                || last.strip_prefix("0x").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
            prop_assert!(!is_number && canonical.parse::<IpAddr>().is_err(), "{:?}: {:?}", text, canonical);
            prop_assert_eq!(Name::parse(&format!("{canonical}.")).unwrap(), name.clone());
            prop_assert_eq!(Name::parse(&canonical.to_ascii_uppercase()).unwrap(), name);
        }
    }

    #[test]
    fn a_peer_is_canonical(text in spelling()) {
        if let Ok(peer) = Peer::parse(&text) {
            prop_assert_eq!(Peer::parse(&peer.to_string()), Ok(peer.clone()), "{:?}", text);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in spelling()) {
        for text in [String::from_utf8_lossy(&bytes).as_ref(), &text] {
            let _ = (Name::parse(text), Peer::parse(text), flag(text), Query::parse(PermissionKind::Net, text));
        }
    }

    /// Whoever answers for a name chooses its addresses; without a rule about addresses it chooses public ones only.
    #[test]
    fn no_rule_about_names_leads_to_the_machine_itself(bits in any::<u128>(), short in any::<u32>(), form in 0..5_u8) {
        let flags = "--allow-net --allow-net=*.a.com,b.a.com,localhost";
        let egress = Egress::new(stack(flags, "", r#""defaults": {"net": "allow"}"#), Ceiling::default());
        let v4 = u32::from_be_bytes([127, 0, 0, 0]) | (short & 0x00ff_ffff);
        let address: IpAddr = match form {
            0 => std::net::Ipv4Addr::from(v4).into(),
            1 => std::net::Ipv4Addr::from(v4).to_ipv6_mapped().into(),
            2 => std::net::Ipv6Addr::from((0x0064_ff9b_u128 << 96) | u128::from(v4)).into(),
            3 => std::net::Ipv6Addr::from(u128::from(v4)).into(),
            // Whatever is not given out as public: not 2000::/3.
            _ => std::net::Ipv6Addr::from((bits & !(7 << 125)) | (0b101 << 125)).into(),
        };
        let name = Name::parse("b.a.com").unwrap();
        let decision = egress.decide(Some(&name), address, 443, Proto::Tcp);
        // fc00::/7 is private, and the name is named.
        let is_private = matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xfe00 == 0xfc00 && form > 3);
        prop_assert!(!decision.allowed || is_private, "{} {:?}", address, decision);
    }
}
