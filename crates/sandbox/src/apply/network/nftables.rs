//! The table that brings flows to the listeners: what `nft` would be given as
//!
//! ```text
//! table inet buntime {
//!     chain flows {
//!         type filter hook prerouting priority mangle; policy accept;
//!         meta mark 0x62756e accept                                               # the listeners' own packets
//!         meta nfproto ipv4 tcp dport 53 tproxy ip to 169.254.1.1:PORT accept
//!         meta nfproto ipv4 udp dport 53 tproxy ip to 169.254.1.1:53 accept
//!         ip daddr 127.0.0.1/32 tcp dport 8000-8000 tproxy ip to 169.254.1.1:PORT accept     # each of `loopback`
//!         ip daddr 127.0.0.0/8 accept                                             # the worker's own
//!         ip daddr 169.254.1.2/32 accept
//!         meta nfproto ipv4 meta l4proto tcp tproxy ip to 169.254.1.1:PORT accept
//!         meta nfproto ipv4 meta l4proto udp tproxy ip to 169.254.1.1:53 accept   # with `udp` alone
//!         …and the same for IPv6
//!     }
//! }
//! ```
//!
//! or, where the kernel cannot do `tproxy`, `dnat` in a chain of `type nat hook output priority dstnat`. One batch, which
//! holds as a whole or not at all. Numbers are those of <linux/netfilter/nf_tables.h>.

use std::net::IpAddr;
use std::os::fd::AsFd;

use super::netlink::{Batch, Body};
use super::{DNS_PORT, OWN_BLOCKS, RELAY_MARK, Target};
use crate::plan::{Interception, Loopback};
use crate::sys::{Result, network};

const TABLE: &str = "buntime";
const CHAIN: &str = "flows";

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u32 = 2;
const NFPROTO_IPV6: u32 = 10;

const HOOK_PREROUTING: u32 = 0;
const HOOK_OUTPUT: u32 = 3;
/// `NF_IP_PRI_MANGLE` and `NF_IP_PRI_NAT_DST`.
const PRIORITY_MANGLE: i32 = -150;
const PRIORITY_DSTNAT: i32 = -100;

/// 16 bytes each.
const REGISTER_1: u32 = 1;
const REGISTER_2: u32 = 2;
const REGISTER_VERDICT: u32 = 0;

const META_MARK: u32 = 3;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const PAYLOAD_NETWORK: u32 = 1;
const PAYLOAD_TRANSPORT: u32 = 2;
const COMPARE_EQUAL: u32 = 0;
const RANGE_EQUAL: u32 = 0;
const NAT_DESTINATION: u32 = 1;
const NF_ACCEPT: u32 = 1;

/// What is diverted, and to where.
pub struct Diverted<'a> {
    /// By which means.
    pub interception: Interception,
    /// Where TCP and UDP of each family go.
    pub targets: &'a [Target],
    /// Loopback addresses and ports that are diverted, too.
    pub loopback: &'a [Loopback],
    /// Datagrams to every port are, not to 53 alone.
    pub udp: bool,
}

/// Makes the table in this thread's network namespace.
pub fn divert(diverted: &Diverted<'_>) -> Result<()> {
    let netlink = network::netlink(libc::NETLINK_NETFILTER, "NETLINK_NETFILTER")?;
    let mut batch = Batch::default();
    let last = fill(&mut batch, diverted);
    batch.commit(netlink.as_fd(), "NETLINK_NETFILTER", last)
}

/// Returns the number of the message whose acknowledgement says that all of it holds.
fn fill(batch: &mut Batch, diverted: &Diverted<'_>) -> usize {
    let around = |body: &mut Body<'_>| body.raw(&[NFPROTO_UNSPEC, 0, 0, SUBSYSTEM as u8]);
    batch.add(BATCH_BEGIN, 0, "NFNL_MSG_BATCH_BEGIN", around);
    batch.add(NEW_TABLE, libc::NLM_F_CREATE, "NFT_MSG_NEWTABLE", |body| {
        header(body);
        body.text(1 /* NFTA_TABLE_NAME */, TABLE);
    });
    chain(batch, diverted.interception);
    rule(batch, "relay's own", |rule| {
        rule.is_marked(RELAY_MARK);
        rule.accept();
    });
    for target in diverted.targets {
        family(batch, diverted, target);
    }
    let last = batch.last();
    batch.add(BATCH_END, 0, "NFNL_MSG_BATCH_END", around);
    last
}

fn family(batch: &mut Batch, diverted: &Diverted<'_>, target: &Target) {
    let same_family = |address: &IpAddr| address.is_ipv4() == target.address.is_ipv4();
    let divert = |rule: &mut Rule<'_, '_>, port: u16| {
        rule.divert(diverted.interception, target.address, port);
        rule.accept();
    };
    // Also of 127/8, where the host's own resolver may be: no server of the worker's can have this port.
    for (protocol, port) in [(libc::IPPROTO_TCP, target.tcp), (libc::IPPROTO_UDP, target.udp)] {
        rule(batch, "names", |rule| {
            rule.is_family(target.address);
            rule.is_protocol(protocol);
            rule.is_to_port(DNS_PORT, DNS_PORT);
            divert(rule, port);
        });
    }
    for known in diverted.loopback.iter().filter(|known| same_family(&known.network)) {
        let (protocol, to) = if known.udp { (libc::IPPROTO_UDP, target.udp) } else { (libc::IPPROTO_TCP, target.tcp) };
        rule(batch, "loopback of the host", |rule| {
            rule.is_to(known.network, known.prefix);
            rule.is_protocol(protocol);
            rule.is_to_port(known.from, known.to);
            divert(rule, to);
        });
    }
    for (network, prefix) in OWN_BLOCKS.iter().filter(|(network, _)| same_family(network)) {
        rule(batch, "the worker's own addresses", |rule| {
            rule.is_to(*network, *prefix);
            rule.accept();
        });
    }
    rule(batch, "every TCP flow", |rule| {
        rule.is_family(target.address);
        rule.is_protocol(libc::IPPROTO_TCP);
        divert(rule, target.tcp);
    });
    if diverted.udp {
        rule(batch, "every datagram", |rule| {
            rule.is_family(target.address);
            rule.is_protocol(libc::IPPROTO_UDP);
            divert(rule, target.udp);
        });
    }
}

/// `struct nfgenmsg`: family, version, number.
fn header(body: &mut Body<'_>) {
    body.raw(&[NFPROTO_INET, 0, 0, 0]);
}

fn chain(batch: &mut Batch, interception: Interception) {
    let (kind, hook, priority) = match interception {
        Interception::Tproxy => ("filter", HOOK_PREROUTING, PRIORITY_MANGLE),
        Interception::Redirect => ("nat", HOOK_OUTPUT, PRIORITY_DSTNAT),
    };
    let shown = format!("NFT_MSG_NEWCHAIN, type {kind} hook {hook} priority {priority}");
    batch.add(NEW_CHAIN, libc::NLM_F_CREATE, shown, |body| {
        header(body);
        body.text(1 /* NFTA_CHAIN_TABLE */, TABLE);
        body.text(3 /* NFTA_CHAIN_NAME */, CHAIN);
        body.nested(4 /* NFTA_CHAIN_HOOK */, |place| {
            place.number(1 /* NFTA_HOOK_HOOKNUM */, hook);
            place.number(2 /* NFTA_HOOK_PRIORITY */, priority.cast_unsigned());
        });
        body.number(5 /* NFTA_CHAIN_POLICY */, NF_ACCEPT);
        body.text(7 /* NFTA_CHAIN_TYPE */, kind);
    });
}

fn rule(batch: &mut Batch, what: &'static str, expressions: impl FnOnce(&mut Rule<'_, '_>)) {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_APPEND | libc::NLM_F_ACK;
    batch.add(NEW_RULE, flags, format!("NFT_MSG_NEWRULE, {what}"), |body| {
        header(body);
        body.text(1 /* NFTA_RULE_TABLE */, TABLE);
        body.text(2 /* NFTA_RULE_CHAIN */, CHAIN);
        body.nested(4 /* NFTA_RULE_EXPRESSIONS */, |list| expressions(&mut Rule(list)));
    });
}

/// The expressions of one rule: conditions, then what is done where all of them hold.
struct Rule<'a, 'b>(&'a mut Body<'b>);

impl Rule<'_, '_> {
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Body<'_>)) {
        self.0.nested(1 /* NFTA_LIST_ELEM */, |element| {
            element.text(1 /* NFTA_EXPR_NAME */, name);
            element.nested(2 /* NFTA_EXPR_DATA */, fill);
        });
    }

    fn load_meta(&mut self, key: u32) {
        self.expression("meta", |body| {
            body.number(1 /* NFTA_META_DREG */, REGISTER_1);
            body.number(2 /* NFTA_META_KEY */, key);
        });
    }

    fn load_payload(&mut self, base: u32, offset: u32, length: u32) {
        self.expression("payload", |body| {
            body.number(1 /* NFTA_PAYLOAD_DREG */, REGISTER_1);
            body.number(2 /* NFTA_PAYLOAD_BASE */, base);
            body.number(3 /* NFTA_PAYLOAD_OFFSET */, offset);
            body.number(4 /* NFTA_PAYLOAD_LEN */, length);
        });
    }

    fn load_value(&mut self, register: u32, value: &[u8]) {
        self.expression("immediate", |body| {
            body.number(1 /* NFTA_IMMEDIATE_DREG */, register);
            body.nested(2 /* NFTA_IMMEDIATE_DATA */, |data| data.attribute(1 /* NFTA_DATA_VALUE */, value));
        });
    }

    fn is_equal(&mut self, value: &[u8]) {
        self.expression("cmp", |body| {
            body.number(1 /* NFTA_CMP_SREG */, REGISTER_1);
            body.number(2 /* NFTA_CMP_OP */, COMPARE_EQUAL);
            body.nested(3 /* NFTA_CMP_DATA */, |data| data.attribute(1 /* NFTA_DATA_VALUE */, value));
        });
    }

    fn is_marked(&mut self, mark: u32) {
        self.load_meta(META_MARK);
        self.is_equal(&mark.to_ne_bytes());
    }

    fn is_family(&mut self, address: IpAddr) {
        self.load_meta(META_NFPROTO);
        self.is_equal(&[family_of(address) as u8]);
    }

    fn is_protocol(&mut self, protocol: i32) {
        self.load_meta(META_L4PROTO);
        self.is_equal(&[protocol as u8]);
    }

    fn is_to(&mut self, network: IpAddr, prefix: u8) {
        self.is_family(network);
        let network = octets(network);
        // Where the destination stands in the two headers.
        let offset = if network.len() == 4 { 16 } else { 24 };
        self.load_payload(PAYLOAD_NETWORK, offset, network.len() as u32);
        let mask = mask(network.len(), prefix);
        let masked: Vec<u8> = network.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
        self.expression("bitwise", |body| {
            body.number(1 /* NFTA_BITWISE_SREG */, REGISTER_1);
            body.number(2 /* NFTA_BITWISE_DREG */, REGISTER_1);
            body.number(3 /* NFTA_BITWISE_LEN */, mask.len() as u32);
            body.nested(4 /* NFTA_BITWISE_MASK */, |data| data.attribute(1 /* NFTA_DATA_VALUE */, &mask));
            let none = vec![0; mask.len()];
            body.nested(5 /* NFTA_BITWISE_XOR */, |data| data.attribute(1 /* NFTA_DATA_VALUE */, &none));
        });
        self.is_equal(&masked);
    }

    /// After [`Self::is_protocol`], of a protocol with ports. Both ends included.
    fn is_to_port(&mut self, from: u16, to: u16) {
        self.load_payload(PAYLOAD_TRANSPORT, 2, 2);
        self.expression("range", |body| {
            body.number(1 /* NFTA_RANGE_SREG */, REGISTER_1);
            body.number(2 /* NFTA_RANGE_OP */, RANGE_EQUAL);
            let mut end = |kind: u16, port: u16| {
                body.nested(kind, |data| data.attribute(1 /* NFTA_DATA_VALUE */, &port.to_be_bytes()));
            };
            end(3 /* NFTA_RANGE_FROM_DATA */, from);
            end(4 /* NFTA_RANGE_TO_DATA */, to);
        });
    }

    fn accept(&mut self) {
        self.expression("immediate", |body| {
            body.number(1 /* NFTA_IMMEDIATE_DREG */, REGISTER_VERDICT);
            body.nested(2 /* NFTA_IMMEDIATE_DATA */, |data| {
                data.nested(
                    2, /* NFTA_DATA_VERDICT */
                    |verdict| verdict.number(1 /* NFTA_VERDICT_CODE */, NF_ACCEPT),
                );
            });
        });
    }

    fn divert(&mut self, interception: Interception, address: IpAddr, port: u16) {
        self.load_value(REGISTER_1, &octets(address));
        self.load_value(REGISTER_2, &port.to_be_bytes());
        match interception {
            Interception::Tproxy => self.expression("tproxy", |body| {
                body.number(1 /* NFTA_TPROXY_FAMILY */, family_of(address));
                body.number(2 /* NFTA_TPROXY_REG_ADDR */, REGISTER_1);
                body.number(3 /* NFTA_TPROXY_REG_PORT */, REGISTER_2);
            }),
            Interception::Redirect => self.expression("nat", |body| {
                body.number(1 /* NFTA_NAT_TYPE */, NAT_DESTINATION);
                body.number(2 /* NFTA_NAT_FAMILY */, family_of(address));
                body.number(3 /* NFTA_NAT_REG_ADDR_MIN */, REGISTER_1);
                body.number(5 /* NFTA_NAT_REG_PROTO_MIN */, REGISTER_2);
            }),
        }
    }
}

fn family_of(address: IpAddr) -> u32 {
    if address.is_ipv4() { NFPROTO_IPV4 } else { NFPROTO_IPV6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The first `prefix` bits of so many bytes.
fn mask(length: usize, prefix: u8) -> Vec<u8> {
    let bits = |byte: usize| usize::from(prefix).saturating_sub(byte * 8).min(8);
    (0..length).map(|byte| (0xff00_u16 >> bits(byte)) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn masks_have_their_bits_in_front() {
        assert_eq!(mask(4, 0), [0, 0, 0, 0]);
        assert_eq!(mask(4, 8), [255, 0, 0, 0]);
        assert_eq!(mask(4, 13), [255, 0b1111_1000, 0, 0]);
        assert_eq!(mask(4, 32), [255; 4]);
        assert_eq!(mask(16, 128), [255; 16]);
        assert_eq!(mask(4, 255), [255; 4], "a longer prefix than there is");
    }
}
