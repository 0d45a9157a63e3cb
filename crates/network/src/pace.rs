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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    fn pace(rate: f64, waiting: usize) -> Arc<Pace> {
        let second = Duration::from_secs(1);
        Arc::new(Pace::new(&Bounds {
            rate: Some(rate),
            waiting,
            patience: 10 * second,
            flows: 1,
            idle: second,
            half_open: second,
            connect: second,
        }))
    }

    /// How `count` who ask at once fare, and when, in tenths of a second.
    async fn crowd(pace: &Arc<Pace>, count: usize) -> Vec<(usize, Turn, u128)> {
        let start = Instant::now();
        let mut all = JoinSet::new();
        for n in 0..count {
            let pace = pace.clone();
            all.spawn(async move { (n, pace.turn().await, start.elapsed().as_millis() / 100) });
        }
        let mut fates = all.join_all().await;
        fates.sort_by_key(|(n, ..)| *n);
        fates
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_in_order_at_the_rate() {
        let fates = crowd(&pace(5.0, 256), 100).await;
        for (n, turn, when) in fates {
            assert_eq!(turn, Turn::Come, "{n}");
            let expected = 2 * n.saturating_sub(59) as u128;
            assert!((expected..=expected + 1).contains(&when), "{n} at {when}, not {expected}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_room_is_bounded() {
        let fates = crowd(&pace(1.0, 20), 100).await;
        let count = |of| fates.iter().filter(|(_, turn, _)| *turn == of).count();
        // 12 at once, 10 in ten seconds, 10 more that wait in vain.
        assert_eq!(count(Turn::Crowded), 100 - 12 - 20);
        assert!((9..=10).contains(&(count(Turn::Come) - 12)), "{fates:?}");
        let late: Vec<_> = fates.iter().filter(|(_, turn, _)| *turn == Turn::Late).map(|(.., when)| *when).collect();
        assert!(late.iter().all(|when| *when >= 100), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_costs_the_others_nothing() {
        let pace = pace(1.0, 256);
        crowd(&pace, 12).await;
        let patient = pace.clone();
        let impatient = timeout(Duration::from_millis(100), pace.turn());
        let start = Instant::now();
        let (gave_up, came) = tokio::join!(impatient, patient.turn());
        assert!(gave_up.is_err());
        assert_eq!((came, start.elapsed().as_millis() / 100), (Turn::Come, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn odd_rates_let_nothing_but_one_through() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let fates = crowd(&pace(rate, 256), 2).await;
            assert_eq!([fates[0].1, fates[1].1], [Turn::Come, Turn::Late], "{rate}");
        }
    }
}
