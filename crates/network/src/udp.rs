//! Datagrams: questions for names, and what `udp` rules allow.
//!
//! A worker's socket and the address that it sends to are one association, with a connected socket of its own outside,
//! which the host's kernel lets nothing through but the peer's datagrams. It lasts while datagrams pass. Replies come
//! from the address that was asked, or a connected client would not get them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use buntime_policy::{Peer, Proto};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::datagram::{Datagram, MOST_BYTES, Replies, receive, with_buffer};
use crate::destination::{CROWDED, Destination, NOWHERE, canonical};
use crate::dial::{Wanted, open_datagrams};
use crate::dns;
use crate::relay::{Progress, Record};
use crate::state::State;

/// Datagrams that are taken at once, after which others have their turn.
const ROUND: usize = 32;
/// Questions for names under way in one sandbox. The next are dropped, and asked again by the client.
const QUESTIONS: usize = 128;
/// Datagrams that wait for their association.
const WAITING: usize = 16;
/// Bytes of datagrams that wait in the whole sandbox.
const WAITING_BYTES: usize = 2 << 20;
/// How long a pair that was refused is not looked at again.
const REFUSED: Duration = Duration::from_secs(2);

/// One socket of the sandbox's namespace, which gets all its datagrams.
struct Port {
    state: State,
    socket: UdpSocket,
    replies: Replies,
    /// Nothing but questions for names comes, whose destination is lost.
    names_only: bool,
    associations: Mutex<HashMap<Pair, mpsc::Sender<Waiting>>>,
    questions: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    worker: SocketAddr,
    to: SocketAddr,
}

/// A datagram with its place.
struct Waiting {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Serves one socket until the network is stopped. `raw` is a raw socket of the same namespace, for replies from other
/// ports than the socket's own; without it `udp` rules have no effect.
pub(crate) async fn serve(state: State, socket: UdpSocket, raw: Option<OwnedFd>, names_only: bool) {
    let port = Arc::new(Port {
        state,
        socket,
        replies: Replies::new(raw),
        names_only,
        associations: Mutex::default(),
        questions: Arc::new(Semaphore::new(QUESTIONS)),
        room: Arc::new(Semaphore::new(WAITING_BYTES)),
    });
    loop {
        if port.socket.readable().await.is_err() {
            return;
        }
        for _ in 0..ROUND {
            match receive(&port.socket) {
                Ok(datagram) => port.take(datagram),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Of an earlier reply, whose reader is gone; or not for us to understand.
                Err(_) => {}
            }
        }
        yield_now().await;
    }
}

impl Port {
    fn take(self: &Arc<Self>, datagram: Datagram) {
        let Datagram { worker, to, bytes } = datagram;
        let asked = canonical(to);
        if self.names_only {
            return self.answer(worker, to, bytes);
        }
        match Destination::of(&self.state, asked, Proto::Udp) {
            Destination::Resolver => self.answer(worker, to, bytes),
            Destination::Peer(peer) => self.pass(Pair { worker, to }, peer, bytes),
            Destination::Own | Destination::Nowhere | Destination::Proxy => {
                let peer = Peer::Address(asked.ip());
                wanted(&peer, asked.port()).tell_unserved(&self.state, NOWHERE);
            }
        }
    }

    fn answer(self: &Arc<Self>, worker: SocketAddr, to: SocketAddr, question: Vec<u8>) {
        let Ok(turn) = self.questions.clone().try_acquire_owned() else { return };
        let port = self.clone();
        self.state.spawn(async move {
            if let Some(answer) = dns::answer(&port.state, &question, MOST_BYTES).await {
                // The worker may be gone, or its buffer full.
                let _ = port.replies.send_from_own_port(&port.socket, worker, to.ip(), &answer);
            }
            drop(turn);
        });
    }

    /// Hands a datagram to its association, a new one where there is none.
    fn pass(self: &Arc<Self>, pair: Pair, peer: Peer, bytes: Vec<u8>) {
        let size = u32::try_from(bytes.len().max(1)).unwrap_or(u32::MAX);
        // Dropped, as a network drops what it cannot hold.
        let Ok(room) = self.room.clone().try_acquire_many_owned(size) else { return };
        let waiting = Waiting { bytes, _room: room };
        let mut associations = self.lock();
        if let Some(association) = associations.get(&pair) {
            // Dropped as well where too many wait.
            let _ = association.try_send(waiting);
            return;
        }
        let Ok(place) = self.state.flows().clone().try_acquire_owned() else {
            drop(associations);
            return wanted(&peer, pair.to.port()).tell_unserved(&self.state, CROWDED);
        };
        let (sender, received) = mpsc::channel(WAITING);
        // There is room in it.
        let _ = sender.try_send(waiting);
        associations.insert(pair, sender);
        let association = Association { port: self.clone(), pair, received, _place: place };
        self.state.spawn(association.run(peer));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pair, mpsc::Sender<Waiting>>> {
        self.associations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted(peer: &Peer, port: u16) -> Wanted<'_> {
    Wanted { peer, port, proto: Proto::Udp, since: Instant::now() }
}

/// One pair's datagrams.
struct Association {
    port: Arc<Port>,
    pair: Pair,
    received: mpsc::Receiver<Waiting>,
    _place: OwnedSemaphorePermit,
}

impl Association {
    async fn run(mut self, peer: Peer) {
        let state = self.port.state.clone();
        let wanted = wanted(&peer, self.pair.to.port());
        if !self.port.replies.can_be_from(self.pair.to) {
            wanted.tell_unserved(&state, "this kernel gives no way to answer datagrams");
            return self.ignore().await;
        }
        match open_datagrams(&state, &wanted).await {
            Ok((socket, flow)) => {
                let record = Record::new(&state, flow);
                self.carry(&socket, &record.progress).await;
                record.end(None);
            }
            // It has been told.
            Err(_) => self.ignore().await,
        }
    }

    /// Until nothing passes any more.
    async fn carry(&mut self, socket: &UdpSocket, progress: &Progress) {
        let idle = self.port.state.bounds().idle;
        loop {
            let step = async {
                tokio::select! {
                    waiting = self.received.recv() => match waiting {
                        // Refused by the peer's host, or too large: what UDP leaves to the clients.
                        Some(Waiting { bytes, .. }) => if let Ok(sent) = socket.send(&bytes).await {
                            progress.out.fetch_add(sent as u64, Ordering::Relaxed);
                        },
                        None => return false,
                    },
                    ready = socket.readable() => match ready {
                        Ok(()) => self.reply(socket, progress),
                        Err(_) => return false,
                    },
                }
                true
            };
            if !matches!(timeout(idle, step).await, Ok(true)) {
                return;
            }
        }
    }

    fn reply(&self, socket: &UdpSocket, progress: &Progress) {
        with_buffer(|buffer| {
            // Nothing to read, or what the peer's host said of an earlier datagram.
            let Ok(length) = socket.try_recv(buffer) else { return };
            progress.back.fetch_add(length as u64, Ordering::Relaxed);
            // The worker's buffer may be full.
            let _ = self.port.replies.send_from_any_port(self.pair.to, self.pair.worker, &buffer[..length]);
        });
    }

    /// Drops what comes for a while, so that a flood of what is refused costs little.
    async fn ignore(&mut self) {
        let all = async { while self.received.recv().await.is_some() {} };
        let _ = timeout(REFUSED, all).await;
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        // Before its end of the channel goes: nobody finds one without the other.
        self.port.lock().remove(&self.pair);
    }
}
