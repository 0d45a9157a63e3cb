//! Network targets: names, `*.name`, addresses and CIDR blocks.
//!
//! Names never match blocks and addresses never match names: which of the two a connection is judged by is for the
//! resolver to say, and asking about both is the way to judge both.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::ports::Ports;

/// A block of addresses, its host bits cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `*`: every name and every address.
    Any,
    /// This name.
    Name(String),
    /// `*.name`: names below this one at any depth, not the name itself.
    Below(String),
    /// These addresses.
    Cidr(Cidr),
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or a single address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let problem = || format!(r#"found {text:?}, expected an address block such as "10.0.0.0/8" or "fd00::/8""#);
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| problem())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().map_err(|_| problem())?,
            Some(_) => return Err(problem()),
        };
        if bits > width {
            return Err(problem());
        }
        Ok(Self::new(address, bits))
    }

    fn new(address: IpAddr, bits: u8) -> Self {
        match address {
            // A block of IPv4-mapped addresses is the IPv4 block, or it would be a way round a rule for the latter.
            IpAddr::V6(v6) if bits >= 96 && v6.to_ipv4_mapped().is_some() => Self::new(v6.to_canonical(), bits - 96),
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                Self { network: IpAddr::V4((u32::from(v4) & mask).into()), bits }
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Self { network: IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask)), bits }
            }
        }
    }

    /// The first address of the block.
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// The length of the prefix.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    fn covers(&self, narrower: &Self) -> bool {
        let same_family = self.network.is_ipv4() == narrower.network.is_ipv4();
        same_family && self.bits <= narrower.bits && Self::new(narrower.network, self.bits) == *self
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        Self::new(address, if address.is_ipv4() { 32 } else { 128 })
    }
}

impl Host {
    /// Reads a name, `*.name` or `*`.
    pub(crate) fn parse_name(text: &str) -> Result<Self, String> {
        let fail = |problem: &str| Err(format!("found {text:?}, {problem}"));
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.contains("://") {
            return fail("expected a host name, not a URL");
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name.parse::<IpAddr>().is_ok() {
            return fail("expected a host name; an address belongs under \"cidr\"");
        }
        if name.contains(':') {
            return fail("expected a host name alone; ports belong under \"ports\"");
        }
        let valid = name.len() <= 253 && name.split('.').all(is_label);
        if !valid {
            return fail(r#"expected a host name such as "example.com" or "*.example.com""#);
        }
        if ends_in_number(&name) {
            // "127.1" and "0x7f.0.0.1" reach 127.0.0.1 through the C library, past every rule for addresses.
            return fail("expected a host name; its last part is a number, so that some would take it for an address");
        }
        Ok(if below { Self::Below(name) } else { Self::Name(name) })
    }

    /// Reads the spelling of flags and lists: a name, an address or a block, each perhaps with `:ports`.
    pub(crate) fn parse_with_ports(text: &str) -> Result<(Self, Ports), String> {
        let (host, ports) = split_ports(text)?;
        let ports = ports.map_or_else(|| Ok(Ports::any()), Ports::parse)?;
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
            (Self::Below(parent), Self::Name(name)) => is_below(name, parent),
            (Self::Below(parent), Self::Below(other)) => parent == other || is_below(other, parent),
            (Self::Cidr(a), Self::Cidr(b)) => a.covers(b),
            _ => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Cidr(cidr) => cidr.fmt(f),
        }
    }
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

fn is_label(label: &str) -> bool {
    // Underscores occur in real names (SRV, container networks); international names come as "xn--".
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
}

fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

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
