//! Bytes from one connection to another inside the kernel, through a pipe.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most pipes of one sandbox, each two descriptors and its pages. Only a flow in the middle of bulk data has one, or
/// one whose reader is slow; the others copy meanwhile.
const MOST_PIPES: usize = 16;
/// Empty ones that are kept.
const KEPT: usize = 4;
/// Bytes that a pipe may hold. Each part of a packet takes a page's place, so it is fewer with small packets.
const SIZE: i32 = 256 << 10;

/// The pipes of one sandbox.
pub(crate) struct Pipes {
    kept: Mutex<Vec<Ends>>,
    room: Arc<Semaphore>,
}

/// A pipe on loan. It goes back when it is dropped empty.
pub(crate) struct Pipe<'a> {
    ends: Option<Ends>,
    /// Bytes in it.
    held: usize,
    pipes: &'a Pipes,
    _room: OwnedSemaphorePermit,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Default for Pipes {
    fn default() -> Self {
        Self { kept: Mutex::new(Vec::new()), room: Arc::new(Semaphore::new(MOST_PIPES)) }
    }
}

impl Pipes {
    /// An empty pipe. None where the sandbox has as many as it may, or the system gives no more.
    pub(crate) fn take(&self) -> Option<Pipe<'_>> {
        let room = self.room.clone().try_acquire_owned().ok()?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let ends = kept.or_else(|| Ends::new().ok())?;
        Some(Pipe { ends: Some(ends), held: 0, pipes: self, _room: room })
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // Refused beyond the user's share of pages (/proc/sys/fs/pipe-user-pages-soft): then it is as large as it is.
        let _ = fcntl(write.as_fd(), FcntlArg::F_SETPIPE_SZ(SIZE));
        Ok(Self { read, write })
    }
}

impl Pipe<'_> {
    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes from a connection what is there, up to `most` bytes; 0 at its end. Only for an empty pipe: for a full one
    /// "would block" could mean either side.
    pub(crate) fn fill(&mut self, from: &TcpStream, most: usize) -> io::Result<usize> {
        let Some(ends) = self.ends.as_ref().filter(|_| self.held == 0) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let moved = from.try_io(Interest::READABLE, || pass(from, &ends.write, most))?;
        self.held = moved;
        Ok(moved)
    }

    /// Gives to a connection what it takes.
    pub(crate) fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let Some(ends) = &self.ends else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let moved = to.try_io(Interest::WRITABLE, || pass(&ends.read, to, self.held))?;
        if moved == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.held -= moved.min(self.held);
        Ok(moved)
    }
}

impl Drop for Pipe<'_> {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take().filter(|_| self.held == 0) else {
            return;
        };
        let mut kept = self.pipes.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(ends);
        }
    }
}

fn pass(from: &impl AsFd, to: &impl AsFd, most: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    loop {
        match splice(from, None, to, None, most, flags) {
            Err(nix::errno::Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}
