//! One flow: bytes between the worker's connection and the peer's, until both have said all.
//!
//! What the worker would see of the peer without us, it sees: an end of one direction (FIN) is passed on and the other
//! goes on, a reset is passed on as a reset, a slow reader makes the writer wait. Nothing is read that cannot be held:
//! a few kilobytes that are copied, or what a pipe takes.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::Flow;
use crate::pump::{Broken, pump, write};
use crate::state::State;

/// Carries `flow` from here on: first `early`, which the client had sent before the peer was there. `flow.duration` is
/// how long ago it began. Tells of it at its end, also when the network is stopped meanwhile.
pub(crate) async fn relay(state: &State, flow: Flow, client: TcpStream, upstream: TcpStream, early: &[u8]) {
    let record = Record::new(state, flow);
    for stream in [&client, &upstream] {
        // What one side sent as a packet of its own is passed on as one. Fails on a dead connection, which tells itself.
        let _ = stream.set_nodelay(true);
    }
    let end = carry(state, &record.progress, &client, &upstream, early).await;
    if end.is_err() {
        reset(&client);
        reset(&upstream);
    }
    record.end(end.err());
}

/// Makes the close of a connection a reset.
pub(crate) fn reset(stream: &TcpStream) {
    // Fails on a dead connection alone.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn carry(
    state: &State,
    progress: &Progress,
    client: &TcpStream,
    upstream: &TcpStream,
    early: &[u8],
) -> Result<(), String> {
    let out = async {
        write(upstream, early, &progress.out).await?;
        pump(state, client, upstream, &progress.out).await
    };
    let back = pump(state, upstream, client, &progress.back);
    let both = async {
        tokio::pin!(out, back);
        tokio::select! {
            ended = &mut out => finish(progress, ended, client, back, ["the worker", "the peer"]).await,
            ended = &mut back => finish(progress, ended, upstream, out, ["the peer", "the worker"]).await,
        }
    };
    tokio::select! {
        ended = both => ended,
        why = progress.watch(state) => Err(why),
    }
}

/// One direction, from `source`, has ended; `other` is the one towards it.
async fn finish(
    progress: &Progress,
    ended: Result<(), Broken>,
    source: &TcpStream,
    other: impl Future<Output = Result<(), Broken>>,
    [from, to]: [&str; 2],
) -> Result<(), String> {
    match ended {
        Ok(()) => {
            progress.half_open.store(true, Ordering::Relaxed);
            tokio::select! {
                // Nobody reads from it any more, so nobody else would hear.
                error = failure(source) => Err(format!("{from}: {error}")),
                ended = other => ended.map_err(|broken| broken.by(to, from)),
            }
        }
        // What is left to read of a peer that has gone was sent before it went.
        Err(Broken::Write(error)) => {
            progress.half_open.store(true, Ordering::Relaxed);
            let _ = other.await;
            Err(format!("{to}: {error}"))
        }
        Err(Broken::Read(error)) => Err(format!("{from}: {error}")),
    }
}

/// Returns when the connection has failed.
pub(crate) async fn failure(stream: &TcpStream) -> io::Error {
    loop {
        if let Err(error) = stream.ready(Interest::ERROR).await {
            return error;
        }
        match stream.take_error() {
            Ok(Some(error)) | Err(error) => return error,
            // Forgets the readiness, to wait for the next.
            Ok(None) => drop(stream.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()))),
        }
    }
}

/// How far the two directions have come.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) out: AtomicU64,
    pub(crate) back: AtomicU64,
    half_open: AtomicBool,
}

impl Progress {
    fn total(&self) -> u64 {
        self.out.load(Ordering::Relaxed) + self.back.load(Ordering::Relaxed)
    }

    /// Returns when nothing has moved for too long, by a clock that ticks a few times in that span: a flow ends between
    /// the time and an eighth more.
    async fn watch(&self, state: &State) -> String {
        let bounds = state.bounds();
        let tick = (bounds.idle.min(bounds.half_open) / 8).max(Duration::from_millis(1));
        let mut before = (self.total(), self.half_open.load(Ordering::Relaxed));
        let mut moved = Instant::now();
        loop {
            sleep_until(Instant::now() + tick).await;
            let now = (self.total(), self.half_open.load(Ordering::Relaxed));
            if now != before {
                (before, moved) = (now, Instant::now());
                continue;
            }
            let (most, what) = match now.1 {
                true => (bounds.half_open, "half closed and idle"),
                false => (bounds.idle, "idle"),
            };
            if moved.elapsed() >= most {
                return format!("{what} for {} seconds", most.as_secs_f32());
            }
        }
    }
}

/// The flow, told when it is dropped.
pub(crate) struct Record<'a> {
    state: &'a State,
    /// None when it has been told.
    flow: Option<Flow>,
    began: Instant,
    pub(crate) progress: Progress,
    problem: Option<String>,
    is_ended: bool,
}

impl<'a> Record<'a> {
    pub(crate) fn new(state: &'a State, flow: Flow) -> Self {
        let began = Instant::now();
        Self { state, flow: Some(flow), began, progress: Progress::default(), problem: None, is_ended: false }
    }

    /// It came to its own end.
    pub(crate) fn end(mut self, problem: Option<String>) {
        self.problem = problem;
        self.is_ended = true;
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let Some(mut flow) = self.flow.take() else { return };
        flow.bytes_out = self.progress.out.load(Ordering::Relaxed);
        flow.bytes_in = self.progress.back.load(Ordering::Relaxed);
        flow.duration += self.began.elapsed();
        flow.problem = self.problem.take().or_else(|| (!self.is_ended).then(|| "ended with the sandbox".to_owned()));
        self.state.sink().flow(flow);
    }
}
