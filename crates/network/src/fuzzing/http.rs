//! Requests: what of a client's bytes reaches a server is one well-formed message for each request that was judged, and for
//! the host that was judged.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;

use crate::proxy::exchange::to_server;
use crate::proxy::from_client;
use crate::proxy::request::{Endpoint, Wanted, outgoing};

/// Longest time for one input. More is a hang.
const LONGEST: Duration = Duration::from_secs(5);

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
    );
}

/// Sends `data` to the proxy as a client that then waits, and looks at what would reach servers.
pub fn http(data: &[u8]) {
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async { tokio::time::timeout(LONGEST, serve(data)).await.expect("no hang") });
    });
}

/// Requests of ordinary clients, and some tricks.
pub fn http_seeds() -> Vec<Vec<u8>> {
    [
        "GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\nProxy-Connection: keep-alive\r\n\r\n",
        "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc",
        "POST http://a.com/ HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "PUT http://a.com:8080/ HTTP/1.1\r\nHost: a.com:8080\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n\x16\x03\x01",
        "CONNECT [2606:4700::1111]:443 HTTP/1.0\r\n\r\n",
        "GET http://a.com/ HTTP/1.1\r\nHost: a.com\r\n\r\nGET http://b.com/ HTTP/1.1\r\nHost: b.com\r\n\r\n",
        "POST http://a.com/ HTTP/1.1\r\nHost: a.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
         GET http://b.com/ HTTP/1.1\r\nHost: b.com\r\n\r\n",
        "GET http://u:p@a.com/ HTTP/1.1\r\nHost: a.com\r\nConnection: close, X-A\r\nX-A: b\r\nTE: trailers\r\n\r\n",
        "GET http://a.com/ HTTP/1.0\r\n\r\n",
        "HEAD http://a.com/%00 HTTP/1.1\r\nHost: a.com\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

async fn serve(data: &[u8]) {
    // Room for all that is sent either way, so that neither side waits for the other to read.
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(data).await.expect("there is room");
    client.shutdown().await.expect("it is open");
    // What a client did wrong ends its connection.
    let _ = from_client().serve_connection(TokioIo::new(server), service_fn(judge)).await;
}

async fn judge(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    if let Ok(Wanted::Forward(to)) = Wanted::of(&parts)
        && let Ok(parts) = outgoing(parts, &to)
    {
        let (near, far) = tokio::io::duplex(1 << 20);
        let sent = send(near, Request::from_parts(parts, body));
        let ((), bytes) = tokio::join!(sent, receive(far));
        check(&bytes, &to);
    }
    Ok(Response::new(Empty::new()))
}

async fn send(near: DuplexStream, request: Request<Incoming>) {
    let Ok((mut sender, connection)) = to_server().handshake(TokioIo::new(near)).await else { return };
    // Either fails when the client's body does.
    let _ = tokio::join!(connection, async move { sender.send_request(request).await.map(drop) });
}

async fn receive(mut far: DuplexStream) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = far.read(&mut buffer).await {
        if received.is_empty() {
            let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            // The proxy may have given up.
            let _ = far.write_all(reply).await;
        }
        received.extend_from_slice(&buffer[..length]);
    }
    received
}

/// One message, perhaps cut, read by another parser.
fn check(bytes: &[u8], to: &Endpoint) {
    let mut fields = [httparse::EMPTY_HEADER; 512];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(bytes).expect("what we write can be read") {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return,
    };
    assert!(head.path.is_some_and(|path| path.starts_with('/')), "{head:?}");
    let values = |name: &str| -> Vec<&[u8]> {
        head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect()
    };
    assert_eq!(values("host"), [to.host_field().as_bytes()], "{head:?}");
    for name in
        ["proxy-authorization", "proxy-connection", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"]
    {
        assert!(values(name).is_empty(), "{head:?}");
    }
    let rest = &bytes[length..];
    let lengths = values("content-length");
    match (&values("transfer-encoding")[..], &lengths[..]) {
        ([], []) => assert!(rest.is_empty(), "{head:?} {rest:?}"),
        ([], [length]) => {
            let length: usize = std::str::from_utf8(length).expect("digits").parse().expect("a number");
            assert!(rest.len() <= length, "{head:?} {rest:?}");
        }
        ([b"chunked"], []) => check_chunks(rest),
        other => panic!("two opinions about the length: {other:?}"),
    }
}

/// Chunks up to the last, and nothing behind it; or cut.
fn check_chunks(mut rest: &[u8]) {
    while let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(rest) {
        let length = usize::try_from(length).expect("small");
        if length == 0 {
            assert!(b"\r\n".starts_with(&rest[start..]), "{rest:?}");
            return;
        }
        match rest.get(start + length + 2..) {
            Some(next) => rest = next,
            None => return,
        }
    }
}
