//! The sealed search index, built in the background from messages that arrived.
//!
//! A segment covers `SEGMENT_MESSAGES` arrival numbers and never changes: its
//! tokens are spread over `BUCKETS` sealed rows by a keyed hash. Younger
//! messages are looked through by the search itself. A text that changes after
//! it was indexed makes its message dirty: the search looks at those, too, until
//! a patch segment takes them in. What a segment still says about texts that are
//! gone does no harm, since every hit is looked at before it is shown.

use std::collections::{BTreeSet, HashMap};

use redb::{ReadTransaction, ReadableTableMetadata, WriteTransaction};

use super::database::{self, Store};
use super::error::StoreError;
use super::history;
use super::keys::Keys;
use super::postings;
use super::state::{Segment, State};
use super::table::{BODIES, DIRTY, INDEX};
use super::words;

/// Messages in a segment. More of them make the tail that is looked through longer, fewer make more segments.
const SEGMENT_MESSAGES: u64 = if cfg!(test) { 16 } else { 4096 };
/// Sealed rows in a segment.
const BUCKETS: u16 = 512;
/// Dirty messages that are worth a patch segment.
const PATCH_MESSAGES: u64 = if cfg!(test) { 4 } else { 512 };
/// The layout that this code writes and reads.
const INDEX_SCHEMA: u8 = 1;

/// Where a token stands: its bucket, and its name there.
#[derive(Clone, Copy)]
pub(super) struct Token {
    bucket: u16,
    tag: u32,
}

impl Token {
    fn new(keys: &Keys, domain: &[u8], bytes: &[u8]) -> Self {
        let hash = keys.words.index(&[domain, bytes].concat());
        let [a, b, c, d, e, f, ..] = hash;
        Self { bucket: u16::from_le_bytes([a, b]) % BUCKETS, tag: u32::from_le_bytes([c, d, e, f]) }
    }

    /// Of a word, or its beginning.
    pub(super) fn word(keys: &Keys, word: &str) -> Self {
        Self::new(keys, b"w", word.as_bytes())
    }

    /// Of a conversation, so that a search in it skips the others.
    pub(super) fn conversation(keys: &Keys, conversation: &[u8; 32]) -> Self {
        Self::new(keys, b"c", conversation)
    }

    const fn row(self, segment: u32) -> u64 {
        ((segment as u64) << 16) | self.bucket as u64
    }
}

/// The messages of a segment that have a token, in order of arrival. `None`
/// when that can't be told, since the row is damaged.
pub(super) fn lookup(
    txn: &ReadTransaction,
    keys: &Keys,
    segment: &Segment,
    token: Token,
) -> Result<Option<Vec<u64>>, StoreError> {
    let row = token.row(segment.number);
    let index = txn.open_table(INDEX)?;
    let Some(sealed) = index.get(row)? else { return Ok(Some(Vec::new())) };
    let Ok(plain) = keys.index.open(&row.to_be_bytes(), INDEX_SCHEMA, sealed.value()) else { return Ok(None) };
    Ok(postings::find(segment.first, plain.expose(), token.tag).ok())
}

/// What a step is about to index.
enum Work {
    Segment { first: u64, last: u64 },
    Patch(BTreeSet<u64>),
}

impl Work {
    /// What is due, by a snapshot.
    fn due(txn: &ReadTransaction, state: &State) -> Result<Option<Self>, StoreError> {
        let first = state.indexed_upto;
        if is_due(state) {
            return Ok(Some(Self::Segment { first, last: first.saturating_add(SEGMENT_MESSAGES - 1) }));
        }
        let dirty = txn.open_table(DIRTY)?;
        if dirty.len()? < PATCH_MESSAGES {
            return Ok(None);
        }
        Ok(Some(Self::Patch(dirty_messages(txn)?)))
    }
}

/// The messages whose text the index does not have.
pub(super) fn dirty_messages(txn: &ReadTransaction) -> Result<BTreeSet<u64>, StoreError> {
    let dirty = txn.open_table(DIRTY)?;
    let mut arrivals = BTreeSet::new();
    for row in dirty.range::<u64>(..)? {
        arrivals.insert(row?.0.value());
    }
    Ok(arrivals)
}

/// A segment to be written.
struct Built {
    segment: Segment,
    /// Bucket and sealed row.
    rows: Vec<(u64, Vec<u8>)>,
}

/// Collects tokens of messages.
struct Builder<'k> {
    keys: &'k Keys,
    /// Tokens come again and again, and hashing them is most of the work.
    known: HashMap<String, Token>,
    found: Vec<(u16, u32, u64)>,
}

impl<'k> Builder<'k> {
    fn new(keys: &'k Keys) -> Self {
        Self { keys, known: HashMap::new(), found: Vec::new() }
    }

    fn add(&mut self, arrival: u64, row: &[u8]) {
        // A damaged message has no text to be found by.
        let Ok(stored) = history::open_entry(self.keys, arrival, row) else { return };
        let Some(text) = stored.text() else { return };
        let token = Token::conversation(self.keys, &stored.entry.conversation);
        self.found.push((token.bucket, token.tag, arrival));
        let Self { keys, known, found } = self;
        words::index_tokens(&words::fold(text), |word| {
            let token = match known.get(word) {
                Some(token) => *token,
                None => *known.entry(word.to_owned()).or_insert(Token::word(keys, word)),
            };
            found.push((token.bucket, token.tag, arrival));
        });
    }

    fn finish(mut self, segment: Segment) -> Built {
        self.found.sort_unstable();
        self.found.dedup();
        let mut rows = Vec::new();
        for bucket in self.found.chunk_by(|a, b| a.0 == b.0) {
            let Some((number, ..)) = bucket.first() else { continue };
            let pairs: Vec<(u32, u64)> = bucket.iter().map(|(_, tag, arrival)| (*tag, *arrival)).collect();
            let row = Token { bucket: *number, tag: 0 }.row(segment.number);
            let plain = postings::encode(segment.first, &pairs);
            rows.push((row, self.keys.index.seal(&row.to_be_bytes(), INDEX_SCHEMA, &plain, &mut rand::rng())));
        }
        Built { segment, rows }
    }
}

fn build(txn: &ReadTransaction, keys: &Keys, number: u32, work: &Work) -> Result<Built, StoreError> {
    let bodies = txn.open_table(BODIES)?;
    let mut builder = Builder::new(keys);
    let segment = match work {
        Work::Segment { first, last } => {
            for row in bodies.range::<u64>(*first..=*last)? {
                let (arrival, row) = row?;
                builder.add(arrival.value(), row.value());
            }
            Segment { number, first: *first, last: *last, patch: false }
        }
        Work::Patch(arrivals) => {
            for arrival in arrivals {
                if let Some(row) = bodies.get(arrival)? {
                    builder.add(*arrival, row.value());
                }
            }
            let (first, last) = (arrivals.first().copied(), arrivals.last().copied());
            Segment { number, first: first.unwrap_or_default(), last: last.unwrap_or_default(), patch: true }
        }
    };
    Ok(builder.finish(segment))
}

fn write(
    txn: &WriteTransaction,
    keys: &Keys,
    built: &Built,
    segments: &[Segment],
    touched: &BTreeSet<u64>,
    work: &Work,
) -> Result<(), StoreError> {
    let mut index = txn.open_table(INDEX)?;
    for (row, sealed) in &built.rows {
        index.insert(row, sealed.as_slice())?;
    }
    let mut dirty = txn.open_table(DIRTY)?;
    match work {
        Work::Segment { first, last } => {
            for arrival in touched.range(first..=last) {
                dirty.insert(arrival, ())?;
            }
        }
        Work::Patch(arrivals) => {
            for arrival in arrivals.difference(touched) {
                dirty.remove(arrival)?;
            }
        }
    }
    database::write_segments(txn, keys, segments)
}

/// Whether enough messages are not indexed yet.
pub(super) const fn is_due(state: &State) -> bool {
    state.next_arrival.saturating_sub(state.indexed_upto) >= SEGMENT_MESSAGES
}

impl Store {
    /// Indexes what is due, one segment at most, and says whether there is more to do.
    pub(super) fn index_step(&self) -> Result<bool, StoreError> {
        let Ok(_alone) = self.indexing.try_lock() else { return Ok(false) };
        // From here on commits note which messages they change; the snapshot comes after that.
        self.writer().touched = Some(BTreeSet::new());
        let result = self.index_due();
        self.writer().touched = None;
        result
    }

    fn index_due(&self) -> Result<bool, StoreError> {
        let prepare = |txn: &ReadTransaction| {
            let state = database::read_state(txn, &self.keys)?;
            let Some(work) = Work::due(txn, &state)? else { return Ok(None) };
            let mut segments = database::read_segments(txn, &self.keys)?;
            let built = build(txn, &self.keys, state.next_segment, &work)?;
            segments.push(built.segment);
            Ok(Some((work, built, segments)))
        };
        let Some((work, built, segments)) = self.with_read(prepare)? else { return Ok(false) };
        let mut writer = self.writer();
        let touched = writer.touched.take().unwrap_or_default();
        let mut next = writer.state.clone();
        next.next_segment = next.next_segment.saturating_add(1);
        if let Work::Segment { last, .. } = work {
            next.indexed_upto = last.saturating_add(1);
        }
        let more = is_due(&next);
        self.commit(&mut writer, next, &|txn| write(txn, &self.keys, &built, &segments, &touched, &work))?;
        Ok(more)
    }
}
