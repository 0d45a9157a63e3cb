//! The decision about one flow of the network, by the name that the client asked for and by the address where the
//! flow would really go.
//!
//! *By name.* Rules with names, `*.name` and `*` are weighed as `decide.rs` says, and the name has to be allowed.
//! Blocks of addresses allow no name.
//!
//! *By address.* Rules with blocks are weighed as well, and what they deny is denied. Beyond that some addresses have
//! to be named. Whoever answers for a name chooses what it resolves to, at every lookup anew; so a rule about names
//! means the public internet, and
//!
//! - a private address, and one that an interface of this machine has, needs a rule with a block that holds it, or one
//!   with the very name that was asked for;
//! - an address of the machine itself needs a rule with a block of nothing but such addresses, or is what `localhost`
//!   was asked for and allowed;
//! - any other special address (link-local, the clouds' metadata, multicast, documentation) needs a rule with a block.
//!
//! A flow to a literal address is judged the same way, with `*` as a rule about public addresses and `localhost` as one
//! about `127.0.0.1` and `::1`. `--allow-all` names every name and every address but those of the machine itself.
//!
//! *UDP* is allowed by rules alone that say so; `defaults.net` is about TCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{Class, fold};
use crate::decide::{Decision, Ranked, overridden, weigh};
use crate::name::Name;
use crate::net::Host;
use crate::query::Subject;
use crate::rule::{Origin, Rule, Target};
use crate::schema::{Action, Proto};
use crate::stack::PolicyStack;

/// What a flow is asked about: by a name, an address, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) name: Option<Name>,
    pub(crate) address: Option<IpAddr>,
    /// None: the host as a whole.
    pub(crate) port: Option<u16>,
    pub(crate) proto: Proto,
    /// An interface of this machine has the address.
    pub(crate) is_own: bool,
}

/// Rules that stand and restrictions that are lifted, among those about one aspect of a flow.
struct Weighed<'a> {
    standing: Vec<Ranked<'a>>,
    lifted: Vec<Ranked<'a>>,
}

/// An address in the forms in which rules may be about it.
#[derive(Clone, Copy)]
struct Forms {
    folded: IpAddr,
    original: IpAddr,
    is_own: bool,
}

impl PolicyStack {
    pub(crate) fn decide_contact(&self, contact: &Contact) -> Decision {
        let Contact { name, address, .. } = contact;
        let forms = address.map(|original| Forms { folded: fold(original), original, is_own: contact.is_own });
        let subject = Subject::Net(contact.clone());
        let candidates: Vec<Ranked<'_>> =
            self.candidates(&subject).filter(|(_, rule)| contact.is_by(&rule.target)).collect();
        let about_address = |rule: &Rule| forms.is_some_and(|forms| forms.are_in(rule, name.as_ref()));
        match name {
            None => {
                let by_address = Weighed::of(&candidates, about_address);
                let decision = self.conclude_contact(&by_address, &subject, contact.proto);
                match forms {
                    Some(forms) => named(decision, forms, None, &by_address.standing, &[]),
                    None => decision,
                }
            }
            Some(name) => {
                let by_name = Weighed::of(&candidates, |rule| rule.names(name));
                let mut decision = self.conclude_contact(&by_name, &subject, contact.proto);
                let (true, Some(forms)) = (decision.allowed, forms) else { return decision };
                let by_address = Weighed::of(&candidates, about_address);
                decision.overridden.extend(overridden(&by_address.lifted));
                decision.overridden.dedup();
                let strictest = by_address.standing.iter().min_by_key(|(_, rule)| std::cmp::Reverse(rule.action));
                if let Some((_, rule)) = strictest.filter(|(_, rule)| rule.action > decision.action) {
                    decision = Decision { overridden: decision.overridden, ..Decision::by_rule(rule) };
                }
                named(decision, forms, Some(name), &by_address.standing, &by_name.standing)
            }
        }
    }

    fn conclude_contact(&self, weighed: &Weighed<'_>, subject: &Subject, proto: Proto) -> Decision {
        let decision = self.conclude(&weighed.standing, &weighed.lifted, subject);
        if decision.allowed && decision.rule.is_none() && proto == Proto::Udp {
            let refusal = Decision::refusal("udp needs a rule of its own".to_owned(), Origin::Default.to_string());
            return Decision { overridden: decision.overridden, ..refusal };
        }
        decision
    }
}

impl<'a> Weighed<'a> {
    fn of(candidates: &[Ranked<'a>], is_about: impl Fn(&Rule) -> bool) -> Self {
        let (standing, lifted) = weigh(candidates.iter().filter(|(_, rule)| is_about(rule)).copied().collect());
        Self { standing, lifted }
    }
}

impl Contact {
    /// True where the target is about this protocol and port.
    fn is_by(&self, target: &Target) -> bool {
        match target {
            Target::Everything => true,
            Target::Net { proto, ports, .. } => {
                proto.is_none_or(|proto| proto == self.proto) && ports.matches(self.port)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
impl Contact {
    /// True where the rule is about this flow, by its name or by its address.
    pub(crate) fn is_about(&self, rule: &Rule) -> bool {
        let name = self.name.as_ref();
        let by_address = |original| Forms { folded: fold(original), original, is_own: self.is_own }.are_in(rule, name);
        self.is_by(&rule.target) && (name.is_some_and(|name| rule.names(name)) || self.address.is_some_and(by_address))
    }
}

impl Rule {
    /// True where the rule is about the name, at whatever port.
    pub(crate) fn names(&self, name: &Name) -> bool {
        match &self.target {
            Target::Everything => true,
            Target::Net { host, .. } => host.names(name),
            _ => false,
        }
    }

    /// True where an allowing rule names an address of this class, rather than the public internet.
    fn vouches_for(&self, class: Class, is_localhost: bool) -> bool {
        let Target::Net { host, .. } = &self.target else { return class != Class::Loopback };
        match (class, host) {
            (Class::Public, _) => true,
            (Class::Loopback, Host::Cidr(block)) => block.is_loopback(),
            (Class::Loopback, Host::Name(name)) => is_localhost && name.is_localhost(),
            (Class::Private | Class::Own | Class::Special(_), Host::Cidr(_)) => true,
            _ => false,
        }
    }
}

impl Forms {
    /// True where the rule is about the address. `*` and `localhost` are only where no other name was `asked` for.
    fn are_in(self, rule: &Rule, asked: Option<&Name>) -> bool {
        match &rule.target {
            Target::Everything => true,
            Target::Net { host: Host::Any, .. } => asked.is_none(),
            Target::Net { host: Host::Name(name), .. } => {
                // What denies localhost denies where it leads, by whichever name.
                let is_meant = rule.action == Action::Deny || asked.is_none_or(Name::is_localhost);
                name.is_localhost() && is_meant && is_localhost(self.folded)
            }
            // Behind NAT64 is an IPv4 address. No wide block of IPv6 allows it, and each denies it.
            Target::Net { host: Host::Cidr(block), .. } => {
                block.holds(self.folded)
                    || block.holds(self.original) && (rule.action == Action::Deny || block.is_nat64())
            }
            _ => false,
        }
    }
}

fn is_localhost(address: IpAddr) -> bool {
    LOCALHOST.contains(&address)
}

/// What `localhost` means.
pub(crate) const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The decision, or a refusal where the address would have to be named and is not. `name` is the one asked for.
fn named(
    decision: Decision,
    forms: Forms,
    name: Option<&Name>,
    by_address: &[Ranked<'_>],
    by_name: &[Ranked<'_>],
) -> Decision {
    let class = match Class::of(forms.folded) {
        Class::Public if forms.is_own => Class::Own,
        class => class,
    };
    if !decision.allowed || class == Class::Public {
        return decision;
    }
    let asks_localhost = name.is_none_or(Name::is_localhost) && is_localhost(forms.folded);
    let vouches = |(_, rule): &Ranked<'_>| rule.action != Action::Deny && rule.vouches_for(class, asks_localhost);
    let is_exact = |(_, rule): &Ranked<'_>| {
        rule.action != Action::Deny
            && matches!(&rule.target, Target::Net { host: Host::Name(own), .. } if !own.is_localhost())
    };
    if by_address.iter().chain(by_name).any(vouches)
        || matches!(class, Class::Private | Class::Own) && by_name.iter().any(is_exact)
    {
        return decision;
    }
    let what = match class {
        Class::Private => "private addresses need a rule with the address, or with the very name",
        Class::Own => "this machine's own addresses need a rule with the address, or with the very name",
        Class::Loopback => "addresses of the machine itself need a rule with the address, or localhost",
        Class::Special(what) => return Decision { overridden: decision.overridden, ..special(what) },
        Class::Public => return decision,
    };
    Decision { overridden: decision.overridden, ..Decision::refusal(what.to_owned(), Origin::Default.to_string()) }
}

fn special(what: &str) -> Decision {
    Decision::refusal(format!("{what} need a rule with the address"), Origin::Default.to_string())
}
