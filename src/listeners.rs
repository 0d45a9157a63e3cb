//! The way of events from the reader thread to JavaScript's.
//!
//! The reader puts batches into a bounded queue and wakes JavaScript once, when the queue was empty; JavaScript then
//! takes all there is. So a burst of events costs one wake-up, and a JavaScript that is busy costs memory only up to
//! the bound: beyond it the reader stops draining and the worker blocks by itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use buntime_supervisor::{AuditEvent, Event, EventSink, Flow, Phase, Watch};
use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

/// How much may wait for JavaScript.
const MAX_EVENTS: usize = 10_000;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// How long JavaScript's thread may watch for the first news of an execution, where that is likely to come: to sleep
/// and to be woken costs it as much as a short execution takes.
const WATCH: Duration = Duration::from_micros(400);
/// How much longer it watches for the end, once there is output.
const WATCH_FOR_END: Duration = Duration::from_micros(25);
/// After so many in a row that took longer, nobody watches; one may have met a busy moment.
const SLOW: u32 = 3;
/// Of those, one in so many is watched all the same: they may have become short.
const PROBE: u32 = 64;

/// Executions under way in this process, over all supervisors.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// Watching takes a processor from somebody, which must not be the worker. Respects a cgroup's quota.
static PROCESSORS: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, Into::into));

/// Wakes JavaScript. Weak, so that by itself it keeps no process alive (a strong one would, for ever); the facade holds
/// the process by a handle of its own, which it lets go when the last event has been dispatched.
pub type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

#[derive(Default)]
pub struct Listeners {
    queue: Mutex<Queue>,
    /// For who watches: there is output, and there is an end.
    output: AtomicBool,
    end: AtomicBool,
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
    /// JavaScript is looking at the queue already.
    watched: bool,
    /// Executions that were sent and have not ended.
    under_way: usize,
    /// When the one that is under way was sent, until there is news of it.
    sent: Option<Instant>,
    /// How many in a row took longer than anybody watches, from there to their first news.
    slow: u32,
    unwatched: u32,
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
        queue.forget_executions();
        queue.take()
    }

    /// An execution is about to be sent. True when its first news is likely to come so soon that it is worth to
    /// [`watch`] for it.
    ///
    /// [`watch`]: Self::watch
    pub fn sending(&self) -> bool {
        let mut queue = self.lock();
        queue.under_way += 1;
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        queue.sent = (queue.under_way == 1).then(Instant::now);
        queue.watched = queue.is_worth_watching();
        if queue.watched {
            self.output.store(false, Ordering::Relaxed);
            self.end.store(false, Ordering::Relaxed);
        }
        queue.watched
    }

    /// It was not accepted.
    pub fn not_sent(&self) {
        let mut queue = self.lock();
        queue.ended(1);
        if std::mem::take(&mut queue.watched) && !queue.events.is_empty() {
            queue.call();
        }
    }

    /// Watches for a moment for what an execution says first. True when there is output to take, or its end, of which
    /// no wake-up tells; [`Self::unwatch`] has to follow, once that has been taken.
    pub fn watch(&self, watch: &Watch) -> bool {
        let until = Instant::now() + WATCH;
        while !self.output.load(Ordering::Acquire) {
            watch.look();
            if Instant::now() > until {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    /// Leaves the rest to the reader thread, save an end that is just coming. True when there are events to take, of
    /// which no wake-up tells.
    pub fn unwatch(&self, watch: Option<Watch>) -> bool {
        let until = Instant::now() + WATCH_FOR_END;
        while let Some(watch) = &watch
            && self.output.load(Ordering::Acquire)
            && !self.end.load(Ordering::Acquire)
            && Instant::now() <= until
        {
            watch.look();
            std::thread::yield_now();
        }
        drop(watch);
        let mut queue = self.lock();
        queue.watched = false;
        !queue.events.is_empty()
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
    /// This execution is the only one under way, there is a processor for it beside ours, and one of the last was
    /// short.
    fn is_worth_watching(&mut self) -> bool {
        let alone = self.under_way == 1 && UNDER_WAY.load(Ordering::Relaxed) == 1;
        if !alone || *PROCESSORS < 2 || self.wake.is_none() || !self.events.is_empty() {
            return false;
        }
        self.unwatched += 1;
        let worth = self.slow < SLOW || self.unwatched >= PROBE;
        if worth {
            self.unwatched = 0;
        }
        worth
    }

    /// Wakes JavaScript.
    fn call(&self) {
        if let Some(wake) = &self.wake {
            // An environment that is closing refuses the call; its events have no taker any more.
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    fn ended(&mut self, number: usize) {
        let number = number.min(self.under_way);
        self.under_way -= number;
        UNDER_WAY.fetch_sub(number, Ordering::Relaxed);
    }

    fn forget_executions(&mut self) {
        self.ended(self.under_way);
    }

    fn take(&mut self) -> Taken {
        self.bytes = 0;
        Taken { events: std::mem::take(&mut self.events), paused: std::mem::take(&mut self.paused) }
    }
}

impl EventSink for Listeners {
    fn emit(&self, batch: Vec<Event>) -> Flow {
        let mut queue = self.lock();
        let is_end = |event: &Event| matches!(event, Event::State(state) if state.worker == Phase::ExecEnd);
        let ends = batch.iter().filter(|event| is_end(event)).count();
        let output = ends > 0 || batch.iter().any(|event| matches!(event, Event::Output(_)));
        queue.ended(ends);
        if output && let Some(sent) = queue.sent.take() {
            queue.slow = if sent.elapsed() <= WATCH { 0 } else { queue.slow.saturating_add(1) };
        }
        if queue.wake.is_none() || batch.is_empty() {
            return Flow::Continue;
        }
        let was_empty = queue.events.is_empty();
        queue.bytes += batch.iter().map(bytes).sum::<usize>();
        queue.events.extend(batch);
        if queue.watched {
            self.output.fetch_or(output, Ordering::Release);
            self.end.fetch_or(ends > 0, Ordering::Release);
        } else if was_empty {
            queue.call();
        }
        if queue.events.len() > MAX_EVENTS || queue.bytes > MAX_BYTES {
            queue.paused = true;
            return Flow::Pause;
        }
        Flow::Continue
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.forget_executions();
    }
}

/// What an event takes: itself, and the text in it, of which a worker decides how much there is.
fn bytes(event: &Event) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let held = match event {
        Event::Ready | Event::AuditReset => 0,
        Event::Output(output) => output.bytes.len(),
        Event::Error(text) | Event::Warn(text) => text.len(),
        Event::State(state) => text(&state.signal) + text(&state.error),
        Event::Denied(denial) => {
            let hint = denial.hint.as_ref().map_or(0, |hint| hint.flag.len());
            let texts = denial.target.len() + denial.operation.len() + denial.source.len() + text(&denial.rule) + hint;
            size_of_val(&**denial) + texts
        }
        Event::Memory(stats) => size_of_val(&**stats),
        Event::Net(flow) => {
            size_of_val(&**flow) + text(&flow.host) + flow.address.len() + text(&flow.rule) + text(&flow.error)
        }
        Event::AuditEvents { events, .. } => {
            let texts = |one: &AuditEvent| one.target.len() + one.source.len() + text(&one.rule) + text(&one.raw);
            events.iter().map(|one| size_of_val(one) + texts(one)).sum()
        }
        Event::AuditEnabled(names) => names.iter().map(String::len).sum(),
        Event::Syscalls { counts, .. } => 3 * size_of_val(&**counts),
        // Once in a sandbox's life, and not of the worker's making.
        Event::Enforcement(enforcement) => serialized(enforcement),
        Event::PolicyLoaded(policy) => serialized(policy),
        Event::PolicySetLoaded(meta) => serialized(meta),
        Event::ConfigLoaded(config) => serialized(config),
        Event::Learned(learned) => serialized(learned),
    };
    size_of::<Event>() + held
}

fn serialized(value: &impl serde::Serialize) -> usize {
    // What cannot be serialized is not sent either.
    serde_json::to_string(value).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use buntime_policy::Action;
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
        let call = AuditEvent {
            time: 1,
            syscall: "openat",
            target: long.clone(),
            pid: 1,
            action: Action::Deny,
            rule: Some(long.clone()),
            source: long.clone(),
            raw: Some(long.clone()),
        };
        for (event, least) in [
            (Event::AuditEvents { events: vec![call], dropped: 0 }, 20_000),
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
