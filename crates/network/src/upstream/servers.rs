//! The host's name servers, `/etc/resolv.conf` (resolv.conf(5)), and one question to them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use buntime_policy::Name;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name as DnsName, RData, RecordType};

use super::file::Watched;
use super::{MOST_ADDRESSES, Outcome, ResolveError, Resolved};

/// Most servers that are asked: the C library's MAXNS.
const MOST_SERVERS: usize = 3;
/// One try. A worker's own C library gives up after 5 seconds, and must have had an answer before.
const LONGEST_TRY: Duration = Duration::from_secs(2);
/// Tries of one server at most.
const MOST_TRIES: usize = 2;
/// How long the second address family is waited for once the first has answered with addresses: some networks swallow
/// questions for AAAA.
const SECOND_FAMILY: Duration = Duration::from_millis(250);
/// How long an answer without addresses holds when the server did not say.
const NEGATIVE: Duration = Duration::from_secs(5);
/// How long a failure holds: so that a dead server is not asked once for each of a thousand waiting flows.
const FAILURE: Duration = Duration::from_secs(1);

/// The servers, read again when the file has changed.
pub(super) struct Servers {
    file: Watched,
    port: u16,
    current: Result<TokioResolver, ResolveError>,
}

impl Servers {
    pub(super) fn new(path: &Path, port: u16) -> Self {
        let unread = ResolveError::Unreachable("the name servers were not read yet".to_owned());
        Self { file: Watched::new(path), port, current: Err(unread) }
    }

    /// The resolver for the file as it is now, and whether it is another one than at the last call.
    pub(super) fn current(&mut self) -> (Result<TokioResolver, ResolveError>, bool) {
        let content = self.file.changed();
        if let Some(content) = &content {
            self.current = resolver(content, self.port);
        }
        (self.current.clone(), content.is_some())
    }
}

/// Search domains and `ndots` do not matter, since names are always asked for as they are: a rule names a whole name.
fn resolver(content: &[u8], port: u16) -> Result<TokioResolver, ResolveError> {
    let (read, _) = resolv_conf::Config::parse_with_errors(content);
    let mut addresses: Vec<IpAddr> = read.nameservers.iter().take(MOST_SERVERS).map(IpAddr::from).collect();
    if addresses.is_empty() {
        // resolv.conf(5): "If no nameserver entries are present, the default is to use the name server on the local
        // machine."
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    let servers = addresses.into_iter().map(|address| server(address, port, read.use_vc)).collect();
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_secs(read.timeout.into()).clamp(Duration::from_secs(1), LONGEST_TRY);
    options.attempts = usize::try_from(read.attempts).unwrap_or(MOST_TRIES).clamp(1, MOST_TRIES);
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
    // Answers are kept by `Upstream`, with bounds of its own.
    options.cache_size = 0;
    options.max_active_requests = 256;
    if !read.rotate {
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    }
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().map_err(|error| ResolveError::Unreachable(error.to_string()))
}

fn server(address: IpAddr, port: u16, tcp_alone: bool) -> NameServerConfig {
    let mut server = if tcp_alone { NameServerConfig::tcp(address) } else { NameServerConfig::udp_and_tcp(address) };
    for connection in &mut server.connections {
        connection.port = port;
    }
    server
}

/// Asks for both address families.
pub(super) async fn look_up(resolver: &TokioResolver, name: &Name) -> Outcome {
    let Ok(mut fqdn) = DnsName::from_ascii(name.as_str()) else {
        return Outcome::failed(ResolveError::NoSuchName, NEGATIVE);
    };
    fqdn.set_fqdn(true);
    let v4 = resolver.lookup(fqdn.clone(), RecordType::A);
    let v6 = resolver.lookup(fqdn, RecordType::AAAA);
    tokio::pin!(v4, v6);
    let (v4, v6) = tokio::select! {
        first = &mut v4 => {
            let second = second(&first, v6).await;
            (Some(first), second)
        }
        first = &mut v6 => {
            let second = second(&first, v4).await;
            (second, Some(first))
        }
    };
    combine(v4.into_iter().chain(v6).collect())
}

type Answer = Result<Lookup, NetError>;

async fn second(first: &Answer, other: impl Future<Output = Answer>) -> Option<Answer> {
    let has_addresses = first.as_ref().is_ok_and(|lookup| addresses(lookup).next().is_some());
    if has_addresses { tokio::time::timeout(SECOND_FAMILY, other).await.ok() } else { Some(other.await) }
}

fn addresses(lookup: &Lookup) -> impl Iterator<Item = IpAddr> {
    lookup.answers().iter().filter_map(|record| match &record.data {
        RData::A(v4) => Some(v4.0.into()),
        RData::AAAA(v6) => Some(v6.0.into()),
        _ => None,
    })
}

/// One family's addresses are enough. Without any, the gravest failure is told: a server that does not answer has not
/// said that there is no such name.
fn combine(answers: Vec<Answer>) -> Outcome {
    let mut found = Vec::new();
    let mut ttl = Duration::MAX;
    for lookup in answers.iter().filter_map(|answer| answer.as_ref().ok()) {
        let before = found.len();
        found.extend(addresses(lookup).map(|address| address.to_canonical()));
        if found.len() > before {
            ttl = ttl.min(lookup.valid_until().saturating_duration_since(Instant::now()));
        }
    }
    found.truncate(MOST_ADDRESSES);
    if !found.is_empty() {
        return Outcome::new(Ok(Resolved { addresses: found, ttl }), ttl);
    }
    let failures = answers.into_iter().filter_map(Result::err).map(failure);
    // An answer that was positive and yet held no address is one without addresses.
    failures.max_by_key(gravity).unwrap_or_else(|| Outcome::failed(ResolveError::NoAddress, NEGATIVE))
}

fn gravity(outcome: &Outcome) -> u8 {
    match outcome.result {
        Err(ResolveError::NoAddress) | Ok(_) => 0,
        Err(ResolveError::NoSuchName) => 1,
        Err(_) => 2,
    }
}

fn failure(error: NetError) -> Outcome {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            let ttl = none.negative_ttl.map_or(NEGATIVE, |seconds| Duration::from_secs(seconds.into()));
            let error = match none.response_code {
                hickory_resolver::proto::op::ResponseCode::NXDomain => ResolveError::NoSuchName,
                _ => ResolveError::NoAddress,
            };
            Outcome::failed(error, ttl)
        }
        error => Outcome::failed(ResolveError::Unreachable(error.to_string()), FAILURE),
    }
}
