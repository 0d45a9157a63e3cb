//! Datagrams of the sandbox's namespace: where they were sent to, and answers from there.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, sendto};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Most bytes in a datagram.
pub(crate) const MOST_BYTES: usize = 65_507;

const UDP: u8 = libc::IPPROTO_UDP as u8;
const UDP_HEADER: usize = 8;
const HOPS: u8 = 64;

thread_local! {
    /// Bytes stay in it within one poll only.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 1 << 16]);
}

/// A datagram of the worker's.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) worker: SocketAddr,
    /// Where it was sent.
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// The thread's room for one datagram.
pub(crate) fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| work(buffer))
}

/// The next datagram. One that does not say where it was sent is an error.
pub(crate) fn receive(socket: &UdpSocket) -> io::Result<Datagram> {
    socket.try_io(Interest::READABLE, || with_buffer(|buffer| receive_into(socket, buffer)))
}

fn receive_into(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = nix::cmsg_space!(libc::sockaddr_in6);
    let mut parts = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let worker = message.address.as_ref().and_then(socket_address);
    let to = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4OrigDstAddr(to) => {
            Some(SocketAddrV4::new(u32::from_be(to.sin_addr.s_addr).into(), u16::from_be(to.sin_port)).into())
        }
        ControlMessageOwned::Ipv6OrigDstAddr(to) => {
            Some(SocketAddrV6::new(to.sin6_addr.s6_addr.into(), u16::from_be(to.sin6_port), 0, 0).into())
        }
        _ => None,
    });
    let length = message.bytes;
    let (Some(worker), Some(to)) = (worker, to) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok(Datagram { worker, to, bytes: buffer.get(..length).unwrap_or_default().to_vec() })
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into()))
}

/// How answers are sent.
pub(crate) struct Replies {
    raw: Option<OwnedFd>,
}

impl Replies {
    pub(crate) fn new(raw: Option<OwnedFd>) -> Self {
        Self { raw }
    }

    /// Whether answers from an address and any port of it can be sent.
    pub(crate) fn can_be_from(&self, from: SocketAddr) -> bool {
        self.raw.is_some() && from.port() != 0
    }

    /// Sends an answer from `from`, and the socket's own port.
    pub(crate) fn send_from_own_port(
        &self,
        socket: &UdpSocket,
        to: SocketAddr,
        from: IpAddr,
        bytes: &[u8],
    ) -> io::Result<()> {
        let v4;
        let v6;
        let source = match from {
            IpAddr::V4(from) => {
                let ipi_spec_dst = in_addr(from);
                v4 = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: in_addr(Ipv4Addr::UNSPECIFIED) };
                ControlMessage::Ipv4PacketInfo(&v4)
            }
            IpAddr::V6(from) => {
                v6 = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: from.octets() }, ipi6_ifindex: 0 };
                ControlMessage::Ipv6PacketInfo(&v6)
            }
        };
        let (parts, to) = ([IoSlice::new(bytes)], SockaddrStorage::from(to));
        sendmsg(socket.as_raw_fd(), &parts, &[source], MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }

    /// Sends an answer from `from`, its port included.
    pub(crate) fn send_from_any_port(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let raw = self.raw.as_ref().ok_or(Errno::EOPNOTSUPP)?;
        let packet = packet(from, to, bytes).ok_or(Errno::EMSGSIZE)?;
        // A raw socket has no ports.
        let to = SockaddrStorage::from(SocketAddr::new(to.ip(), 0));
        sendto(raw.as_raw_fd(), &packet, &to, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }
}

fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from(address).to_be() }
}

/// A datagram with its headers (RFC 768, 791, 8200). None where it would be too long, or of two families.
fn packet(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(UDP_HEADER + bytes.len()).ok()?;
    let mut packet = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => header_v4(from, to, length)?,
        (IpAddr::V6(from), IpAddr::V6(to)) => header_v6(from, to, length),
        _ => return None,
    };
    let [sum_high, sum_low] = checksum(from, to, length, bytes).to_be_bytes();
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(length.to_be_bytes());
    packet.extend([sum_high, sum_low]);
    packet.extend(bytes);
    Some(packet)
}

/// The kernel fills in its checksum and identification (raw(7)).
fn header_v4(from: Ipv4Addr, to: Ipv4Addr, length: u16) -> Option<Vec<u8>> {
    let [high, low] = length.checked_add(20)?.to_be_bytes();
    let mut header = vec![0x45, 0, high, low, 0, 0, 0, 0, HOPS, UDP, 0, 0];
    header.extend(from.octets());
    header.extend(to.octets());
    Some(header)
}

fn header_v6(from: Ipv6Addr, to: Ipv6Addr, length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let mut header = vec![0x60, 0, 0, 0, high, low, UDP, HOPS];
    header.extend(from.octets());
    header.extend(to.octets());
    header
}

/// Of UDP: over both addresses, the protocol, the length (twice), both ports, and the bytes.
fn checksum(from: SocketAddr, to: SocketAddr, length: u16, bytes: &[u8]) -> u16 {
    let mut sum = u64::from(UDP) + 2 * u64::from(length) + u64::from(from.port()) + u64::from(to.port());
    for address in [from.ip(), to.ip()] {
        sum += match address {
            IpAddr::V4(v4) => words(&v4.octets()),
            IpAddr::V6(v6) => words(&v6.octets()),
        };
    }
    sum += words(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Zero would say that there is none.
    match !(sum as u16) {
        0 => 0xffff,
        checksum => checksum,
    }
}

fn words(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| u64::from(*low))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_over_ipv4_is_what_the_kernel_would_send() {
        let packet = packet("1.2.3.4:9".parse().unwrap(), "5.6.7.8:10".parse().unwrap(), b"abc").unwrap();
        assert_eq!(packet[..12], [0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0]);
        assert_eq!(packet[12..20], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(packet[20..26], [0, 9, 0, 10, 0, 11]);
        assert_eq!(packet[28..], *b"abc");
    }

    /// RFC 1071: the sum over everything, its checksum included, is all ones.
    #[test]
    fn the_checksum_completes_the_sum() {
        for (from, to, bytes) in [
            ("1.2.3.4:9", "5.6.7.8:10", &b"abc"[..]),
            ("[2001:db8::1]:443", "[::1]:65535", b"12345678"),
            ("0.0.0.0:0", "0.0.0.0:0", b""),
        ] {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let packet = packet(from, to, bytes).unwrap();
            let (addresses, start) = if from.is_ipv4() { (12, 20) } else { (8, 40) };
            let datagram = &packet[start..];
            let mut sum = words(&packet[addresses..start]) + words(datagram) + datagram.len() as u64 + u64::from(UDP);
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            assert_eq!(sum, 0xffff, "{from}");
        }
    }

    #[test]
    fn what_is_too_long_or_of_two_families_is_no_packet() {
        let (v4, v6) = ("1.2.3.4:9".parse().unwrap(), "[::1]:9".parse().unwrap());
        assert_eq!(packet(v4, v6, b"a"), None);
        assert_eq!(packet(v4, v4, &vec![0; MOST_BYTES + 1]), None);
        assert_eq!(packet(v4, v4, &vec![0; MOST_BYTES]).map(|packet| packet.len()), Some(65_535));
    }
}
