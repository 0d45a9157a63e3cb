//! The sandbox's resolver: what `nameserver 169.254.1.1` answers.
//!
//! It is no forwarder. A question is read, judged, and answered with words of our own; what goes outside is, for a name
//! that the policy allows, one question for its addresses by [`Upstream`](crate::Upstream). Nothing of a denied name and no other type of
//! record ever leaves the host, so texts and long labels carry nothing out, and nothing but the existence of an address
//! comes in. How many new names one sandbox may bring up under a rule like `*.example.com` is bounded there, too.
//!
//! - An allowed name that exists, and that leads to an address that the policy allows, has one A record: an address that
//!   stands for the *name* ([`Names`](crate::Names)). It has no AAAA, HTTPS or SVCB record, nor any other.
//! - A denied name does not exist (NXDOMAIN), and the denial is told.
//! - What the servers outside do not answer is SERVFAIL, which C libraries call a temporary failure.
//! - `localhost`, the names below it, and `sandbox` are the worker's own loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use buntime_policy::{Action, Decision, Name};

use crate::state::State;
use crate::{Decided, Names, ResolveError, Resolved};
use message::{Kind, Question, Received, Reply, Transport};

pub(crate) use tcp::serve_tcp;

pub(crate) mod message;
mod tcp;
#[cfg(test)]
mod tests;

/// Longest time that the worker may keep an answer, in seconds. The address stays the name's for much longer.
const MOST_TTL: u32 = 60;
/// The sandbox's own name, as its `/etc/hosts` has it.
const SANDBOX: &str = "sandbox";

/// The answer to one datagram, of at most `max` bytes; none if it gets none.
pub(crate) async fn answer(state: &State, query: &[u8], max: usize) -> Option<Vec<u8>> {
    respond(state, query, Transport::Datagram(max)).await
}

async fn respond(state: &State, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
    match Received::read(query) {
        Received::Question(question) => {
            let reply = reply(state, &question).await;
            question.answered(reply, transport)
        }
        Received::Refused(answer) => Some(answer),
        Received::Nothing => None,
    }
}

async fn reply(state: &State, question: &Question) -> Reply {
    let kind = question.kind();
    if let Some(reply) = pointer(state, question) {
        return reply;
    }
    let Some(name) = question.name() else {
        return denied(state, question.shown(), not_a_name());
    };
    if let Some(reply) = of_the_sandbox(&name, kind) {
        return reply;
    }
    let decision = state.egress().decide_name(&name);
    if !decision.allowed {
        return denied(state, name.as_str().to_owned(), decision);
    }
    if matches!(kind, Kind::Pointer | Kind::Other) {
        return Reply::empty();
    }
    if decision.action == Action::Warn {
        tell(state, name.as_str().to_owned(), decision);
    }
    match state.upstream().resolve(&name).await {
        Ok(resolved) => resolved_to(state, &name, kind, &resolved),
        Err(ResolveError::NoSuchName) => Reply::no_such_name(),
        Err(ResolveError::NoAddress) => Reply::empty(),
        Err(ResolveError::TooManyNames) => {
            tell(state, name.as_str().to_owned(), by_ourselves("limit of new names"));
            Reply::failed(ResolveError::TooManyNames.to_string())
        }
        Err(error @ ResolveError::Unreachable(_)) => Reply::failed(error.to_string()),
    }
}

/// The names for addresses that the sandbox itself has or was given.
fn pointer(state: &State, question: &Question) -> Option<Reply> {
    if question.kind() != Kind::Pointer {
        return None;
    }
    let address = question.pointer()?;
    if address.is_loopback() {
        return Some(Reply::pointer("localhost", MOST_TTL));
    }
    if !Names::is_for_names(address) {
        return None;
    }
    Some(match state.names().name_of(address) {
        Some(name) => Reply::pointer(name.as_str(), MOST_TTL),
        None => Reply::no_such_name(),
    })
}

/// Names that mean the worker's own loopback, whatever the policy and the host say (RFC 6761, section 6.3).
fn of_the_sandbox(name: &Name, kind: Kind) -> Option<Reply> {
    let name = name.as_str();
    let is_localhost = name == "localhost" || name.ends_with(".localhost");
    match kind {
        _ if !is_localhost && name != SANDBOX => None,
        Kind::A => Some(Reply::v4(Ipv4Addr::LOCALHOST, MOST_TTL)),
        Kind::Aaaa if is_localhost => Some(Reply::v6(Ipv6Addr::LOCALHOST, MOST_TTL)),
        _ => Some(Reply::empty()),
    }
}

fn resolved_to(state: &State, name: &Name, kind: Kind, resolved: &Resolved) -> Reply {
    if let Some(denial) = denial_of_all(state, name, &resolved.addresses) {
        return denied(state, name.as_str().to_owned(), denial);
    }
    if kind != Kind::A {
        return Reply::empty();
    }
    match state.names().address_of(name) {
        Some(address) => Reply::v4(address, ttl(resolved.ttl)),
        None => Reply::failed("too many names in use".to_owned()),
    }
}

/// The first denial where no address that the name leads to may be reached by it, on any port. The flow is judged
/// again, by the address that it really goes to.
fn denial_of_all(state: &State, name: &Name, addresses: &[IpAddr]) -> Option<Decision> {
    let mut first = None;
    for address in addresses {
        let decision = state.egress().decide_resolved(name, *address);
        if decision.allowed {
            return None;
        }
        first.get_or_insert(decision);
    }
    first
}

/// In seconds, no longer than the answer from outside holds, and not 0, by which some clients would ask for each
/// connection.
fn ttl(of_upstream: Duration) -> u32 {
    u32::try_from(of_upstream.as_secs()).unwrap_or(MOST_TTL).clamp(1, MOST_TTL)
}

fn denied(state: &State, target: String, decision: Decision) -> Reply {
    let rule = decision.rule.as_deref().map_or_else(String::new, |rule| format!(" by {rule}"));
    // Where it was written is a path of the host's.
    let why = format!("denied{rule}");
    tell(state, target, decision);
    Reply::denied(why)
}

fn tell(state: &State, target: String, decision: Decision) {
    state.sink().decided(Decided { operation: "resolve", target, decision });
}

fn not_a_name() -> Decision {
    by_ourselves("not the name of a host")
}

/// A denial that no rule made.
fn by_ourselves(source: &str) -> Decision {
    Decision { allowed: false, action: Action::Deny, rule: None, source: source.to_owned(), overridden: Vec::new() }
}
