//! Where a flow of the worker's is to go, by the address that it was sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use buntime_policy::{Peer, Proto};

use crate::Names;
use crate::state::State;

/// The supervisor's own address in each sandbox.
const SUPERVISOR: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
/// The worker's.
const WORKER: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 2));
/// Where the HTTP proxy is.
const PROXY: u16 = 8080;
/// Where names are asked for, at any address: on hosts with a resolver of their own, loopback too.
pub(crate) const DNS: u16 = 53;

/// Why a flow to [`Destination::Nowhere`] or [`Destination::Own`] is not served.
pub(crate) const NOWHERE: &str = "nothing is there";
/// Why a flow too many is not served.
pub(crate) const CROWDED: &str = "too many connections at once";

/// What an address means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Our resolver, whatever server was meant.
    Resolver,
    /// Our HTTP proxy.
    Proxy,
    /// Another host, or a port of this one that a rule names.
    Peer(Peer),
    /// The worker's own, which no flow through us may reach.
    Own,
    /// Nothing is there: another port of ours, an address that stands for no name.
    Nowhere,
}

impl Destination {
    /// Of a flow to `to`, which is [`canonical`].
    pub(crate) fn of(state: &State, to: SocketAddr, proto: Proto) -> Self {
        let address = to.ip();
        if to.port() == DNS {
            return Self::Resolver;
        }
        if address == SUPERVISOR {
            let is_proxy = proto == Proto::Tcp && to.port() == PROXY;
            return if is_proxy { Self::Proxy } else { Self::Nowhere };
        }
        if Names::is_for_names(address) {
            return state.names().name_of(address).map_or(Self::Nowhere, |name| Self::Peer(Peer::Name(name)));
        }
        if address == WORKER || (address.is_loopback() && !is_relayed(state, address, to.port(), proto)) {
            return Self::Own;
        }
        Self::Peer(Peer::Address(address))
    }
}

/// What the kernel makes of it: a mapped address is IPv4, and to connect to the unspecified one is to connect to
/// oneself.
pub(crate) fn canonical(to: SocketAddr) -> SocketAddr {
    let address = match to.ip().to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, to.port())
}

/// Whether a rule names this address and port of the host's loopback.
fn is_relayed(state: &State, address: IpAddr, port: u16, proto: Proto) -> bool {
    state.loopback().iter().any(|(block, ports, of)| {
        *of == proto
            && block.holds(address)
            && ports.ranges().iter().any(|range| (range.from..=range.to).contains(&port))
    })
}
