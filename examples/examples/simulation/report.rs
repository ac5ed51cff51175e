//! What came of it: read from the vaults, not from what events said.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use secure_chat_node::api::NodeHandle;
use serde::Serialize;

use crate::Options;
use crate::files::Files;
use crate::groups::GroupReport;
use crate::world::{World, text};

/// Milliseconds at the 50th, 95th and 99th percentile.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Latency {
    messages: usize,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl Latency {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |part: f64| {
            // In bounds: the rank is below the length.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let rank = ((times.len().saturating_sub(1)) as f64 * part).round() as usize;
            times.get(rank).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
        };
        Self { messages: times.len(), p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99) }
    }
}

/// How long each part took.
pub(crate) struct Clock {
    started: Instant,
    last: Instant,
    laps: Vec<(&'static str, f64)>,
}

impl Clock {
    /// From now on.
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self { started: now, last: now, laps: Vec::new() }
    }

    /// A part is over.
    pub(crate) fn lap(&mut self, part: &'static str) {
        let last = std::mem::replace(&mut self.last, Instant::now());
        self.laps.push((part, self.last.duration_since(last).as_secs_f64()));
    }
}

/// The end of a simulation.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    peers: u16,
    rendezvous: u16,
    seed: u64,
    killed: usize,
    seconds: f64,
    parts_seconds: Vec<(&'static str, f64)>,
    sent: usize,
    delivered: usize,
    duplicated: usize,
    lost: usize,
    out_of_order: usize,
    waiting: usize,
    online: Latency,
    by_mailbox: Latency,
    wire_bytes_per_message: u64,
    files: Files,
    memory_mib: u64,
    groups: GroupReport,
}

/// The texts of a conversation, oldest first.
async fn texts(handle: &NodeHandle, with: &str, from: &str) -> anyhow::Result<Vec<String>> {
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = handle.messages_history(with, before.clone(), None::<String>, None::<String>, Some(500_u32)).await?;
        before = page.messages.first().map(|message| message.message_id.clone());
        pages.push(page.messages);
        if !page.more {
            break;
        }
    }
    let all = pages.into_iter().rev().flatten();
    Ok(all.filter(|message| message.from == from).map(|message| message.text).collect())
}

impl Report {
    /// Reads every recipient's vault and compares it with what was sent.
    pub(crate) async fn of(
        world: &World,
        groups: GroupReport,
        files: Files,
        options: &Options,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let mut expected = HashMap::<(usize, usize), Vec<String>>::new();
        let (mut online, mut by_mailbox) = (Vec::new(), Vec::new());
        let sent = {
            let ledger = world.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (number, message) in ledger.messages.iter().enumerate() {
                expected.entry((message.from, message.to)).or_default().push(text(number));
                if let Some(time) = message.seen_after {
                    if message.recipient_online { online.push(time) } else { by_mailbox.push(time) }
                }
            }
            ledger.messages.len()
        };
        let (mut delivered, mut duplicated, mut lost, mut out_of_order) = (0, 0, 0, 0);
        for ((from, to), wanted) in &expected {
            let name = |number: &usize| world.peers.get(*number).map(|peer| peer.name.clone()).unwrap_or_default();
            let seen = texts(&world.handle(*to)?, &name(from), &name(from)).await?;
            let times = |text: &String| seen.iter().filter(|other| *other == text).count();
            delivered += wanted.iter().filter(|text| times(text) > 0).count();
            lost += wanted.iter().filter(|text| times(text) == 0).count();
            duplicated += wanted.iter().map(|text| times(text).saturating_sub(1)).sum::<usize>();
            let places: Vec<usize> =
                wanted.iter().filter_map(|text| seen.iter().position(|other| other == text)).collect();
            out_of_order += places.windows(2).filter(|pair| pair.first() > pair.last()).count();
        }
        let mut waiting = 0;
        for number in 0..world.peers.len() {
            waiting += world.handle(number)?.status().await?.outbox.queued;
        }
        let wire: u64 = world.peers.iter().map(|peer| peer.wire_bytes).sum();
        Ok(Self {
            peers: options.peers,
            rendezvous: options.rendezvous,
            seed: options.seed,
            killed: world.kills,
            seconds: clock.started.elapsed().as_secs_f64(),
            parts_seconds: clock.laps,
            sent,
            delivered,
            duplicated,
            lost,
            out_of_order,
            waiting,
            online: Latency::of(online),
            by_mailbox: Latency::of(by_mailbox),
            wire_bytes_per_message: wire.checked_div(sent as u64).unwrap_or(0),
            files,
            memory_mib: memory_mib(),
            groups,
        })
    }

    /// Whether every message was shown exactly once and in order.
    pub(crate) fn is_good(&self) -> bool {
        let files = self.files.arrived == self.files.shared;
        self.lost == 0 && self.duplicated == 0 && self.out_of_order == 0 && self.groups.is_good() && files
    }

    fn print_groups(&self) {
        let groups = &self.groups;
        if groups.groups == 0 {
            return;
        }
        println!();
        println!("  groups                        {:>8}", groups.groups);
        println!("  group messages                {:>8}", groups.sent);
        println!("  delivered to members          {:>8}   of {}", groups.delivered, groups.expected);
        println!("  duplicated                    {:>8}", groups.duplicated);
        println!("  groups that agree on members  {:>8}", groups.agreed);
        println!("  read by those who were out    {:>8}", groups.read_by_removed);
        println!("  partitions, both sides acting {:>8}", groups.partitions);
        println!(
            "  views apart, then one again   {:>8}   and {}; the longest healing {:.1} s",
            groups.apart,
            groups.healed,
            Duration::from_millis(groups.healing_ms).as_secs_f64()
        );
    }

    /// The table.
    pub(crate) fn print(&self) {
        println!(
            "{} peers, {} rendezvous nodes, {} killed, seed {}, {:.1} s",
            self.peers, self.rendezvous, self.killed, self.seed, self.seconds
        );
        let parts: Vec<String> = self.parts_seconds.iter().map(|(part, took)| format!("{part} {took:.1}")).collect();
        println!("  seconds: {}", parts.join(", "));
        println!();
        println!("  sent          {:>8}", self.sent);
        println!("  delivered     {:>8}", self.delivered);
        println!("  duplicated    {:>8}", self.duplicated);
        println!("  lost          {:>8}", self.lost);
        println!("  out of order  {:>8}", self.out_of_order);
        println!("  waiting       {:>8}   (receipts and the like, in all outboxes)", self.waiting);
        self.print_groups();
        println!();
        println!("  latency, ms       messages       p50       p95       p99");
        for (name, latency) in [("recipient online", &self.online), ("recipient away", &self.by_mailbox)] {
            println!(
                "  {name:<17} {:>8} {:>9.1} {:>9.1} {:>9.1}",
                latency.messages, latency.p50_ms, latency.p95_ms, latency.p99_ms
            );
        }
        println!();
        println!("  files shared  {:>8}", self.files.shared);
        println!("  arrived       {:>8}", self.files.arrived);
        println!("  changed       {:>8}", self.files.changed);
        println!("  breaks        {:>8}   (sender or recipient killed in the middle)", self.files.breaks);
        for (holders, files) in &self.files.by_holders {
            let holders = if *holders == 1 { "one holder".to_owned() } else { format!("{holders} holders at once") };
            println!("  fetched       {files:>8}   from {holders}");
        }
        let kb = |bytes: u64| bytes / 1_000;
        println!(
            "  by route, kB  {:>8} direct, {} relayed, {} out of rendezvous nodes",
            kb(self.files.direct_bytes),
            kb(self.files.relayed_bytes),
            kb(self.files.stored_bytes)
        );
        println!();
        println!("  bytes sent by peers for each message, all included  {:>8}", self.wire_bytes_per_message);
        println!("  memory of the whole process, MiB                    {:>8}", self.memory_mib);
        println!();
        println!(
            "{}",
            if self.is_good() {
                "Every message was shown exactly once, in order; all members agree; every file arrived as it was."
            } else {
                "Messages or files were lost, doubled, changed or out of order, or members do not agree."
            }
        );
    }
}

/// Resident memory of this process, where the system tells.
fn memory_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(4_096) / (1024 * 1024)
}
