//! Questions: what is read of any bytes, and what is written in return.

use std::net::{Ipv4Addr, Ipv6Addr};

use buntime_policy::Name;
use hickory_proto::op::{Edns, Message, MessageType, Query};
use hickory_proto::rr::{Name as DnsName, RecordType};

use crate::dns::message::{Question, Received, Reply, Transport};

/// Reads `data` as a worker's datagram, and writes each kind of reply that it could get.
pub fn dns(data: &[u8]) {
    match Received::read(data) {
        Received::Nothing => {}
        Received::Refused(bytes) => {
            check(data, &bytes, 512);
        }
        Received::Question(question) => answers(data, &question),
    }
}

/// Questions of ordinary clients, and some that are none.
pub fn dns_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (name, kind, has_edns) in [
        ("www.example.com.", RecordType::A, false),
        ("WwW.eXaMpLe.com.", RecordType::AAAA, true),
        ("1.0.18.198.in-addr.arpa.", RecordType::PTR, true),
        ("_443._tcp.example.com.", RecordType::TXT, true),
        (".", RecordType::NS, false),
    ] {
        let Ok(name) = DnsName::from_ascii(name) else { continue };
        let mut message = Message::query();
        message.metadata.id = 0x1234;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, kind));
        if has_edns {
            let mut edns = Edns::new();
            edns.set_max_payload(1232);
            message.set_edns(edns);
        }
        seeds.extend(message.to_vec());
    }
    seeds
}

fn answers(data: &[u8], question: &Question) {
    if let Some(name) = question.name() {
        assert_eq!(Name::parse(name.as_str()).as_ref(), Ok(&name), "one form");
        assert!(name.as_str().bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
    }
    assert!(question.shown().bytes().all(|byte| byte.is_ascii_graphic()), "{}", question.shown());
    let (_, _) = (question.kind(), question.pointer());
    let long = [&*"a".repeat(63), &"b".repeat(63), &"c".repeat(63), &"d".repeat(60)].join(".");
    for reply in [
        Reply::v4(Ipv4Addr::new(198, 18, 0, 1), 60),
        Reply::v6(Ipv6Addr::LOCALHOST, 60),
        Reply::pointer(&long, 60),
        Reply::empty(),
        Reply::no_such_name(),
        Reply::denied("x".repeat(1000)),
        Reply::failed("ü".repeat(1000)),
    ] {
        for most in [12, 100, 512, 1232, 65535] {
            if let Some(bytes) = question.answered(reply.clone(), Transport::Datagram(most)) {
                check(data, &bytes, most.min(1232));
            }
        }
        let bytes = question.answered(reply, Transport::Stream).expect("any answer fits into a stream");
        let answer = check(data, &bytes, 65535);
        assert!(!answer.metadata.truncation);
    }
}

/// An answer: well-formed, to this very question, and no longer than it may be.
fn check(data: &[u8], bytes: &[u8], most: usize) -> Message {
    assert!(bytes.len() <= most, "{} of {most}", bytes.len());
    let answer = Message::from_vec(bytes).expect("what we write can be read");
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert_eq!(answer.metadata.id.to_be_bytes(), data[..2]);
    assert!(answer.answers.len() <= 1 && answer.authorities.is_empty());
    if let (Some(answered), Ok(asked)) = (answer.queries.first(), Message::from_vec(data)) {
        assert!(answered.name().eq_case(asked.queries[0].name()), "in its very letters");
        assert_eq!(answered.query_type(), asked.queries[0].query_type());
    }
    answer
}
