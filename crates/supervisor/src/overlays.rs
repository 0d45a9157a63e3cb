//! Overlays of a running sandbox, which remember the names that they have seen: made to look again before each
//! execution, so that what the host has changed meanwhile shows.

use std::os::fd::{AsFd, OwnedFd};

use buntime_sandbox::sys;

/// The handles that the helper sent.
#[derive(Debug, Default)]
pub struct Overlays(Vec<OwnedFd>);

impl Overlays {
    /// Of a sandbox that has just been built.
    pub fn new(handles: Vec<OwnedFd>) -> Self {
        Self(handles)
    }

    /// What cannot be refreshed shows what it showed before: nothing more is allowed by that.
    pub fn refresh(&self) {
        for handle in &self.0 {
            let _ = sys::refresh(handle.as_fd());
        }
    }
}
