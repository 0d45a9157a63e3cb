//! What may leave the sandbox: the decision about one flow, by its name and by its address, below the ceiling of
//! `config.network`.
//!
//! A *name* is judged when it is looked up and when a flow carries it; an *address* always is, also the one that a
//! name resolved to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::address::Cidr;
use crate::ceiling::Ceiling;
use crate::decide::{Decision, Ranked, yields};
use crate::flags::{Permissions, hint_flag};
use crate::flow::{Contact, LOCALHOST};
use crate::name::Name;
use crate::net::Host;
use crate::ports::Ports;
use crate::query::{Query, Subject};
use crate::rule::Target;
use crate::schema::{Action, DefaultAction, PermissionKind, Proto};
use crate::stack::PolicyStack;

/// The policy about the network, with `config.network` as one more ceiling.
#[derive(Debug, Clone)]
pub struct Egress {
    stack: PolicyStack,
    ceiling: Ceiling,
}

/// Something that a rule or the default allows.
struct Grant<'a> {
    /// None: the default.
    rule: Option<Ranked<'a>>,
    host: &'a Host,
    ports: &'a Ports,
    proto: Proto,
}

impl Egress {
    /// What `stack` allows below `ceiling`.
    pub fn new(stack: PolicyStack, ceiling: Ceiling) -> Self {
        Self { stack, ceiling }
    }

    /// Whether anything is allowed at all: without it the sandbox has no way out, and none is made.
    pub fn is_wanted(&self) -> bool {
        !self.grants().is_empty()
    }

    /// May this name be looked up? Where a rule allows it for some port and protocol. The laxest such decision, else
    /// the denial.
    pub fn decide_name(&self, name: &Name) -> Decision {
        self.laxest(name, None)
    }

    /// May a name lead to this address, for some port and protocol? So a client learns of a refusal when it looks the
    /// name up. The laxest such decision, else the denial.
    pub fn decide_resolved(&self, name: &Name, address: IpAddr) -> Decision {
        self.laxest(name, Some(address))
    }

    fn laxest(&self, name: &Name, address: Option<IpAddr>) -> Decision {
        if let Some(refusal) = self.ceiling.refuses(Some(name), address, None) {
            return refusal;
        }
        let decide = |port, proto| {
            self.decide_contact(&Contact { name: Some(name.clone()), address, port: Some(port), proto, is_own: false })
        };
        let mut denial: Option<Decision> = None;
        let mut warned: Option<Decision> = None;
        for (port, proto) in self.turns(name, address) {
            let decision = decide(port, proto);
            match decision.action {
                Action::Allow => return decision,
                Action::Warn => drop(warned.get_or_insert(decision)),
                Action::Deny if denial.as_ref().is_none_or(|found| found.rule.is_none()) => denial = Some(decision),
                Action::Deny => {}
            }
        }
        warned.or(denial).unwrap_or_else(|| decide(0, Proto::Tcp))
    }

    /// May a flow go to this name? As far as that can be said before the name is resolved: [`Egress::decide`] may
    /// still refuse the address.
    pub fn decide_named(&self, name: &Name, port: u16, proto: Proto) -> Decision {
        let contact = Contact { name: Some(name.clone()), address: None, port: Some(port), proto, is_own: false };
        self.decide_contact(&contact)
    }

    /// May a flow go there? `name` is the name that the client asked for, where it did; `address` is where the flow
    /// would really go, after upstream resolution.
    pub fn decide(&self, name: Option<&Name>, address: IpAddr, port: u16, proto: Proto) -> Decision {
        let contact = Contact { name: name.cloned(), address: Some(address), port: Some(port), proto, is_own: false };
        self.decide_contact(&contact)
    }

    /// The same for an address that an interface of this machine has: what is reached there is the host itself, which
    /// no rule about the public internet means.
    pub fn decide_own(&self, name: Option<&Name>, address: IpAddr, port: u16, proto: Proto) -> Decision {
        let contact = Contact { name: name.cloned(), address: Some(address), port: Some(port), proto, is_own: true };
        self.decide_contact(&contact)
    }

    fn decide_contact(&self, contact: &Contact) -> Decision {
        let Contact { name, address, port, .. } = contact;
        // First, since a hint about a flag would lead nowhere where the ceiling is lower.
        let refusal = self.ceiling.refuses(name.as_ref(), *address, *port);
        refusal.unwrap_or_else(|| self.stack.decide_contact(contact))
    }

    /// Answers a question about the network, as far as that can be said of a name that is not resolved. A question about
    /// anything else is the policy's alone.
    pub fn decide_query(&self, query: &Query) -> Decision {
        match &query.subject {
            Subject::Net(contact) => self.decide_contact(contact),
            _ => self.stack.decide(query),
        }
    }

    /// What [`Egress::decide_query`] cannot know of a name: which of the addresses that it may lead to are allowed. None
    /// for what is denied anyway, and for an address.
    pub fn outlook(&self, query: &Query) -> Option<&'static str> {
        let Subject::Net(Contact { name: Some(name), address: None, port, proto, .. }) = &query.subject else {
            return None;
        };
        let leads_to = |address: IpAddr| {
            let (name, address) = (Some(name.clone()), Some(address));
            let contact = Contact { name, address, port: *port, proto: *proto, is_own: false };
            self.decide_contact(&contact).allowed
        };
        if !self.decide_query(query).allowed {
            return None;
        }
        if name.is_localhost() {
            return Some("on 127.0.0.1 and ::1 of the host, where a rule names localhost or them");
        }
        Some(
            if [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 168, 0, 1)]
                .iter()
                .any(|private| leads_to((*private).into()))
            {
                "at public and private addresses, unless a rule denies the one that it resolves to"
            } else {
                "at public addresses, and at others that rules name, unless a rule denies the one that it resolves to"
            },
        )
    }

    /// The flag that would allow a flow over TCP which is denied: with its name where that helps, else with its
    /// address. None where no flag does.
    pub fn hint(&self, name: Option<&Name>, address: Option<IpAddr>, port: u16) -> Option<String> {
        let by_name = name.map(|name| format!("{name}:{port}"));
        let (name, proto) = (name.cloned(), Proto::Tcp);
        let contact = Contact { name, address, port: Some(port), proto, is_own: false };
        let by_address = address.map(|address| SocketAddr::new(address, port).to_string());
        [by_name, by_address].into_iter().flatten().find_map(|target| self.flag_that_allows(&contact, &target))
    }

    /// The same for a question about `target`.
    pub fn hint_for(&self, query: &Query, target: &str) -> Option<String> {
        match &query.subject {
            Subject::Net(contact) => self.flag_that_allows(contact, target),
            _ => hint_flag(query.kind(), target),
        }
    }

    fn flag_that_allows(&self, contact: &Contact, target: &str) -> Option<String> {
        let flag = hint_flag(PermissionKind::Net, target)?;
        let mut permissions = Permissions::default();
        permissions.net.allow.add(Some(target));
        let mut with_flag = self.clone();
        with_flag.stack.push_flags(&permissions, "/").ok()?;
        with_flag.decide_contact(contact).allowed.then_some(flag)
    }

    /// Loopback addresses and ports of the *host* that rules name: in the sandbox these are relayed, all other
    /// loopback stays the worker's own.
    pub fn host_loopback(&self) -> Vec<(Cidr, Ports, Proto)> {
        let mut found = Vec::new();
        for Grant { host, ports, proto, .. } in self.grants() {
            let blocks = match host {
                Host::Cidr(block) if block.is_loopback() => vec![*block],
                Host::Name(name) if name.is_localhost() => LOCALHOST.map(Cidr::from).to_vec(),
                _ => continue,
            };
            for block in blocks {
                let entry = (block, ports.clone(), proto);
                if !found.contains(&entry) {
                    found.push(entry);
                }
            }
        }
        found
    }

    /// Whether any rule allows UDP.
    pub fn wants_udp(&self) -> bool {
        self.grants().iter().any(|grant| grant.proto == Proto::Udp)
    }

    /// Ports at which the rules about a name, and about an address that it leads to, may change their answer, with each
    /// protocol.
    fn turns(&self, name: &Name, address: Option<IpAddr>) -> impl Iterator<Item = (u16, Proto)> {
        let mut ports = vec![0];
        for (_, rule) in self.stack.all_rules() {
            if let Target::Net { host, ports: of_rule, .. } = &rule.target
                && (rule.names(name) || (address.is_some() && matches!(host, Host::Cidr(_))))
            {
                ports.extend(
                    of_rule.ranges().iter().flat_map(|range| [Some(range.from), range.to.checked_add(1)]).flatten(),
                );
            }
        }
        ports.sort_unstable();
        ports.dedup();
        Proto::ALL.iter().flat_map(move |proto| ports.clone().into_iter().map(move |port| (port, *proto)))
    }

    /// What is allowed, save what a single denial takes away altogether.
    fn grants(&self) -> Vec<Grant<'_>> {
        const ANY: &Host = &Host::Any;
        static ALL: std::sync::LazyLock<Ports> = std::sync::LazyLock::new(Ports::any);
        let mut grants = Vec::new();
        for (source, rule) in self.stack.all_rules().filter(|(_, rule)| rule.action != Action::Deny) {
            let (host, ports, proto) = match &rule.target {
                Target::Everything => (ANY, &*ALL, None),
                Target::Net { host, ports, proto } => (host, ports, *proto),
                _ => continue,
            };
            for proto in Proto::ALL.iter().copied().filter(|each| proto.is_none_or(|proto| proto == *each)) {
                grants.push(Grant { rule: Some((source, rule)), host, ports, proto });
            }
        }
        if self.stack.default_of_net() == DefaultAction::Allow {
            grants.push(Grant { rule: None, host: ANY, ports: &ALL, proto: Proto::Tcp });
        }
        grants.retain(|grant| !grant.ports.ranges().is_empty() && !self.takes_away(grant));
        grants
    }

    /// True where one denial, or the ceiling, leaves nothing of a grant. Where the denial gives way to another grant,
    /// that one is judged for itself.
    fn takes_away(&self, grant: &Grant<'_>) -> bool {
        let denies = |denial: Ranked<'_>| {
            let Target::Net { host, ports, proto } = &denial.1.target else { return false };
            denial.1.action == Action::Deny
                && proto.is_none_or(|proto| proto == grant.proto)
                && host.covers(grant.host)
                && ports.covers(grant.ports)
                && grant.rule.is_none_or(|rule| !yields(denial, rule))
        };
        self.ceiling.refuses_all(grant.host, grant.ports) || self.stack.all_rules().any(denies)
    }
}
