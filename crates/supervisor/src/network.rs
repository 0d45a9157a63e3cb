//! The network of one sandbox, as its supervisor sees it: what of it the policy wants, and the news that come of it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use buntime_network::{Bounds, Decided, Flow, Interception, Listeners, Sink};
use buntime_policy::{Action, Egress, Name, PermissionKind, PortRange, Proto, hint_flag};
use buntime_sandbox::plan::{self, Loopback, NetworkPlan};
use nix::sys::resource::{Resource, getrlimit};

use crate::denials::Why;
use crate::event::{Event, NetFlow};
use crate::inbound::Inbound;
use crate::learn::Need;
use crate::notify::{let_through, would_be_denied};

/// Most news that wait for the reader. What comes on top is counted: it never waits for a slow owner.
const MAX_WAITING: usize = 1000;
/// Most different things that `warn` rules tell of.
const MAX_WARNINGS: usize = 1000;

/// What the helper is to make.
pub fn plan(egress: &Egress) -> NetworkPlan {
    if !egress.is_wanted() {
        return NetworkPlan::None;
    }
    let loopback = egress.host_loopback().into_iter().flat_map(|(block, ports, proto)| {
        let ranges = ports.ranges().to_vec();
        let (network, prefix) = (block.network(), block.bits());
        ranges.into_iter().map(move |PortRange { from, to }| Loopback {
            network,
            prefix,
            from,
            to,
            udp: proto == Proto::Udp,
        })
    });
    NetworkPlan::Relayed { loopback: loopback.collect(), udp: egress.wants_udp(), prefer: plan::Interception::Tproxy }
}

/// The sockets that the helper sent, in the order of [`FromHelper::Network`]. `None` where there are others.
///
/// [`FromHelper::Network`]: buntime_sandbox::message::FromHelper::Network
pub fn listeners(interception: plan::Interception, raw: bool, fds: Vec<OwnedFd>) -> Option<Listeners> {
    let interception = match interception {
        plan::Interception::Tproxy => Interception::Tproxy,
        plan::Interception::Redirect => Interception::Redirect,
    };
    let of_family = if raw { 3 } else { 2 };
    if fds.len() != of_family && fds.len() != 2 * of_family {
        return None;
    }
    let mut fds = fds.into_iter();
    let mut family = || (fds.next(), fds.next(), raw.then(|| fds.next()).flatten());
    let (tcp4, udp4, raw4) = family();
    let (tcp6, udp6, raw6) = family();
    Some(Listeners { interception, tcp4: tcp4?, tcp6, udp4: udp4?, udp6, raw4, raw6 })
}

/// How much of the network one sandbox may have. `rate`: new connections a second.
pub fn bounds(rate: f64) -> Bounds {
    // A connection takes two of the host's descriptors, which other sandboxes and the host itself need as well.
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let flows = usize::try_from(descriptors / 8).unwrap_or(usize::MAX).clamp(16, 1024);
    Bounds {
        rate: Some(rate),
        waiting: 256,
        patience: Duration::from_secs(10),
        flows,
        idle: Duration::from_secs(300),
        half_open: Duration::from_secs(60),
        connect: Duration::from_secs(30),
    }
}

/// What names the proxy to clients that go by variables, which some read in lower case alone.
pub fn proxy_variables() -> impl Iterator<Item = (OsString, OsString)> {
    const PROXY: &str = "http://169.254.1.1:8080";
    const OWN: &str = "localhost,127.0.0.1,::1,169.254.1.2";
    let variables = [("HTTP_PROXY", PROXY), ("HTTPS_PROXY", PROXY), ("ALL_PROXY", PROXY), ("NO_PROXY", OWN)];
    let both = variables.into_iter().flat_map(|(name, value)| [(name.to_owned(), value), (name.to_lowercase(), value)]);
    both.map(|(name, value)| (name.into(), value.into()))
}

/// What the network's threads tell, until the reader takes it.
#[derive(Default)]
pub struct News {
    waiting: Mutex<Waiting>,
    notify: tokio::sync::Notify,
    /// What has been told by warnings.
    warned: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct Waiting {
    flows: Vec<Flow>,
    more_flows: u64,
    decided: Vec<Decided>,
    more_decided: u64,
}

impl Sink for News {
    fn flow(&self, flow: Flow) {
        let mut waiting = self.lock();
        if waiting.flows.len() < MAX_WAITING {
            waiting.flows.push(flow);
        } else {
            waiting.more_flows += 1;
        }
        self.notify.notify_one();
    }

    fn decided(&self, decided: Decided) {
        let mut waiting = self.lock();
        if waiting.decided.len() < MAX_WAITING {
            waiting.decided.push(decided);
        } else {
            waiting.more_decided += 1;
        }
        self.notify.notify_one();
    }

    fn missed(&self, flows: u64, decided: u64) {
        let mut waiting = self.lock();
        waiting.more_flows += flows;
        waiting.more_decided += decided;
        self.notify.notify_one();
    }
}

impl News {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Whatever panicked while it was held left lists and counts that are whole.
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Until there is something to take.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }

    /// Makes events of what was told.
    pub fn tell(&self, inbound: &mut Inbound) {
        // Whoever tells more meanwhile waits for none of this.
        let Waiting { flows, more_flows, decided, more_decided } = std::mem::take(&mut *self.lock());
        let warned = &mut *self.warned.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut warn = |target: &str, text: String, batch: &mut Vec<Event>| {
            if warned.len() < MAX_WARNINGS && warned.insert(target.to_owned()) {
                batch.push(Event::Warn(text));
            }
        };
        for Decided { operation, target, decision } in decided {
            if decision.action == Action::Warn {
                warn(&target, let_through("net", &target, &decision), &mut inbound.batch);
                continue;
            }
            let pid = inbound.worker_pid.unwrap_or(0);
            let report = (PermissionKind::Net, operation.as_bytes(), target.as_bytes());
            let egress = &inbound.settled.egress;
            // Datagrams are allowed by policies alone.
            let has_flag = operation != "send";
            let flag = |target: &str| has_flag.then(|| flag_that_allows(egress, target)).flatten();
            let why = |target: &str| Why { decision: Some(decision), flag: flag(target) };
            inbound.denials.count(report, pid, why, &mut inbound.batch);
        }
        inbound.denials.missed(more_decided);
        for flow in flows {
            if flow.decision.allowed {
                let asked =
                    |egress: &Arc<Egress>| egress.decide(flow.host.as_ref(), flow.address, flow.port, flow.proto);
                if let Some(decision) = inbound.settled.would_deny.as_ref().map(asked).filter(|found| !found.allowed) {
                    let target = peer(&flow);
                    warn(&target, would_be_denied("net", &target, &decision), &mut inbound.batch);
                }
                inbound.need(if flow.proto == Proto::Tcp { Need::Connect } else { Need::Send }, &peer(&flow));
            }
            inbound.batch.push(Event::Net(Box::new(NetFlow::from(flow))));
        }
        if more_flows > 0 {
            inbound.batch.push(Event::Warn(format!("{more_flows} more flows than could be told one by one")));
        }
    }
}

/// The flag that would allow what is named here, `host` or `host:port`. None where no flag does.
fn flag_that_allows(egress: &Egress, target: &str) -> Option<String> {
    if let Ok(address) = target.parse::<SocketAddr>() {
        return egress.hint(None, Some(address.ip()), address.port());
    }
    match target.rsplit_once(':') {
        Some((name, port)) => egress.hint(Some(&Name::parse(name).ok()?), None, port.parse().ok()?),
        None => {
            let name = Name::parse(target).ok()?;
            // Of a look-up it is not known what for: the flag that leaves the port open.
            egress.hint(Some(&name), None, 443)?;
            hint_flag(PermissionKind::Net, name.as_str())
        }
    }
}

/// The other end, as a flag names it.
fn peer(flow: &Flow) -> String {
    match &flow.host {
        Some(name) => format!("{}:{}", name.as_str(), flow.port),
        None => SocketAddr::new(flow.address, flow.port).to_string(),
    }
}
