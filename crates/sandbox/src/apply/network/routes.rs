//! Addresses and routes: the loopback interface is up, has the sandbox's two addresses, and every other address is
//! local, too (AnyIP), so that whatever is connected to ends in this namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use super::netlink::{Batch, Body};
use crate::sys::{Result, network};

/// The loopback interface's number, the first in every namespace.
const LOOPBACK: u32 = 1;
const ACKNOWLEDGED: i32 = libc::NLM_F_ACK;
const NEW: i32 = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// Sets up the loopback interface, with the addresses and the route of IPv4 where there are any.
pub fn loopback(addresses: &[Ipv4Addr], source: Option<Ipv4Addr>) -> Result<std::os::fd::OwnedFd> {
    let netlink = network::netlink(libc::NETLINK_ROUTE, "NETLINK_ROUTE")?;
    let mut batch = Batch::default();
    batch.add(libc::RTM_NEWLINK, ACKNOWLEDGED, "RTM_NEWLINK, lo up", |body| {
        // struct ifinfomsg: family, type, index, flags, which of them change.
        body.raw(&[libc::AF_UNSPEC as u8, 0, 0, 0]);
        let up = libc::IFF_UP as u32;
        for word in [LOOPBACK, up, up] {
            body.raw(&word.to_ne_bytes());
        }
    });
    for address in addresses {
        batch.add(libc::RTM_NEWADDR, NEW, format!("RTM_NEWADDR, {address}/32 dev lo"), |body| {
            // struct ifaddrmsg: family, prefix, flags, scope, index.
            body.raw(&[libc::AF_INET as u8, 32, 0, libc::RT_SCOPE_UNIVERSE]);
            body.raw(&LOOPBACK.to_ne_bytes());
            body.attribute(libc::IFA_LOCAL, &address.octets());
            body.attribute(libc::IFA_ADDRESS, &address.octets());
        });
    }
    if let Some(source) = source {
        let shown = format!("RTM_NEWROUTE, local 0.0.0.0/0 dev lo src {source}");
        batch.add(libc::RTM_NEWROUTE, NEW, shown, |body| every_address(body, source.into()));
    }
    batch.commit(netlink.as_fd(), "NETLINK_ROUTE", batch.last())?;
    Ok(netlink)
}

/// Makes every address of IPv6 local. Fails where the kernel has no IPv6, or has it switched off: there is then no route.
pub fn every_v6_address(netlink: &impl AsFd) -> Result<()> {
    let mut batch = Batch::default();
    batch.add(libc::RTM_NEWROUTE, NEW, "RTM_NEWROUTE, local ::/0 dev lo", |body| {
        every_address(body, Ipv6Addr::UNSPECIFIED.into());
    });
    batch.commit(netlink.as_fd(), "NETLINK_ROUTE", batch.last())
}

/// `local default dev lo`, in the table of local addresses. `source` unless it is unspecified is what a socket that is
/// bound to none gets.
fn every_address(body: &mut Body<'_>, source: IpAddr) {
    let (family, scope) = match source {
        IpAddr::V4(_) => (libc::AF_INET, libc::RT_SCOPE_HOST),
        IpAddr::V6(_) => (libc::AF_INET6, libc::RT_SCOPE_UNIVERSE),
    };
    // struct rtmsg: family, two prefixes' lengths, service, table, who made it, scope, type, flags.
    body.raw(&[family as u8, 0, 0, 0, libc::RT_TABLE_LOCAL, libc::RTPROT_BOOT, scope, libc::RTN_LOCAL]);
    body.raw(&0_u32.to_ne_bytes());
    body.attribute(libc::RTA_OIF, &LOOPBACK.to_ne_bytes());
    if let IpAddr::V4(source) = source {
        body.attribute(libc::RTA_PREFSRC, &source.octets());
    }
}
