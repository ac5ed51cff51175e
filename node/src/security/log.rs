//! The audit log without its vault: entries, the chain of their hashes, filters,
//! and the summaries of blocks that let a filter skip what it can't find.

use std::collections::{BTreeMap, BTreeSet};

use secure_chat_protocol::crypto::kdf;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::wire::codec::{self, Bytes};
use serde::{Deserialize, Serialize};

/// Entries of one block.
pub const BLOCK_ENTRIES: u64 = 512;
/// Entries that the log keeps: the oldest block goes when there are more.
pub const AUDIT_MAX_ENTRIES: u64 = 1_000_000;
/// Longest encoded entry, in bytes.
pub const ENTRY_MAX_BYTES: usize = 8 * 1024;
/// Longest encoded summary of a block, in bytes.
pub const BLOCK_MAX_BYTES: usize = 64 * 1024;
/// Kinds that the summary of what was pruned tells apart.
const PRUNED_KINDS_MAX: usize = 256;
/// Bytes of the filter of three-letter sequences of one block.
const TRIPLES_BYTES: usize = 4 * 1024;

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at.
    Warning,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// As the application sees it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// [`Self::name`] read back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.name() == name)
    }
}

/// One entry, as the vault keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// [`entry_hash`] of the entry before; zeros for the first.
    pub previous: [u8; 32],
    /// When.
    pub at: Timestamp,
    /// Such as `account.unlocked`.
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// The account it is about.
    pub subject: Option<String>,
    /// A sentence.
    pub detail: String,
}

impl AuditEntry {
    /// From the vault.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode_own(bytes, ENTRY_MAX_BYTES).ok()
    }
}

/// What the next entry names as the one before it.
#[must_use]
pub fn entry_hash(number: u64, encoded: &[u8]) -> [u8; 32] {
    kdf::hash_fields("audit-entry", &[&number.to_le_bytes(), encoded])
}

/// Where the log begins and ends. Sealed in a row of its own, so that a log
/// that was cut at either end is told from one that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The first entry that is still there.
    pub first: u64,
    /// What the first entry names as the one before.
    pub before_first: [u8; 32],
    /// The number of the next entry.
    pub next: u64,
    /// What the next entry names as the one before.
    pub hash: [u8; 32],
    /// The log was found changed, and was not cleared since.
    pub broken: bool,
}

impl Default for AuditHead {
    fn default() -> Self {
        Self { first: 1, before_first: [0; 32], next: 1, hash: [0; 32], broken: false }
    }
}

impl AuditHead {
    /// Entries in the log.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.next.saturating_sub(self.first)
    }
}

/// The block that an entry stands in.
#[must_use]
pub const fn block_of(number: u64) -> u64 {
    number / BLOCK_ENTRIES
}

/// What is left of entries that are gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pruned {
    /// How many.
    pub entries: u64,
    /// The time of the last.
    pub until: Timestamp,
    /// How many of each kind.
    pub kinds: BTreeMap<String, u64>,
}

impl Pruned {
    /// Adds an entry that goes.
    pub fn add(&mut self, kind: &str, entries: u64, at: Timestamp) {
        self.entries = self.entries.saturating_add(entries);
        self.until = self.until.max(at);
        let known = self.kinds.contains_key(kind) || self.kinds.len() < PRUNED_KINDS_MAX;
        let count = self.kinds.entry(if known { kind.to_owned() } else { "other".to_owned() }).or_default();
        *count = count.saturating_add(entries);
    }
}

/// What a block of entries holds, so that a filter can pass it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The earliest time in it.
    pub from: Timestamp,
    /// The latest.
    pub upto: Timestamp,
    /// Which kinds, with which severity, how often.
    pub kinds: BTreeMap<(String, Severity), u64>,
    /// A Bloom filter of the three-letter sequences in its texts.
    triples: Bytes,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            from: Timestamp(u64::MAX),
            upto: Timestamp(0),
            kinds: BTreeMap::new(),
            triples: Bytes(vec![0; TRIPLES_BYTES]),
        }
    }
}

fn triples(text: &str) -> BTreeSet<[u8; 3]> {
    let folded = text.to_lowercase();
    folded.as_bytes().windows(3).filter_map(|window| <[u8; 3]>::try_from(window).ok()).collect()
}

/// Two places of a sequence in the Bloom filter.
fn places(triple: [u8; 3]) -> [usize; 2] {
    let [a, b, c] = triple.map(u32::from);
    let mixed = (a | b << 8 | c << 16).wrapping_mul(0x9E37_79B1);
    let again = (mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA77);
    [mixed, again].map(|hash| (hash >> 17) as usize % (TRIPLES_BYTES * 8))
}

impl Block {
    /// Adds an entry.
    pub fn add(&mut self, entry: &AuditEntry) {
        self.from = self.from.min(entry.at);
        self.upto = self.upto.max(entry.at);
        let count = self.kinds.entry((entry.kind.clone(), entry.severity)).or_default();
        *count = count.saturating_add(1);
        for text in entry.texts() {
            for triple in triples(text) {
                for place in places(triple) {
                    if let Some(byte) = self.triples.0.get_mut(place / 8) {
                        *byte |= 1 << (place % 8);
                    }
                }
            }
        }
    }

    fn may_hold(&self, triple: [u8; 3]) -> bool {
        places(triple)
            .into_iter()
            .all(|place| self.triples.0.get(place / 8).is_none_or(|byte| byte & 1 << (place % 8) != 0))
    }

    /// For the vault.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        codec::encode(self, BLOCK_MAX_BYTES).ok()
    }

    /// From the vault.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode_own(bytes, BLOCK_MAX_BYTES).ok()
    }
}

impl AuditEntry {
    fn texts(&self) -> impl Iterator<Item = &str> {
        [Some(self.kind.as_str()), Some(self.detail.as_str()), self.subject.as_deref()].into_iter().flatten()
    }
}

/// What a reader wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A kind, or what stands before its dot.
    pub kind: Option<String>,
    /// A severity.
    pub severity: Option<Severity>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Part of a kind, a detail or a subject, in any case, lower-case here.
    pub query: Option<String>,
}

impl Filter {
    fn takes_kind(&self, kind: &str) -> bool {
        self.kind
            .as_deref()
            .is_none_or(|wanted| kind == wanted || kind.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.')))
    }

    /// Whether an entry is wanted.
    #[must_use]
    pub fn takes(&self, entry: &AuditEntry) -> bool {
        self.takes_kind(&entry.kind)
            && self.severity.is_none_or(|severity| severity == entry.severity)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
            && self.query.as_deref().is_none_or(|query| entry.texts().any(|text| text.to_lowercase().contains(query)))
    }

    /// Whether a block may hold an entry that is wanted.
    #[must_use]
    pub fn may_take(&self, block: &Block) -> bool {
        let kind = |(kind, severity): &(String, Severity)| {
            self.takes_kind(kind) && self.severity.is_none_or(|wanted| wanted == *severity)
        };
        self.since.is_none_or(|since| block.upto >= since)
            && self.until.is_none_or(|until| block.from <= until)
            && block.kinds.keys().any(kind)
            && self.query.as_deref().is_none_or(|query| triples(query).into_iter().all(|part| block.may_hold(part)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, at: u64, detail: &str) -> AuditEntry {
        AuditEntry {
            previous: [0; 32],
            at: Timestamp(at),
            kind: kind.into(),
            severity: Severity::Info,
            subject: None,
            detail: detail.into(),
        }
    }

    #[test]
    fn a_block_is_passed_by_only_if_nothing_in_it_is_wanted() {
        let entries = [
            entry("account.unlocked", 10, "The account was unlocked."),
            entry("settings.changed", 20, "The setting TYPING was changed."),
        ];
        let mut block = Block::default();
        entries.iter().for_each(|entry| block.add(entry));
        let block = Block::decode(&block.encode().unwrap()).unwrap();
        let filters = [
            (Filter { kind: Some("account".into()), ..Filter::default() }, true),
            (Filter { kind: Some("acc".into()), ..Filter::default() }, false),
            (Filter { severity: Some(Severity::Critical), ..Filter::default() }, false),
            (Filter { since: Some(Timestamp(21)), ..Filter::default() }, false),
            (Filter { until: Some(Timestamp(10)), ..Filter::default() }, true),
            (Filter { query: Some("setting typing".into()), ..Filter::default() }, true),
            (Filter { query: Some("mailbox".into()), ..Filter::default() }, false),
        ];
        for (filter, expected) in filters {
            assert_eq!(filter.may_take(&block), expected, "{filter:?}");
            assert_eq!(entries.iter().any(|entry| filter.takes(entry)), expected, "{filter:?}");
        }
    }

    #[test]
    fn an_entry_is_bound_to_its_number() {
        assert_ne!(entry_hash(1, b"entry"), entry_hash(2, b"entry"));
    }
}
