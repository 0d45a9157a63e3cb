//! What tests need: a name server that plays the internet's, a policy, a sink that remembers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buntime_policy::{Ceiling, Egress, Permissions, PolicyStack};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::state::State;
use crate::{Bounds, Decided, Flow, Sink, Sources, Upstream};

/// How a name is answered.
#[derive(Debug, Clone)]
pub(crate) enum Zone {
    /// By these records, TTL in seconds.
    Has(u32, Vec<RData>),
    /// By an error.
    Code(ResponseCode),
    /// As one that does not exist, for so many seconds.
    Missing(u32),
    /// Not at all.
    Silence,
    /// By an answer to another question's number, and nothing else.
    WrongId(Vec<RData>),
    /// By a cut answer over UDP, whole over TCP.
    OverTcp(Vec<RData>),
}

/// A name server on a loopback port. Ends with its owner.
pub(crate) struct Server {
    zones: Arc<Mutex<HashMap<String, Zone>>>,
    asked: Arc<Mutex<Vec<String>>>,
    port: u16,
    files: Files,
    _tasks: JoinSet<()>,
}

/// The configuration files of one test; removed at the end.
struct Files {
    dir: PathBuf,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let (udp, tcp) = bind().await;
        let port = udp.local_addr().unwrap().port();
        let zones = Arc::new(Mutex::new(HashMap::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (of_udp, of_tcp) = ((zones.clone(), asked.clone()), (zones.clone(), asked.clone()));
        tasks.spawn(async move { serve_udp(udp, &of_udp.0, &of_udp.1).await });
        tasks.spawn(async move { serve_tcp(tcp, &of_tcp.0, &of_tcp.1).await });
        Self { zones, asked, port, files: Files::new(), _tasks: tasks }
    }

    /// Says how a name is answered from now on.
    pub(crate) fn set(&self, name: &str, zone: Zone) {
        self.zones.lock().unwrap().insert(name.to_owned(), zone);
    }

    /// `a.example` for 60 seconds.
    pub(crate) fn has(&self, name: &str, addresses: &[&str]) {
        self.set(name, Zone::Has(60, addresses.iter().map(|address| data(address)).collect()));
    }

    /// What was asked since the last call: `name TYPE`, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }

    pub(crate) fn sources(&self) -> Sources {
        let (resolv_conf, hosts) = (self.files.dir.join("resolv.conf"), self.files.dir.join("hosts"));
        std::fs::write(&resolv_conf, "search evil.example\noptions ndots:5\nnameserver 127.0.0.1\n").unwrap();
        Sources { resolv_conf, hosts, port: self.port }
    }

    pub(crate) fn upstream(&self) -> Upstream {
        Upstream::new(&self.sources())
    }
}

impl Files {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("buntime-names-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The same port for both.
async fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

type Zones = Mutex<HashMap<String, Zone>>;

async fn serve_udp(socket: UdpSocket, zones: &Zones, asked: &Mutex<Vec<String>>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..length]).unwrap();
        if let Some(answer) = answer(&query, zones, asked, false) {
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, zones: &Zones, asked: &Mutex<Vec<String>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        while let Ok(length) = stream.read_u16().await {
            let mut bytes = vec![0; length.into()];
            stream.read_exact(&mut bytes).await.unwrap();
            let query = Message::from_vec(&bytes).unwrap();
            if let Some(answer) = answer(&query, zones, asked, true) {
                let bytes = answer.to_vec().unwrap();
                stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
        }
    }
}

fn answer(query: &Message, zones: &Zones, asked: &Mutex<Vec<String>>, over_tcp: bool) -> Option<Message> {
    let question = &query.queries[0];
    let text = question.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    asked.lock().unwrap().push(format!("{text} {}", question.query_type()));
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_available = true;
    answer.add_query(question.clone());
    let zone = zones.lock().unwrap().get(&text).cloned().unwrap_or(Zone::Missing(60));
    let (ttl, records) = match zone {
        Zone::Has(ttl, records) => (ttl, records),
        Zone::Code(code) => {
            answer.metadata.response_code = code;
            return Some(answer);
        }
        Zone::Missing(ttl) => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            let root = DnsName::root();
            let soa = SOA::new(root.clone(), root.clone(), 1, 60, 60, 60, ttl);
            answer.add_authority(Record::from_rdata(root, ttl, RData::SOA(soa)));
            return Some(answer);
        }
        Zone::Silence => return None,
        Zone::WrongId(records) => {
            answer.metadata.id = answer.metadata.id.wrapping_add(1);
            (60, records)
        }
        Zone::OverTcp(_) if !over_tcp => {
            answer.metadata.truncation = true;
            return Some(answer);
        }
        Zone::OverTcp(records) => (60, records),
    };
    for record in records {
        let kind = record.record_type();
        if kind == question.query_type() || kind == RecordType::CNAME {
            answer.add_answer(Record::from_rdata(question.name().clone(), ttl, record));
        }
    }
    Some(answer)
}

/// An address, or the name that a CNAME points to.
pub(crate) fn data(text: &str) -> RData {
    match text.parse() {
        Ok(IpAddr::V4(v4)) => RData::A(A(v4)),
        Ok(IpAddr::V6(v6)) => RData::AAAA(AAAA(v6)),
        Err(_) => RData::CNAME(CNAME(DnsName::from_ascii(text).unwrap())),
    }
}

/// What flags allow: `--allow-net=a.com --deny-net=b.com`.
pub(crate) fn egress(flags: &str) -> Arc<Egress> {
    let mut permissions = Permissions::default();
    for flag in flags.split_whitespace() {
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        match name {
            "--allow-net" => permissions.net.allow.add(value),
            "--deny-net" => permissions.net.deny.add(value),
            other => panic!("{other}"),
        };
    }
    let mut stack = PolicyStack::default();
    stack.push_flags(&permissions, "/").unwrap();
    Arc::new(Egress::new(stack, Ceiling::default()))
}

/// What was told.
#[derive(Default)]
pub(crate) struct Told {
    flows: Mutex<Vec<Flow>>,
    decided: Mutex<Vec<Decided>>,
}

impl Sink for Told {
    fn flow(&self, flow: Flow) {
        self.flows.lock().unwrap().push(flow);
    }

    fn decided(&self, decided: Decided) {
        self.decided.lock().unwrap().push(decided);
    }
}

impl Told {
    /// `operation target`, denials alone, since the last call.
    pub(crate) fn denials(&self) -> Vec<String> {
        let decided = std::mem::take(&mut *self.decided.lock().unwrap());
        let denied = decided.into_iter().filter(|decided| !decided.decision.allowed);
        denied.map(|decided| format!("{} {}", decided.operation, decided.target)).collect()
    }

    /// Flows that ended since the last call.
    pub(crate) fn flows(&self) -> Vec<Flow> {
        std::mem::take(&mut *self.flows.lock().unwrap())
    }
}

/// An address of a socket on loopback that takes connections and is nobody's.
pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A sandbox's network without a sandbox.
pub(crate) fn state(egress: Arc<Egress>, upstream: Upstream, told: Arc<Told>) -> State {
    let bounds = Bounds {
        rate: None,
        waiting: 256,
        patience: Duration::from_secs(10),
        flows: 1024,
        idle: Duration::from_secs(300),
        half_open: Duration::from_secs(60),
        connect: Duration::from_secs(10),
    };
    State::new(egress, upstream, bounds, told)
}
