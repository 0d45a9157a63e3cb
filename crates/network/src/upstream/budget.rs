//! How much one sandbox may ask of the resolvers outside.
//!
//! Under a rule such as `*.example.com` a worker chooses the labels, and whoever serves that zone reads them: each new
//! name is a message of up to 253 bytes. A rule without a value allows as much anyway, but a rule for one zone need not
//! mean a channel of any width. So new names are paid for by length, from a bucket that ordinary programs never empty:
//! [`BURST`] bytes at once (some 600 names of 27 bytes), then [`RATE`] bytes a second. Names asked for before are free.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use buntime_policy::Name;
use lru::LruCache;

/// Bytes of new names at once.
pub(super) const BURST: f64 = 16384.0;
/// Bytes of new names a second after that.
const RATE: f64 = 256.0;
/// What the shortest name costs, in bytes: also short names carry something, by which one is asked for.
const LEAST: usize = 24;
/// How many names are remembered as paid.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// One sandbox's bucket.
#[derive(Debug)]
pub(super) struct Budget {
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    bytes: f64,
    filled: Instant,
    paid: LruCache<Name, ()>,
}

impl Budget {
    pub(super) fn new() -> Self {
        let bucket = Bucket { bytes: BURST, filled: Instant::now(), paid: LruCache::new(REMEMBERED) };
        Self { bucket: Mutex::new(bucket) }
    }

    /// Pays for a name, once. False where the bucket does not hold enough.
    pub(super) fn pay(&self, name: &Name) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.pay(name, Instant::now())
    }
}

impl Bucket {
    fn pay(&mut self, name: &Name, now: Instant) -> bool {
        if self.paid.get(name).is_some() {
            return true;
        }
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.bytes = (self.bytes + since * RATE).min(BURST);
        self.filled = now;
        let cost = name.as_str().len().max(LEAST) as f64;
        if cost > self.bytes {
            return false;
        }
        self.bytes -= cost;
        self.paid.put(name.clone(), ());
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn long(n: usize) -> Name {
        Name::parse(&format!("{n:060}.{n:060}.{n:060}.example.com")).unwrap()
    }

    #[test]
    fn new_names_are_paid_by_length_and_known_ones_are_free() {
        let budget = Budget::new();
        let mut bucket = budget.bucket.into_inner().unwrap();
        let now = bucket.filled;
        let cost = long(0).as_str().len();
        let paid = (0..1000).take_while(|n| bucket.pay(&long(*n), now)).count();
        assert_eq!(paid, BURST as usize / cost);
        assert!(bucket.pay(&long(0), now), "known");
        assert!(!bucket.pay(&long(5000), now));
        assert!(bucket.pay(&long(5000), now + Duration::from_secs(1)), "256 bytes came back");
        assert!(!bucket.pay(&long(5001), now + Duration::from_secs(1)));
    }

    #[test]
    fn an_ordinary_program_never_meets_the_bound() {
        let mut bucket = Budget::new().bucket.into_inner().unwrap();
        let start = bucket.filled;
        for n in 0..600u64 {
            assert!(bucket.pay(&Name::parse(&format!("host-{n:05}.example.com")).unwrap(), start), "{n}");
        }
        for n in 0..1000u64 {
            let later = start + Duration::from_millis(100 * (n + 1));
            assert!(bucket.pay(&Name::parse(&format!("more-{n:05}.example.com")).unwrap(), later), "{n}");
        }
    }
}
