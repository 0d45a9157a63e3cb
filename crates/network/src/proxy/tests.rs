//! The proxy between a client and a server of the test's own, which is the judge of what arrived.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::serve;
use crate::testing::{Server, Told, egress, listener, state};

/// A connection to a proxy under a policy.
struct Proxied {
    client: TcpStream,
    told: Arc<Told>,
    serving: JoinHandle<()>,
    _names: Server,
}

impl Proxied {
    async fn new(flags: &str) -> Self {
        let names = Server::start().await;
        let told = Arc::new(Told::default());
        let state = state(egress(flags), names.upstream(), told.clone());
        let (listener, address) = listener().await;
        let client = TcpStream::connect(address).await.unwrap();
        let accepted = listener.accept().await.unwrap().0;
        let serving = tokio::spawn(serve(state, accepted));
        Self { client, told, serving, _names: names }
    }

    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` was received.
    async fn until(&mut self, end: &str) -> String {
        read_until(&mut self.client, end).await
    }

    /// Sends one request, says that it was the last, and reads all that comes.
    async fn whole(mut self, text: &str) -> (String, Arc<Told>) {
        self.send(text).await;
        self.client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _ = timeout(LONGEST, self.client.read_to_end(&mut answer)).await.unwrap();
        timeout(LONGEST, self.serving).await.unwrap().unwrap();
        (String::from_utf8(answer).unwrap(), self.told)
    }
}

/// Fails a test that hangs; no test waits for it.
const LONGEST: Duration = Duration::from_secs(60);

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).ends_with(end) {
        let mut byte = [0];
        timeout(LONGEST, stream.read_exact(&mut byte)).await.unwrap().unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&read));
        });
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

/// Takes one connection, reads a request's head on it, and answers `ok`, `requests` times.
async fn origin(listener: TcpListener, requests: usize) -> Vec<String> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut heads = Vec::new();
    for _ in 0..requests {
        heads.push(read_until(&mut stream, "\r\n\r\n").await);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok").await.unwrap();
    }
    heads
}

#[tokio::test]
async fn a_request_goes_on_without_what_was_meant_for_the_proxy() {
    let (server, address) = listener().await;
    let origin = tokio::spawn(origin(server, 1));
    let proxied = Proxied::new(&format!("--allow-net={address}")).await;
    let request = format!(
        "GET http://{address}/path?q HTTP/1.1\r\nHost: {address}\r\nProxy-Authorization: Basic c2VjcmV0\r\n\
         Connection: close, X-Hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\nX-Kept: 2\r\n\r\n"
    );
    let (answer, told) = proxied.whole(&request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"), "{answer}");
    let head = origin.await.unwrap().remove(0);
    assert!(head.starts_with("GET /path?q HTTP/1.1\r\n"), "{head}");
    assert_eq!(head.matches(&*format!("host: {address}\r\n")).count(), 1, "{head}");
    assert!(head.contains("x-kept: 2\r\n"), "{head}");
    for gone in ["proxy-", "x-hop", "upgrade", "connection"] {
        assert!(!head.to_lowercase().contains(gone), "{head}");
    }
    let flows = told.flows();
    assert_eq!(flows.len(), 1, "{flows:?}");
    assert!(flows[0].bytes_in > 2 && flows[0].bytes_out >= head.len() as u64, "{flows:?}");
}

#[tokio::test]
async fn connect_relays_also_what_came_early() {
    let (server, address) = listener().await;
    let origin = tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        let early = read_until(&mut stream, "later").await;
        stream.write_all(b"answer").await.unwrap();
        early
    });
    let mut proxied = Proxied::new(&format!("--allow-net={address}")).await;
    proxied.send(&format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\nearly ")).await;
    let head = proxied.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(!head.to_lowercase().contains("content-length"), "{head}");
    proxied.send("later").await;
    assert_eq!(proxied.until("answer").await, "answer");
    assert_eq!(origin.await.unwrap(), "early later");
}

#[tokio::test]
async fn what_is_denied_says_by_what_and_reaches_nobody() {
    let (server, address) = listener().await;
    for request in [
        format!("GET http://{address}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    ] {
        let (answer, told) = Proxied::new("--allow-net=other.example").await.whole(&request).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains(&*format!("--allow-net={address}")), "{answer}");
        assert_eq!(told.denials().len(), 1);
    }
    assert!(timeout(Duration::from_millis(50), server.accept()).await.is_err());
}

#[tokio::test]
async fn each_request_of_a_connection_is_judged_by_itself() {
    let (server, address) = listener().await;
    let (other, denied) = listener().await;
    let origin = tokio::spawn(origin(server, 2));
    let mut proxied = Proxied::new(&format!("--allow-net={address}")).await;
    let get = |host| format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    proxied.send(&get(address)).await;
    assert!(proxied.until("ok").await.contains(" 200 "));
    // Twice to the same server, over the one connection that it takes.
    proxied.send(&get(address)).await;
    assert!(proxied.until("ok").await.contains(" 200 "));
    proxied.send(&get(denied)).await;
    let answer = proxied.until(&format!("--allow-net={denied}\n")).await;
    assert!(answer.contains(" 403 "), "{answer}");
    assert_eq!(origin.await.unwrap().len(), 2);
    assert!(timeout(Duration::from_millis(50), other.accept()).await.is_err());
}

#[tokio::test]
async fn two_opinions_about_the_host_are_none() {
    let (server, address) = listener().await;
    for (target, host) in [
        (format!("http://{address}/"), "evil.example".to_owned()),
        ("http://evil.example/".to_owned(), address.to_string()),
        (format!("http://user@{address}/"), address.to_string()),
        (format!("http://{address}/"), format!("{address}\r\nHost: evil.example")),
        ("/".to_owned(), address.to_string()),
        (format!("https://{address}/"), address.to_string()),
        (format!("http://127.1:{}/", address.port()), format!("127.1:{}", address.port())),
        (format!("http://2130706433:{}/", address.port()), format!("2130706433:{}", address.port())),
    ] {
        let proxied = Proxied::new(&format!("--allow-net={address},evil.example")).await;
        let (answer, _) = proxied.whole(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target} {host}: {answer}");
    }
    assert!(timeout(Duration::from_millis(50), server.accept()).await.is_err());
}

#[tokio::test]
async fn a_request_inside_of_a_body_stays_a_body() {
    let (server, address) = listener().await;
    let origin = tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        let received = read_until(&mut stream, "0\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        received
    });
    let smuggled = format!("GET http://{address}/smuggled HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let request = format!(
        "POST http://{address}/ HTTP/1.1\r\nHost: {address}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n{smuggled}"
    );
    let proxied = Proxied::new(&format!("--allow-net={address}")).await;
    let (answer, _) = proxied.whole(&request).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "what follows is not read: {answer}");
    let received = origin.await.unwrap().to_lowercase();
    assert!(received.contains("transfer-encoding: chunked\r\n") && !received.contains("content-length"), "{received}");
    assert!(!received.contains("smuggled"), "{received}");
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let (server, address) = listener().await;
    drop(server);
    for request in [
        format!("GET http://{address}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    ] {
        let (answer, _) = Proxied::new(&format!("--allow-net={address}")).await.whole(&request).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
}

#[tokio::test]
async fn a_head_without_end() {
    let proxied = Proxied::new("--allow-net=a.example").await;
    let long = "x".repeat(super::LONGEST_HEAD + 1);
    let request = format!("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX-Long: {long}\r\n\r\n");
    let (answer, _) = proxied.whole(&request).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}
