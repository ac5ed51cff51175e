//! The search of a fuzz run: inputs are seeds changed at random; one whose outcome was not seen
//! before is kept and changed further. The same generator tries the same inputs in the same order.
//! Shared by the run over the protocol's decoders and by the tests of the node's (`node/src/fuzz.rs`).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// Inputs that are changed further, for each target.
const CORPUS_MAX: usize = 512;
/// Longest input, in bytes.
const INPUT_MAX_BYTES: usize = 128 * 1024;
/// No decoder takes this long, on the slowest machine that runs this.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Lengths and numbers at which encodings change.
const EDGES: [&[u8]; 9] = [
    &[0],
    &[1],
    &[250],
    &[251, 255, 255],
    &[252, 255, 255, 255, 255],
    &[253, 255, 255, 255, 255, 255, 255, 255, 255],
    &[254],
    &[255],
    &[0x80],
];

/// Inputs that look for a place to plant a bug at.
const SCOUT_INPUTS: u64 = 300;
/// Inputs within which a planted bug is to be found.
const HUNT_INPUTS: u64 = 50_000;

/// A function that says in a few words what became of an input.
pub(crate) type Target<'t> = dyn Fn(&[u8]) -> String + 't;

/// A run over one function.
pub(crate) struct Search<'t> {
    run: &'t Target<'t>,
    corpus: Vec<Vec<u8>>,
    /// How often each outcome was seen.
    outcomes: HashMap<String, u64>,
    tries: u64,
    /// Outcomes that no seed has, in the order in which they were found.
    found: Vec<String>,
    /// A bug that was put there on purpose: whatever has this outcome panics.
    planted: Option<String>,
}

impl<'t> Search<'t> {
    pub(crate) fn new(seeds: &[Vec<u8>], run: &'t Target<'t>) -> Self {
        let mut corpus = seeds.to_vec();
        let outcomes = corpus.iter().map(|seed| (run(seed), 1)).collect();
        corpus.push(Vec::new());
        Self { run, corpus, outcomes, tries: 0, found: Vec::new(), planted: None }
    }

    /// Inputs that were tried.
    pub(crate) const fn tries(&self) -> u64 {
        self.tries
    }

    /// Outcomes that were seen.
    pub(crate) fn outcomes(&self) -> usize {
        self.outcomes.len()
    }

    /// Tries one input; gives it back when it panics or takes too long.
    pub(crate) fn try_one(&mut self, rng: &mut ChaCha20Rng) -> Result<(), Vec<u8>> {
        let input = self.changed(rng);
        let started = Instant::now();
        let run = || {
            let outcome = (self.run)(&input);
            assert!(self.planted.as_ref() != Some(&outcome), "a planted bug");
            outcome
        };
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(run)) else {
            return Err(input);
        };
        if started.elapsed() > TIME_MAX {
            eprintln!("took {:?}", started.elapsed());
            return Err(input);
        }
        self.tries += 1;
        let times = self.outcomes.entry(outcome.clone()).or_default();
        *times += 1;
        if *times == 1 {
            self.found.push(outcome);
            if self.corpus.len() < CORPUS_MAX {
                self.corpus.push(input);
            }
        }
        Ok(())
    }

    fn changed(&self, rng: &mut ChaCha20Rng) -> Vec<u8> {
        let pick = |rng: &mut ChaCha20Rng| &self.corpus[rng.random_range(0..self.corpus.len())];
        let mut input = pick(rng).clone();
        for _ in 0..1 << rng.random_range(0..4) {
            let at = rng.random_range(0..=input.len());
            let until = rng.random_range(at..=input.len()).min(at + 64);
            match rng.random_range(0..8) {
                0 | 1 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
                2 if at < input.len() => input[at] = rng.random(),
                3 => drop(input.drain(at..until)),
                4 => input.truncate(at),
                5 => {
                    let part = input[at..until].to_vec();
                    input.splice(at..at, part);
                }
                6 => {
                    let other = pick(rng);
                    let from = rng.random_range(0..=other.len());
                    let part = other[from..other.len().min(from + 256)].to_vec();
                    input.splice(at..until, part);
                }
                _ => {
                    let edge = EDGES[rng.random_range(0..EDGES.len())];
                    input.splice(at..input.len().min(at + usize::from(rng.random::<bool>())), edge.iter().copied());
                }
            }
        }
        input.truncate(INPUT_MAX_BYTES);
        input
    }
}

/// What became of a planted bug.
pub(crate) enum Planted {
    /// It was found.
    Found { inputs: u64, bug: String },
    /// It was not.
    Missed { inputs: u64, bug: String },
    /// No input reached anything that no seed reaches: there is no place to hide one.
    Nowhere,
}

/// Plants a bug behind the branch that one search needed longest to reach, of those that it came to
/// again, and looks for it with another, which begins elsewhere and does not know where it is.
pub(crate) fn plant(seeds: &[Vec<u8>], run: &Target<'_>) -> Planted {
    let mut scout = Search::new(seeds, run);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    while scout.tries < SCOUT_INPUTS {
        assert!(scout.try_one(&mut rng).is_ok(), "it has a bug of its own");
    }
    let Some(bug) = scout.found.iter().rfind(|outcome| scout.outcomes[*outcome] > 1).cloned() else {
        return Planted::Nowhere;
    };
    let mut hunt = Search::new(seeds, run);
    hunt.planted = Some(bug.clone());
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    while hunt.tries < HUNT_INPUTS {
        if hunt.try_one(&mut rng).is_err() {
            return Planted::Found { inputs: hunt.tries, bug };
        }
    }
    Planted::Missed { inputs: hunt.tries, bug }
}
