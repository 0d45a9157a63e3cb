//! What is told of refusals, and how often.
//!
//! A worker can make thousands of refused attempts a second. Each told one by one would be the host's work, so beyond
//! a bucket of [`BURST`] and [`RATE`] a second they are counted, and the number is told with the next that is.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::{Decided, Flow, Sink};

/// Refusals told at once.
const BURST: f64 = 256.0;
/// Refusals told a second after that.
const RATE: f64 = 64.0;

/// The sink of one sandbox, behind its bounds.
pub(crate) struct Reports {
    sink: Arc<dyn Sink>,
    flows: Mutex<Bucket>,
    decided: Mutex<Bucket>,
}

struct Bucket {
    left: f64,
    filled: Instant,
    missed: u64,
}

impl Reports {
    pub(crate) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink, flows: Mutex::new(Bucket::new()), decided: Mutex::new(Bucket::new()) }
    }

    /// Tells what was only counted so far.
    pub(crate) fn finish(&self) {
        self.tell_missed(take_missed(&self.flows), take_missed(&self.decided));
    }

    fn tell_missed(&self, flows: u64, decided: u64) {
        if flows + decided > 0 {
            self.sink.missed(flows, decided);
        }
    }
}

impl Sink for Reports {
    fn flow(&self, flow: Flow) {
        // One that carried something was paid for by what it carried.
        let is_cheap = flow.bytes_in + flow.bytes_out == 0;
        if is_cheap {
            let Some(missed) = lock(&self.flows).take(Instant::now()) else { return };
            self.tell_missed(missed, 0);
        }
        self.sink.flow(flow);
    }

    fn decided(&self, decided: Decided) {
        let Some(missed) = lock(&self.decided).take(Instant::now()) else { return };
        self.tell_missed(0, missed);
        self.sink.decided(decided);
    }

    fn missed(&self, flows: u64, decided: u64) {
        self.sink.missed(flows, decided);
    }
}

impl Bucket {
    fn new() -> Self {
        Self { left: BURST, filled: Instant::now(), missed: 0 }
    }

    /// How many were missed before this one; none if it is missed as well.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + since * RATE).min(BURST);
        self.filled = now;
        if self.left < 1.0 {
            self.missed += 1;
            return None;
        }
        self.left -= 1.0;
        Some(std::mem::take(&mut self.missed))
    }
}

fn take_missed(bucket: &Mutex<Bucket>) -> u64 {
    std::mem::take(&mut lock(bucket).missed)
}

fn lock(bucket: &Mutex<Bucket>) -> std::sync::MutexGuard<'_, Bucket> {
    // Numbers only, whole at any time.
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}
