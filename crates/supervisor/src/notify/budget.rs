//! How many answers a sandbox gets in a second.

use std::time::{Duration, Instant};

/// A token bucket. A flood of calls waits for its answers, so that it costs the caller its time and not the supervisor
/// its processor.
pub struct Budget {
    per_second: f64,
    /// What is left of what has been saved up; at most a tenth of a second's.
    left: f64,
    at: Instant,
}

impl Budget {
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, left: per_second / 10.0, at: now }
    }

    /// Takes one answer. How long it is to be waited with.
    pub fn take(&mut self, now: Instant) -> Duration {
        let saved = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + saved).min(self.per_second / 10.0) - 1.0;
        self.at = now;
        if self.left >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.left / self.per_second) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_a_flood_waits() {
        let start = Instant::now();
        let mut budget = Budget::new(1000, start);
        assert!((0..100).all(|_| budget.take(start).is_zero()));
        let mut now = start;
        for _ in 0..1000 {
            now += budget.take(now);
        }
        let took = now.duration_since(start).as_secs_f64();
        assert!((0.99..1.01).contains(&took), "{took}");
        assert!(budget.take(now + Duration::from_secs(60)).is_zero());
        let saved = (0..1000).take_while(|_| budget.take(now + Duration::from_secs(60)).is_zero()).count();
        assert_eq!(saved, 99, "no more than a tenth of a second is saved up");
    }
}
