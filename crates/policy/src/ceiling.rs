//! The ceiling of `config.network`: what no flag and no policy goes beyond.
//!
//! It only ever narrows. Names are judged by names and addresses by blocks, as policies do it; `*` is no ceiling.

use std::net::IpAddr;

use crate::address::fold;
use crate::decide::Decision;
use crate::error::PolicyError;
use crate::flow::LOCALHOST;
use crate::name::Name;
use crate::net::Host;
use crate::ports::Ports;
use crate::rule::{Origin, Target};

/// The most that any policy can allow of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// Why nothing may leave, and where that was written.
    closed: Option<(String, Origin)>,
    /// The list as a whole, for what is on none of its items.
    allow_origin: Origin,
    allow: Vec<Item>,
    deny: Vec<Item>,
}

/// An item of a list, about TCP and UDP alike.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    text: String,
    host: Host,
    ports: Ports,
    origin: Origin,
}

impl Default for Ceiling {
    /// None: policies alone decide.
    fn default() -> Self {
        let any = Item { text: "*".into(), host: Host::Any, ports: Ports::any(), origin: Origin::Default };
        Self { closed: None, allow_origin: Origin::Default, allow: vec![any], deny: Vec::new() }
    }
}

impl Ceiling {
    /// Nothing may leave. `reason` is the setting that says so, such as `network.enabled = false`.
    pub fn closed(reason: &str, origin: Origin) -> Self {
        Self { closed: Some((reason.to_owned(), origin)), ..Self::default() }
    }

    /// Lets out what is on `allow` and not on `deny`: lists of hosts with the place of each list. An empty `allow` lets
    /// nothing out. Items are spelled as in flags: `host`, `host:port`, `*.host`, `10.0.0.0/8:80-90`, `*`.
    pub fn lists(allow: (&[String], Origin), deny: (&[String], Origin)) -> Result<Self, PolicyError> {
        let (allow, allow_origin) = allow;
        let allow = items(allow, &allow_origin)?;
        Ok(Self { closed: None, allow, allow_origin, deny: items(deny.0, &deny.1)? })
    }

    /// The refusal of a flow that the ceiling does not let out; of any port where there is none. What is left out is
    /// not judged.
    pub(crate) fn refuses(&self, name: Option<&Name>, address: Option<IpAddr>, port: Option<u16>) -> Option<Decision> {
        if let Some((reason, origin)) = &self.closed {
            return Some(Decision::refusal(reason.clone(), origin.to_string()));
        }
        let address = address.map(|original| (fold(original), original));
        let is_at = |item: &Item| port.is_none_or(|port| item.ports.matches(Some(port)));
        let is_denied = |item: &&Item| {
            let whole = port.is_some() || item.ports.is_any();
            whole
                && is_at(item)
                && (name.is_some_and(|name| item.host.names(name))
                    // What denies localhost denies where it leads, by whichever name.
                    || item.holds(address, name.is_none() || item.host.is_localhost()))
        };
        if let Some(item) = self.deny.iter().find(is_denied) {
            return Some(Decision::refusal(format!("deny {}", item.text), item.origin.to_string()));
        }
        let is_allowed = |item: &Item| {
            is_at(item)
                && match name {
                    Some(name) => item.host.names(name),
                    None => item.holds(address, true),
                }
        };
        if self.allow.iter().any(is_allowed) {
            return None;
        }
        Some(Decision::refusal("not on network.allow_list".to_owned(), self.allow_origin.to_string()))
    }

    /// True where nothing of the target can pass: for telling whether a network is needed at all, where a wrong "no"
    /// costs a needless one.
    pub(crate) fn refuses_all(&self, host: &Host, ports: &Ports) -> bool {
        let overlaps = |item: &Item| {
            let has_localhost = [&item.host, host].iter().any(|host| host.is_localhost());
            item.host.covers(host) || host.covers(&item.host) || has_localhost
        };
        self.closed.is_some()
            || self.deny.iter().any(|item| item.host.covers(host) && item.ports.covers(ports))
            || !self.allow.iter().any(overlaps)
    }
}

impl Item {
    /// True where the item is about the address, folded and as it was. `*` and `localhost` are about literal ones.
    fn holds(&self, address: Option<(IpAddr, IpAddr)>, literal: bool) -> bool {
        address.is_some_and(|(folded, original)| match &self.host {
            Host::Any => literal,
            Host::Name(name) => literal && name.is_localhost() && LOCALHOST.contains(&folded),
            Host::Below(_) => false,
            Host::Cidr(block) => block.holds(folded) || block.holds(original),
        })
    }
}

fn items(list: &[String], origin: &Origin) -> Result<Vec<Item>, PolicyError> {
    list.iter()
        .enumerate()
        .map(|(index, text)| {
            let origin = match origin {
                Origin::Document { name, path } => {
                    Origin::Document { name: name.clone(), path: format!("{path}[{index}]") }
                }
                other => other.clone(),
            };
            let (host, ports) = Host::parse_with_ports(text).map_err(|problem| PolicyError::Invalid {
                document: origin.to_string(),
                path: String::new(),
                problem,
            })?;
            let text = Target::Net { host: host.clone(), proto: None, ports: ports.clone() }.to_string();
            Ok(Item { text, host, ports, origin })
        })
        .collect()
}
