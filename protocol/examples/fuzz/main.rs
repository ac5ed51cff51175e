//! A fuzz run over every decoder of the protocol, on any toolchain, each for so many seconds:
//! `cargo run -p secure-chat-protocol --example fuzz -- [--planted] [SECONDS] [SEED] [TARGET]`;
//! `--planted` plants a bug in each target and says whether it is found within that time.
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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
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

/// A bug in one target, behind the branch that another run needed longest to reach, and whether it
/// is found: from other seeds, without knowing where it is.
fn planted(target: &'static Target, world: &World, share: Duration) -> bool {
    let mut scout = Run::new(target, world);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let started = Instant::now();
    while started.elapsed() < share / 4 {
        assert!(scout.try_one(world, &mut rng).is_ok(), "{} has a bug of its own", target.name);
    }
    let Some(bug) = scout.last_new else {
        println!("{:24} nothing is reached that no seed reaches", target.name);
        return false;
    };
    let mut hunt = Run::new(target, world);
    hunt.planted = Some(bug.clone());
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let started = Instant::now();
    let mut found = false;
    while !found && started.elapsed() < share {
        found = hunt.try_one(world, &mut rng).is_err();
    }
    let words: String = bug.chars().take(48).collect();
    let verdict = if found { "found" } else { "MISSED" };
    println!("{:24} {verdict} after {:>8} inputs, behind {words}", target.name, hunt.tries);
    found
}

/// Fuzzes one target; says whether it held.
fn fuzzed(target: &'static Target, world: &World, share: Duration, seed: u64) -> bool {
    let mut run = Run::new(target, world);
    let number = TARGETS.iter().position(|other| other.name == target.name).unwrap_or_default() as u64;
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rng.set_stream(number);
    let started = Instant::now();
    while started.elapsed() < share {
        if let Err(input) = run.try_one(world, &mut rng) {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{} failed (seed {seed}) on {hex}", target.name);
            return false;
        }
    }
    let (tries, outcomes) = (run.tries, run.outcomes.len());
    println!("{:24} {tries:>9} inputs, {outcomes:>3} outcomes in {:.0} s", target.name, share.as_secs_f64());
    true
}

/// Does something to each target, as many at once as there are processors.
fn each(targets: &[&'static Target], work: impl Fn(&'static Target) -> bool + Sync) -> ExitCode {
    let (next, held) = (AtomicUsize::new(0), AtomicBool::new(true));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    held.fetch_and(work(target), Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} targets: {}", targets.len(), if held.load(Ordering::Relaxed) { "all held" } else { "FAILED" });
    if held.into_inner() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let plants = arguments.first().is_some_and(|first| first == "--planted");
    if plants {
        arguments.remove(0);
        std::panic::set_hook(Box::new(|_| {}));
    }
    let number = |at: usize, default: u64| arguments.get(at).map_or(Some(default), |text| text.parse().ok());
    let (Some(seconds), Some(seed)) = (number(0, 20), number(1, 1)) else {
        eprintln!("usage: fuzz [--planted] [SECONDS for each target] [SEED] [TARGET]");
        return ExitCode::from(2);
    };
    let (world, share) = (World::new(), Duration::from_secs(seconds));
    let wanted = |target: &&Target| arguments.get(2).is_none_or(|name| name == target.name);
    let targets: Vec<&'static Target> = TARGETS.iter().filter(wanted).collect();
    if plants {
        return each(&targets, |target| planted(target, &world, share));
    }
    each(&targets, |target| fuzzed(target, &world, share, seed))
}
