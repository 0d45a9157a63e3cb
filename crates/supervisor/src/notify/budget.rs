//! How much of a processor the answers to one sandbox may take.

use std::time::{Duration, Instant};

/// Of each second at most this much is spent on answers.
const SHARE: f64 = 0.5;
/// What can be saved up, in seconds.
const SAVED: f64 = 0.25;

/// A token bucket of time. A flood of calls waits for its answers, so that it costs the caller its time and not the
/// host its processor.
pub struct Budget {
    left: f64,
    at: Instant,
}

impl Budget {
    pub fn new(now: Instant) -> Self {
        Self { left: SAVED, at: now }
    }

    /// Takes what an answer took, from `begun` to `now`. How long the next one is to be waited with.
    pub fn take(&mut self, begun: Instant, now: Instant) -> Duration {
        let saved = now.saturating_duration_since(self.at).as_secs_f64() * SHARE;
        let spent = now.saturating_duration_since(begun).as_secs_f64();
        self.left = (self.left + saved).min(SAVED) - spent;
        self.at = now;
        if self.left >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.left / SHARE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_a_flood_gets_its_share() {
        const ANSWER: Duration = Duration::from_micros(100);
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!(budget.take(start, start + ANSWER).is_zero());
        let (mut now, mut answers) = (start + ANSWER, 1);
        while now.duration_since(start) < Duration::from_secs(10) {
            let begun = now;
            now += ANSWER;
            now += budget.take(begun, now);
            answers += 1;
        }
        let share = (ANSWER * answers).as_secs_f64() / now.duration_since(start).as_secs_f64();
        assert!((0.5..0.54).contains(&share), "{share}");
        let later = now + Duration::from_secs(60);
        assert!(budget.take(later, later + Duration::from_millis(200)).is_zero());
        assert!(!budget.take(later, later + Duration::from_millis(400)).is_zero(), "no more is saved up");
    }
}
