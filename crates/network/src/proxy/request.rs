//! What a request to the proxy asks for, and what is sent on in its place. No I/O.
//!
//! The head has been parsed by `hyper`, and is written anew by it from what is left here: what a parser behind could read in
//! another way than we did never gets there. What two readers could take for two different hosts is refused.

use buntime_policy::Peer;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{Method, StatusCode, Version};

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The host, in the one form that is compared.
    pub(crate) peer: Peer,
    /// The port, by `http`'s default where none is named.
    pub(crate) port: u16,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A connection: `CONNECT host:port`.
    Tunnel(Endpoint),
    /// This very request, sent to its server: `GET http://host/…`.
    Forward(Endpoint),
}

/// Why a request is refused whatever the policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The answer's status.
    pub(crate) status: StatusCode,
    /// For people, without a final newline.
    pub(crate) text: String,
}

/// Meant for the next hop alone (RFC 9110, section 7.6.1; `Proxy-Connection` is what old clients say for `Connection`).
/// `Expect` is met here: its 100 goes out when the body is read. `Upgrade` is not offered, which every server must accept.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that a `Connection` field must not name, as the next server would read another message without them.
const END_TO_END: [HeaderName; 4] = [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::AUTHORIZATION];

impl Problem {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl Endpoint {
    /// As the client would write it, with the port.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}", self.host(), self.port)
    }

    fn host(&self) -> String {
        match &self.peer {
            Peer::Name(name) => name.as_str().to_owned(),
            Peer::Address(address) if address.is_ipv6() => format!("[{address}]"),
            Peer::Address(address) => address.to_string(),
        }
    }

    /// For the `Host` field, which leaves the default port out.
    pub(crate) fn host_field(&self) -> String {
        if self.port == 80 { self.host() } else { self.shown() }
    }
}

impl Wanted {
    /// Reads the head.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Problem> {
        check_framing(&parts.headers)?;
        if parts.method == Method::CONNECT { tunnel(parts) } else { forward(parts) }
    }
}

fn tunnel(parts: &Parts) -> Result<Wanted, Problem> {
    let authority = parts
        .uri
        .authority()
        .filter(|_| parts.uri.scheme().is_none() && parts.uri.path_and_query().is_none())
        .ok_or_else(|| Problem::bad("CONNECT takes a host and a port, such as example.com:443"))?;
    let (peer, port) = split(authority.as_str())?;
    let port = port.ok_or_else(|| Problem::bad("CONNECT takes a host and a port, such as example.com:443"))?;
    if port == 0 {
        return Err(Problem::bad("port 0 is none that can be reached"));
    }
    if has_body(&parts.headers) {
        return Err(Problem::bad("CONNECT has no body"));
    }
    let endpoint = Endpoint { peer, port };
    // Old clients send none, some send the host without its port.
    if let Some((peer, port)) = host_field(&parts.headers)?
        && (peer != endpoint.peer || port.is_some_and(|port| port != endpoint.port))
    {
        return Err(disagreement());
    }
    Ok(Wanted::Tunnel(endpoint))
}

fn forward(parts: &Parts) -> Result<Wanted, Problem> {
    let Some(scheme) = parts.uri.scheme() else {
        let text = "this is a proxy: it takes whole URLs (GET http://example.com/) and CONNECT";
        return Err(Problem::bad(text));
    };
    if *scheme != Scheme::HTTP {
        let text = format!("a URL with {scheme}: goes through CONNECT");
        return Err(Problem::bad(text));
    }
    let authority = parts.uri.authority().ok_or_else(|| Problem::bad("the URL has no host"))?;
    let (peer, port) = split(authority.as_str())?;
    let endpoint = Endpoint { peer, port: port.unwrap_or(80) };
    if endpoint.port == 0 {
        return Err(Problem::bad("port 0 is none that can be reached"));
    }
    match host_field(&parts.headers)? {
        Some((peer, port)) if peer == endpoint.peer && port.unwrap_or(80) == endpoint.port => {}
        None if parts.version == Version::HTTP_10 => {}
        None => return Err(Problem::bad("a request has a Host field (RFC 9112, section 3.2)")),
        Some(_) => return Err(disagreement()),
    }
    check_expectation(&parts.headers)?;
    check_upgrade(&parts.headers)?;
    Ok(Wanted::Forward(endpoint))
}

fn disagreement() -> Problem {
    Problem::bad("the Host field names another host than the request does")
}

/// The one `Host` field. Two of them are two opinions.
fn host_field(headers: &HeaderMap) -> Result<Option<(Peer, Option<u16>)>, Problem> {
    let mut fields = headers.get_all(header::HOST).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(Problem::bad("more than one Host field"));
    }
    let text = field.to_str().map_err(|_| Problem::bad("the Host field is no text"))?;
    split(text).map(Some)
}

/// Reads `host`, `host:port`, `[v6]:port`. Nothing else: no user, no empty port, no sign, no space.
fn split(text: &str) -> Result<(Peer, Option<u16>), Problem> {
    if text.contains('@') {
        return Err(Problem::bad("user and password in a URL would go to the wrong place"));
    }
    let end_of_address = text.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match text[end_of_address..].split_once(':') {
        Some((rest, port)) => (&text[..end_of_address + rest.len()], Some(port)),
        None => (text, None),
    };
    let port = port.map(read_port).transpose()?;
    let peer = Peer::parse(host).map_err(|problem| Problem::bad(format!("host {host:?}: {problem}")))?;
    if matches!(peer, Peer::Address(address) if address.is_ipv6()) && end_of_address == 0 {
        return Err(Problem::bad("an ipv6 address stands in brackets"));
    }
    Ok((peer, port))
}

fn read_port(text: &str) -> Result<u16, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| Problem::bad(format!("{text:?} is no port")))
}

/// What says where a message ends. `hyper` has refused what contradicts itself; here is what it would let pass and we do not
/// pass on faithfully.
fn check_framing(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_plain = codings.next().is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !is_plain || codings.next().is_some() {
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "no transfer coding but chunked is known here"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Problem::bad("both Transfer-Encoding and Content-Length"));
    }
    for name in named_by_connection(headers) {
        if END_TO_END.contains(&name) {
            return Err(Problem::bad(format!("a Connection field must not name {name}")));
        }
    }
    Ok(())
}

fn has_body(headers: &HeaderMap) -> bool {
    let has_length = headers.get(header::CONTENT_LENGTH).is_some_and(|value| value.as_bytes() != b"0");
    has_length || headers.contains_key(header::TRANSFER_ENCODING)
}

fn check_expectation(headers: &HeaderMap) -> Result<(), Problem> {
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(header::EXPECT).iter().all(is_known) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::EXPECTATION_FAILED, "no expectation but 100-continue is known here"))
}

/// An offer of HTTP/2 is one that the server need not take, and is not passed on. Who wants a web socket can do nothing
/// without.
fn check_upgrade(headers: &HeaderMap) -> Result<(), Problem> {
    let is_websocket = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(b"websocket");
    if headers.get_all(header::UPGRADE).iter().any(is_websocket) {
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "a web socket goes through CONNECT"));
    }
    Ok(())
}

/// The head that is sent to the server: path alone, `Host` from the URL, and nothing that was meant for us.
pub(crate) fn outgoing(mut parts: Parts, to: &Endpoint) -> Result<Parts, Problem> {
    let path = match parts.uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => path.clone(),
        Some(path) => format!("/{path}").parse().map_err(|_| Problem::bad("the URL has no path"))?,
        None => PathAndQuery::from_static("/"),
    };
    parts.uri = path.into();
    strip(&mut parts.headers);
    parts.headers.remove(header::EXPECT);
    let host = HeaderValue::from_str(&to.host_field()).map_err(|_| Problem::bad("the host is no text"))?;
    parts.headers.insert(header::HOST, host);
    parts.version = Version::HTTP_11;
    // What was remembered of the client's spelling and of its connection is not the server's.
    parts.extensions.clear();
    Ok(parts)
}

/// Removes what was meant for the next hop alone, the fields that `Connection` names among it.
pub(crate) fn strip(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        if !END_TO_END.contains(&name) {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let fields = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn read(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<String, u16> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let Ok(request) = request.body(()) else { return Err(0) };
        match Wanted::of(&request.into_parts().0) {
            Ok(Wanted::Tunnel(to)) => Ok(format!("tunnel {}", to.shown())),
            Ok(Wanted::Forward(to)) => Ok(format!("forward {}", to.shown())),
            Err(problem) => Err(problem.status.as_u16()),
        }
    }

    #[test]
    fn connect() {
        for (target, host, expected) in [
            ("example.com:443", None, Ok("tunnel example.com:443")),
            ("EXAMPLE.com.:443", Some("example.com:443"), Ok("tunnel example.com:443")),
            ("example.com:443", Some("example.com"), Ok("tunnel example.com:443")),
            ("[2606:4700::1111]:443", Some("[2606:4700::1111]:443"), Ok("tunnel [2606:4700::1111]:443")),
            ("1.2.3.4:80", None, Ok("tunnel 1.2.3.4:80")),
            ("[::ffff:1.2.3.4]:80", Some("1.2.3.4:80"), Ok("tunnel 1.2.3.4:80")),
            ("example.com", None, Err(400)),
            ("example.com:", None, Err(400)),
            ("example.com:0", None, Err(400)),
            ("example.com:443", Some("other.com:443"), Err(400)),
            ("example.com:443", Some("example.com:80"), Err(400)),
            ("user@example.com:443", None, Err(400)),
            ("127.1:80", None, Err(400)),
            ("0x7f.1:80", None, Err(400)),
            ("2130706433:80", None, Err(400)),
            ("http://example.com:443/", None, Err(400)),
        ] {
            let headers: Vec<_> = host.iter().map(|host| ("host", *host)).collect();
            assert_eq!(read("CONNECT", target, &headers), expected.map(str::to_owned), "{target} {host:?}");
        }
        assert_eq!(read("CONNECT", "a.com:443", &[("content-length", "3")]), Err(400));
        assert_eq!(read("CONNECT", "a.com:443", &[("content-length", "0")]), Ok("tunnel a.com:443".into()));
    }

    #[test]
    fn absolute_form() {
        for (uri, host, expected) in [
            ("http://example.com/a?b", "example.com", Ok("forward example.com:80")),
            ("http://example.com/", "example.com:80", Ok("forward example.com:80")),
            ("http://example.com:8080/", "Example.COM:8080", Ok("forward example.com:8080")),
            ("http://[2606:4700::1111]/", "[2606:4700::1111]", Ok("forward [2606:4700::1111]:80")),
            ("http://example.com:8080/", "example.com", Err(400)),
            ("http://example.com/", "example.com:8080", Err(400)),
            ("http://example.com/", "evil.com", Err(400)),
            ("http://user:pw@example.com/", "example.com", Err(400)),
            ("http://example.com/", "user@example.com", Err(400)),
            ("http://example.com:99999/", "example.com:99999", Err(400)),
            ("http://example.com/", "example.com:+80", Err(400)),
            ("http://example.com/", "example.com:", Err(400)),
            ("http://example.com/", "", Err(400)),
            ("http://127.1/", "127.1", Err(400)),
            ("http://0177.0.0.1/", "0177.0.0.1", Err(400)),
            ("http://[fe80::1%25eth0]/", "[fe80::1%25eth0]", Err(0)),
            ("https://example.com/", "example.com", Err(400)),
            ("/a", "example.com", Err(400)),
            ("*", "example.com", Err(400)),
        ] {
            let found = read("GET", uri, &[("host", host)]);
            let is_refused = matches!((&found, &expected), (Err(_), Err(_)));
            assert!(is_refused || found == expected.map(str::to_owned), "{uri} {host}: {found:?}");
        }
        assert_eq!(read("GET", "http://example.com/", &[]), Err(400));
        assert_eq!(read("GET", "http://a.com/", &[("host", "a.com"), ("host", "a.com")]), Err(400));
        assert!(read("GET", "http://example%00.com/", &[("host", "example%00.com")]).is_err());
    }

    #[test]
    fn framing_expectations_and_upgrades() {
        for (name, value, expected) in [
            ("transfer-encoding", "chunked", None),
            ("transfer-encoding", "Chunked", None),
            ("transfer-encoding", "gzip, chunked", Some(501)),
            ("transfer-encoding", "chunked, identity", Some(501)),
            ("connection", "close, content-length", Some(400)),
            ("connection", "Host", Some(400)),
            ("expect", "100-Continue", None),
            ("expect", "200-ok", Some(417)),
            ("upgrade", "h2c", None),
            ("upgrade", "WebSocket", Some(501)),
        ] {
            let found = read("POST", "http://a.com/", &[("host", "a.com"), (name, value)]);
            assert_eq!(found.err(), expected, "{name}: {value}");
        }
        let both = [("host", "a.com"), ("transfer-encoding", "chunked"), ("content-length", "3")];
        assert_eq!(read("POST", "http://a.com/", &both), Err(400));
    }

    #[test]
    fn what_is_sent_on() {
        let request = Request::builder()
            .method("POST")
            .uri("http://Example.com:80/path?q=%00")
            .version(Version::HTTP_10)
            .header("host", "example.com:80")
            .header("connection", "close, X-Secret , keep-alive")
            .header("x-secret", "1")
            .header("proxy-authorization", "Basic abc")
            .header("proxy-connection", "keep-alive")
            .header("keep-alive", "timeout=5")
            .header("te", "trailers")
            .header("upgrade", "h2c")
            .header("expect", "100-continue")
            .header("transfer-encoding", "chunked")
            .header("cookie", "a=b")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let Ok(Wanted::Forward(to)) = Wanted::of(&parts) else { panic!() };
        let sent = outgoing(parts, &to).unwrap();
        assert_eq!(sent.uri, "/path?q=%00");
        assert_eq!(sent.version, Version::HTTP_11);
        let mut names: Vec<_> = sent.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        names.sort();
        assert_eq!(names, [r#"cookie: "a=b""#, r#"host: "example.com""#]);
    }
}
