//! The sockets that flows come to. They are made inside, where the right to take other addresses' flows is, and serve
//! outside.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{DNS_PORT, RELAY_MARK, Target};
use crate::sys::{Result, network};

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`, 4,096 in a new namespace.
const BACKLOG: i32 = 4096;

/// Not in libc (<linux/in6.h>).
const IPV6_RECVORIGDSTADDR: i32 = 74;

/// The listeners of one family.
pub struct Listeners {
    /// Listens.
    pub tcp: OwnedFd,
    /// Tells each datagram's destination.
    pub udp: OwnedFd,
    /// Where they are bound.
    pub target: Target,
    /// Sends whole packets: datagrams from other ports than 53.
    pub raw: Option<OwnedFd>,
}

/// Makes both listeners on `address`, which no flow of the worker's reaches but by the table. `raw`: and the socket to
/// send whole packets by.
pub fn open(address: IpAddr, raw: bool) -> Result<Listeners> {
    let tcp = bound(SocketAddr::new(address, 0), libc::SOCK_STREAM)?;
    network::listen(tcp.as_fd(), BACKLOG)?;
    // Answers to questions must come from the port that was asked.
    let udp = bound(SocketAddr::new(address, DNS_PORT), libc::SOCK_DGRAM)?;
    let (level, option, shown) = match address {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR"),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, "IPV6_RECVORIGDSTADDR"),
    };
    network::set_option(udp.as_fd(), level, option, 1, shown)?;
    let target = Target { address, tcp: network::port_of(tcp.as_fd())?, udp: DNS_PORT };
    let raw = if raw { Some(sender(address)?) } else { None };
    Ok(Listeners { tcp, udp, target, raw })
}

/// Of protocol `IPPROTO_RAW`, which receives nothing and whose sender writes the headers (raw(7)).
fn sender(address: IpAddr) -> Result<OwnedFd> {
    let socket = network::inet(address, libc::SOCK_RAW)?;
    mark(socket.as_fd())?;
    Ok(socket)
}

/// Accepted connections inherit it.
fn mark(socket: BorrowedFd<'_>) -> Result<()> {
    network::set_option(socket, libc::SOL_SOCKET, libc::SO_MARK, RELAY_MARK as i32, "SO_MARK")
}

fn bound(address: SocketAddr, kind: i32) -> Result<OwnedFd> {
    let socket = network::inet(address.ip(), kind)?;
    let fd = socket.as_fd();
    mark(fd)?;
    match address.ip() {
        IpAddr::V4(_) => network::set_option(fd, libc::IPPROTO_IP, libc::IP_TRANSPARENT, 1, "IP_TRANSPARENT")?,
        IpAddr::V6(_) => {
            network::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1, "IPV6_V6ONLY")?;
            network::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT")?;
        }
    }
    network::bind(fd, address)?;
    Ok(socket)
}
