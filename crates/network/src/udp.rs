//! Datagrams: questions for names, and what `udp` rules allow.
//!
//! A worker's socket and the address that it sends to are one association, with a connected socket of its own outside,
//! which the host's kernel lets nothing through but the peer's datagrams. It lasts while datagrams pass. Replies come
//! from the address that was asked, or a connected client would not get them.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use buntime_policy::{Action, Peer, Proto};
use nix::errno::Errno;
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::datagram::{Datagram, MOST_BYTES, Replies, receive};
use crate::destination::{CROWDED, Destination, NOWHERE, canonical};
use crate::dial::{Target, Wanted, resolve};
use crate::pace::Turn;
use crate::relay::{Progress, Record};
use crate::state::State;
use crate::{Flow, dns};

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
                let _ = port.replies.from_own_port(&port.socket, worker, to.ip(), &answer);
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
        let associations = &mut *self.lock();
        let waiting = match associations.get(&pair).map(|association| association.try_send(waiting)) {
            Some(Ok(()) | Err(mpsc::error::TrySendError::Full(_))) => return,
            Some(Err(mpsc::error::TrySendError::Closed(waiting))) => waiting,
            None => return self.associate(associations, pair, peer, None),
        };
        self.associate(associations, pair, peer, Some(waiting));
    }
}
