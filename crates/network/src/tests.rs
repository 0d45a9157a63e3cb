//! Flows through the relay, over real sockets on loopback: a listener stands for the sandbox's, and what would be the
//! kernel's word about a flow's destination is the test's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use buntime_policy::{Egress, Proto};
use nix::errno::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::relay::reset;
use crate::state::State;
use crate::testing::{Server, Told, egress, listener};
use crate::{Bounds, Flow, Interception, Listeners, Network, Sources, Upstream, Verdict, accept, judge};

/// Longest wait for what has to come.
const SOON: Duration = Duration::from_secs(20);

/// A sandbox whose flows all go to one address.
struct Sandbox {
    state: State,
    told: Arc<Told>,
    front: SocketAddr,
}

fn bounds() -> Bounds {
    Bounds {
        rate: None,
        waiting: 256,
        patience: Duration::from_secs(10),
        flows: 1024,
        idle: Duration::from_secs(300),
        half_open: Duration::from_secs(60),
        connect: Duration::from_secs(10),
    }
}

impl Sandbox {
    async fn new(flags: &str, bounds: Bounds, to: SocketAddr) -> Self {
        Self::with(flags, bounds, to, Upstream::new(&Sources::default())).await
    }

    async fn with(flags: &str, bounds: Bounds, to: SocketAddr, upstream: Upstream) -> Self {
        let told = Arc::<Told>::default();
        let state = State::new(egress(flags), upstream, bounds, told.clone());
        let (listener, front) = listener().await;
        state.spawn(accept::serve(state.clone(), listener, Arc::new(move |_| Ok(to))));
        Self { state, told, front }
    }

    /// With a peer that the policy allows.
    async fn and_peer(bounds: Bounds) -> (Self, TcpListener) {
        let (peer, to) = listener().await;
        (Self::new(&format!("--allow-net={to}"), bounds, to).await, peer)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.front).await.unwrap()
    }

    /// The next flows that end.
    async fn flows(&self, count: usize) -> Vec<Flow> {
        let mut flows = Vec::new();
        let all = async {
            while flows.len() < count {
                flows.extend(self.told.flows());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(SOON, all).await.unwrap();
        flows
    }

    async fn flow(&self) -> Flow {
        let mut flows = self.flows(1).await;
        assert_eq!(flows.len(), 1, "{flows:?}");
        flows.remove(0)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.state.end();
    }
}

async fn accept(peer: &TcpListener) -> TcpStream {
    timeout(SOON, peer.accept()).await.unwrap().unwrap().0
}

/// A byte each way: the relay has both ends.
async fn greet(client: &mut TcpStream, server: &mut TcpStream) {
    client.write_all(b"?").await.unwrap();
    assert_eq!(timeout(SOON, server.read_u8()).await.unwrap().unwrap(), b'?');
    server.write_all(b"!").await.unwrap();
    assert_eq!(timeout(SOON, client.read_u8()).await.unwrap().unwrap(), b'!');
}

async fn read_all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    timeout(SOON, stream.read_to_end(&mut all)).await.unwrap()?;
    Ok(all)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap())
}

/// Bytes that are nowhere alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    let mut client = sandbox.connect().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut server = accept(&peer).await;
    assert_eq!(read_all(&mut server).await.unwrap(), b"question");
    server.write_all(b"a long answer").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await.unwrap(), b"a long answer");
    let flow = sandbox.flow().await;
    assert_eq!((flow.bytes_out, flow.bytes_in, flow.problem), (8, 13, None));
    assert_eq!(SocketAddr::new(flow.address, flow.port), peer.local_addr().unwrap());
    assert!(flow.decision.allowed);
}

#[tokio::test]
async fn the_peer_may_end_first() {
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    let mut client = sandbox.connect().await;
    let mut server = accept(&peer).await;
    server.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await.unwrap(), b"");
    client.write_all(b"still here").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await.unwrap(), b"still here");
    assert_eq!(sandbox.flow().await.problem, None);
}

#[tokio::test]
async fn bulk_data_arrives_whole_in_both_directions_at_once() {
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    let client = sandbox.connect().await;
    let server = accept(&peer).await;
    let sent = Arc::new(pattern(24 << 20));
    let mut ends = Vec::new();
    for stream in [client, server] {
        let (mut read, mut write) = stream.into_split();
        let bytes = sent.clone();
        tokio::spawn(async move {
            write.write_all(&bytes).await.unwrap();
            write.shutdown().await.unwrap();
        });
        ends.push(tokio::spawn(async move {
            let mut all = Vec::new();
            read.read_to_end(&mut all).await.unwrap();
            all
        }));
    }
    for end in ends {
        assert!(timeout(SOON, end).await.unwrap().unwrap() == *sent);
    }
    let flow = sandbox.flow().await;
    assert_eq!((flow.bytes_in, flow.bytes_out, flow.problem), (24 << 20, 24 << 20, None));
}

#[tokio::test]
async fn a_reset_is_passed_on_in_both_directions() {
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    let (mut client, mut server) = (sandbox.connect().await, accept(&peer).await);
    greet(&mut client, &mut server).await;
    reset(&server);
    drop(server);
    assert_eq!(errno(&read_all(&mut client).await.unwrap_err()), Errno::ECONNRESET);
    assert!(sandbox.flow().await.problem.unwrap().starts_with("the peer: "));

    let (mut client, mut server) = (sandbox.connect().await, accept(&peer).await);
    greet(&mut client, &mut server).await;
    reset(&client);
    drop(client);
    assert_eq!(errno(&read_all(&mut server).await.unwrap_err()), Errno::ECONNRESET);
    assert!(sandbox.flow().await.problem.unwrap().starts_with("the worker: "));
}

#[tokio::test]
async fn a_reset_of_a_half_closed_flow_is_passed_on() {
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    let mut client = sandbox.connect().await;
    let mut server = accept(&peer).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await.unwrap(), b"");
    reset(&client);
    drop(client);
    assert!(sandbox.flow().await.problem.unwrap().starts_with("the worker: "));
    // Nothing is read from it any more, so the reset shows when something is written.
    let writing = async {
        loop {
            if let Err(error) = server.write_all(b"x").await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let error = timeout(SOON, writing).await.unwrap();
    assert!(matches!(errno(&error), Errno::ECONNRESET | Errno::EPIPE), "{error}");
}

#[tokio::test]
async fn a_slow_reader_makes_the_writer_wait_and_loses_nothing() {
    const ALL: usize = 64 << 20;
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    let mut client = sandbox.connect().await;
    let mut server = accept(&peer).await;
    let sent = pattern(ALL);
    let mut written = 0;
    // Until nothing is taken any more: the buffers of two connections, and what the relay holds.
    while let Ok(count) = timeout(Duration::from_millis(500), server.write(&sent[written..])).await {
        written += count.unwrap();
        assert!(written < ALL, "nobody reads, and nobody waits");
    }
    let rest = sent[written..].to_vec();
    tokio::spawn(async move {
        server.write_all(&rest).await.unwrap();
        server.shutdown().await.unwrap();
    });
    assert!(read_all(&mut client).await.unwrap() == sent);
}

#[tokio::test]
async fn a_flow_without_a_byte_is_ended() {
    let (sandbox, peer) = Sandbox::and_peer(Bounds { idle: Duration::from_millis(100), ..bounds() }).await;
    let mut client = sandbox.connect().await;
    let mut server = accept(&peer).await;
    assert_eq!(errno(&read_all(&mut client).await.unwrap_err()), Errno::ECONNRESET);
    assert_eq!(errno(&read_all(&mut server).await.unwrap_err()), Errno::ECONNRESET);
    assert_eq!(sandbox.flow().await.problem.unwrap(), "idle for 0.1 seconds");
}

#[tokio::test]
async fn a_half_closed_flow_without_a_byte_is_ended_by_its_own_bound() {
    let (sandbox, peer) = Sandbox::and_peer(Bounds { half_open: Duration::from_millis(100), ..bounds() }).await;
    let mut client = sandbox.connect().await;
    let mut server = accept(&peer).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await.unwrap(), b"");
    assert_eq!(errno(&read_all(&mut client).await.unwrap_err()), Errno::ECONNRESET);
    assert_eq!(sandbox.flow().await.problem.unwrap(), "half closed and idle for 0.1 seconds");
}

#[tokio::test]
async fn a_reader_that_never_reads_is_ended_too() {
    let (sandbox, peer) = Sandbox::and_peer(Bounds { idle: Duration::from_millis(300), ..bounds() }).await;
    let _client = sandbox.connect().await;
    let mut server = accept(&peer).await;
    let sent = vec![0; 64 << 20];
    let error = timeout(SOON, server.write_all(&sent)).await.unwrap().unwrap_err();
    assert!(matches!(errno(&error), Errno::ECONNRESET | Errno::EPIPE), "{error}");
    assert!(sandbox.flow().await.problem.unwrap().starts_with("idle"));
}

#[tokio::test]
async fn what_is_denied_opens_no_connection() {
    let (peer, to) = listener().await;
    let sandbox = Sandbox::new("--allow-net=example.com", bounds(), to).await;
    let mut client = sandbox.connect().await;
    assert_eq!(errno(&read_all(&mut client).await.unwrap_err()), Errno::ECONNRESET);
    let flow = sandbox.flow().await;
    assert!(!flow.decision.allowed);
    assert_eq!(sandbox.told.denials(), [format!("connect {to}")]);
    // The control: it is the policy's doing.
    let allowed = Sandbox::new(&format!("--allow-net={to}"), bounds(), to).await;
    let _client = allowed.connect().await;
    accept(&peer).await;
    assert!(timeout(Duration::from_millis(50), peer.accept()).await.is_err(), "a second connection");
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_reset() {
    for to in ["198.18.0.77:443", "169.254.1.1:22", "169.254.1.2:8000", "127.0.0.1:15001", "[::1]:15001", "0.0.0.0:9"] {
        let sandbox = Sandbox::new("--allow-net", bounds(), to.parse().unwrap()).await;
        let mut client = sandbox.connect().await;
        assert_eq!(errno(&read_all(&mut client).await.unwrap_err()), Errno::ECONNRESET, "{to}");
        assert!(sandbox.flow().await.problem.is_some(), "{to}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_peer_is_a_reset_and_told() {
    let (peer, to) = listener().await;
    drop(peer);
    let sandbox = Sandbox::new(&format!("--allow-net={to}"), bounds(), to).await;
    let mut client = sandbox.connect().await;
    assert_eq!(errno(&read_all(&mut client).await.unwrap_err()), Errno::ECONNRESET);
    let flow = sandbox.flow().await;
    assert!(flow.decision.allowed && flow.problem.unwrap().contains("refused"));
}

#[tokio::test]
async fn flows_beyond_the_bound_are_reset_at_once() {
    let (sandbox, peer) = Sandbox::and_peer(Bounds { flows: 2, ..bounds() }).await;
    let (one, _two) = (sandbox.connect().await, sandbox.connect().await);
    let (mut first, _second) = (accept(&peer).await, accept(&peer).await);
    let mut third = sandbox.connect().await;
    assert_eq!(errno(&read_all(&mut third).await.unwrap_err()), Errno::ECONNRESET);
    assert_eq!(sandbox.flow().await.problem.unwrap(), "too many connections at once");
    drop(one);
    assert_eq!(read_all(&mut first).await.unwrap(), b"");
    drop(first);
    sandbox.flow().await;
    let _fourth = sandbox.connect().await;
    accept(&peer).await;
}

#[tokio::test]
async fn a_thousand_flows_at_once() {
    const FLOWS: usize = 1000;
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    let echo = async {
        loop {
            let (mut stream, _) = peer.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
            });
        }
    };
    let clients = async {
        let mut open = Vec::new();
        for n in 0..FLOWS {
            let mut client = sandbox.connect().await;
            client.write_all(format!("{n}\n").as_bytes()).await.unwrap();
            open.push(client);
        }
        for (n, mut client) in open.into_iter().enumerate() {
            client.shutdown().await.unwrap();
            assert_eq!(read_all(&mut client).await.unwrap(), format!("{n}\n").as_bytes());
        }
    };
    tokio::select! {
        () = echo => unreachable!(),
        done = timeout(3 * SOON, clients) => done.unwrap(),
    }
    let flows = sandbox.flows(FLOWS).await;
    assert!(flows.iter().all(|flow| flow.problem.is_none() && flow.bytes_in == flow.bytes_out), "{flows:?}");
}

#[tokio::test]
async fn one_sandbox_full_of_bulk_data_leaves_another_its_turn() {
    let (busy, sink) = Sandbox::and_peer(bounds()).await;
    let (quiet, peer) = Sandbox::and_peer(bounds()).await;
    for _ in 0..50 {
        let mut client = busy.connect().await;
        let mut server = accept(&sink).await;
        tokio::spawn(async move {
            let bytes = vec![0; 1 << 20];
            while client.write_all(&bytes).await.is_ok() {}
        });
        tokio::spawn(async move {
            let mut bytes = vec![0; 1 << 20];
            while server.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        });
    }
    let (mut client, mut server) = (quiet.connect().await, accept(&peer).await);
    let turns = async {
        for turn in 0..100 {
            client.write_u32(turn).await.unwrap();
            assert_eq!(server.read_u32().await.unwrap(), turn);
        }
    };
    timeout(SOON, turns).await.unwrap();
}

#[tokio::test]
async fn a_name_leads_to_what_it_resolves_to_now() {
    let names = Server::start().await;
    names.has("app.example", &["127.0.0.1"]);
    let (peer, to) = listener().await;
    let flags = format!("--allow-net=app.example:{},127.0.0.0/8", to.port());
    let probe = Sandbox::with(&flags, bounds(), to, names.upstream()).await;
    let name = buntime_policy::Name::parse("app.example").unwrap();
    let address = probe.state.names().address_of(&name).unwrap();
    let (listener, front) = listener().await;
    let origin = SocketAddr::new(address.into(), to.port());
    probe.state.spawn(accept::serve(probe.state.clone(), listener, Arc::new(move |_| Ok(origin))));
    let mut client = TcpStream::connect(front).await.unwrap();
    let mut server = accept(&peer).await;
    server.write_all(b"hello").await.unwrap();
    drop(server);
    assert_eq!(read_all(&mut client).await.unwrap(), b"hello");
    drop(client);
    let flow = probe.flow().await;
    assert_eq!((flow.host, flow.address), (Some(name), to.ip()));
}

#[tokio::test]
async fn a_connect_is_told_what_the_peer_says() {
    let (peer, to) = listener().await;
    let (gone, closed) = listener().await;
    drop(gone);
    let sandbox = Sandbox::new(&format!("--allow-net={to},{closed}"), bounds(), to).await;
    for (to, proto, blocking, expected) in [
        (closed, Proto::Tcp, true, Verdict::Errno(libc::ECONNREFUSED)),
        (closed, Proto::Tcp, false, Verdict::Continue),
        ("93.184.216.34:80".parse().unwrap(), Proto::Tcp, true, Verdict::Errno(libc::EACCES)),
        ("93.184.216.34:80".parse().unwrap(), Proto::Tcp, false, Verdict::Errno(libc::EACCES)),
        ("93.184.216.34:80".parse().unwrap(), Proto::Udp, true, Verdict::Errno(libc::EACCES)),
        ("93.184.216.34:0".parse().unwrap(), Proto::Udp, true, Verdict::Continue),
        ("93.184.216.34:53".parse().unwrap(), Proto::Udp, true, Verdict::Continue),
        ("169.254.1.1:8080".parse().unwrap(), Proto::Tcp, true, Verdict::Continue),
        ("169.254.1.1:8081".parse().unwrap(), Proto::Tcp, true, Verdict::Errno(libc::ECONNREFUSED)),
        ("198.18.0.9:80".parse().unwrap(), Proto::Tcp, true, Verdict::Errno(libc::EACCES)),
        // The worker's own, of which the kernel knows.
        ("127.0.0.1:1".parse().unwrap(), Proto::Tcp, true, Verdict::Continue),
    ] {
        assert_eq!(judge::judge(&sandbox.state, to, proto, blocking).await, expected, "{to} {proto:?} {blocking}");
    }
    assert!(timeout(Duration::from_millis(20), peer.accept()).await.is_err(), "nothing was dialled");
}

#[tokio::test]
async fn a_flow_takes_the_connection_over_that_its_connect_was_told_of() {
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    let to = peer.local_addr().unwrap();
    assert_eq!(judge::judge(&sandbox.state, to, Proto::Tcp, true).await, Verdict::Continue);
    let mut server = accept(&peer).await;
    server.write_all(b"first").await.unwrap();
    drop(server);
    let mut client = sandbox.connect().await;
    assert_eq!(read_all(&mut client).await.unwrap(), b"first");
    drop(client);
    assert_eq!(sandbox.flow().await.bytes_in, 5);
    // The next has one of its own.
    let _client = sandbox.connect().await;
    accept(&peer).await;
}

#[tokio::test]
async fn a_connection_that_nobody_takes_over_is_closed_with_the_network() {
    let (sandbox, peer) = Sandbox::and_peer(bounds()).await;
    assert_eq!(judge::judge(&sandbox.state, peer.local_addr().unwrap(), Proto::Tcp, true).await, Verdict::Continue);
    let mut server = accept(&peer).await;
    sandbox.state.end();
    assert_eq!(read_all(&mut server).await.unwrap(), b"");
    assert_eq!(sandbox.flow().await.problem.unwrap(), "the worker did not use it");
}

/// What a `/proc/self/fd` shows.
fn sockets_and_pipes() -> usize {
    let targets =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.unwrap().path().read_link().ok());
    targets.filter(|target| target.to_string_lossy().contains(":[")).count()
}

#[tokio::test]
async fn stop_closes_everything_and_tells() {
    let (peer, to) = listener().await;
    let told = Arc::<Told>::default();
    let serve = |origin: SocketAddr| {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let front = tcp.local_addr().unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listeners = Listeners {
            interception: Interception::Tproxy,
            tcp4: tcp.into(),
            tcp6: None,
            udp4: udp.into(),
            udp6: None,
            raw4: None,
            raw6: None,
        };
        let egress: Arc<Egress> = egress(&format!("--allow-net={to}"));
        let origin: accept::Origin = Arc::new(move |_| Ok(origin));
        (Network::serve_from(listeners, egress, bounds(), told.clone(), &origin).unwrap(), front)
    };
    // The runtime's own descriptors come with the first.
    let (first, _) = serve(to);
    first.stop();
    let before = sockets_and_pipes();
    let (network, front) = serve(to);
    let mut ends = Vec::new();
    for _ in 0..10 {
        let client = TcpStream::connect(front).await.unwrap();
        ends.push((client, accept(&peer).await));
    }
    assert_eq!(network.judge_connect(to, Proto::Tcp, true).await, Verdict::Continue);
    let parked = accept(&peer).await;
    network.stop();
    assert_eq!(told.flows().len(), 11, "each is told of when stop() returns");
    for (mut client, mut server) in ends {
        assert_eq!(read_all(&mut client).await.unwrap(), b"");
        assert_eq!(read_all(&mut server).await.unwrap(), b"");
    }
    drop(parked);
    assert_eq!(sockets_and_pipes(), before);
    network.stop();
    assert_eq!(network.judge_connect(to, Proto::Tcp, true).await, Verdict::Errno(libc::EACCES));
    assert!(TcpStream::connect(front).await.is_err());
}
