//! Calls about network namespaces, netlink and listening sockets.

use std::fmt;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libc::c_int;

use super::{Result, SysError, check, owned};

/// The network namespace of a socket, as a descriptor (<linux/sockios.h>).
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// Puts the calling *thread* into a new network namespace (unshare(2)).
pub fn unshare() -> Result<()> {
    // SAFETY: a call without pointers.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into(), "unshare", "CLONE_NEWNET").map(drop)
}

/// The network namespace of a socket, for [`enter`].
pub fn namespace_of(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: the request takes no argument.
    let namespace = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    check(namespace.into(), "ioctl", "SIOCGSKNS").map(owned)
}

/// Puts the calling thread into a network namespace (setns(2)).
pub fn enter(namespace: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: a call without pointers.
    let done = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    check(done.into(), "setns", "CLONE_NEWNET").map(drop)
}

/// A netlink socket of this protocol (netlink(7)), close-on-exec.
pub fn netlink(protocol: c_int, shown: &'static str) -> Result<OwnedFd> {
    socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol, format_args!("AF_NETLINK, {shown}"))
}

/// Sends one datagram on a netlink socket to the kernel, which has acted on it when this returns.
pub fn send_to_kernel(netlink: BorrowedFd<'_>, bytes: &[u8], shown: &'static str) -> Result<()> {
    // SAFETY: the kernel reads the slice's length.
    let sent = unsafe { libc::send(netlink.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    check(sent as _, "send", format_args!("{shown}, {} bytes", bytes.len())).map(drop)
}

/// The next answer that waits on a netlink socket: its length, which is more than the buffer's where it was cut.
/// `None` when none waits.
pub fn kernel_answer(netlink: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Option<usize>> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the kernel writes at most the buffer's length.
    let length = unsafe { libc::recv(netlink.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    match check(length as _, "recv", "netlink") {
        Ok(length) => Ok(Some(length as usize)),
        Err(error) if error.errno == libc::EAGAIN => Ok(None),
        Err(error) => Err(error),
    }
}

/// A socket for TCP (`SOCK_STREAM`), UDP (`SOCK_DGRAM`) or whole packets (`SOCK_RAW`) over the family of `address`:
/// non-blocking, close-on-exec.
pub fn inet(address: IpAddr, kind: c_int) -> Result<OwnedFd> {
    let (family, shown) = if address.is_ipv4() { (libc::AF_INET, "AF_INET") } else { (libc::AF_INET6, "AF_INET6") };
    let (protocol, kind_shown) = match kind {
        libc::SOCK_STREAM => (0, "SOCK_STREAM"),
        libc::SOCK_DGRAM => (0, "SOCK_DGRAM"),
        _ => (libc::IPPROTO_RAW, "SOCK_RAW"),
    };
    socket(family, kind | libc::SOCK_NONBLOCK, protocol, format_args!("{shown}, {kind_shown}"))
}

fn socket(family: c_int, kind: c_int, protocol: c_int, shown: impl fmt::Display) -> Result<OwnedFd> {
    // SAFETY: a call without pointers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    check(fd.into(), "socket", shown).map(owned)
}

/// Sets an option whose value is an integer (setsockopt(2)).
pub fn set_option(socket: BorrowedFd<'_>, level: c_int, option: c_int, value: c_int, shown: &str) -> Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the value lives through the call and has the length that is given.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    check(done.into(), "setsockopt", format_args!("{shown}, {value}")).map(drop)
}

/// Binds a socket to an address (bind(2)). Port 0: one that the kernel chooses.
pub fn bind(socket: BorrowedFd<'_>, address: SocketAddr) -> Result<()> {
    // SAFETY: both structures are plain data, of which zero is a valid value; the kernel reads as many bytes as the
    // length says.
    let done = unsafe {
        match address {
            SocketAddr::V4(v4) => {
                let mut raw: libc::sockaddr_in = zeroed();
                raw.sin_family = libc::AF_INET as libc::sa_family_t;
                raw.sin_port = v4.port().to_be();
                raw.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), length)
            }
            SocketAddr::V6(v6) => {
                let mut raw: libc::sockaddr_in6 = zeroed();
                raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw.sin6_port = v6.port().to_be();
                raw.sin6_addr.s6_addr = v6.ip().octets();
                let length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), length)
            }
        }
    };
    check(done.into(), "bind", address).map(drop)
}

/// Lets a bound socket take connections (listen(2)).
pub fn listen(socket: BorrowedFd<'_>, backlog: c_int) -> Result<()> {
    // SAFETY: a call without pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) }.into(), "listen", backlog).map(drop)
}

/// The port that a socket is bound to (getsockname(2)).
pub fn port_of(socket: BorrowedFd<'_>) -> Result<u16> {
    // SAFETY: plain data, of which zero is a valid value; the kernel writes at most the length that it is given, and
    // both families' addresses fit.
    let (done, address) = unsafe {
        let mut address: libc::sockaddr_in6 = zeroed();
        let mut length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        let done = libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut length);
        (done, address)
    };
    check(done.into(), "getsockname", "listener")?;
    // The port lies at the same place in both families' structures.
    match c_int::from(address.sin6_family) {
        libc::AF_INET | libc::AF_INET6 => Ok(u16::from_be(address.sin6_port)),
        other => Err(SysError { call: "getsockname", arguments: format!("family {other}"), errno: libc::EINVAL }),
    }
}
