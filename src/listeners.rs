//! The way of events from the reader thread to JavaScript's.
//!
//! The reader puts batches into a bounded queue and wakes JavaScript once, when the queue was empty; JavaScript then
//! takes all there is. So a burst of events costs one wake-up, and a JavaScript that is busy costs memory only up to
//! the bound: beyond it the reader stops draining and the worker blocks by itself.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use buntime_supervisor::{Event, EventSink, Flow};
use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

/// How much may wait for JavaScript.
const MAX_EVENTS: usize = 10_000;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Wakes JavaScript. Weak, so that by itself it keeps no process alive (a strong one would, for ever); the facade holds
/// the process by a handle of its own, which it lets go when the last event has been dispatched.
pub type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

#[derive(Default)]
pub struct Listeners {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    /// What `events` take.
    bytes: usize,
    /// The reader was told to pause.
    paused: bool,
    /// None before `start` and after `close`: events of those times have no taker.
    wake: Option<Wake>,
}

/// What JavaScript takes at once.
pub struct Taken {
    pub events: VecDeque<Event>,
    /// Whether the reader waits for `resume`.
    pub paused: bool,
}

impl Listeners {
    pub fn open(&self, wake: Wake) {
        self.lock().wake = Some(wake);
    }

    /// Drops the wake-up, which is a root for JavaScript's garbage collector: whatever its closure holds would stay.
    pub fn close(&self) -> Taken {
        let mut queue = self.lock();
        queue.wake = None;
        queue.take()
    }

    pub fn take(&self) -> Taken {
        self.lock().take()
    }

    /// A panic elsewhere leaves the queue as whole as it was: each critical section here is a few moves.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self) -> Taken {
        self.bytes = 0;
        Taken { events: std::mem::take(&mut self.events), paused: std::mem::take(&mut self.paused) }
    }
}

impl EventSink for Listeners {
    fn emit(&self, batch: Vec<Event>) -> Flow {
        let mut queue = self.lock();
        if queue.wake.is_none() || batch.is_empty() {
            return Flow::Continue;
        }
        let was_empty = queue.events.is_empty();
        queue.bytes += batch.iter().map(bytes).sum::<usize>();
        queue.events.extend(batch);
        if was_empty && let Some(wake) = &queue.wake {
            // An environment that is closing refuses the call; its events have no taker any more.
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
        if queue.events.len() > MAX_EVENTS || queue.bytes > MAX_BYTES {
            queue.paused = true;
            return Flow::Pause;
        }
        Flow::Continue
    }
}

/// What an event takes: itself, and the text in it, of which a worker decides how much there is.
fn bytes(event: &Event) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let held = match event {
        Event::Ready => 0,
        Event::Output(output) => output.bytes.len(),
        Event::Error(text) | Event::Warn(text) => text.len(),
        Event::State(state) => text(&state.signal) + text(&state.error),
        Event::Denied(denial) => {
            let hint = denial.hint.as_ref().map_or(0, |hint| hint.flag.len());
            let texts = denial.target.len() + denial.operation.len() + denial.source.len() + text(&denial.rule) + hint;
            size_of_val(&**denial) + texts
        }
        Event::Memory(stats) => size_of_val(&**stats),
        // Once in a sandbox's life, and not of the worker's making.
        Event::Enforcement(enforcement) => serialized(enforcement),
        Event::PolicyLoaded(policy) => serialized(policy),
        Event::ConfigLoaded(config) => serialized(config),
    };
    size_of::<Event>() + held
}

fn serialized(value: &impl serde::Serialize) -> usize {
    // What cannot be serialized is not sent either.
    serde_json::to_string(value).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use buntime_supervisor::{Denial, Hint, Phase, WorkerState};

    use super::*;

    #[test]
    fn the_text_of_every_event_counts() {
        let long = "x".repeat(5000);
        let denial = Denial {
            kind: "read",
            target: long.clone(),
            operation: long.clone(),
            rule: Some(long.clone()),
            source: long.clone(),
            hint: Some(Hint { flag: long.clone() }),
            pid: 1,
            count: 1,
            time: 1,
        };
        let state = WorkerState { error: Some(long.clone()), ..WorkerState::new(Phase::ExecEnd) };
        for (event, least) in [
            (Event::Ready, 1),
            (Event::Denied(Box::new(denial)), 25_000),
            (Event::State(state), 5000),
            (Event::Error(long.clone()), 5000),
            (Event::Warn(long), 5000),
        ] {
            assert!((least..least + 500).contains(&bytes(&event)), "{} for {event:?}", bytes(&event));
        }
    }
}
