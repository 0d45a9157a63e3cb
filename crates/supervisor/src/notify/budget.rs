//! How much of a processor the answers to one sandbox may take.

use std::time::{Duration, Instant};

/// What can be saved up: half a second's share.
const SAVED: f64 = 0.5;

/// A token bucket of time. A flood of calls waits for its answers, so that it costs the caller its time and not the
/// host its processor.
pub struct Budget {
    share: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    /// Of each second at most `share` is spent on answers.
    pub fn new(share: f64, now: Instant) -> Self {
        Self { share, left: SAVED * share, at: now }
    }

    /// Takes what an answer took, from `begun` to `now`. How long the next one is to be waited with.
    pub fn take(&mut self, begun: Instant, now: Instant) -> Duration {
        let saved = now.saturating_duration_since(self.at).as_secs_f64() * self.share;
        let spent = now.saturating_duration_since(begun).as_secs_f64();
        self.left = (self.left + saved).min(SAVED * self.share) - spent;
        self.at = now;
        if self.left >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.left / self.share) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_a_flood_gets_its_share() {
        const ANSWER: Duration = Duration::from_micros(100);
        let start = Instant::now();
        let mut budget = Budget::new(0.5, start);
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
