//! A contact, as the vault keeps it: who it is, how it stands, how they are
//! reached, and the positions of both directions.

use std::collections::BTreeSet;

use secure_chat_protocol::id::{AccountId, MessageId, Timestamp};
use secure_chat_protocol::identity::IdentityIn;
use secure_chat_protocol::record::Record;
use secure_chat_protocol::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};
use secure_chat_protocol::wire::content::TokenGrant;
use serde::{Deserialize, Serialize};

use super::limits::{HELD_MAX_MESSAGES, ROW_MAX_BYTES};
use crate::api::ContactState;

/// How it stands between two people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// We asked them.
    Requested,
    /// They asked us.
    Asked,
    /// Both agreed.
    Accepted,
    /// We said no, or removed them; only what still has to be delivered is left.
    Gone,
    /// No contact, but in a group with us, or asked to be: sessions carry the group's life.
    Member,
}

/// What we granted them: single-use tokens for our mailboxes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The seed of their tokens.
    pub seed: Fixed<32>,
    /// Tokens granted so far.
    pub issued: u32,
    /// Envelopes of theirs that came since.
    pub used: u32,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Granted({} of {})", self.used, self.issued)
    }
}

/// Positions of what they send us: each is shown once, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inbox {
    /// The highest position below which nothing is missing.
    pub done: u64,
    /// Positions behind a gap, whose messages are kept until it closes.
    pub held: BTreeSet<u64>,
}

/// What is to be done with a message at some position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is the next: show it.
    Next,
    /// Earlier ones are missing: keep it.
    Early,
    /// Something was shown at this position before, or it was given up: show it
    /// only if it is not there (its sender may have been turned back).
    Past,
}

impl Inbox {
    /// Where a position stands.
    #[must_use]
    pub fn place(&self, seq: u64) -> Place {
        match seq {
            seq if seq <= self.done => Place::Past,
            seq if seq == self.done.saturating_add(1) => Place::Next,
            _ => Place::Early,
        }
    }

    /// Whether so much waits behind gaps that nothing more is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held.len() >= HELD_MAX_MESSAGES
    }

    /// The sender keeps nothing below `floor`: stops waiting for it. Returns the
    /// held positions that are free now, in order.
    pub fn raise(&mut self, floor: u64) -> Vec<u64> {
        let upto = floor.saturating_sub(1);
        let mut free = Vec::new();
        if upto > self.done {
            let later = self.held.split_off(&floor.max(1));
            free.extend(std::mem::replace(&mut self.held, later));
            self.done = upto;
        }
        free.extend(self.advance());
        free
    }

    /// `seq` was shown.
    pub fn shown(&mut self, seq: u64) {
        self.done = self.done.max(seq);
        self.held.remove(&seq);
    }

    /// The held positions that follow without a gap, in order.
    pub fn advance(&mut self) -> Vec<u64> {
        let mut free = Vec::new();
        while let Some(next) = self.done.checked_add(1).filter(|next| self.held.remove(next)) {
            self.done = next;
            free.push(next);
        }
        free
    }
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Who.
    pub account: AccountId,
    /// Their keys.
    pub identity: IdentityIn,
    /// The name they were first met under.
    pub username: String,
    /// Their newest record that was seen, encoded and verified; empty before the first.
    pub record: Bytes,
    /// How it stands.
    pub standing: Standing,
    /// We refuse what they send.
    pub blocked: bool,
    /// The safety number was compared.
    pub verified: bool,
    /// Their name showed other keys: sending waits for the person.
    pub new_key: Option<AccountId>,
    /// Their network keys.
    pub peers: Vec<Fixed<32>>,
    /// Where they said to listen.
    pub addresses: Vec<String>,
    /// Their home rendezvous nodes.
    pub homes: Vec<String>,
    /// Tokens of theirs that we may spend.
    pub tokens: Option<TokenGrant>,
    /// Tokens of ours that they may spend.
    pub granted: Option<Granted>,
    /// The next position of what we send them.
    pub next_seq: u64,
    /// Positions of what they send.
    pub inbox: Inbox,
    /// Up to this row of the outbox everything went to their mailboxes.
    pub deposited_upto: u64,
    /// When the last of it did.
    pub deposited_at: Timestamp,
    /// Messages of theirs whose arrival is to be acknowledged.
    pub receipts_due: Vec<MessageId>,
    /// Messages not read yet.
    pub unread: u64,
    /// The place of the last message that was read.
    pub read_place: (u64, u64),
    /// The place of the conversation's last message.
    pub last_place: (u64, u64),
    /// Muted until then.
    pub muted_until: Option<Timestamp>,
    /// When last online, as far as they tell.
    pub last_seen: Option<Timestamp>,
}

impl Contact {
    /// Somebody new.
    #[must_use]
    pub fn new(account: AccountId, identity: IdentityIn, username: &str, standing: Standing) -> Self {
        Self {
            account,
            identity,
            username: username.to_owned(),
            record: Bytes::default(),
            standing,
            blocked: false,
            verified: false,
            new_key: None,
            peers: Vec::new(),
            addresses: Vec::new(),
            homes: Vec::new(),
            tokens: None,
            granted: None,
            next_seq: 1,
            inbox: Inbox::default(),
            deposited_upto: 0,
            deposited_at: Timestamp::default(),
            receipts_due: Vec::new(),
            unread: 0,
            read_place: (0, 0),
            last_place: (0, 0),
            muted_until: None,
            last_seen: None,
        }
    }

    /// Whether this is the record that is known already. (To decode that one checks its signatures.)
    #[must_use]
    pub fn has(&self, record: &Record) -> bool {
        self.record.0 == record.encoded()
    }

    /// Takes over what a newer verified record of theirs says. Says whether it was newer.
    pub fn learn(&mut self, record: &Record) -> bool {
        if self.has(record) {
            return false;
        }
        let known = self.record().map_or(0, |known| known.seq());
        if record.account_id() != self.account || record.seq() <= known {
            return false;
        }
        self.record = Bytes(record.encoded().to_vec());
        self.peers = record.peer_keys().map(|key| Fixed(*key)).collect();
        self.homes = record.homes().to_vec();
        true
    }

    /// Their newest record.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        if self.record.0.is_empty() { None } else { Record::decode(&self.record.0).ok() }
    }

    /// How the application sees it; `None` when it doesn't.
    #[must_use]
    pub fn state(&self) -> Option<ContactState> {
        match self.standing {
            _ if self.blocked => Some(ContactState::Blocked),
            Standing::Accepted if self.new_key.is_some() => Some(ContactState::KeyChanged),
            Standing::Accepted => Some(ContactState::Accepted),
            Standing::Requested => Some(ContactState::Requested),
            Standing::Asked | Standing::Gone | Standing::Member => None,
        }
    }

    /// Whether both agreed to chat and nothing stands in the way.
    #[must_use]
    pub fn may_chat(&self) -> bool {
        self.state() == Some(ContactState::Accepted)
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_sender_gave_up_is_not_waited_for() {
        let mut inbox = Inbox::default();
        inbox.held.extend([3, 4, 6]);
        assert_eq!(inbox.place(1), Place::Next);
        assert_eq!(inbox.raise(3), vec![3, 4]);
        assert_eq!(inbox.done, 4);
        assert_eq!(inbox.place(6), Place::Early);
        assert_eq!(inbox.raise(7), vec![6]);
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_shows_each_position_once_and_in_order(order in Just((1..=40u64).collect::<Vec<_>>()).prop_shuffle(), twice in 0..40usize) {
            let mut inbox = Inbox::default();
            let mut shown = Vec::new();
            for seq in order.iter().chain(order.get(..twice).unwrap_or_default()) {
                match inbox.place(*seq) {
                    Place::Next => {
                        inbox.shown(*seq);
                        shown.push(*seq);
                        shown.extend(inbox.advance());
                    }
                    Place::Early => {
                        inbox.held.insert(*seq);
                    }
                    Place::Past => {}
                }
            }
            prop_assert_eq!(shown, (1..=40).collect::<Vec<_>>());
        }
    }
}
