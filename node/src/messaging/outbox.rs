//! What waits to be delivered: durable rows, in order for each recipient, kept
//! until the recipient acknowledges them end to end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use secure_chat_protocol::id::{AccountId, MessageId, Timestamp};
use secure_chat_protocol::wire::codec::{self, Bytes, DecodeError, EncodeError};
use serde::{Deserialize, Serialize};

use super::limits::{OUTBOX_MAX_MESSAGES, ROW_MAX_BYTES};

/// One message on its way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// To whom.
    pub to: AccountId,
    /// Which message.
    pub message: MessageId,
    /// Its position; 0 for what need not arrive in order, and is done once it was taken.
    pub seq: u64,
    /// The conversation shows it.
    pub shown: bool,
    /// When it was written.
    pub created: Timestamp,
    /// The encoded message, to be encrypted anew when a session is lost.
    pub plaintext: Bytes,
    /// The exact bytes that leave, again and again; empty until there is a session.
    pub ciphertext: Bytes,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outgoing({} bytes)", self.ciphertext.0.len())
    }
}

impl Outgoing {
    /// For the vault.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, ROW_MAX_BYTES)
    }

    /// From the vault.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode_own(bytes, ROW_MAX_BYTES)
    }
}

/// All that waits.
#[derive(Debug, Default)]
pub struct Outbox {
    rows: BTreeMap<u64, Outgoing>,
    lanes: HashMap<AccountId, BTreeSet<u64>>,
    ids: HashMap<(AccountId, MessageId), u64>,
    next: u64,
}

impl Outbox {
    /// What the vault had.
    #[must_use]
    pub fn load(rows: Vec<(u64, Outgoing)>, next: u64) -> Self {
        let mut outbox = Self { next, ..Self::default() };
        for (row, outgoing) in rows {
            outbox.insert(row, outgoing);
        }
        outbox
    }

    fn insert(&mut self, row: u64, outgoing: Outgoing) {
        self.next = self.next.max(row.saturating_add(1));
        self.lanes.entry(outgoing.to).or_default().insert(row);
        self.ids.insert((outgoing.to, outgoing.message), row);
        self.rows.insert(row, outgoing);
    }

    /// The row that the next message gets. Rows are never used again: contacts
    /// remember up to which one everything went to their mailboxes.
    #[must_use]
    pub fn next_row(&self) -> u64 {
        self.next.max(1)
    }

    /// Whether so many messages more may wait.
    #[must_use]
    pub fn has_room(&self, messages: usize) -> bool {
        self.len().saturating_add(messages) <= OUTBOX_MAX_MESSAGES
    }

    /// Whether it takes no more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows.len() >= OUTBOX_MAX_MESSAGES
    }

    /// Adds a message; returns its row.
    pub fn push(&mut self, outgoing: Outgoing) -> u64 {
        let row = self.next_row();
        self.insert(row, outgoing);
        row
    }

    /// A row.
    #[must_use]
    pub fn get(&self, row: u64) -> Option<&Outgoing> {
        self.rows.get(&row)
    }

    /// A row, to be changed.
    pub fn get_mut(&mut self, row: u64) -> Option<&mut Outgoing> {
        self.rows.get_mut(&row)
    }

    /// The row of a message.
    #[must_use]
    pub fn find(&self, to: &AccountId, message: &MessageId) -> Option<u64> {
        self.ids.get(&(*to, *message)).copied()
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: u64) -> Option<Outgoing> {
        let outgoing = self.rows.remove(&row)?;
        if let Some(lane) = self.lanes.get_mut(&outgoing.to) {
            lane.remove(&row);
            if lane.is_empty() {
                self.lanes.remove(&outgoing.to);
            }
        }
        self.ids.remove(&(outgoing.to, outgoing.message));
        Some(outgoing)
    }

    /// The rows for one recipient, in order.
    pub fn rows_for(&self, to: &AccountId) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.lanes.get(to).into_iter().flatten().copied()
    }

    /// How many wait for this recipient.
    #[must_use]
    pub fn count_for(&self, to: &AccountId) -> usize {
        self.lanes.get(to).map_or(0, BTreeSet::len)
    }

    /// Whether anything waits for this recipient.
    #[must_use]
    pub fn has(&self, to: &AccountId) -> bool {
        self.lanes.contains_key(to)
    }

    /// The recipients for whom something waits.
    pub fn recipients(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.lanes.keys().copied()
    }

    /// The lowest position that still waits for this recipient, or `next` if none does.
    #[must_use]
    pub fn floor(&self, to: &AccountId, next: u64) -> u64 {
        let mut seqs = self.rows_for(to).filter_map(|row| self.get(row)).map(|outgoing| outgoing.seq);
        seqs.find(|seq| *seq > 0).unwrap_or(next)
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows that were written before `before`.
    #[must_use]
    pub fn older_than(&self, before: Timestamp) -> Vec<u64> {
        self.rows.iter().filter(|(_, outgoing)| outgoing.created < before).map(|(row, _)| *row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(to: u8, message: u8, seq: u64) -> Outgoing {
        Outgoing {
            to: AccountId([to; 32]),
            message: MessageId([message; 16]),
            seq,
            shown: true,
            created: Timestamp(u64::from(message)),
            plaintext: Bytes::default(),
            ciphertext: Bytes::default(),
        }
    }

    #[test]
    fn the_floor_is_the_lowest_position_that_still_waits() {
        let mut outbox = Outbox::default();
        let bob = AccountId([2; 32]);
        outbox.push(outgoing(2, 9, 0));
        let first = outbox.push(outgoing(2, 1, 5));
        outbox.push(outgoing(2, 2, 6));
        outbox.push(outgoing(3, 3, 1));
        assert_eq!(outbox.floor(&bob, 7), 5);
        outbox.remove(first);
        assert_eq!(outbox.floor(&bob, 7), 6);
        assert_eq!(outbox.floor(&AccountId([4; 32]), 7), 7);
    }

    #[test]
    fn what_needs_room_for_many_is_told_before_it_begins() {
        let mut outbox = Outbox::default();
        assert!(outbox.has_room(OUTBOX_MAX_MESSAGES) && !outbox.has_room(OUTBOX_MAX_MESSAGES + 1));
        outbox.push(outgoing(2, 1, 1));
        assert!(!outbox.has_room(OUTBOX_MAX_MESSAGES) && !outbox.has_room(usize::MAX));
    }

    #[test]
    fn a_row_is_never_used_again_after_a_restart() {
        let mut outbox = Outbox::default();
        let row = outbox.push(outgoing(2, 1, 1));
        let next = outbox.next_row();
        outbox.remove(row);
        assert!(Outbox::load(Vec::new(), next).push(outgoing(2, 2, 2)) > row);
    }

    #[test]
    fn rows_come_back_in_order_and_new_ones_follow() {
        let mut outbox = Outbox::load(vec![(7, outgoing(2, 1, 1)), (9, outgoing(2, 2, 2))], 0);
        assert_eq!(outbox.push(outgoing(2, 3, 3)), 10);
        assert_eq!(outbox.rows_for(&AccountId([2; 32])).collect::<Vec<_>>(), [7, 9, 10]);
        assert_eq!(outbox.find(&AccountId([2; 32]), &MessageId([2; 16])), Some(9));
    }
}
