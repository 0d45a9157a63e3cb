//! The HTTP proxy at 169.254.1.1:8080, for clients that were told to use one.
//!
//! It gives no right that a plain connection has not: each request, also each on a connection that is kept alive, goes
//! to the peer that it names, which was judged by [`dial`], the only way out. `hyper` reads and writes both sides, so
//! that what goes out is a message that we made, never bytes of the client's that a server might split in another way.
//!
//! What is denied gets 403 and a text that says by which rule, and how to allow it; a peer that cannot be reached 502,
//! one that does not answer in time 504.
//!
//! No `Via` field is added: a server sees the same request by either way out.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use buntime_policy::{Peer, Proto};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::destination::DNS;
use crate::dial::{Dialled, dial};
use crate::relay::relay;
use crate::state::State;
use crate::{Flow, Names};
use answer::Body;
use exchange::Links;
use request::{Endpoint, Problem, Wanted};

mod answer;
pub(crate) mod exchange;
pub(crate) mod request;
#[cfg(test)]
mod tests;

/// Longest time for the head of a request, the wait for it on a connection that is kept alive among it.
const HEAD: Duration = Duration::from_secs(60);
/// Longest head, in bytes.
const LONGEST_HEAD: usize = 32 << 10;
/// Most fields of a head.
const MOST_FIELDS: usize = 128;
/// Room for what was read and not used, in bytes, for each connection.
const BUFFER: usize = 64 << 10;

/// Serves one connection, to its end.
pub(crate) async fn serve(state: State, stream: TcpStream) {
    let client = Arc::new(Client { links: Links::new(state.clone()), state, tunnel: Mutex::new(None) });
    let service = {
        let client = client.clone();
        service_fn(move |request| {
            let client = client.clone();
            async move { Ok::<_, Infallible>(client.answer(request).await) }
        })
    };
    let connection = from_client().serve_connection(TokioIo::new(stream), service).with_upgrades();
    // What a client did wrong it has been told by `hyper`; there is nobody else to tell.
    let ended = connection.await;
    if let (Ok(()), Some(tunnel)) = (ended, client.take_tunnel()) {
        tunnel.run(&client.state).await;
    }
}

/// How requests are read.
pub(crate) fn from_client() -> http1::Builder {
    let mut reader = http1::Builder::new();
    reader
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MOST_FIELDS)
        .max_header_size(LONGEST_HEAD)
        .max_buf_size(BUFFER)
        .half_close(true);
    reader
}

struct Client {
    state: State,
    links: Links,
    /// What the connection turns into when the answer to `CONNECT` is out.
    tunnel: Mutex<Option<Tunnel>>,
}

impl Client {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let answered = match Wanted::of(&parts) {
            Ok(Wanted::Tunnel(to)) => match self.meant(to) {
                Ok(to) => Ok(self.connect(Request::from_parts(parts, body), &to).await),
                Err(problem) => Err(problem),
            },
            Ok(Wanted::Forward(to)) => match self.meant(to) {
                Ok(to) => Ok(self.forward(parts, body, &to).await),
                Err(problem) => Err(problem),
            },
            Err(problem) => Err(problem),
        };
        answered.unwrap_or_else(|problem| answer::text(problem.status, &problem.text))
    }

    /// Whom a plain connection there would reach: an address that stands for a name is that name, and port 53 is the
    /// sandbox's resolver, which is nobody's to pass by.
    fn meant(&self, to: Endpoint) -> Result<Endpoint, Problem> {
        let refused = |text: String| Problem { status: StatusCode::FORBIDDEN, text };
        if to.port == DNS {
            return Err(refused("port 53 is the resolver's, at every address".to_owned()));
        }
        match to.peer {
            Peer::Address(address) if Names::is_for_names(address) => match self.state.names().name_of(address) {
                Some(name) => Ok(Endpoint { peer: Peer::Name(name), ..to }),
                None => Err(refused(format!("nothing is at {:?}", to.shown()))),
            },
            _ => Ok(to),
        }
    }

    async fn connect(&self, request: Request<Incoming>, to: &Endpoint) -> Response<Body> {
        let started = Instant::now();
        match dial(&self.state, &to.peer, to.port).await {
            Ok(dialled) => {
                let tunnel = Tunnel { client: hyper::upgrade::on(request), dialled, port: to.port, started };
                *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
                answer::text(StatusCode::OK, "")
            }
            Err(refused) => answer::refused(self.state.egress(), &refused, to),
        }
    }

    async fn forward(&self, parts: Parts, body: Incoming, to: &Endpoint) -> Response<Body> {
        let outgoing = match request::outgoing(parts, to) {
            Ok(outgoing) => Request::from_parts(outgoing, body),
            Err(problem) => return answer::text(problem.status, &problem.text),
        };
        match self.links.exchange(outgoing, to).await {
            Ok(response) => response.map(Either::Left),
            Err(exchange::Failure::Refused(refused)) => answer::refused(self.state.egress(), &refused, to),
            Err(exchange::Failure::Broken(text)) => answer::text(StatusCode::BAD_GATEWAY, &text),
        }
    }

    fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connection that was asked for, and is there.
struct Tunnel {
    client: OnUpgrade,
    dialled: Dialled,
    port: u16,
    started: Instant,
}

impl Tunnel {
    async fn run(self, state: &State) {
        let Ok(upgraded) = self.client.await else {
            return;
        };
        // It is what `serve` gave, so it comes back as such.
        let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
            return;
        };
        let flow = Flow {
            host: self.dialled.name,
            address: self.dialled.address,
            port: self.port,
            proto: Proto::Tcp,
            decision: self.dialled.decision,
            bytes_in: 0,
            bytes_out: 0,
            duration: self.started.elapsed(),
            problem: None,
        };
        relay(state, flow, parts.io.into_inner(), self.dialled.stream, &parts.read_buf).await;
    }
}
