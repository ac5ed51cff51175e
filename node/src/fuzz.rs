//! Fuzzes the node's own decoders from their unit tests, with the search that fuzzes the protocol's.

#[path = "../../protocol/examples/fuzz/search.rs"]
mod search;

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use self::search::{Planted, Search, plant};

/// Inputs that each decoder is tried with, unless `FUZZ_SECONDS` in the environment says how long.
const INPUTS: u64 = 2_000;

/// Tries `run` with inputs made from `seeds`: it never panics. That the search would have found it
/// is shown by a bug that is planted behind a branch which no seed reaches.
pub(crate) fn survives(seeds: &[Vec<u8>], run: impl Fn(&[u8]) -> String) {
    let mut search = Search::new(seeds, &run);
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    while until.map_or(search.tries() < INPUTS, |until| Instant::now() < until) {
        if let Err(input) = search.try_one(&mut rng) {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("it failed on {hex}");
        }
    }
    println!("{} inputs, {} outcomes", search.tries(), search.outcomes());
    assert!(search.outcomes() > 2, "the search goes nowhere");
    match plant(seeds, &run) {
        Planted::Found { inputs, bug } => println!("a planted bug is found after {inputs} inputs, behind {bug}"),
        Planted::Missed { inputs, bug } => panic!("a planted bug behind {bug} is missed by {inputs} inputs"),
        Planted::Nowhere => panic!("nothing is reached that no seed reaches"),
    }
}
