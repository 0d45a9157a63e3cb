//! Descriptors that the reader thread waits for.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use buntime_sandbox::message::SupervisorEnd;
use tokio::io::unix::AsyncFd;

/// Types that own their descriptor and never give it up or change it.
pub trait Owner: AsRawFd {}

impl Owner for OwnedFd {}
impl Owner for File {}
impl Owner for SupervisorEnd {}

/// A descriptor, registered with the reader thread's epoll.
pub struct Readable<T: Owner>(AsyncFd<T>);

impl<T: Owner> Readable<T> {
    /// To be called on the reader thread.
    pub fn new(inner: T) -> io::Result<Self> {
        // SAFETY: the descriptor stays open and the same for as long as it is registered: its owner is in here, is
        // never handed out by value, and is dropped after it is taken out of the epoll.
        unsafe { AsyncFd::register(inner) }.map(Self).map_err(|error| error.into_parts().1)
    }

    pub fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// Resolves when there is something to read, or the end. Edge-triggered: whoever is woken reads until nothing is
    /// left, or looks again without waiting.
    pub async fn wait(&self) {
        match self.0.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            // The runtime shuts down with the process.
            Err(_) => std::future::pending().await,
        }
    }
}
