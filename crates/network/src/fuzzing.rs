//! Entry points for fuzzing, and what must hold whatever a worker sends. `scripts/fuzz.sh` runs them for long, the tests
//! below for a moment.

pub use dns::{dns, dns_seeds};
pub use http::{http, http_seeds};

mod dns;
mod http;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    use super::*;

    /// A seed with some bytes changed, cut, and something after it.
    fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
        let seed = prop::sample::select(seeds);
        let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        let tail = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 0..40)];
        (seed, edits, any::<prop::sample::Index>(), prop::bool::weighted(0.2), tail).prop_map(
            |(mut bytes, edits, end, is_cut, tail)| {
                for (at, byte) in edits {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                if is_cut {
                    bytes.truncate(end.index(bytes.len()));
                }
                bytes.extend(tail);
                bytes
            },
        )
    }

    fn run(cases: u32, seeds: Vec<Vec<u8>>, target: fn(&[u8])) {
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        seeds.iter().for_each(|seed| target(seed));
        TestRunner::new_with_rng(config, rng)
            .run(&mutated(seeds), |bytes| {
                target(&bytes);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn questions() {
        run(5000, dns_seeds(), dns);
    }

    #[test]
    fn requests() {
        run(500, http_seeds(), http);
    }
}
