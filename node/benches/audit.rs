//! The audit log with a million entries: appending, first pages of filters, an export.
//! `cargo bench -p secure-chat-node --bench audit -- --entries 100000` for a quick look.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use secure_chat_node::api::{At, ExportFormat, NodeHandle};
use secure_chat_node::config::{NodeConfig, Transport};
use secure_chat_node::engine::Node;
use secure_chat_node::security::log::{
    AuditEntry, AuditHead, BLOCK_ENTRIES, Block, ENTRY_MAX_BYTES, Severity, block_of, entry_hash,
};
use secure_chat_node::store::{StoreOptions, Table, Vault, list_accounts};
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_protocol::wire::codec;

const PASSWORD: &str = "Correct-Horse-7-Battery";
/// The time of the first entry.
const FIRST_MS: u64 = 1_700_000_000_000;
const LOCKS: u32 = 10;
/// Entries that are appended at the end of the log and measured.
const MEASURED: u64 = 20_000;
/// Entries of one commit before those.
const STEP_BEFORE: u64 = 4_096;
const KINDS: [&str; 6] = [
    "session.started",
    "settings.changed",
    "account.unlocked",
    "account.locked",
    "request.received",
    "message.undecryptable",
];

fn line(what: &str, figure: &str, bound: &str) {
    println!("{what:<58} {figure:>24}   {bound}");
}

fn peer(dir: &Path) -> NodeHandle {
    let mut config = NodeConfig::new(dir);
    config.mdns = false;
    config.kdf = Argon2Params::LEAST;
    config.transport = Transport::Memory;
    config.listen = vec!["/memory/0".to_owned()];
    Node::start(config).unwrap()
}

/// Appends as the engine does, where a step of 16 entries is one commit: so are the last ones, which
/// are measured. What only has to be there before goes in larger steps.
fn fill(dir: &Path, entries: u64) -> Duration {
    let account = list_accounts(dir).unwrap().pop().unwrap();
    let vault = Vault::unlock(dir, &account, PASSWORD, StoreOptions::default()).unwrap();
    let row = vault.begin().get(Table::Meta, b"audit-head").unwrap().unwrap();
    let mut head: AuditHead = codec::decode_own(&row, 64 * 1024).unwrap();
    let mut block = Block::default();
    let measured_from = entries.saturating_sub(MEASURED);
    let mut began = Instant::now();
    let mut done = 0;
    while done < entries {
        let step = if done < measured_from { STEP_BEFORE.min(measured_from - done) } else { 16.min(entries - done) };
        if done == measured_from {
            began = Instant::now();
        }
        let mut txn = vault.begin();
        for _ in 0..step {
            let rare = done == entries / 2;
            let kind = if rare { "backup.made" } else { KINDS[(done % 7 % 6) as usize] };
            let what = if rare { "A quarantined zebra" } else { "Something" };
            let entry = AuditEntry {
                previous: head.hash,
                at: Timestamp(FIRST_MS + done * 1_000),
                kind: kind.to_owned(),
                severity: if rare { Severity::Critical } else { Severity::Info },
                subject: Some(format!("{:064x}", done % 200)),
                detail: format!("{what} of the kind {kind} happened, for the {} time.", done % 100),
            };
            let bytes = codec::encode(&entry, ENTRY_MAX_BYTES).unwrap();
            let number = head.next;
            txn.put_at(Table::Audit, number, &bytes);
            block.add(&entry);
            (head.hash, head.next) = (entry_hash(number, &bytes), number + 1);
            if block_of(head.next) != block_of(number) {
                let row = [b"audit-block".as_slice(), &(number / BLOCK_ENTRIES).to_le_bytes()].concat();
                txn.put(Table::Meta, &row, &std::mem::take(&mut block).encode().unwrap());
            }
            done += 1;
        }
        txn.put(Table::Meta, b"audit-head", &codec::encode(&head, 64 * 1024).unwrap());
        vault.commit(txn).unwrap();
    }
    began.elapsed()
}

fn memory_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find(|line| line.starts_with(field)).and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

/// What is asked for.
#[derive(Default, Clone, Copy)]
struct Wanted {
    kind: Option<&'static str>,
    severity: Option<&'static str>,
    since: Option<u64>,
    until: Option<u64>,
    query: Option<&'static str>,
}

async fn page(peer: &NodeHandle, what: &str, wanted: Wanted) {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let at = |at: Option<u64>| at.map(|at| At(Timestamp(at)));
    let (mut worst, mut found) = (Duration::ZERO, 0);
    for _ in 0..5 {
        let began = Instant::now();
        let log = peer.security_audit_log(
            None,
            50_u32,
            text(wanted.kind),
            text(wanted.severity),
            at(wanted.since),
            at(wanted.until),
            text(wanted.query),
        );
        found = log.await.unwrap().entries.len();
        worst = worst.max(began.elapsed());
    }
    line(&format!("first page: {what} ({found} found)"), &format!("{:.1} ms at most", milliseconds(worst)), "< 50 ms");
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn pages(alice: &NodeHandle, entries: u64) {
    let all = Wanted::default();
    let middle = FIRST_MS + entries / 2 * 1_000;
    let cases = [
        ("everything", all),
        ("one kind in seven", Wanted { kind: Some("account"), ..all }),
        ("a kind that is there once, far back", Wanted { kind: Some("backup"), ..all }),
        ("a kind that is not there", Wanted { kind: Some("vault"), ..all }),
        ("one critical entry, far back", Wanted { severity: Some("critical"), ..all }),
        ("a severity that is not there", Wanted { severity: Some("warning"), ..all }),
        ("one second, far back", Wanted { since: Some(middle), until: Some(middle + 1_000), ..all }),
        ("a time before all", Wanted { until: Some(FIRST_MS - 1), ..all }),
        ("words in every entry", Wanted { query: Some("happened"), ..all }),
        ("words in one entry, far back", Wanted { query: Some("quarantined zebra"), ..all }),
        ("words in no entry", Wanted { query: Some("mailbox garbage"), ..all }),
        (
            "words whose letters are in every block, in this order in none",
            Wanted { query: Some("for the kind"), ..all },
        ),
        (
            "all together",
            Wanted {
                kind: Some("account"),
                severity: Some("info"),
                since: Some(middle),
                query: Some("happened"),
                ..all
            },
        ),
    ];
    for (what, wanted) in cases {
        page(alice, what, wanted).await;
    }
}

/// Each format, with the most memory that was held meanwhile.
async fn exports(alice: &NodeHandle, dir: &Path) {
    for format in [ExportFormat::Json, ExportFormat::Csv, ExportFormat::Html] {
        // The system's mark of the most memory begins anew.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (before, began) = (memory_mib("VmRSS:"), Instant::now());
        let path = dir.join(format!("log.{format:?}"));
        let written = alice.security_export(path.display().to_string(), format).await.unwrap().entries;
        let rate = written as f64 / began.elapsed().as_secs_f64();
        let size = std::fs::metadata(&path).map(|file| file.len() / 1_000_000).unwrap_or_default();
        std::fs::remove_file(&path).unwrap();
        line(&format!("export as {format:?}, {size} MB"), &format!("{rate:.0} entries/s"), "");
        let memory = format!("{before:.1} / {:.1} MiB", memory_mib("VmHWM:"));
        line("  memory before / at most", &memory, "flat");
    }
}

/// From the command to its answer, which comes once the vault is closed and its keys are overwritten.
async fn locks(alice: &NodeHandle) {
    let mut worst = Duration::ZERO;
    for _ in 0..LOCKS {
        let began = Instant::now();
        alice.account_lock().await.unwrap();
        worst = worst.max(began.elapsed());
        alice.account_unlock(PASSWORD, None).await.unwrap();
    }
    line(&format!("lock to wiped, {LOCKS} times"), &format!("{:.1} ms at most", milliseconds(worst)), "< 100 ms");
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--entries").skip(1);
    // The log is pruned above a million: what unlocking adds has room.
    let entries: u64 = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(999_900);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let alice = peer(dir);
    alice.account_create("alice", PASSWORD).await.unwrap();
    alice.shutdown().await;
    let took = fill(dir, entries);
    line(
        &format!("{entries} entries: append, the last {MEASURED}, amortised"),
        &format!("{:.4} ms", milliseconds(took) / MEASURED.min(entries) as f64),
        "< 1 ms",
    );
    let alice = peer(dir);
    let began = Instant::now();
    alice.account_unlock(PASSWORD, None).await.unwrap();
    line("unlock, with the key derivation", &format!("{:.0} ms", milliseconds(began.elapsed())), "");
    pages(&alice, entries).await;
    exports(&alice, dir).await;
    locks(&alice).await;
    alice.shutdown().await;
}
