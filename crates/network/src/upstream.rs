//! Names to addresses, by the host's own means: `/etc/hosts`, then the servers of `/etc/resolv.conf`.
//!
//! A library does it, not the C library: the command is static, and a static program has no NSS. Both files are read
//! again when they change. What is *allowed* is not decided here.
//!
//! Answers are kept for their TTL, though at least [`LEAST_TTL`] and at most [`MOST_TTL`] (answers without addresses:
//! [`MOST_NEGATIVE_TTL`]), and the same question is asked once however many wait for it. The cache belongs to the process.
//! What one sandbox may ask is bounded by itself ([`Upstream::for_sandbox`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use buntime_policy::Name;
use hickory_resolver::TokioResolver;
use moka::future::Cache;
use thiserror::Error;
use tokio::sync::Semaphore;

use budget::Budget;
use hosts::Hosts;
use servers::Servers;

mod budget;
mod file;
mod hosts;
mod servers;
#[cfg(test)]
mod tests;

/// Shortest time that an answer is kept. With less, a TTL of 0 would be one question outside per connection.
pub const LEAST_TTL: Duration = Duration::from_secs(1);
/// Longest time that addresses are kept.
pub const MOST_TTL: Duration = Duration::from_secs(300);
/// Longest time that the absence of a name or of addresses is kept.
pub const MOST_NEGATIVE_TTL: Duration = Duration::from_secs(60);
/// What counts as the TTL of the host's own table.
const HOSTS_TTL: Duration = Duration::from_secs(10);
/// One resolution, waiting for its turn included. A C library in the worker gives up after 5 seconds.
const DEADLINE: Duration = Duration::from_millis(4500);
/// Answers that are kept.
const CACHED: u64 = 8192;
/// Questions under way in the whole process.
const IN_FLIGHT: usize = 512;
/// Questions under way for one sandbox: the others find room however many one of them asks.
const IN_FLIGHT_EACH: usize = 64;
/// Most addresses of one answer that are of use.
const MOST_ADDRESSES: usize = 16;

/// Where to look.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The list of name servers, in the format of resolv.conf(5).
    pub resolv_conf: PathBuf,
    /// The table of names, in the format of hosts(5).
    pub hosts: PathBuf,
    /// The port of the servers, for which that format has no place.
    pub port: u16,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its addresses, IPv4 first, at least one. Mapped forms are folded.
    pub addresses: Vec<IpAddr>,
    /// How long that holds from now on.
    pub ttl: Duration,
}

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// The servers say that it does not exist.
    #[error("there is no such name")]
    NoSuchName,
    /// It exists and has neither an IPv4 nor an IPv6 address.
    #[error("the name has no address")]
    NoAddress,
    /// No server gave an answer that is of use.
    #[error("no name server answers: {0}")]
    Unreachable(String),
    /// The sandbox has asked for too many new names; see the module `budget`.
    #[error("too many new names in a short time")]
    TooManyNames,
}

/// The way to the host's resolvers, for one sandbox. Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    in_flight: Arc<Semaphore>,
}

struct Shared {
    hosts: Mutex<Hosts>,
    servers: Mutex<Servers>,
    cache: Cache<Name, Outcome>,
    in_flight: Semaphore,
}

/// An answer, and how long it holds.
#[derive(Debug, Clone)]
struct Outcome {
    result: Result<Resolved, ResolveError>,
    until: Instant,
}

impl Default for Sources {
    /// The host's.
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into(), port: 53 }
    }
}

impl Upstream {
    /// Nothing is read or asked before the first question.
    pub fn new(sources: &Sources) -> Self {
        let shared = Shared {
            hosts: Mutex::new(Hosts::new(&sources.hosts)),
            servers: Mutex::new(Servers::new(&sources.resolv_conf, sources.port)),
            cache: Cache::builder().max_capacity(CACHED).expire_after(ByTtl).build(),
            in_flight: Semaphore::new(IN_FLIGHT),
        };
        Self::with(Arc::new(shared))
    }

    /// The same resolvers and cache, with bounds of its own for one more sandbox.
    pub fn for_sandbox(&self) -> Self {
        Self::with(self.shared.clone())
    }

    fn with(shared: Arc<Shared>) -> Self {
        Self { shared, budget: Arc::new(Budget::new()), in_flight: Arc::new(Semaphore::new(IN_FLIGHT_EACH)) }
    }

    /// The addresses of a name, allowed or not. Takes [`DEADLINE`] at most.
    ///
    /// `localhost` and the names below it are this machine, whatever anybody says (RFC 6761, section 6.3).
    pub async fn resolve(&self, name: &Name) -> Result<Resolved, ResolveError> {
        if is_localhost(name) {
            let addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(Resolved { addresses, ttl: HOSTS_TTL });
        }
        if let Some(addresses) = locked(&self.shared.hosts).addresses_of(name) {
            return Ok(Resolved { addresses, ttl: HOSTS_TTL });
        }
        let resolver = self.resolver()?;
        if let Some(known) = self.shared.cache.get(name).await {
            return known.remaining();
        }
        if !self.budget.pay(name) {
            return Err(ResolveError::TooManyNames);
        }
        let answer = tokio::time::timeout(DEADLINE, async {
            // Neither semaphore is ever closed.
            let _own = self.in_flight.acquire().await;
            self.shared.ask(&resolver, name).await
        });
        match answer.await {
            Ok(outcome) => outcome.remaining(),
            Err(_) => Err(ResolveError::Unreachable("no answer in time".to_owned())),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, ResolveError> {
        let (resolver, is_new) = locked(&self.shared.servers).current();
        if is_new {
            // Another network may have other names.
            self.shared.cache.invalidate_all();
        }
        resolver
    }
}

impl Shared {
    /// One question for all who ask it meanwhile. If the one that asks goes away, the next in line asks again.
    async fn ask(&self, resolver: &TokioResolver, name: &Name) -> Outcome {
        let question = async {
            let _turn = self.in_flight.acquire().await;
            servers::look_up(resolver, name).await
        };
        self.cache.get_with_by_ref(name, question).await
    }
}

impl Outcome {
    fn new(result: Result<Resolved, ResolveError>, ttl: Duration) -> Self {
        let most = if result.is_ok() { MOST_TTL } else { MOST_NEGATIVE_TTL };
        Self { result, until: Instant::now() + ttl.clamp(LEAST_TTL, most) }
    }

    fn failed(error: ResolveError, ttl: Duration) -> Self {
        Self::new(Err(error), ttl)
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn remaining(self) -> Result<Resolved, ResolveError> {
        let left = self.left();
        self.result.map(|resolved| Resolved { ttl: resolved.ttl.min(left), ..resolved })
    }
}

/// Each answer is kept for its own time.
struct ByTtl;

impl moka::Expiry<Name, Outcome> for ByTtl {
    fn expire_after_create(&self, _: &Name, outcome: &Outcome, _: Instant) -> Option<Duration> {
        Some(outcome.left())
    }
}

fn is_localhost(name: &Name) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind it is replaced whole, so it is sound even after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
