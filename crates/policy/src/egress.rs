//! What may leave the sandbox: the decision about one flow, by its name and by its address.
//!
//! A *name* is judged when it is looked up and when a flow carries it; an *address* always is, also the one that a
//! name resolved to.

use std::net::IpAddr;

use crate::decide::Decision;
use crate::net::Cidr;
use crate::ports::Ports;
use crate::schema::Proto;
use crate::stack::PolicyStack;

/// A host's name in the one form that is compared: ASCII (IDNA), lower case, no trailing dot.
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

/// The policy about the network, with `config.network` as one more ceiling.
#[derive(Debug, Clone)]
pub struct Egress {
    stack: PolicyStack,
}

impl Name {
    /// Reads a name as a client or a DNS question gives it.
    pub fn parse(_text: &str) -> Result<Self, String> {
        todo!()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Peer {
    /// Reads the host of a URL or of `CONNECT`: a name, an address, `[v6]`.
    pub fn parse(_text: &str) -> Result<Self, String> {
        todo!()
    }
}

impl Egress {
    /// Whether anything is allowed at all: without it the sandbox has no way out, and none is made.
    pub fn is_wanted(&self) -> bool {
        todo!()
    }

    /// May this name be looked up? Where a rule allows it for some port and protocol.
    pub fn decide_name(&self, _name: &Name) -> Decision {
        todo!()
    }

    /// May a flow go there? `name` is the name that the client asked for, where it did; `address` is where the flow
    /// would really go, after upstream resolution.
    pub fn decide(&self, _name: Option<&Name>, _address: IpAddr, _port: u16, _proto: Proto) -> Decision {
        todo!()
    }

    /// Loopback addresses and ports of the *host* that rules name: in the sandbox these are relayed, all other
    /// loopback stays the worker's own.
    pub fn host_loopback(&self) -> Vec<(Cidr, Ports, Proto)> {
        todo!()
    }

    /// Whether any rule allows UDP.
    pub fn wants_udp(&self) -> bool {
        todo!()
    }

    /// The policy below.
    pub fn stack(&self) -> &PolicyStack {
        &self.stack
    }
}
