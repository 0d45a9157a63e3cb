//! Addresses: blocks of them, the forms that mean the same, and which of them are the public internet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses, its host bits cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

/// What an address is for (IANA's registries of special-purpose addresses, RFC 6890 and its successors).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The internet.
    Public,
    /// Somebody's own network: RFC 1918, RFC 6598, RFC 4193.
    Private,
    /// An address that an interface of this machine has, and that is none of the others.
    Own,
    /// The machine itself, by `127.0.0.0/8`, `::1`, or the unspecified address, which connects to the same.
    Loopback,
    /// None of these; in words.
    Special(&'static str),
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Cidr {
    Cidr { network: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
}

const fn v6(a: u16, b: u16, c: u16, h: u16, bits: u8) -> Cidr {
    Cidr { network: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, h)), bits }
}

/// `64:ff9b::/96`, RFC 6052: the last 32 bits are the IPv4 address that is reached.
const NAT64: Cidr = v6(0x64, 0xff9b, 0, 0, 96);

const METADATA: Class = Class::Special("metadata of clouds");
const LINK_LOCAL: Class = Class::Special("link-local addresses");
const MULTICAST: Class = Class::Special("multicast");
const DOCUMENTATION: Class = Class::Special("addresses of documentation");
const PROTOCOL: Class = Class::Special("addresses of protocols");
const EMBEDDED: Class = Class::Special("ipv6 addresses with an ipv4 address in them");
const RESERVED: Class = Class::Special("reserved addresses");

/// The first block that holds an address says its class; none: public.
const CLASSES: &[(Cidr, Class)] = &[
    // Where clouds give credentials to whoever asks: AWS, Azure, GCP; Alibaba; Oracle; Azure's host agent.
    (v4(169, 254, 169, 254, 32), METADATA),
    (v4(100, 100, 100, 200, 32), METADATA),
    (v4(192, 0, 0, 192, 32), METADATA),
    (v4(168, 63, 129, 16, 32), METADATA),
    (v6(0xfd00, 0xec2, 0, 0, 32), METADATA),
    (v6(0xfd20, 0xce, 0, 0x254, 128), METADATA),
    (v4(127, 0, 0, 0, 8), Class::Loopback),
    (v4(0, 0, 0, 0, 32), Class::Loopback),
    (v4(0, 0, 0, 0, 8), RESERVED),
    (v4(10, 0, 0, 0, 8), Class::Private),
    (v4(172, 16, 0, 0, 12), Class::Private),
    (v4(192, 168, 0, 0, 16), Class::Private),
    (v4(100, 64, 0, 0, 10), Class::Private),
    (v4(169, 254, 0, 0, 16), LINK_LOCAL),
    (v4(192, 0, 0, 0, 24), PROTOCOL),
    (v4(192, 0, 2, 0, 24), DOCUMENTATION),
    (v4(198, 51, 100, 0, 24), DOCUMENTATION),
    (v4(203, 0, 113, 0, 24), DOCUMENTATION),
    (v4(192, 88, 99, 0, 24), EMBEDDED),
    // Inside of a sandbox these stand for names.
    (v4(198, 18, 0, 0, 15), Class::Special("addresses of benchmarks")),
    (v4(224, 0, 0, 0, 4), MULTICAST),
    (v4(255, 255, 255, 255, 32), Class::Special("broadcast")),
    (v4(240, 0, 0, 0, 4), RESERVED),
    (v6(0, 0, 0, 1, 128), Class::Loopback),
    (v6(0, 0, 0, 0, 128), Class::Loopback),
    (v6(0, 0, 0, 0, 96), EMBEDDED),
    (v6(0x64, 0xff9b, 1, 0, 48), EMBEDDED),
    (v6(0x2002, 0, 0, 0, 16), EMBEDDED),
    // Teredo, ORCHID and the like.
    (v6(0x2001, 0, 0, 0, 23), PROTOCOL),
    (v6(0x2001, 0xdb8, 0, 0, 32), DOCUMENTATION),
    (v6(0x3fff, 0, 0, 0, 20), DOCUMENTATION),
    (v6(0xfc00, 0, 0, 0, 7), Class::Private),
    (v6(0xfe80, 0, 0, 0, 10), LINK_LOCAL),
    (v6(0xff00, 0, 0, 0, 8), MULTICAST),
    // What of IPv6 is given out at all (RFC 4291, section 2.4).
    (v6(0x2000, 0, 0, 0, 3), Class::Public),
    (v6(0, 0, 0, 0, 0), RESERVED),
];

impl Class {
    /// Of an address that is folded.
    pub(crate) fn of(address: IpAddr) -> Self {
        CLASSES.iter().find(|(block, _)| block.holds(address)).map_or(Self::Public, |(_, class)| *class)
    }
}

/// The IPv4 address that an IPv4-mapped or NAT64 form of it reaches; any other as it is.
pub(crate) fn fold(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    if NAT64.holds(v6.into()) {
        let [.., a, b, c, d] = v6.octets();
        return Ipv4Addr::new(a, b, c, d).into();
    }
    v6.into()
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

    pub(crate) fn new(address: IpAddr, bits: u8) -> Self {
        match address {
            // A block of IPv4-mapped addresses is the IPv4 block, or it would be a way round a rule for the latter.
            IpAddr::V6(v6) if bits >= 96 && v6.to_ipv4_mapped().is_some() => Self::new(v6.to_canonical(), bits - 96),
            _ => Self { network: masked(address, bits), bits },
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

    /// True where the address lies in the block.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.network.is_ipv4() == address.is_ipv4() && masked(address, self.bits) == self.network
    }

    /// True where every address of `narrower` does.
    pub(crate) fn covers(&self, narrower: &Self) -> bool {
        self.bits <= narrower.bits && self.holds(narrower.network)
    }

    /// True where the block is about nothing but addresses of the machine itself. A wider one, such as `0.0.0.0/0`,
    /// means other machines.
    pub(crate) fn is_loopback(&self) -> bool {
        CLASSES.iter().any(|(block, class)| *class == Class::Loopback && block.covers(self))
    }

    /// True where the block names NAT64's prefix or a part of it.
    pub(crate) fn is_nat64(&self) -> bool {
        NAT64.covers(self)
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & mask).into()
        }
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
