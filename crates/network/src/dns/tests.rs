//! The resolver as a worker meets it, against a name server of the test's own.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name as DnsName, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::testing::{Server, Told, Zone, data, egress, listener};

struct Sandbox {
    server: Server,
    told: Arc<Told>,
    state: State,
}

impl Sandbox {
    async fn new(flags: &str) -> Self {
        let server = Server::start().await;
        let told = Arc::new(Told::default());
        let state = crate::testing::state(egress(flags), server.upstream(), told.clone());
        Self { server, told, state }
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        let bytes = answer(&self.state, &question(name, kind), 4096).await.unwrap();
        Message::from_vec(&bytes).unwrap()
    }

    /// `CODE` or the answer's data and TTL.
    async fn shown(&self, name: &str, kind: RecordType) -> String {
        let message = self.ask(name, kind).await;
        match message.answers.first() {
            Some(record) => format!("{} for {}", record.data, record.ttl),
            None => message.metadata.response_code.to_string(),
        }
    }

    async fn code(&self, name: &str, kind: RecordType) -> ResponseCode {
        let message = self.ask(name, kind).await;
        assert!(message.answers.is_empty(), "{message}");
        message.metadata.response_code
    }
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(DnsName::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

#[tokio::test]
async fn an_allowed_name_has_an_address_of_its_own_and_no_other_record() {
    let sandbox = Sandbox::new("--allow-net=*.example:443,six.test").await;
    sandbox.server.set("www.example", Zone::Has(7, vec![data("93.184.216.34")]));
    sandbox.server.has("api.example", &["93.184.216.34"]);
    sandbox.server.has("six.test", &["2606:4700::1111"]);
    let first = sandbox.ask("www.example.", RecordType::A).await;
    assert_eq!(first.answers[0].data, data("198.18.0.1"));
    assert!((1..=7).contains(&first.answers[0].ttl), "no longer than upstream's");
    assert_eq!(sandbox.shown("api.example.", RecordType::A).await.split(' ').next(), Some("198.18.0.2"));
    assert_eq!(sandbox.shown("six.test.", RecordType::A).await.split(' ').next(), Some("198.18.0.3"));
    assert_eq!(sandbox.shown("1.0.18.198.in-addr.arpa.", RecordType::PTR).await, "www.example. for 60");
    sandbox.server.asked();
    for kind in [
        RecordType::AAAA,
        RecordType::HTTPS,
        RecordType::SVCB,
        RecordType::TXT,
        RecordType::NULL,
        RecordType::ANY,
        RecordType::MX,
        RecordType::SRV,
        RecordType::CNAME,
        RecordType::NS,
        RecordType::SOA,
        RecordType::AXFR,
        RecordType::PTR,
        RecordType::Unknown(65280),
    ] {
        assert_eq!(sandbox.code("www.example.", kind).await, ResponseCode::NoError, "{kind}");
    }
    assert_eq!(sandbox.server.asked(), [""; 0], "none of that left the host");
    assert_eq!(sandbox.told.denials(), [""; 0]);
}

#[tokio::test]
async fn nothing_of_a_denied_name_leaves_the_host() {
    let sandbox = Sandbox::new("--allow-net=*.example,c2VjcmV0.evil.test --deny-net=bad.example").await;
    let long = format!("{}.evil.test", vec!["x".repeat(60); 3].join("."));
    for (name, target) in [
        ("evil.test.", "evil.test"),
        ("example.", "example"),
        ("bad.example.", "bad.example"),
        ("www.example.evil.test.", "www.example.evil.test"),
        (&*format!("{long}."), &*long),
        (r"a\.b.example.", r"a\.b.example"),
        ("127.1.", "127.1"),
        ("8.8.8.8.in-addr.arpa.", "8.8.8.8.in-addr.arpa"),
    ] {
        for kind in [RecordType::A, RecordType::AAAA, RecordType::TXT] {
            assert_eq!(sandbox.code(name, kind).await, ResponseCode::NXDomain, "{name}");
            assert_eq!(sandbox.told.denials(), [format!("resolve {target}")]);
        }
    }
    assert_eq!(sandbox.server.asked(), [""; 0]);
}

#[tokio::test]
async fn where_a_name_may_lead() {
    let flags = "--allow-net=*.example,db.test:5432,10.9.0.0/16:80 --deny-net=93.184.216.99";
    let sandbox = Sandbox::new(flags).await;
    for (name, addresses, expected) in [
        ("public.example", &["93.184.216.34"][..], true),
        ("private.example", &["10.0.0.5"], false),
        ("rule.example", &["10.9.0.5"], true),
        ("mixed.example", &["10.0.0.5", "93.184.216.34"], true),
        ("local.example", &["127.0.0.1", "::1"], false),
        ("metadata.example", &["169.254.169.254"], false),
        ("mapped.example", &["::ffff:127.0.0.1"], false),
        ("denied.example", &["93.184.216.99"], false),
        ("inside.example", &["198.18.0.1"], false),
        ("alias.example", &["evil.test."], true),
        ("db.test", &["10.0.0.5"], true),
    ] {
        sandbox.server.has(name, addresses);
        sandbox.server.has("evil.test", &["93.184.216.34"]);
        let answer = sandbox.ask(&format!("{name}."), RecordType::A).await;
        assert_eq!(!answer.answers.is_empty(), expected, "{name}: {answer}");
        let denials = sandbox.told.denials();
        assert_eq!(denials.is_empty(), expected, "{name}: {denials:?}");
        if !expected {
            assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}");
        }
    }
}

#[tokio::test]
async fn absence_and_failure() {
    let sandbox = Sandbox::new("--allow-net=*.example").await;
    sandbox.server.has("empty.example", &[]);
    sandbox.server.set("broken.example", Zone::Code(ResponseCode::ServFail));
    for kind in [RecordType::A, RecordType::AAAA] {
        assert_eq!(sandbox.code("missing.example.", kind).await, ResponseCode::NXDomain);
        assert_eq!(sandbox.code("empty.example.", kind).await, ResponseCode::NoError);
        assert_eq!(sandbox.code("broken.example.", kind).await, ResponseCode::ServFail);
    }
    assert_eq!(sandbox.told.denials(), [""; 0], "the policy denied none of them");
}

#[tokio::test]
async fn the_sandboxs_own_names() {
    let sandbox = Sandbox::new("--allow-net=other.test").await;
    for (name, kind, expected) in [
        ("localhost.", RecordType::A, "127.0.0.1 for 60"),
        ("localhost.", RecordType::AAAA, "::1 for 60"),
        ("app.localhost.", RecordType::A, "127.0.0.1 for 60"),
        ("sandbox.", RecordType::A, "127.0.0.1 for 60"),
        ("sandbox.", RecordType::AAAA, "No Error"),
        ("localhost.", RecordType::TXT, "No Error"),
        ("1.0.0.127.in-addr.arpa.", RecordType::PTR, "localhost. for 60"),
        ("9.0.18.198.in-addr.arpa.", RecordType::PTR, "Non-Existent Domain"),
    ] {
        assert_eq!(sandbox.shown(name, kind).await, expected, "{name} {kind}");
    }
    assert_eq!(sandbox.server.asked(), [""; 0]);
    assert_eq!(sandbox.told.denials(), [""; 0]);
}

#[tokio::test]
async fn too_many_new_names_are_a_failure_that_is_told() {
    let sandbox = Sandbox::new("--allow-net=*.example").await;
    let long = |n: usize| format!("{n:060}.{n:060}.{n:060}.example.");
    let mut codes = Vec::new();
    for n in 0..150 {
        codes.push(sandbox.code(&long(n), RecordType::A).await);
    }
    assert!(codes.contains(&ResponseCode::NXDomain) && codes.contains(&ResponseCode::ServFail), "{codes:?}");
    assert!(!sandbox.told.denials().is_empty());
}

#[tokio::test]
async fn tcp_answers_many_questions_of_one_connection() {
    let sandbox = Sandbox::new("--allow-net=*.example").await;
    let (listener, address) = listener().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let serving = tokio::spawn(serve_tcp(sandbox.state.clone(), listener.accept().await.unwrap().0));
    let mut ids = Vec::new();
    let mut sent = Vec::new();
    for n in 0..40u16 {
        let name = format!("n{n}.example");
        sandbox.server.has(&name, &["93.184.216.34"]);
        let mut bytes = question(&format!("{name}."), RecordType::A);
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        sent.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        sent.extend(bytes);
        ids.push(n);
    }
    client.write_all(&sent).await.unwrap();
    let mut answered = Vec::new();
    for _ in 0..40 {
        let mut bytes = vec![0; client.read_u16().await.unwrap().into()];
        client.read_exact(&mut bytes).await.unwrap();
        let message = Message::from_vec(&bytes).unwrap();
        assert!(matches!(message.answers[0].data, RData::A(_)), "{message}");
        answered.push(message.metadata.id);
    }
    answered.sort_unstable();
    assert_eq!(answered, ids);
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn tcp_ends_with_what_is_too_long_for_a_question() {
    let sandbox = Sandbox::new("--allow-net=*.example").await;
    let (listener, address) = listener().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let serving = tokio::spawn(serve_tcp(sandbox.state.clone(), listener.accept().await.unwrap().0));
    client.write_all(&[0xff, 0xff, 0, 0]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap();
}
