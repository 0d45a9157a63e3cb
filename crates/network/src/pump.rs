//! One direction of a flow.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::yield_now;

use crate::splice::Pipe;
use crate::state::State;

/// Bytes that are copied at once. What fills it is taken for bulk data, and spliced.
const COPIED: usize = 16 << 10;
/// Bytes that one splice moves at most, after which other flows have their turn.
const SPLICED: usize = 256 << 10;
/// Bytes of bulk data until the flow goes to the end of its sandbox's line.
const SHARE: usize = 1 << 20;

thread_local! {
    /// Bytes stay in it within one poll only.
    static BUFFER: RefCell<Box<[u8; COPIED]>> = RefCell::new(Box::new([0; COPIED]));
}

/// Why a direction ended otherwise than by the end of what is sent.
#[derive(Debug)]
pub(crate) enum Broken {
    Read(io::Error),
    Write(io::Error),
}

impl Broken {
    /// In words, for a direction between these two.
    pub(crate) fn by(&self, from: &str, to: &str) -> String {
        match self {
            Self::Read(error) => format!("{from}: {error}"),
            Self::Write(error) => format!("{to}: {error}"),
        }
    }
}

/// What one round of copying came to.
enum Round {
    Nothing,
    End,
    /// So much was read, and what of it could not be written yet.
    Passed(usize, Vec<u8>),
}

/// What a share of bulk data came to.
enum Share {
    /// There is no more for the moment, or no pipe.
    Paused,
    End,
    /// It was used up.
    Used,
}

/// Passes on what `from` says, to its end, which is passed on, too. Adds what `to` has taken to `moved`.
pub(crate) async fn pump(state: &State, from: &TcpStream, to: &TcpStream, moved: &AtomicU64) -> Result<(), Broken> {
    loop {
        from.readable().await.map_err(Broken::Read)?;
        let read = match copy(from, to, moved)? {
            Round::Nothing => continue,
            Round::End => return end(to),
            Round::Passed(read, left) => {
                write(to, &left, moved).await?;
                read
            }
        };
        if read == COPIED && bulk(state, from, to, moved).await? {
            return end(to);
        }
    }
}

/// Moves bulk data share by share, until there is no more for the moment. True at the end of what `from` says.
async fn bulk(state: &State, from: &TcpStream, to: &TcpStream, moved: &AtomicU64) -> Result<bool, Broken> {
    loop {
        match share(state, from, to, moved).await? {
            Share::Paused => return Ok(false),
            Share::End => return Ok(true),
            Share::Used => {}
        }
    }
}

/// Writes all, however long that takes.
pub(crate) async fn write(to: &TcpStream, mut bytes: &[u8], moved: &AtomicU64) -> Result<(), Broken> {
    while !bytes.is_empty() {
        to.writable().await.map_err(Broken::Write)?;
        match to.try_write(bytes) {
            Ok(written) => {
                add(moved, written);
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Broken::Write(error)),
        }
    }
    Ok(())
}

/// Tells `to` that nothing follows.
fn end(to: &TcpStream) -> Result<(), Broken> {
    SockRef::from(to).shutdown(Shutdown::Write).map_err(Broken::Write)
}

fn copy(from: &TcpStream, to: &TcpStream, moved: &AtomicU64) -> Result<Round, Broken> {
    BUFFER.with_borrow_mut(|buffer| {
        let read = match from.try_read(&mut buffer[..]) {
            Ok(0) => return Ok(Round::End),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Round::Nothing),
            Err(error) => return Err(Broken::Read(error)),
        };
        let written = match to.try_write(&buffer[..read]) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(Broken::Write(error)),
        };
        add(moved, written);
        Ok(Round::Passed(read, buffer[written..read].to_vec()))
    })
}

/// Moves bulk data while it flows, up to a share.
async fn share(state: &State, from: &TcpStream, to: &TcpStream, moved: &AtomicU64) -> Result<Share, Broken> {
    // Never closed.
    let mut turn = state.bulk().acquire().await.ok();
    let Some(mut pipe) = state.pipes().take() else {
        return Ok(Share::Paused);
    };
    let mut left = SHARE;
    while left > 0 {
        match pipe.fill(from, SPLICED.min(left)) {
            Ok(0) => return Ok(Share::End),
            Ok(filled) => left -= filled.min(left),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Share::Paused),
            Err(error) => return Err(Broken::Read(error)),
        }
        while !pipe.is_empty() {
            if drain(&mut pipe, to, moved)? == 0 {
                // Whoever waits for a slow reader stands in nobody's way.
                drop(turn.take());
                to.writable().await.map_err(Broken::Write)?;
            }
        }
        if turn.is_none() {
            return Ok(Share::Used);
        }
        yield_now().await;
    }
    Ok(Share::Used)
}

fn drain(pipe: &mut Pipe<'_>, to: &TcpStream, moved: &AtomicU64) -> Result<usize, Broken> {
    match pipe.drain(to) {
        Ok(drained) => {
            add(moved, drained);
            Ok(drained)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(Broken::Write(error)),
    }
}

fn add(moved: &AtomicU64, bytes: usize) {
    moved.fetch_add(bytes as u64, Ordering::Relaxed);
}
