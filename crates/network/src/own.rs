//! Addresses of this machine's own: what listens on all of its interfaces can be reached there, and the connection
//! never leaves it, past every firewall outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Whether an interface other than loopback has the address. Where that cannot be found out it counts as one.
pub(crate) fn is_own(address: IpAddr) -> bool {
    may_be_local(address) && has_interface(address)
}

/// To connect a datagram socket sends nothing, and tells which source the kernel would take: of a local address that
/// very one. Asked first, as it is cheap.
fn may_be_local(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let Ok(socket) = UdpSocket::bind(SocketAddr::new(any, 0)) else { return true };
    // Discard (RFC 863); any port would do. Without a route nothing can be reached there.
    let is_routed = socket.connect(SocketAddr::new(address, 9)).is_ok();
    is_routed && socket.local_addr().map_or(true, |local| local.ip() == address)
}

fn has_interface(address: IpAddr) -> bool {
    let Ok(mut interfaces) = getifaddrs() else { return true };
    interfaces.any(|interface| {
        let storage = interface.address.filter(|_| !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK));
        let own = storage.and_then(|storage| {
            let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
            v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
        });
        own == Some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interface_has_is_own_and_loopback_is_not() {
        for address in ["127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"] {
            assert!(!is_own(address.parse().unwrap()), "{address}");
        }
        let interfaces = getifaddrs().unwrap().filter(|one| !one.flags.contains(InterfaceFlags::IFF_LOOPBACK));
        let addresses = interfaces.filter_map(|one| Some(IpAddr::from(one.address?.as_sockaddr_in()?.ip())));
        assert!(addresses.into_iter().all(is_own));
    }
}
