//! Waiting on the spot for what an execution says first.

use std::cell::Cell;
use std::sync::Arc;

use crate::inbound::Inlet;
use crate::supervisor::{Command, Core};

/// For the thread that has just queued an execution and looks, for some microseconds, for its first output or its end:
/// it takes what the worker has written itself, and spares both threads being woken. Meanwhile the worker wakes nobody
/// but at an execution's end. Dropped, it leaves everything to the reader thread again.
pub struct Watch {
    core: Arc<Core>,
    inlet: Inlet,
    /// Where the worker's ring ended at the last look.
    seen: Cell<u32>,
    /// Nothing is left for the reader thread to be told of.
    told: Cell<bool>,
}

impl Watch {
    /// To be made before the execution is sent.
    pub(crate) fn new(core: Arc<Core>, inlet: Inlet) -> Self {
        let seen = Cell::new(inlet.peek.published());
        Self { core, inlet, seen, told: Cell::new(false) }
    }

    /// Makes events of what the worker has written since the last look. They go to the sink from within this call.
    pub fn look(&self) {
        let published = self.inlet.peek.published();
        if published == self.seen.get() {
            return;
        }
        if let Some(mut inbound) = self.inlet.try_lock() {
            self.seen.set(published);
            let left = inbound.drain();
            self.told.set(!left && inbound.lie.is_none() && !inbound.executions.running());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.core.shared().set_watched(false);
        // What came between the last look and the word.
        self.look();
        if !self.told.get() {
            // When the task is gone, so is the execution.
            let _ = self.core.command(Command::Look);
        }
    }
}
