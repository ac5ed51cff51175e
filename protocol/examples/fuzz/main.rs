//! A short fuzz run over every decoder of the protocol, on any toolchain:
//! `cargo run -p secure-chat-protocol --example fuzz -- [SECONDS] [SEED] [TARGET]`.
//!
//! Inputs are valid messages, changed at random; an input whose outcome was not
//! seen before is kept and changed further. The same seed tries the same inputs
//! in the same order. A panic prints the input in hexadecimal, and the exit
//! status is 1. `protocol/fuzz` has the coverage-guided version of the same targets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program: a panic is its finding")]

mod targets;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use targets::{TARGETS, Target, World};

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

struct Run {
    target: &'static Target,
    corpus: Vec<Vec<u8>>,
    outcomes: HashSet<String>,
    tries: u64,
}

impl Run {
    fn new(target: &'static Target, world: &World) -> Self {
        let mut corpus = (target.seeds)(world);
        let outcomes: HashSet<String> = corpus.iter().map(|seed| (target.run)(world, seed)).collect();
        corpus.push(Vec::new());
        Self { target, corpus, outcomes, tries: 0 }
    }

    fn try_one(&mut self, world: &World, rng: &mut ChaCha20Rng) -> Result<(), Vec<u8>> {
        let input = self.changed(rng);
        let started = Instant::now();
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| (self.target.run)(world, &input))) else {
            return Err(input);
        };
        if started.elapsed() > TIME_MAX {
            eprintln!("took {:?}", started.elapsed());
            return Err(input);
        }
        self.tries += 1;
        if self.outcomes.insert(outcome) && self.corpus.len() < CORPUS_MAX {
            self.corpus.push(input);
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

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Some(default), |text| text.parse().ok());
    let (Some(seconds), Some(seed)) = (number(0, 20), number(1, 1)) else {
        eprintln!("usage: fuzz [SECONDS] [SEED] [TARGET]");
        return ExitCode::from(2);
    };
    let world = World::new();
    let wanted = |target: &&Target| arguments.get(2).is_none_or(|name| name == target.name);
    let mut runs: Vec<Run> = TARGETS.iter().filter(wanted).map(|target| Run::new(target, &world)).collect();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let share = Duration::from_secs(seconds) / u32::try_from(runs.len().max(1)).unwrap();
    for run in &mut runs {
        let mut own = ChaCha20Rng::seed_from_u64(rng.next_u64());
        let started = Instant::now();
        while started.elapsed() < share {
            if let Err(input) = run.try_one(&world, &mut own) {
                let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
                eprintln!("{} failed (seed {seed}) on {hex}", run.target.name);
                return ExitCode::FAILURE;
            }
        }
        println!("{:24} {:>9} inputs, {:>3} outcomes", run.target.name, run.tries, run.outcomes.len());
    }
    ExitCode::SUCCESS
}
