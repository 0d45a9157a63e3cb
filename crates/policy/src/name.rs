//! The one form in which hosts are compared: names and addresses, read once, here.
//!
//! What two readers could take for different hosts is refused: a name whose last part is a number (`127.1`,
//! `0x7f.0.0.1`, `2130706433`: the C library's `inet_aton` and the WHATWG URL standard take them for addresses), zone
//! ids, user information, control characters, percent signs. So a rule, the resolver and the relay mean one thing.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use crate::address::fold;

/// All of ASCII that no host name has. Letters, digits, `-`, `.` and `_` remain: underscores occur in real names (SRV
/// records, container networks).
const NOT_IN_NAMES: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// Longest name and label, in bytes (RFC 1035, section 2.3.4; the name as text, without its trailing dot).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Longest text that is looked at. A name of [`MAX_NAME`] bytes in ASCII can be longer in Unicode, but not by this
/// much, and mapping costs time in the length.
const MAX_TEXT: usize = 4 * MAX_NAME;

/// A host's name in the one form that is compared: ASCII (IDNA, as UTS #46 says), lower case, no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// The other end as a client wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A name.
    Name(Name),
    /// An address, IPv4-mapped and NAT64 forms folded.
    Address(IpAddr),
}

impl Name {
    /// Reads a name as a rule, a client or a DNS question gives it. The error says what is wrong with it, in words
    /// that follow the name: `expected …`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected a host name such as \"example.com\"".into());
        }
        if text.len() > MAX_TEXT {
            return Err(format!("expected a host name of at most {MAX_NAME} bytes"));
        }
        if let Some(problem) = other_than_name(text) {
            return Err(problem.into());
        }
        let ascii = Uts46::new()
            .to_ascii(text.as_bytes(), NOT_IN_NAMES, Hyphens::Allow, DnsLength::Ignore)
            .map_err(|_| "expected a host name such as \"example.com\"")?;
        let name = ascii.strip_suffix('.').unwrap_or(&ascii);
        if name.len() > MAX_NAME {
            return Err(format!("expected a host name of at most {MAX_NAME} bytes"));
        }
        if !name.split('.').all(|label| (1..=MAX_LABEL).contains(&label.len())) {
            return Err(format!("expected a host name with parts of 1 to {MAX_LABEL} bytes"));
        }
        if ends_in_number(name) {
            return Err(
                "expected a host name; its last part is a number, so that some would take it for an address".into()
            );
        }
        Ok(Self(name.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the name that everybody takes for the machine itself.
    pub fn is_localhost(&self) -> bool {
        self.0 == "localhost"
    }

    /// True for a name below `parent`, at any depth.
    pub(crate) fn is_below(&self, parent: &Self) -> bool {
        self.0.strip_suffix(&parent.0).is_some_and(|rest| rest.ends_with('.'))
    }

    /// The names that this one is below, nearest first: of `a.b.c`, `b.c` and `c`.
    pub(crate) fn parents(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |name| name.split_once('.').map(|(_, parent)| parent)).skip(1)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Peer {
    /// Reads the host of a URL or of `CONNECT`: a name, an IPv4 address of four decimal numbers, an IPv6 address with
    /// or without brackets. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match bracketed {
            Some(inner) => Some(IpAddr::V6(inner.parse::<Ipv6Addr>().map_err(|_| not_in_brackets(inner))?)),
            None => text.parse::<IpAddr>().ok(),
        };
        match address {
            Some(address) => Ok(Self::Address(fold(address))),
            None => Name::parse(text).map(Self::Name),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

fn not_in_brackets(inner: &str) -> &'static str {
    if inner.contains('%') { NO_ZONE } else { "expected an ipv6 address in the brackets" }
}

const NO_ZONE: &str = "expected an address without a zone (\"%…\"), which means nothing outside of this machine";

/// What a text is that is no name but looks like something known, in words.
fn other_than_name(text: &str) -> Option<&'static str> {
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    if text.contains("://") {
        return Some("expected a host name, not a URL");
    }
    if text.split_once('%').is_some_and(|(address, _)| is_v6(address)) {
        return Some(NO_ZONE);
    }
    if text.contains('@') {
        return Some("expected a host name without a user (\"…@\")");
    }
    None
}

/// As in the WHATWG URL standard, "ends in a number". Upper case is gone by now.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
