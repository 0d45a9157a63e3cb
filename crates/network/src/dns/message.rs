//! DNS messages, read and written: what a worker sent, and what it gets. No policy, no I/O.
//!
//! A worker may send anything. What is no question is answered with the error that RFC 1035 has for it, or not at all: an
//! answer to an answer could go round for ever.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use buntime_policy::Name;
use hickory_proto::op::{Edns, Message, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name as DnsName, RData, Record, RecordType};

/// Length of the header, which every message has (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// What a datagram holds where no EDNS says more (RFC 1035, section 4.2.1).
const DATAGRAM: usize = 512;
/// What we say that we take, and the most that we send in a datagram (DNS flag day 2020: no fragments).
const PAYLOAD: u16 = 1232;
/// Longest explanation in an answer, in bytes.
const MOST_TEXT: usize = 200;
/// The option for Extended DNS Errors (RFC 8914, section 2).
const EXTENDED_ERROR: u16 = 15;

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// In a datagram of at most so many bytes, or fewer where the question says so.
    Datagram(usize),
    /// After two bytes of length.
    Stream,
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Received {
    /// A question to answer.
    Question(Box<Question>),
    /// Something else, and the error that it gets.
    Refused(Vec<u8>),
    /// Something that must not be answered.
    Nothing,
}

/// One question.
#[derive(Debug)]
pub(crate) struct Question {
    header: Metadata,
    query: Query,
    /// The datagram that the client takes, in bytes, if it speaks EDNS.
    payload: Option<u16>,
}

/// What is asked about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its IPv4 addresses.
    A,
    /// Its IPv6 addresses.
    Aaaa,
    /// How to reach a service there: HTTPS and SVCB.
    Service,
    /// The name for an address.
    Pointer,
    /// Anything else: texts, mail servers, keys.
    Other,
}

/// What a question gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    code: ResponseCode,
    answer: Option<(RData, u32)>,
    /// Code and text of RFC 8914, for people who look with `dig`.
    explanation: Option<(u16, String)>,
}

impl Received {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let Some(header) = bytes.get(..HEADER) else {
            return Self::Nothing;
        };
        let id = u16::from_be_bytes([header[0], header[1]]);
        if header[2] & 0x80 != 0 {
            return Self::Nothing;
        }
        let op_code = OpCode::from_u8((header[2] >> 3) & 0x0f);
        if op_code != OpCode::Query {
            return Self::refused(id, op_code, ResponseCode::NotImp);
        }
        // Looked at before anything is parsed, as room for as many questions as the header claims would be made first.
        if header[4..10] != [0, 1, 0, 0, 0, 0] {
            return Self::refused(id, op_code, ResponseCode::FormErr);
        }
        match Message::from_vec(bytes) {
            Ok(message) => Self::of(message),
            Err(_) => Self::refused(id, op_code, ResponseCode::FormErr),
        }
    }

    fn of(mut message: Message) -> Self {
        let Some(query) = message.queries.pop() else {
            return Self::refused(message.metadata.id, message.metadata.op_code, ResponseCode::FormErr);
        };
        let payload = message.edns.as_ref().map(Edns::max_payload);
        let question = Question { header: message.metadata, query, payload };
        if message.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return question.refused_by(ResponseCode::BADVERS);
        }
        if question.query.query_class() != DNSClass::IN {
            // CHAOS and the like tell of the server itself.
            return question.refused_by(ResponseCode::Refused);
        }
        Self::Question(Box::new(question))
    }

    fn refused(id: u16, op_code: OpCode, code: ResponseCode) -> Self {
        Message::error_msg(id, op_code, code).to_vec().map_or(Self::Nothing, Self::Refused)
    }
}

impl Question {
    /// The name, if it is one that hosts can have. Bytes that no host name has (a dot inside of a label among them) make
    /// it none, so nothing depends on how such bytes would be written as text.
    pub(crate) fn name(&self) -> Option<Name> {
        let mut text = String::new();
        for label in self.query.name().iter() {
            if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
                return None;
            }
            if !text.is_empty() {
                text.push('.');
            }
            text.extend(label.iter().copied().map(char::from));
        }
        Name::parse(&text).ok()
    }

    /// The name as text for people, whatever bytes it holds: those that are not printable are escaped.
    pub(crate) fn shown(&self) -> String {
        let shown = self.query.name().to_ascii();
        shown.strip_suffix('.').filter(|rest| !rest.is_empty()).map(str::to_owned).unwrap_or(shown)
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.query.query_type() {
            RecordType::A => Kind::A,
            RecordType::AAAA => Kind::Aaaa,
            RecordType::HTTPS | RecordType::SVCB => Kind::Service,
            RecordType::PTR => Kind::Pointer,
            _ => Kind::Other,
        }
    }

    /// The address whose name is asked for, in a question such as `1.0.18.198.in-addr.arpa PTR`.
    pub(crate) fn pointer(&self) -> Option<IpAddr> {
        let block = self.query.name().parse_arpa_name().ok()?;
        (block.prefix_len() == block.max_prefix_len()).then(|| block.addr())
    }

    /// The answer's bytes; none if not even the question fits.
    pub(crate) fn answered(&self, reply: Reply, transport: Transport) -> Option<Vec<u8>> {
        let room = match transport {
            Transport::Stream => usize::from(u16::MAX),
            Transport::Datagram(most) => {
                let taken = self.payload.map_or(DATAGRAM, |payload| usize::from(payload.min(PAYLOAD)).max(DATAGRAM));
                most.min(taken)
            }
        };
        let message = self.message(reply);
        let whole = message.to_vec().ok()?;
        if whole.len() <= room {
            return Some(whole);
        }
        // The client asks again over TCP.
        let mut cut = message.truncate();
        cut.edns = self.edns();
        cut.to_vec().ok().filter(|cut| cut.len() <= room)
    }

    fn message(&self, reply: Reply) -> Message {
        let mut message = Message::response(self.header.id, self.header.op_code);
        message.metadata = Metadata::response_from_request(&self.header);
        message.metadata.recursion_available = true;
        message.metadata.response_code = reply.code;
        // As it was sent, in its very letters: some clients mix upper and lower case and look whether it comes back.
        message.add_query(self.query.clone());
        if let Some((data, ttl)) = reply.answer {
            message.add_answer(Record::from_rdata(self.query.name().clone(), ttl, data));
        }
        message.edns = self.edns();
        if let (Some(edns), Some((code, text))) = (&mut message.edns, reply.explanation) {
            edns.options_mut().insert(extended_error(code, &text));
        }
        message
    }

    /// What goes into an answer to a question with EDNS, and into no other (RFC 6891, section 6.1.1).
    fn edns(&self) -> Option<Edns> {
        self.payload?;
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        Some(edns)
    }

    fn refused_by(&self, code: ResponseCode) -> Received {
        self.answered(Reply::code(code), Transport::Datagram(DATAGRAM)).map_or(Received::Nothing, Received::Refused)
    }
}

impl Reply {
    fn code(code: ResponseCode) -> Self {
        Self { code, answer: None, explanation: None }
    }

    fn answer(data: RData, ttl: u32) -> Self {
        Self { code: ResponseCode::NoError, answer: Some((data, ttl)), explanation: None }
    }

    pub(crate) fn v4(address: Ipv4Addr, ttl: u32) -> Self {
        Self::answer(RData::A(A(address)), ttl)
    }

    pub(crate) fn v6(address: Ipv6Addr, ttl: u32) -> Self {
        Self::answer(RData::AAAA(AAAA(address)), ttl)
    }

    /// The name for an address.
    pub(crate) fn pointer(name: &str, ttl: u32) -> Self {
        match DnsName::from_ascii(name) {
            Ok(mut name) => {
                name.set_fqdn(true);
                Self::answer(RData::PTR(PTR(name)), ttl)
            }
            Err(_) => Self::no_such_name(),
        }
    }

    /// The name exists, and has nothing of what was asked for.
    pub(crate) fn empty() -> Self {
        Self::code(ResponseCode::NoError)
    }

    /// The name does not exist.
    pub(crate) fn no_such_name() -> Self {
        Self::code(ResponseCode::NXDomain)
    }

    /// For the worker the name does not exist. NXDOMAIN and not REFUSED, upon which C libraries ask the next server and
    /// then call it a temporary failure, to be tried again.
    pub(crate) fn denied(why: String) -> Self {
        const BLOCKED: u16 = 15;
        Self { explanation: Some((BLOCKED, why)), ..Self::no_such_name() }
    }

    /// A failure that may pass.
    pub(crate) fn failed(why: String) -> Self {
        const NO_REACHABLE_AUTHORITY: u16 = 22;
        Self { explanation: Some((NO_REACHABLE_AUTHORITY, why)), ..Self::code(ResponseCode::ServFail) }
    }
}

fn extended_error(code: u16, text: &str) -> EdnsOption {
    let mut data = code.to_be_bytes().to_vec();
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= MOST_TEXT).last().unwrap_or(0);
    let end = if text.len() <= MOST_TEXT { text.len() } else { end };
    data.extend_from_slice(&text.as_bytes()[..end]);
    EdnsOption::Unknown(EXTENDED_ERROR, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(DnsName::from_ascii(name).unwrap(), kind));
        message
    }

    fn question(message: &Message) -> Box<Question> {
        match Received::read(&message.to_vec().unwrap()) {
            Received::Question(question) => question,
            other => panic!("{other:?}"),
        }
    }

    fn code(bytes: &[u8]) -> Result<ResponseCode, &'static str> {
        match Received::read(bytes) {
            Received::Question(_) => Err("question"),
            Received::Nothing => Err("nothing"),
            Received::Refused(bytes) => {
                let message = Message::from_vec(&bytes).unwrap();
                assert_eq!(message.metadata.id, 0x1234);
                Ok(message.metadata.response_code)
            }
        }
    }

    #[test]
    fn an_answer_echoes_id_flags_and_the_letters_of_the_name() {
        let message = query("wWw.ExAmPlE.cOm.", RecordType::A);
        let asked = question(&message);
        assert_eq!(asked.name().unwrap().as_str(), "www.example.com");
        assert_eq!(asked.shown(), "wWw.ExAmPlE.cOm");
        let bytes = asked.answered(Reply::v4(Ipv4Addr::new(198, 18, 0, 1), 60), Transport::Datagram(512)).unwrap();
        let answer = Message::from_vec(&bytes).unwrap();
        assert_eq!(answer.metadata.id, message.metadata.id);
        assert!(answer.metadata.recursion_desired && answer.metadata.recursion_available);
        assert!(answer.queries[0].name().eq_case(message.queries[0].name()));
        assert_eq!(answer.answers.len(), 1);
        assert!(answer.answers[0].name.eq_case(message.queries[0].name()));
        assert_eq!(answer.answers[0].ttl, 60);
        assert_eq!(answer.answers[0].data, RData::A(A::new(198, 18, 0, 1)));
        assert_eq!(answer.edns, None, "the client did not ask for it");
    }

    #[test]
    fn what_is_no_question() {
        let header = |flags: u16, counts: [u16; 4]| {
            let mut bytes = vec![0x12, 0x34];
            bytes.extend(flags.to_be_bytes());
            counts.iter().for_each(|count| bytes.extend(count.to_be_bytes()));
            bytes
        };
        let mut good = query("a.example.", RecordType::A).to_vec().unwrap();
        good[..2].copy_from_slice(&[0x12, 0x34]);
        assert_eq!(code(&good), Err("question"));
        let changed = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        assert_eq!(code(&[]), Err("nothing"));
        assert_eq!(code(&good[..11]), Err("nothing"));
        assert_eq!(code(&changed(2, 0x81)), Err("nothing"), "an answer");
        assert_eq!(code(&changed(2, 0x28)), Ok(ResponseCode::NotImp), "an update");
        assert_eq!(code(&changed(5, 2)), Ok(ResponseCode::FormErr), "two questions, one there");
        assert_eq!(code(&header(0x0100, [0, 0, 0, 0])), Ok(ResponseCode::FormErr));
        assert_eq!(code(&header(0x0100, [65535, 0, 0, 0])), Ok(ResponseCode::FormErr));
        assert_eq!(code(&changed(7, 1)), Ok(ResponseCode::FormErr), "an answer in a question");
        assert_eq!(code(&good[..good.len() - 1]), Ok(ResponseCode::FormErr));
        assert_eq!(code(&changed(good.len() - 1, 3)), Ok(ResponseCode::Refused), "class CHAOS");
        // A name that points to itself.
        let mut looping = header(0x0100, [1, 0, 0, 0]);
        looping.extend([0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(code(&looping), Ok(ResponseCode::FormErr));
    }

    #[test]
    fn edns_of_a_version_that_there_is_not() {
        let mut message = query("a.example.", RecordType::A);
        message.metadata.id = 0x1234;
        let mut edns = Edns::new();
        edns.set_version(1);
        message.set_edns(edns);
        // 16 is BADVERS here, and BADSIG where there is a signature (RFC 6895, section 2.3).
        assert_eq!(code(&message.to_vec().unwrap()).map(u16::from), Ok(16));
    }

    #[test]
    fn names_that_no_host_has_are_none() {
        let labels: [&[&[u8]]; 7] = [
            &[b"a b", b"example"],
            &[b"a.b", b"example"],
            &[b"a\0", b"example"],
            &[b"a@b", b"example"],
            &[b"\xc3\xbc", b"example"],
            &[b"127", b"1"],
            &[],
        ];
        for labels in labels {
            let mut message = Message::query();
            let name = DnsName::from_labels(labels.iter().copied()).unwrap();
            message.add_query(Query::query(name, RecordType::A));
            let asked = question(&message);
            assert_eq!(asked.name(), None, "{labels:?}");
            assert!(asked.shown().bytes().all(|byte| byte.is_ascii_graphic()), "{labels:?}");
        }
    }

    #[test]
    fn pointers() {
        for (name, expected) in [
            ("1.0.18.198.in-addr.arpa.", Some("198.18.0.1")),
            ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.", Some("::1")),
            ("18.198.in-addr.arpa.", None),
            ("www.example.com.", None),
        ] {
            let asked = question(&query(name, RecordType::PTR));
            assert_eq!(asked.pointer().map(|address| address.to_string()).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn an_explanation_is_for_clients_that_speak_edns() {
        let mut message = query("a.example.", RecordType::A);
        message.set_edns(Edns::new());
        let long = "ü".repeat(300);
        let bytes = question(&message).answered(Reply::denied(long), Transport::Datagram(512)).unwrap();
        let answer = Message::from_vec(&bytes).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        let edns = answer.edns.unwrap();
        assert_eq!(edns.max_payload(), PAYLOAD);
        let Some(EdnsOption::Unknown(_, data)) = edns.option(EXTENDED_ERROR.into()) else { panic!("{edns:?}") };
        assert_eq!(data[..2], [0, 15]);
        assert_eq!(std::str::from_utf8(&data[2..]).unwrap(), "ü".repeat(100));
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        let message = query("1.0.18.198.in-addr.arpa.", RecordType::PTR);
        let asked = question(&message);
        let long = [&*"a".repeat(63), &"b".repeat(63), &"c".repeat(63), &"d".repeat(60)].join(".");
        let reply = Reply::pointer(&long, 1);
        let read = |room| Message::from_vec(&asked.answered(reply.clone(), room).unwrap()).unwrap();
        assert_eq!(read(Transport::Stream).answers.len(), 1);
        assert_eq!(read(Transport::Datagram(512)).answers.len(), 1);
        let cut = read(Transport::Datagram(100));
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        assert_eq!(cut.queries, message.queries);
        assert_eq!(asked.answered(reply, Transport::Datagram(20)), None);
    }
}
