//! Many peers and rendezvous nodes in one process: the real network stack on
//! loopback, real cryptography, real vaults in a temporary directory. Peers
//! register, find each other, ask, accept and chat, alone and in groups, while some
//! are away half of the time, a rendezvous node is killed and restarted, and peers are killed in
//! the middle of a write and come back from their vaults; then the network is cut in two, with
//! members of each group on both sides, and heals; then they share files.
//!
//! `cargo run --release --example simulation`
//!
//! Ends with a table, and with exit status 1 if one message was lost, doubled
//! or shown out of order, if a group's members don't agree, or one file did not arrive as it was.

mod chat;
mod files;
mod groups;
mod report;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Over what peers and nodes talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Carrier {
    /// TCP on loopback.
    Tcp,
    /// Channels inside this process.
    Memory,
}

/// Many peers and rendezvous nodes in one process.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Peers
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=200))]
    peers: u16,
    /// Rendezvous nodes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    rendezvous: u16,
    /// Messages in all
    #[arg(long, default_value_t = 600)]
    messages: u32,
    /// The part of the peers that is away at any time, in percent
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u8).range(0..=90))]
    offline: u8,
    /// How many peers are killed in the middle of a write, one a round; over TCP the first rendezvous node is killed too, unless this is 0
    #[arg(long, default_value_t = 2)]
    kill: u16,
    /// Groups, in which people come, go and are removed
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=20))]
    groups: u16,
    /// Files in all, shared after the chat: with somebody who is there, who is away, where both die in the middle, with a group
    #[arg(long, default_value_t = 8)]
    files: u16,
    /// The scenario: the same seed gives the same one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Over what they talk
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Carrier,
    /// Also writes the report here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::OFF)
        .init();
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("The simulation could not be run to its end: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<bool> {
    let mut clock = report::Clock::start();
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let bar = ProgressBar::with_draw_target(Some(u64::from(options.messages)), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{msg:<44} [{bar:30}] {pos}/{len}")?);
    bar.set_message("starting rendezvous nodes and peers");
    let mut world = world::World::start(options, &bar).await?;
    bar.set_message("requests and answers");
    world.befriend(&mut random).await?;
    bar.set_message("groups");
    clock.lap("start, requests");
    let mut circles = groups::Circles::start(&world, options.groups, &mut random).await?;
    chat::play(&mut world, &mut circles, options, &mut random, &bar).await?;
    clock.lap("chat");
    bar.set_message("everybody is back, the rest arrives");
    world.settle(&bar).await?;
    clock.lap("arrival");
    bar.set_message("the network is cut in two, and heals");
    let groups = circles.report(&world, &mut random).await?;
    clock.lap("partitions");
    let files = files::play(&mut world, &circles, options, &mut random, &bar).await?;
    clock.lap("files");
    bar.finish_and_clear();
    let report = report::Report::of(&world, groups, files, options, clock).await?;
    report.print();
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    world.stop().await;
    Ok(report.is_good())
}
