//! The sealed vault with a million messages, beside what the disk itself does:
//! `cargo bench -p secure-chat-node --bench store` (`-- --messages N` for fewer).
//!
//! The vault is on the real disk, in the temporary directory. "After kill -9": a
//! child process writes into it until it is killed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement: a failure ends it")]

use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use secure_chat_node::store::{AccountFile, NewEntry, Page, StoreOptions, Table, Vault, list_accounts};
use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::vault::{Argon2Params, VaultHeader};

const PASSWORD: &str = "correct-Horse7battery";
const VOCABULARY: usize = 50_000;
const CONVERSATIONS: usize = 200;
const BATCH: u64 = 256;
const CHILD: &str = "SECURE_CHAT_BENCH_CHILD";

/// Words and conversations as people have them: few often, many seldom (Zipf's law).
struct People {
    rng: ChaCha20Rng,
    words: Vec<String>,
}

impl People {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let syllables =
            ["ka", "to", "mi", "ren", "sol", "ver", "den", "ul", "as", "pri", "cho", "lu", "ne", "ba", "gi"];
        let mut word = |_| {
            let count = rng.random_range(1..5);
            (0..count).map(|_| syllables[rng.random_range(0..syllables.len())]).collect::<String>()
        };
        let words =
            (0..VOCABULARY).map(&mut word).enumerate().map(|(rank, word)| format!("{word}{}", rank % 7)).collect();
        Self { rng, words }
    }

    fn rank(&mut self, of: usize) -> usize {
        let log = self.rng.random_range(0.0..(of as f64).ln());
        (log.exp() as usize).min(of) - 1
    }

    fn word(&mut self) -> String {
        let rank = self.rank(VOCABULARY);
        self.words[rank].clone()
    }

    fn text(&mut self) -> String {
        let count = self.rng.random_range(1..24);
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    fn conversation(&mut self) -> [u8; 32] {
        let rank = self.rank(CONVERSATIONS);
        conversation(rank)
    }
}

fn conversation(rank: usize) -> [u8; 32] {
    [u8::try_from(rank).unwrap(); 32]
}

#[derive(Default)]
struct Took {
    clock: Duration,
    processor: Duration,
}

impl Took {
    fn add(self, other: Self) -> Self {
        Self { clock: self.clock + other.clock, processor: self.processor + other.processor }
    }

    fn rates(&self, things: u64) -> String {
        let rate = |time: Duration| things as f64 / time.as_secs_f64();
        format!("{:.0} /s ({:.0} /s)", rate(self.clock), rate(self.processor))
    }
}

/// Appends messages in one commit, and says how long that took; thinking them up does not count.
fn append(vault: &Vault, people: &mut People, from: u64, count: u64) -> Took {
    let mut messages = Vec::new();
    for number in from..from + count {
        let (text, conversation) = (people.text(), people.conversation());
        let mut message_id = [0; 16];
        people.rng.fill(&mut message_id);
        let body = [&[1, 0, 0, 0], text.as_bytes(), &[0; 24]].concat();
        messages.push((number, conversation, message_id, body, text));
    }
    let (started, busy) = (Instant::now(), processor_time());
    let mut txn = vault.begin();
    for (at, conversation, message_id, body, text) in &messages {
        let (conversation, message_id, at) = (*conversation, *message_id, *at);
        let entry = NewEntry { conversation, author: conversation, message_id, at, body, text: Some(text) };
        txn.append(entry).unwrap();
    }
    // What the engine writes beside: a session and a cursor.
    txn.put(Table::Sessions, b"bob", &[7; 600]);
    txn.put(Table::Cursors, b"bob", &from.to_le_bytes());
    vault.commit(txn).unwrap();
    Took { clock: started.elapsed(), processor: processor_time().saturating_sub(busy) }
}

fn unlock(dir: &Path) -> Vault {
    let account = list_accounts(dir).unwrap().remove(0);
    Vault::unlock(dir, &account, PASSWORD, StoreOptions::default()).unwrap()
}

/// Unlocks, and takes off what the key derivation costs.
fn time_to_open(dir: &Path) -> Duration {
    let header = std::fs::read(folder(dir).join("vault.key")).unwrap();
    let started = Instant::now();
    VaultHeader::parse(&header).unwrap().unlock(PASSWORD).unwrap();
    let derivation = started.elapsed();
    let started = Instant::now();
    let vault = unlock(dir);
    vault.history().total().unwrap();
    let all = started.elapsed();
    drop(vault);
    all.saturating_sub(derivation)
}

fn folder(dir: &Path) -> std::path::PathBuf {
    std::fs::read_dir(dir.join("accounts")).unwrap().next().unwrap().unwrap().path()
}

fn quantiles(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort();
    [0.5, 0.95, 0.999].map(|q| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3)
}

fn line(name: &str, figure: String, limit: &str) {
    println!("{name:58} {figure:>26}   {limit}");
}

fn times(name: &str, limit: &str, runs: usize, mut act: impl FnMut()) {
    let time = |_| {
        let started = Instant::now();
        act();
        started.elapsed()
    };
    let [p50, p95, max] = quantiles((0..runs).map(time).collect());
    line(name, format!("{p50:.2} / {p95:.2} / {max:.2} ms"), limit);
}

fn memory_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value =
        status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<f64>().ok());
    value.unwrap_or_default() / 1024.0
}

/// The floor under every durable commit: a page written, and synced.
fn syncs_per_second(dir: &Path) -> f64 {
    let mut file = std::fs::File::create(dir.join("sync")).unwrap();
    let page = [1; 4096];
    file.write_all(&[0; 1 << 20]).unwrap();
    let started = Instant::now();
    for number in 0..1_000_u64 {
        file.seek(SeekFrom::Start(number % 256 * 4096)).unwrap();
        file.write_all(&page).unwrap();
        file.sync_data().unwrap();
    }
    1_000.0 / started.elapsed().as_secs_f64()
}

fn kill_a_writer(dir: &Path) {
    let mut child =
        Command::new(std::env::current_exe().unwrap()).env(CHILD, dir).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.map_while(Result::ok).take(40).count(), 40);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn write_until_killed(dir: &Path) {
    let (vault, mut people) = (unlock(dir), People::new());
    for number in 1_u64 << 40.. {
        append(&vault, &mut people, number, 8);
        println!("{number}");
    }
}

/// How long this thread was on a processor: what is left when others use the machine, too.
fn processor_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(times.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

fn fill(vault: &Vault, people: &mut People, messages: u64) {
    let batches = (0..messages).step_by(BATCH as usize);
    let took =
        batches.map(|from| append(vault, people, from, BATCH.min(messages - from))).fold(Took::default(), Took::add);
    line(
        &format!("append {messages} in batches of {BATCH}, sealed, durable"),
        took.rates(messages),
        ">= 30,000 /s (by processor time)",
    );
    let started = Instant::now();
    let mut steps = Vec::new();
    loop {
        let step = Instant::now();
        let more = vault.index_step().unwrap();
        steps.push(step.elapsed());
        if !more {
            break;
        }
    }
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    let [p50, _, max] = quantiles(steps);
    line("index them for the search (background)", format!("{rate:.0} /s"), "");
    line("  one step of it (4,096 messages), p50 / max", format!("{p50:.0} / {max:.0} ms"), "");
}

fn search(vault: &Vault, people: &mut People) {
    let history = vault.history();
    let limit = "p95 < 100 ms";
    println!("search, limit 50: p50 / p95 / p99.9");
    times("  a word that somebody wrote", limit, 1_000, || drop(history.search(&people.word(), None, 50).unwrap()));
    times("  two such words", limit, 1_000, || {
        let query = format!("{} {}", people.word(), people.word());
        history.search(&query, None, 50).unwrap();
    });
    times("  three, the last half typed", limit, 1_000, || {
        let query = format!("{} {} {}", people.word(), people.word(), &people.word()[..2]);
        history.search(&query, None, 50).unwrap();
    });
    times("  one letter or two", limit, 300, || {
        let word = people.word();
        history.search(&word[..people.rng.random_range(1..3)], None, 50).unwrap();
    });
    times("  a word that nobody wrote", limit, 300, || {
        assert!(history.search("zzyzx", None, 50).unwrap().is_empty());
    });
    times("  a word, in one of the conversations", limit, 1_000, || {
        let query = people.word();
        history.search(&query, Some(&conversation(people.rng.random_range(0..CONVERSATIONS))), 50).unwrap();
    });
    times("  a frequent word, in a conversation that is nearly empty", limit, 300, || {
        let query = people.words[people.rng.random_range(0..5)].clone();
        history.search(&query, Some(&conversation(CONVERSATIONS - 1)), 50).unwrap();
    });
}

fn main() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&dir));
    }
    let mut arguments = std::env::args().skip_while(|argument| argument != "--messages").skip(1);
    let messages: u64 = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let (dir, mut people) = (dir.path(), People::new());
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    line("this disk: a page written and synced", format!("{:.0} /s", syncs_per_second(dir)), "");
    let account = AccountFile { username: "alice".into(), account_id: AccountId([7; 32]) };
    // Indexed on demand here, so that the figures are about one thing at a time.
    let options = StoreOptions { index_in_background: false, ..StoreOptions::default() };
    let vault =
        Vault::create(dir, &account.username, account.account_id, PASSWORD, Argon2Params::LEAST, options, &mut rng)
            .unwrap();
    fill(&vault, &mut people, messages);
    // As long a tail as the index ever leaves.
    append(&vault, &mut people, messages, 4_000 - messages % 4_096 % 4_000);
    let megabytes = vault.bytes_on_disk() as f64 / 1e6;
    line("the files", format!("{megabytes:.0} MB, {:.0} B each", megabytes * 1e6 / messages as f64), "");
    let took = (0..2_000)
        .map(|number| append(&vault, &mut people, messages + 10_000 + number, 1))
        .fold(Took::default(), Took::add);
    line("one message in one durable commit", took.rates(2_000), "");
    while vault.index_step().unwrap() {}
    drop(vault);
    line(
        "open, key derivation aside: closed cleanly",
        format!("{:.1} ms", time_to_open(dir).as_secs_f64() * 1e3),
        "< 1 s",
    );
    kill_a_writer(dir);
    line(
        "open, key derivation aside: after kill -9",
        format!("{:.1} ms", time_to_open(dir).as_secs_f64() * 1e3),
        "< 1 s",
    );
    let vault = unlock(dir);
    let history = vault.history();
    println!("last 50 of a conversation: p50 / p95 / p99.9");
    times("  of any", "< 2 ms", 2_000, || {
        let conversation = people.conversation();
        history.page(&conversation, Page::Latest, 50).unwrap();
    });
    times("  somewhere in the middle", "< 2 ms", 2_000, || {
        let (conversation, at) = (people.conversation(), people.rng.random_range(0..messages));
        history.page(&conversation, Page::Before((at, 0)), 50).unwrap();
    });
    search(&vault, &mut people);
    line("memory now / at most", format!("{:.0} / {:.0} MiB", memory_mib("VmRSS:"), memory_mib("VmHWM:")), "");
}
