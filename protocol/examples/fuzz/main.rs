//! A short fuzz run over every decoder of the protocol, on any toolchain:
//! `cargo run -p secure-chat-protocol --example fuzz -- [SECONDS] [SEED] [TARGET]`;
//! `--planted [SECONDS]` plants a bug in each target and says whether it is found.
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
    /// The outcome that was new last.
    last_new: Option<String>,
    /// A bug that was put there on purpose: whatever has this outcome panics.
    planted: Option<String>,
}

impl Run {
    fn new(target: &'static Target, world: &World) -> Self {
        let mut corpus = (target.seeds)(world);
        let outcomes: HashSet<String> = corpus.iter().map(|seed| (target.run)(world, seed)).collect();
        corpus.push(Vec::new());
        Self { target, corpus, outcomes, tries: 0, last_new: None, planted: None }
    }

    fn try_one(&mut self, world: &World, rng: &mut ChaCha20Rng) -> Result<(), Vec<u8>> {
        let input = self.changed(rng);
        let started = Instant::now();
        let run = || {
            let outcome = (self.target.run)(world, &input);
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
        if self.outcomes.insert(outcome.clone()) {
            self.last_new = Some(outcome);
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

/// Puts a bug into each target, behind the branch that another run needed longest to
/// reach, and looks whether it is found: from other seeds, without knowing where it is.
fn planted(seconds: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let world = World::new();
    let share = Duration::from_secs(seconds) / u32::try_from(2 * TARGETS.len()).unwrap();
    let mut all = true;
    for target in TARGETS {
        let mut scout = Run::new(target, &world);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let started = Instant::now();
        while started.elapsed() < share / 2 {
            assert!(scout.try_one(&world, &mut rng).is_ok(), "{} has a bug of its own", target.name);
        }
        let Some(bug) = scout.last_new else {
            println!("{:24} nothing is reached that no seed reaches", target.name);
            all = false;
            continue;
        };
        let mut hunt = Run::new(target, &world);
        hunt.planted = Some(bug.clone());
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let started = Instant::now();
        let mut found = false;
        while !found && started.elapsed() < 3 * share {
            found = hunt.try_one(&world, &mut rng).is_err();
        }
        let words: String = bug.chars().take(48).collect();
        println!(
            "{:24} {} after {:>8} inputs, behind {words}",
            target.name,
            if found { "found" } else { "MISSED" },
            hunt.tries
        );
        all &= found;
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--planted") {
        return planted(arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(60));
    }
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
