//! Requests in absolute form: a connection to the server, one request and one response at a time.
//!
//! One connection is kept for the client's next request to the same server, so that a page with a hundred parts is not a
//! hundred new connections. It leads to the very peer that was judged for it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use buntime_policy::{Decision, Name, Proto};
use http::header;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::request::{Endpoint, strip};
use crate::Flow;
use crate::dial::{Refused, dial};
use crate::state::State;

/// How long a kept connection may take to be ready again after its last response, before a new one is made.
const READY: Duration = Duration::from_millis(100);
/// Room for what was read and not used, in bytes, which bounds the head of a response, too.
const BUFFER: usize = 64 << 10;
/// Most fields of a response's head.
const MOST_FIELDS: usize = 256;

/// Why there is no response.
pub(super) enum Failure {
    /// There is no connection.
    Refused(Refused),
    /// The connection or what came over it was no good; in words.
    Broken(String),
}

/// The client's connections to servers. When it is dropped they end.
pub(super) struct Links {
    state: State,
    inner: Mutex<Inner>,
}

struct Inner {
    kept: Option<Link>,
    drivers: JoinSet<()>,
}

struct Link {
    to: Endpoint,
    sender: SendRequest<Incoming>,
}

impl Links {
    pub(super) fn new(state: State) -> Self {
        Self { state, inner: Mutex::new(Inner { kept: None, drivers: JoinSet::new() }) }
    }

    /// Sends the request and gives the head of the response, its body to come.
    pub(super) async fn exchange(
        &self,
        request: Request<Incoming>,
        to: &Endpoint,
    ) -> Result<Response<Incoming>, Failure> {
        // A client has one request under way at a time, so nobody waits here.
        let mut inner = self.inner.lock().await;
        let mut request = request;
        if let Some(mut link) = self.reusable(&mut inner, to).await {
            match link.sender.try_send_request(request).await {
                Ok(response) => return finish(&mut inner, link, response),
                Err(mut error) => match error.take_message() {
                    // The server closed the connection meanwhile, and nothing of the request was sent.
                    Some(unsent) => request = unsent,
                    None => return Err(broken(&error.into_error())),
                },
            }
        }
        let mut link = self.connect(&mut inner, to).await?;
        let response = link.sender.send_request(request).await.map_err(|error| broken(&error))?;
        finish(&mut inner, link, response)
    }

    /// The kept connection, if it leads there and still lives.
    async fn reusable(&self, inner: &mut Inner, to: &Endpoint) -> Option<Link> {
        let mut link = inner.kept.take().filter(|link| link.to == *to)?;
        let is_ready = matches!(timeout(READY, link.sender.ready()).await, Ok(Ok(())));
        is_ready.then_some(link)
    }

    async fn connect(&self, inner: &mut Inner, to: &Endpoint) -> Result<Link, Failure> {
        let started = Instant::now();
        let dialled = dial(&self.state, &to.peer, to.port).await.map_err(Failure::Refused)?;
        let flow = Arc::new(Record {
            state: self.state.clone(),
            host: dialled.name,
            address: dialled.address,
            port: to.port,
            decision: dialled.decision,
            started,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            idled: AtomicBool::new(false),
        });
        let driven = flow.clone();
        let stream = Counted { stream: dialled.stream, flow };
        let (sender, connection) = to_server().handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        while inner.drivers.try_join_next().is_some() {}
        inner.drivers.spawn(async move {
            tokio::select! {
                // Its error is the sender's, too, which tells it.
                _ = connection => {}
                () = driven.until_idle() => driven.idled.store(true, Ordering::Relaxed),
            }
        });
        Ok(Link { to: to.clone(), sender })
    }
}

/// How requests are written, and responses read.
pub(crate) fn to_server() -> http1::Builder {
    let mut writer = http1::Builder::new();
    writer.max_headers(MOST_FIELDS).max_buf_size(BUFFER);
    writer
}

/// Keeps the connection, and makes the response one of our own: with nothing in it that was meant for us alone.
fn finish(inner: &mut Inner, link: Link, mut response: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Broken("the server changes the protocol, which it was not asked to".to_owned()));
    }
    let headers = response.headers_mut();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_plain = codings.next().is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !is_plain || codings.next().is_some() {
        return Err(Failure::Broken("the server uses a transfer coding other than chunked".to_owned()));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    strip(headers);
    inner.kept = Some(link);
    Ok(response)
}

fn broken(error: &hyper::Error) -> Failure {
    Failure::Broken(format!("the server's answer is no good: {error}"))
}

/// One connection, told when the last who holds it lets go.
struct Record {
    state: State,
    host: Option<Name>,
    address: std::net::IpAddr,
    port: u16,
    decision: Decision,
    started: Instant,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// It was ended for being idle.
    idled: AtomicBool,
}

impl Record {
    /// Returns when there was no byte in either direction for as long as a flow may be idle (or up to twice that).
    async fn until_idle(&self) {
        let idle = self.state.bounds().idle;
        let total = || self.bytes_in.load(Ordering::Relaxed) + self.bytes_out.load(Ordering::Relaxed);
        let mut before = total();
        loop {
            tokio::time::sleep(idle).await;
            let now = total();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.state.sink().flow(Flow {
            host: self.host.take(),
            address: self.address,
            port: self.port,
            proto: Proto::Tcp,
            decision: self.decision.clone(),
            bytes_in: *self.bytes_in.get_mut(),
            bytes_out: *self.bytes_out.get_mut(),
            duration: self.started.elapsed(),
            problem: self.idled.get_mut().then(|| "idle".to_owned()),
        });
    }
}

/// Counts what passes.
struct Counted {
    stream: TcpStream,
    flow: Arc<Record>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.flow.bytes_in.fetch_add(read as u64, Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = result {
            self.flow.bytes_out.fetch_add(written as u64, Ordering::Relaxed);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
