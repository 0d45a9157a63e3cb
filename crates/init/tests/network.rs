//! What a worker's flows come to. The test plays the supervisor: it holds the listeners, and reads where each flow went.
//!
//! Needs user namespaces and /usr/bin/python3, as the product does. As root and as an ordinary user the same.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use buntime_sandbox::message::{self, Built, Failure, FromHelper, LaunchFds, Step, SupervisorEnd, WorkerEnd};
use buntime_sandbox::plan::{
    Bind, ExecGate, Identity, Interception, Loopback, NetworkPlan, Node, Plan, SeccompPlan, Worker,
};
use buntime_sandbox::{Bytes, sys};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, getsockopt, recvmsg, sendmsg, sockopt,
};
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("inside.py");

fn plan(test: &str, network: NetworkPlan) -> Plan {
    let bytes = |text: &str| Bytes::from(text);
    let bind = |path: &str, device: bool| {
        let (source, path, directory) = (bytes(path), bytes(path), !device);
        Node::Bind(Bind { source, path, directory, writable: device, exec: !device, device, grant: false })
    };
    let link = |path: &str, target: &str| Node::Symlink { path: bytes(path), target: bytes(target) };
    let dir = |path: &str| Node::Dir { path: bytes(path) };
    let (uid, gid) = sys::effective_ids();
    let unprivileged = |id: u32| if id == 0 { 1_234_567 } else { id };
    Plan {
        enforced: true,
        identity: Identity {
            outer_uid: unprivileged(uid),
            outer_gid: unprivileged(gid),
            inner_uid: Identity::INNER,
            inner_gid: Identity::INNER,
        },
        hostname: "sandbox".into(),
        tree: vec![
            dir("/.buntime"),
            dir("/usr"),
            bind("/usr", false),
            link("/lib", "usr/lib"),
            link("/lib64", "usr/lib64"),
            dir("/dev"),
            bind("/dev/null", true),
            dir("/proc"),
            Node::Proc { path: bytes("/proc") },
        ],
        with_landlock: false,
        landlock: vec![],
        seccomp: SeccompPlan { exec: ExecGate::Open, ..SeccompPlan::default() },
        network,
        worker: Worker {
            program: bytes("/usr/bin/python3"),
            argv: ["python3", "-I", "-S", "-c", SCRIPT, test].map(bytes).into(),
            env: vec![],
            cwd: bytes("/"),
        },
    }
}

fn relayed(prefer: Interception, udp: bool) -> NetworkPlan {
    let host = |network: std::net::IpAddr, from, to| Loopback {
        network,
        prefix: if network.is_ipv4() { 32 } else { 128 },
        from,
        to,
        udp: false,
    };
    let loopback = vec![host(Ipv4Addr::LOCALHOST.into(), 7999, 8002), host(Ipv6Addr::LOCALHOST.into(), 8001, 8001)];
    NetworkPlan::Relayed { loopback, udp, prefer }
}

/// A sandbox that has been launched, and what the helper sent.
struct Sandbox {
    helper: Child,
    socket: SupervisorEnd,
    output: Option<OwnedFd>,
    built: Built,
    interception: Option<Interception>,
    listeners: Vec<OwnedFd>,
}

impl Sandbox {
    fn launch(plan: &Plan) -> Self {
        Self::try_launch(plan).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    fn try_launch(plan: &Plan) -> Result<Self, Failure> {
        let (socket, theirs) = message::pair().expect("socketpair");
        let helper = Command::new(env!("CARGO_BIN_EXE_buntime-init"))
            .stdin(Stdio::from(File::from(theirs)))
            .spawn()
            .expect("buntime-init");
        let text = sys::sealed_memfd(c"plan", &serde_json::to_vec(plan).expect("a plan")).expect("memfd");
        let null: OwnedFd = File::open("/dev/null").expect("/dev/null").into();
        let (output, theirs) = sys::pipe().expect("pipe");
        let stderr = std::io::stderr();
        let worker = vec![null.as_fd(), theirs.as_fd(), stderr.as_fd()];
        let order = LaunchFds { plan: text.as_fd(), harness: null.as_fd(), copies: null.as_fd(), worker };
        socket.launch(order).expect("launch");
        let output = Some(output);
        let mut sandbox =
            Self { helper, socket, output, built: Built::default(), interception: None, listeners: Vec::new() };
        loop {
            match sandbox.hear() {
                Some((FromHelper::Network { interception, .. }, fds)) => {
                    (sandbox.interception, sandbox.listeners) = (Some(interception), fds);
                }
                Some((FromHelper::Built(built), _)) => {
                    sandbox.built = built;
                    return Ok(sandbox);
                }
                Some((FromHelper::Failed(failure), _)) => return Err(failure),
                other => panic!("{other:?}"),
            }
        }
    }

    fn hear(&self) -> Option<(FromHelper, Vec<OwnedFd>)> {
        sys::poll_readable([self.socket.as_fd()]).expect("poll");
        self.socket.receive().expect("a message")
    }

    fn listener(&self, index: usize) -> OwnedFd {
        self.listeners[index].try_clone().expect("dup")
    }

    /// What the worker printed, at its end.
    fn said(&mut self) -> Value {
        let mut text = String::new();
        let output = self.output.take().expect("read once");
        File::from(output).read_to_string(&mut text).expect("output");
        assert!(matches!(self.hear(), Some((FromHelper::Ended(WorkerEnd::Exited(0)), _))), "{text}");
        serde_json::from_str(&text).expect("JSON")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.helper.kill();
        let _ = self.helper.wait();
    }
}

fn v4(raw: libc::sockaddr_in) -> SocketAddr {
    (Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr)), u16::from_be(raw.sin_port)).into()
}

fn v6(raw: libc::sockaddr_in6) -> SocketAddr {
    (Ipv6Addr::from(raw.sin6_addr.s6_addr), u16::from_be(raw.sin6_port)).into()
}

/// Where a flow that was accepted was going.
fn destination(client: &TcpStream, interception: Interception) -> SocketAddr {
    let own = client.local_addr().expect("getsockname");
    match (interception, own) {
        (Interception::Tproxy, _) => own,
        (Interception::Redirect, SocketAddr::V4(_)) => {
            let raw = getsockopt(client, sockopt::OriginalDst).expect("SO_ORIGINAL_DST");
            v4(raw)
        }
        (Interception::Redirect, SocketAddr::V6(_)) => {
            let raw = getsockopt(client, sockopt::Ip6tOriginalDst).expect("IP6T_SO_ORIGINAL_DST");
            v6(raw)
        }
    }
}

/// Says to each flow where it went and, behind it, the listener's own port, until the test ends.
fn serve(listener: OwnedFd, interception: Interception) {
    std::thread::spawn(move || {
        let listener = TcpListener::from(listener);
        listener.set_nonblocking(false).expect("fcntl");
        let own = listener.local_addr().expect("getsockname").port();
        while let Ok((mut client, _)) = listener.accept() {
            let destination = destination(&client, interception);
            // A client that has gone is no matter of this test's.
            let _ = writeln!(client, "{destination} {own}");
        }
    });
}

/// Answers each datagram with where it went, from there.
fn answer(socket: OwnedFd) {
    std::thread::spawn(move || {
        loop {
            sys::poll_readable([socket.as_fd()]).expect("poll");
            answer_one(socket.as_fd());
        }
    });
}

fn answer_one(socket: BorrowedFd<'_>) {
    let mut buffer = [0; 100];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let mut space = nix::cmsg_space!(SockaddrStorage);
    let fd = socket.as_raw_fd();
    let received =
        recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), MsgFlags::MSG_DONTWAIT).expect("recvmsg");
    let from = received.address.expect("a sender");
    let to: SocketAddr = match received.cmsgs().expect("control messages").next() {
        Some(ControlMessageOwned::Ipv4OrigDstAddr(raw)) => v4(raw),
        Some(ControlMessageOwned::Ipv6OrigDstAddr(raw)) => v6(raw),
        other => panic!("{other:?}"),
    };
    let text = to.to_string();
    let parts = [IoSlice::new(text.as_bytes())];
    match to {
        SocketAddr::V4(to) => {
            let address = libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) };
            let source = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
            sendmsg(fd, &parts, &[ControlMessage::Ipv4PacketInfo(&source)], MsgFlags::empty(), Some(&from))
        }
        SocketAddr::V6(to) => {
            let source = libc::in6_pktinfo { ipi6_ifindex: 0, ipi6_addr: libc::in6_addr { s6_addr: to.ip().octets() } };
            sendmsg(fd, &parts, &[ControlMessage::Ipv6PacketInfo(&source)], MsgFlags::empty(), Some(&from))
        }
    }
    .expect("sendmsg");
}

fn flows(prefer: Interception) {
    let mut sandbox = Sandbox::launch(&plan("flows", relayed(prefer, false)));
    assert_eq!(sandbox.interception, Some(prefer));
    assert_eq!(sandbox.built.interception, Some(prefer));
    assert_eq!(sandbox.listeners.len(), 4, "{:?}", sandbox.built.notes);
    serve(sandbox.listener(0), prefer);
    serve(sandbox.listener(2), prefer);
    let said = sandbox.said();
    let went = |name: &str, to: &str| {
        let flow = &said[name];
        let reached = flow["said"].as_str().and_then(|text| text.rsplit_once(' ')).map(|(to, _)| to);
        assert_eq!(reached, Some(to), "{name}: {flow}");
        // Also for the client itself.
        let peer = flow["peer"].as_str().unwrap_or_default().replace("::ffff:", "");
        let (host, port) = to.rsplit_once(':').expect("a port");
        assert_eq!(peer, format!("{} {port}", host.trim_matches(['[', ']'])), "{name}");
    };
    went("name", "93.184.216.34:443");
    went("proxy", "169.254.1.1:8080");
    went("low port", "10.1.2.3:1");
    went("mapped", "93.184.216.34:80");
    went("own source", "93.184.216.34:443");
    went("v6", "[2001:db8::1]:8443");
    went("host's loopback", "127.0.0.1:8000");
    went("host's loopback, v6", "[::1]:8001");
    assert_eq!(said["not in the range"], "ECONNREFUSED");
    for name in ["own loopback", "own loopback, another", "own loopback, v6", "own address"] {
        assert_eq!(said[name], "the worker itself", "{name}");
    }
    // The port that flows are diverted to is no way in: it is a flow like any other, or nobody's.
    for host in ["127.0.0.1", "0.0.0.0", "::1", "::", "169.254.1.2"] {
        assert_eq!(said["relay's port"][host], "ECONNREFUSED", "{host}");
    }
    let own = said["relay's own address"]["said"].as_str().unwrap_or_default();
    let port = own.rsplit_once(' ').map(|(_, port)| port).expect("a port");
    went("relay's own address", &format!("169.254.1.1:{port}"));
}

#[test]
fn every_flow_comes_to_the_supervisor() {
    flows(Interception::Tproxy);
}

#[test]
fn every_flow_comes_to_the_supervisor_where_it_is_redirected() {
    flows(Interception::Redirect);
}

fn datagrams(prefer: Interception, udp: bool) -> Value {
    let mut sandbox = Sandbox::launch(&plan("datagrams", relayed(prefer, udp)));
    assert_eq!(sandbox.interception, Some(prefer));
    answer(sandbox.listener(1));
    answer(sandbox.listener(3));
    sandbox.said()
}

#[test]
fn questions_to_any_resolver_come_to_the_supervisor() {
    let said = datagrams(Interception::Tproxy, false);
    let expected = json!({
        "resolver": "169.254.1.1:53",
        "foreign resolver": "8.8.8.8:53",
        "foreign resolver, v6": "[2001:4860:4860::8888]:53",
        "other port": "ECONNREFUSED",
        "other port, v6": "ECONNREFUSED",
        "local resolver": "127.0.0.53:53",
        "local resolver, v6": "[::1]:53",
        "own": "ECONNREFUSED",
    });
    assert_eq!(said, expected);
}

/// The answer comes from whom was asked, of whom the supervisor does not know.
#[test]
fn questions_come_to_the_supervisor_where_they_are_redirected() {
    let said = datagrams(Interception::Redirect, false);
    let expected = json!({
        "resolver": "169.254.1.1:53",
        "foreign resolver": "169.254.1.1:53",
        "foreign resolver, v6": "[100::1]:53",
        "other port": "ECONNREFUSED",
        "other port, v6": "ECONNREFUSED",
        "local resolver": "169.254.1.1:53",
        "local resolver, v6": "[100::1]:53",
        "own": "ECONNREFUSED",
    });
    assert_eq!(said, expected);
}

#[test]
fn udp_rules_need_a_datagrams_destination() {
    let failure = Sandbox::try_launch(&plan("datagrams", relayed(Interception::Redirect, true))).err();
    let failure = failure.expect("it cannot be given");
    assert_eq!((failure.step, failure.errno), (Step::Network, Some(libc::EOPNOTSUPP)), "{failure:?}");
}

#[test]
fn the_worker_has_no_power_over_its_network() {
    let said = Sandbox::launch(&plan("powers", relayed(Interception::Tproxy, false))).said();
    let expected = json!({
        "interfaces": ["lo"],
        // The kernel's own answers: no capability is left.
        "lo down": "EPERM",
        "new address": "EPERM",
        "IP_TRANSPARENT": "EPERM",
        "IPV6_TRANSPARENT": "EPERM",
        "SO_MARK": "EPERM",
        "low port": "EACCES",
        // The filter's.
        "nf_tables": "EAFNOSUPPORT",
        "raw": "EAFNOSUPPORT",
        "ping": "EAFNOSUPPORT",
        "packet": "EAFNOSUPPORT",
        // There is nothing in `/proc` but processes.
        "forwarding": "ENOENT",
        "rp_filter": "ENOENT",
    });
    assert_eq!(said, expected);
}
