//! Network targets as rules write them: names, `*.name`, addresses and CIDR blocks, each perhaps with ports.
//!
//! Names never match blocks and addresses never match names; a flow that has both is judged by both (`flow.rs`).

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::address::Cidr;
use crate::name::Name;
use crate::ports::Ports;

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `*`: every name and every address.
    Any,
    /// This name.
    Name(Name),
    /// `*.name`: names below this one at any depth, not the name itself.
    Below(Name),
    /// These addresses.
    Cidr(Cidr),
}

impl Host {
    /// Reads a name, `*.name` or `*`.
    pub(crate) fn parse_name(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let name = |text| Name::parse(text).map_err(|problem| problem.replace(ONE_EXAMPLE, TWO_EXAMPLES));
        let host = match text.strip_prefix("*.") {
            _ if text.parse::<IpAddr>().is_ok() => {
                Err("expected a host name; an address belongs under \"cidr\"".into())
            }
            _ if text.contains(':') && !text.contains("://") => {
                Err("expected a host name alone; ports belong under \"ports\"".into())
            }
            Some(parent) => name(parent).map(Self::Below),
            None => name(text).map(Self::Name),
        };
        host.map_err(|problem| format!("found {text:?}, {problem}"))
    }

    /// Reads the spelling of flags and lists: a name, an address or a block, each perhaps with `:ports`. Ports alone
    /// are those of every host.
    pub(crate) fn parse_with_ports(text: &str) -> Result<(Self, Ports), String> {
        let (host, ports) = split_ports(text)?;
        let (host, ports) = match ports {
            Some(ports) => (if host.is_empty() { "*" } else { host }, Ports::parse(ports)?),
            None => (host, Ports::any()),
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(v6) if v6.parse::<Ipv6Addr>().is_ok() => Self::Cidr(Cidr::parse(v6)?),
            Some(_) => {
                return Err(format!("found {text:?}, expected an ipv6 address in the brackets"));
            }
            None if host.contains("://") => Self::parse_name(text)?,
            None if host.contains('/') || host.parse::<IpAddr>().is_ok() => Self::Cidr(Cidr::parse(host)?),
            None => Self::parse_name(host)?,
        };
        Ok((host, ports))
    }

    pub(crate) fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (Self::Any, _) => true,
            (Self::Name(a), Self::Name(b)) => a == b,
            (Self::Below(parent), Self::Name(name)) => name.is_below(parent),
            (Self::Below(parent), Self::Below(other)) => parent == other || other.is_below(parent),
            (Self::Cidr(a), Self::Cidr(b)) => a.covers(b),
            _ => false,
        }
    }

    /// True for `localhost`, which is a name and two addresses.
    pub(crate) fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if name.is_localhost())
    }

    /// True where this is about the name.
    pub(crate) fn names(&self, name: &Name) -> bool {
        match self {
            Self::Any => true,
            Self::Name(this) => this == name,
            Self::Below(parent) => name.is_below(parent),
            Self::Cidr(_) => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => name.fmt(f),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Cidr(cidr) => cidr.fmt(f),
        }
    }
}

/// Puts the ports of a list back together that was split at its commas: `a.com:80`, `443` are `a.com:80,443`. A number
/// alone is no host, so that nothing else can be meant.
pub(crate) fn with_their_ports(items: &[String]) -> Vec<Cow<'_, str>> {
    let mut joined: Vec<Cow<'_, str>> = Vec::with_capacity(items.len());
    for item in items {
        let is_ports =
            item.contains(|c: char| c.is_ascii_digit()) && item.bytes().all(|c| c.is_ascii_digit() || c == b'-');
        match joined.last_mut() {
            Some(last) if is_ports && matches!(split_ports(last), Ok((_, Some(_)))) => {
                let list = last.to_mut();
                list.push(',');
                list.push_str(item);
            }
            _ => joined.push(Cow::Borrowed(item)),
        }
    }
    joined
}

/// Splits `host:ports`, `[v6]:ports` and `block:ports`.
fn split_ports(text: &str) -> Result<(&str, Option<&str>), String> {
    // The colons of "[v6]" and of "v6/bits" belong to the address.
    let address_end = text.rfind([']', '/']).map_or(0, |end| end + 1);
    if text.contains("://") {
        return Ok((text, None));
    }
    match text[address_end..].split_once(':') {
        Some((_, rest)) if address_end == 0 && rest.contains(':') => {
            Err(format!("found {text:?}, expected ipv6 addresses in square brackets"))
        }
        Some((before, ports)) => Ok((&text[..address_end + before.len()], Some(ports))),
        None => Ok((text, None)),
    }
}

const ONE_EXAMPLE: &str = r#"such as "example.com""#;
const TWO_EXAMPLES: &str = r#"such as "example.com" or "*.example.com""#;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        Host::parse_with_ports(text).map(|(host, ports)| format!("{host} {ports}"))
    }

    #[test]
    fn spellings_of_flags() {
        for (text, expected) in [
            ("github.com", "github.com 0-65535"),
            ("GitHub.COM.", "github.com 0-65535"),
            ("*.example.com:443", "*.example.com 443"),
            ("*", "* 0-65535"),
            ("*:443", "* 443"),
            ("localhost:8000-9000", "localhost 8000-9000"),
            ("10.0.0.0/8", "10.0.0.0/8 0-65535"),
            ("10.1.2.3/8", "10.0.0.0/8 0-65535"),
            ("10.0.0.0/8:80", "10.0.0.0/8 80"),
            ("10.1.2.3:53", "10.1.2.3/32 53"),
            ("[::1]", "::1/128 0-65535"),
            ("[::1]:443", "::1/128 443"),
            ("fd00::/8", "fd00::/8 0-65535"),
            ("[::ffff:10.0.0.1]", "10.0.0.1/32 0-65535"),
            ("0.0.0.0/0", "0.0.0.0/0 0-65535"),
            ("::/0", "::/0 0-65535"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refusals() {
        for (text, problem) in [
            ("", r#"found "", expected a host name such as "example.com" or "*.example.com""#),
            ("http://a.com", r#"found "http://a.com", expected a host name, not a URL"#),
            ("a.com/x", r#"found "a.com/x", expected an address block such as "10.0.0.0/8" or "fd00::/8""#),
            ("::1", r#"found "::1", expected ipv6 addresses in square brackets"#),
            ("[a]", r#"found "[a]", expected an ipv6 address in the brackets"#),
            ("a.*.com", r#"found "a.*.com", expected a host name such as "example.com" or "*.example.com""#),
            ("a b", r#"found "a b", expected a host name such as "example.com" or "*.example.com""#),
            ("a\n", r#"found "a\n", expected a host name such as "example.com" or "*.example.com""#),
            (
                "127.1",
                concat!(
                    r#"found "127.1", expected a host name; its last part is a number, "#,
                    "so that some would take it for an address"
                ),
            ),
            ("a.com:", r#"found "", expected ports from 0 to 65535 such as "443", "80,443" or "8000-9000""#),
            ("10.0.0.0/33", r#"found "10.0.0.0/33", expected an address block such as "10.0.0.0/8" or "fd00::/8""#),
        ] {
            assert_eq!(shown(text), Err(problem.to_owned()), "{text}");
        }
    }

    #[test]
    fn one_host_inside_another() {
        for (wide, narrow, expected) in [
            ("*", "a.com", true),
            ("*", "10.0.0.1", true),
            ("a.com", "*", false),
            ("*.a.com", "b.a.com", true),
            ("*.a.com", "c.b.a.com", true),
            ("*.a.com", "a.com", false),
            ("*.a.com", "ba.com", false),
            ("*.a.com", "*.b.a.com", true),
            ("*.b.a.com", "*.a.com", false),
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "[::1]", false),
            ("10.0.0.0/8", "[::ffff:10.9.9.9]", true),
            ("0.0.0.0/0", "a.com", false),
        ] {
            let [wide_host, narrow_host] = [wide, narrow].map(|text| Host::parse_with_ports(text).unwrap().0);
            assert_eq!(wide_host.covers(&narrow_host), expected, "{wide} {narrow}");
        }
    }
}
