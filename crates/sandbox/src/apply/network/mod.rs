//! The sandbox's network namespace. It has the loopback interface alone, and nothing in it leads outside.
//!
//! Where the plan wants a network, every address is local there, and a table of the kernel's brings each flow to
//! listeners that the supervisor gets. The worker has no capability over any of it.

mod listeners;
mod netlink;
mod nftables;
mod routes;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use self::listeners::Listeners;
use self::nftables::Diverted;
use super::{During, Failure, Result};
use crate::message::Step;
use crate::plan::{Interception, Loopback, NetworkPlan};
use crate::sys::{SysError, network as sys};

/// The supervisor's address inside: resolver, proxy, listeners.
const SUPERVISOR: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The worker's.
const WORKER: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);
/// Where IPv6's listeners are bound: an address that stands for nothing (RFC 6666).
const LISTENER_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);
/// What stays the worker's own, save [`NetworkPlan::Relayed::loopback`].
const OWN_BLOCKS: [(IpAddr, u8); 3] =
    [(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8), (IpAddr::V4(WORKER), 32), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];
const DNS_PORT: u16 = 53;
/// `SO_MARK` of what the listeners send: it is never diverted. The worker cannot set it (socket(7)).
const RELAY_MARK: u32 = 0x0062_756e;

/// Where flows of one family are diverted to.
#[derive(Clone, Copy, Debug)]
struct Target {
    address: IpAddr,
    tcp: u16,
    udp: u16,
}

/// A network namespace that stands.
pub struct Made {
    /// For [`sys::enter`].
    pub namespace: OwnedFd,
    /// How flows are diverted, and the listeners; none without a network.
    pub relayed: Option<Relayed>,
}

/// What the supervisor gets.
pub struct Relayed {
    /// How flows come.
    pub interception: Interception,
    /// Whole packets can be sent.
    pub with_raw: bool,
    /// Of IPv4, then of IPv6.
    families: Vec<Listeners>,
    /// Why there is no IPv6.
    pub without_v6: Option<String>,
}

impl Relayed {
    /// In the order of [`crate::message::FromHelper::Network`].
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.families
            .iter()
            .flat_map(|family| [Some(&family.tcp), Some(&family.udp), family.raw.as_ref()])
            .flatten()
            .map(AsFd::as_fd)
            .collect()
    }
}

/// Makes the namespace, in a thread that does nothing else.
pub fn make(plan: &NetworkPlan) -> Result<Made> {
    sys::unshare().during(Step::Network)?;
    let NetworkPlan::Relayed { loopback, udp, prefer } = plan else {
        let route = routes::loopback(&[], None).during(Step::Network)?;
        return Ok(Made { namespace: sys::namespace_of(route.as_fd()).during(Step::Network)?, relayed: None });
    };
    let route = routes::loopback(&[SUPERVISOR, WORKER], Some(WORKER)).during(Step::Network)?;
    let namespace = sys::namespace_of(route.as_fd()).during(Step::Network)?;
    let mut families = vec![listeners::open(SUPERVISOR.into(), *udp).during(Step::Network)?];
    let v6 = listeners::open(LISTENER_V6.into(), *udp).and_then(|v6| routes::every_v6_address(&route).map(|()| v6));
    let without_v6 = match v6 {
        Ok(v6) => {
            families.push(v6);
            None
        }
        // Closed all the same: there is no route.
        Err(error) => Some(format!("the sandbox has no IPv6: {error}")),
    };
    let targets: Vec<Target> = families.iter().map(|family| family.target).collect();
    let interception = divert(&targets, loopback, *udp, *prefer)?;
    Ok(Made { namespace, relayed: Some(Relayed { interception, with_raw: *udp, families, without_v6 }) })
}

/// By the first means that the kernel has, beginning with `prefer`.
fn divert(targets: &[Target], loopback: &[Loopback], udp: bool, prefer: Interception) -> Result<Interception> {
    let by = |interception| nftables::divert(&Diverted { interception, targets, loopback, udp }).map(|()| interception);
    let mut tried = Vec::new();
    if prefer == Interception::Tproxy {
        match by(Interception::Tproxy) {
            Ok(done) => return Ok(done),
            Err(error) => tried.push(error),
        }
    }
    match by_redirect(udp, by) {
        Ok(done) => return Ok(done),
        Err(error) => tried.push(error),
    }
    let errno = tried.last().map(|error| error.errno);
    let message = tried.iter().map(SysError::to_string).collect::<Vec<_>>().join("; ");
    Err(Failure { step: Step::Network, message, errno })
}

/// A datagram's destination is lost where it is rewritten: `SO_ORIGINAL_DST` is of TCP alone.
fn by_redirect(
    udp: bool,
    by: impl FnOnce(Interception) -> crate::sys::Result<Interception>,
) -> crate::sys::Result<Interception> {
    if udp {
        let arguments = "dnat, for udp rules, which need tproxy".into();
        return Err(SysError { call: "netlink", arguments, errno: libc::EOPNOTSUPP });
    }
    by(Interception::Redirect)
}
