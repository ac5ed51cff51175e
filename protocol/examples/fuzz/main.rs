//! A fuzz run over every decoder of the protocol, on any toolchain, each for so many seconds:
//! `cargo run -p secure-chat-protocol --example fuzz -- [--planted] [SECONDS] [SEED] [TARGET]`;
//! `--planted` plants a bug in each target and says whether it is found, within a number of inputs that is
//! the same on every machine; CI runs it.
//!
//! Inputs are valid messages, changed at random; an input whose outcome was not
//! seen before is kept and changed further. The same seed tries the same inputs
//! in the same order. A panic prints the input in hexadecimal, and the exit
//! status is 1. `protocol/fuzz` has the coverage-guided version of the same targets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program: a panic is its finding")]

mod search;
mod targets;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use search::{Planted, Search, plant};
use targets::{TARGETS, Target, World};

/// A bug in one target, behind a branch that no seed reaches: whether it is found.
fn planted(target: &'static Target, world: &World) -> bool {
    let (verdict, inputs, bug) = match plant(&(target.seeds)(world), &|input| (target.run)(world, input)) {
        Planted::Found { inputs, bug } => ("found", inputs, bug),
        Planted::Missed { inputs, bug } => ("MISSED", inputs, bug),
        Planted::Nowhere => ("nothing is reached that no seed reaches", 0, String::new()),
    };
    let words: String = bug.chars().take(48).collect();
    println!("{:24} {verdict} after {inputs:>8} inputs, behind {words}", target.name);
    verdict == "found"
}

/// Fuzzes one target; says whether it held.
fn fuzzed(target: &'static Target, world: &World, share: Duration, seed: u64) -> bool {
    let seeds = (target.seeds)(world);
    let run = |input: &[u8]| (target.run)(world, input);
    let mut search = Search::new(&seeds, &run);
    let number = TARGETS.iter().position(|other| other.name == target.name).unwrap_or_default() as u64;
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rng.set_stream(number);
    let started = Instant::now();
    while started.elapsed() < share {
        if let Err(input) = search.try_one(&mut rng) {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{} failed (seed {seed}) on {hex}", target.name);
            return false;
        }
    }
    let (tries, outcomes) = (search.tries(), search.outcomes());
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
        eprintln!("usage: fuzz [SECONDS for each target] [SEED] [TARGET], or fuzz --planted");
        return ExitCode::from(2);
    };
    let (world, share) = (World::new(), Duration::from_secs(seconds));
    let wanted = |target: &&Target| arguments.get(2).is_none_or(|name| name == target.name);
    let targets: Vec<&'static Target> = TARGETS.iter().filter(wanted).collect();
    if plants {
        return each(&targets, |target| planted(target, &world));
    }
    each(&targets, |target| fuzzed(target, &world, share, seed))
}
