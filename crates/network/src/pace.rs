//! The pace of a sandbox's new connections to outside (`rate_limit`).
//!
//! A token bucket that makes connections wait rather than fail. Ordinary clients open many at once and then few: npm
//! 15, a browser 6 for each of a dozen hosts, aiohttp 100. So the bucket holds what [`BURST`] seconds bring: at the
//! default rate of 5 a second 60 connections start at once, and the hundredth after 8 seconds, within the patience of
//! 10. Over a minute the rate is what counts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::Bounds;

/// How many seconds' connections may start at once after a pause.
const BURST: f64 = 12.0;

/// One sandbox's bucket, and who waits at it.
pub(crate) struct Pace {
    /// None: unlimited. Whoever holds the lock is the first in line; tokio's is fair.
    bucket: Option<Mutex<Bucket>>,
    waiting: AtomicUsize,
    most_waiting: usize,
    patience: Duration,
}

/// How the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Come,
    /// There was no room to wait.
    Crowded,
    /// The patience was at its end.
    Late,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    /// Tokens a second.
    rate: f64,
    most: f64,
    filled: Instant,
}

/// One who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pace {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        Self {
            bucket: bounds.rate.map(|rate| Mutex::new(Bucket::new(rate))),
            waiting: AtomicUsize::new(0),
            most_waiting: bounds.waiting,
            patience: bounds.patience,
        }
    }

    /// Waits for its turn, in the order of asking.
    pub(crate) async fn turn(&self) -> Turn {
        let Some(bucket) = &self.bucket else {
            return Turn::Come;
        };
        // Held only by those in line, so that nobody is overtaken.
        if let Ok(mut bucket) = bucket.try_lock()
            && bucket.take(Instant::now()).is_ok()
        {
            return Turn::Come;
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.most_waiting {
            return Turn::Crowded;
        }
        let turn = async {
            let mut bucket = bucket.lock().await;
            while let Err(wait) = bucket.take(Instant::now()) {
                sleep(wait).await;
            }
        };
        match timeout(self.patience, turn).await {
            Ok(()) => Turn::Come,
            Err(_) => Turn::Late,
        }
    }
}

impl Bucket {
    /// A rate that is no positive number lets nothing through after the first connection.
    fn new(rate: f64) -> Self {
        let rate = if rate.is_finite() && rate > 0.0 { rate } else { 0.0 };
        let most = (rate * BURST).max(1.0);
        Self { tokens: most, rate, most, filled: Instant::now() }
    }

    /// Takes a token, or says how long to wait for one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + since * self.rate).min(self.most);
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = Duration::try_from_secs_f64((1.0 - self.tokens) / self.rate).unwrap_or(Duration::MAX);
        // A timer's step, so that rounding never makes it spin.
        Err(wait.clamp(Duration::from_millis(1), Duration::from_secs(3600)))
    }
}
