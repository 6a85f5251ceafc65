//! Puts random bytes in every place where bytes of somebody else's come in: requests of a tunnel,
//! headers in front of packets, files of a net that another process has damaged, and faults that a
//! user wrote. Nothing panics, crashes or hangs, every answer is one of the kernel's, and what can
//! be known about it is true.
//!
//! `MEMTUN_FUZZ_SECONDS` says for how long each property is tried (default 3; 60 before a release),
//! and `MEMTUN_FUZZ_SEED` gives the same cases again.

mod damaged;
mod faults;
mod framing;
mod requests;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use shim_tests::hostile::{number, Random};
use std::time::{Duration, Instant};

/// Tries a property until the time is over. A case that fails is made as small as it can be.
fn holds<S: Strategy>(cases: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut random = Random::seeded("MEMTUN_FUZZ_SEED");
    let end = Instant::now() + Duration::from_secs(number("MEMTUN_FUZZ_SECONDS", 3));
    while Instant::now() < end {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&random.bits().to_ne_bytes());
        let config = Config {
            cases: 32,
            failure_persistence: None,
            ..Config::default()
        };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        if let Err(e) = TestRunner::new_with_rng(config, random).run(&cases, &property) {
            panic!("{e}");
        }
    }
}
