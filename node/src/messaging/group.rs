//! A group, as the vault keeps it besides the operations on its membership: how
//! it stands, its secrets, how far each chain was read, and what the person sees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use secure_chat_protocol::id::{AccountId, ChainId, GroupId, MessageHash, MessageId, Timestamp};
use secure_chat_protocol::limits::{
    DAY_MS, GROUP_HEADS_MAX, GROUP_PLACES_MAX, GROUP_SECRETS_MAX, GROUP_SECRETS_UNREAD_MAX, SKIP_MAX,
    SKIPPED_KEYS_KEEP_MS,
};
use secure_chat_protocol::membership::{About, View};
use secure_chat_protocol::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};
use secure_chat_protocol::wire::content::MessageRef;
use secure_chat_protocol::wire::group::{InvitePass, OtherAdmin, SecretIn};
use serde::{Deserialize, Serialize};

use super::limits::{
    GROUP_EARLY_EACH_MAX, GROUP_EARLY_MAX, GROUP_EARLY_MAX_BYTES, GROUP_OVERTAKING_EACH_MAX, GROUP_OVERTAKING_MAX,
    GROUP_PLACES_PER_MEMBER_MAX, GROUP_ROW_MAX_BYTES, GROUP_UNACKNOWLEDGED_MAX,
};

/// How it stands between this account and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupStanding {
    /// A contact invited us.
    Invited,
    /// We asked to join.
    Asking,
    /// We are in it.
    Joined,
    /// We left, or were removed: what was said stays readable.
    Left,
}

/// How far somebody's chain was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whose chain.
    pub author: AccountId,
    /// The chain was handed over; before that nothing of it can be read.
    pub known: bool,
    /// Below this number nothing is missing.
    pub next: u32,
    /// Numbers behind a gap that were read.
    pub later: BTreeSet<u32>,
    /// When something of it came last.
    pub touched: Timestamp,
    /// When its owner was asked for it.
    pub asked: Option<Timestamp>,
}

impl Progress {
    /// A chain from `first` on.
    #[must_use]
    pub const fn new(author: AccountId, known: bool, first: u32, now: Timestamp) -> Self {
        Self { author, known, next: first, later: BTreeSet::new(), touched: now, asked: None }
    }

    /// A message of this number was read.
    pub fn read(&mut self, number: u32, now: Timestamp) {
        self.touched = now;
        if number >= self.next && self.later.len() <= SKIP_MAX as usize {
            self.later.insert(number);
        }
        while self.later.remove(&self.next) {
            self.next = self.next.saturating_add(1);
        }
    }

    /// One more than the highest number that was read.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.later.last().map_or(self.next, |last| last.saturating_add(1))
    }
}

/// A group secret, and who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSecret {
    /// Who made it.
    pub author: AccountId,
    /// The secret with its place in their order.
    pub secret: SecretIn,
    /// How far each rendezvous node's log was read.
    pub cursors: BTreeMap<String, u64>,
    /// The first place in each node's log of what could not be read yet, because its
    /// author or chain was not known: it is read again once more of them are.
    pub unread: BTreeMap<String, u64>,
    /// No node has shown the end of its log yet.
    pub behind: bool,
}

impl KeptSecret {
    /// Whether something of its log is still to be read.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.behind || !self.unread.is_empty()
    }
}

/// Somebody who asks to join, until an admin decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applicant {
    /// Their name.
    pub username: String,
    /// Their encoded record.
    pub record: Bytes,
    /// Where they listen.
    pub addresses: Vec<String>,
    /// When they asked.
    pub at: Timestamp,
}

/// An own message that not all members are known to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unacknowledged {
    /// Its chain.
    pub chain: ChainId,
    /// Its number there.
    pub number: u32,
    /// Its name, if the conversation shows it.
    pub message: MessageId,
    /// It is in the log of a rendezvous node.
    pub logged: bool,
    /// How many messages had been kept before it.
    pub order: u64,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Which.
    pub group: GroupId,
    /// How it stands.
    pub standing: GroupStanding,
    /// What it said of itself last.
    pub about: About,
    /// How many members it had last.
    pub members: u32,
    /// Who invited us, or was asked first.
    pub via: Option<AccountId>,
    /// Admins who were asked to let us in.
    pub asked: BTreeSet<AccountId>,
    /// Admins who are asked next.
    pub others: Vec<OtherAdmin>,
    /// When the next one is asked.
    pub ask_next: Option<Timestamp>,
    /// The link with which we asked.
    pub pass: Option<InvitePass>,
    /// Whom we invited.
    pub invited: BTreeSet<AccountId>,
    /// Who asks us.
    pub applicants: BTreeMap<AccountId, Applicant>,
    /// Secrets of invite links that were made here.
    pub links: BTreeMap<[u8; 16], Fixed<16>>,
    /// Group secrets, by generation.
    pub secrets: Vec<KeptSecret>,
    /// The newest messages seen.
    pub heads: Vec<MessageHash>,
    /// How far each chain was read; own chains: what was sent.
    pub places: BTreeMap<ChainId, Progress>,
    /// Places at which an author signed two different messages, and both are kept.
    pub twins: BTreeSet<(ChainId, u32)>,
    /// Messages that did not come yet, and who has changed or answered them already.
    pub overtaking: VecDeque<(AccountId, MessageRef)>,
    /// What came from somebody before they were known to be members.
    pub early: Vec<(AccountId, Bytes)>,
    /// Own messages that not all members are known to have.
    pub unacknowledged: VecDeque<Unacknowledged>,
    /// Messages kept for others so far.
    pub kept: u64,
    /// How many that were when these members came: what is older is not for them.
    pub came: BTreeMap<AccountId, u64>,
    /// Up to where members have read, as the places of own messages.
    pub read_marks: BTreeMap<AccountId, (u64, u64)>,
    /// Up to there all have.
    pub read_by_all: (u64, u64),
    /// Pages of operations in the vault.
    pub pages: u32,
    /// Messages not read yet.
    pub unread: u64,
    /// Unread messages that name us.
    pub mentions: u64,
    /// The place of the last message that was read.
    pub read_place: (u64, u64),
    /// The place of the last message.
    pub last_place: (u64, u64),
    /// Muted until then.
    pub muted_until: Option<Timestamp>,
}

impl GroupRow {
    /// A group of which nothing but this is known yet.
    #[must_use]
    pub fn new(group: GroupId, standing: GroupStanding, about: About) -> Self {
        Self {
            group,
            standing,
            about,
            members: 0,
            via: None,
            asked: BTreeSet::new(),
            others: Vec::new(),
            ask_next: None,
            pass: None,
            invited: BTreeSet::new(),
            applicants: BTreeMap::new(),
            links: BTreeMap::new(),
            secrets: Vec::new(),
            heads: Vec::new(),
            places: BTreeMap::new(),
            twins: BTreeSet::new(),
            overtaking: VecDeque::new(),
            early: Vec::new(),
            unacknowledged: VecDeque::new(),
            kept: 0,
            came: BTreeMap::new(),
            read_marks: BTreeMap::new(),
            read_by_all: (0, 0),
            pages: 0,
            unread: 0,
            mentions: 0,
            read_place: (0, 0),
            last_place: (0, 0),
            muted_until: None,
        }
    }

    /// The secret that counts: of those that present admins made, the one of the
    /// highest generation; of two the one of the lower account.
    #[must_use]
    pub fn secret(&self, view: &View) -> Option<&KeptSecret> {
        let admins = view.admins();
        let made = self.secrets.iter().filter(|kept| admins.contains(&kept.author));
        made.max_by_key(|kept| (kept.secret.generation, std::cmp::Reverse(kept.author)))
    }

    /// Keeps a secret. Says whether it was new.
    pub fn keep_secret(&mut self, author: AccountId, secret: SecretIn) -> bool {
        if self.secrets.iter().any(|kept| kept.author == author && kept.secret == secret) {
            return false;
        }
        let (cursors, unread) = (BTreeMap::new(), BTreeMap::new());
        self.secrets.push(KeptSecret { author, secret, cursors, unread, behind: true });
        self.secrets.sort_by_key(|kept| kept.secret.generation);
        // Somebody who was away is told many at once: none goes before its log was read.
        let mut over = self.secrets.len().saturating_sub(GROUP_SECRETS_MAX);
        self.secrets.retain(|kept| {
            let goes = over > 0 && !kept.is_needed();
            over = over.saturating_sub(usize::from(goes));
            !goes
        });
        if self.secrets.len() > GROUP_SECRETS_UNREAD_MAX {
            self.secrets.remove(0);
        }
        true
    }

    /// More of the authors or chains is known: what could not be read of the logs is to
    /// be read again. Says whether there was any.
    pub fn read_again(&mut self) -> bool {
        let mut any = false;
        for kept in &mut self.secrets {
            for (node, first) in std::mem::take(&mut kept.unread) {
                let cursor = kept.cursors.entry(node).or_insert(0);
                *cursor = (*cursor).min(first.saturating_sub(1));
                (kept.behind, any) = (true, true);
            }
        }
        any
    }

    /// The generation of the next secret.
    #[must_use]
    pub fn next_generation(&self) -> u64 {
        self.secrets.iter().map(|kept| kept.secret.generation).max().unwrap_or(0).saturating_add(1)
    }

    /// A message was read that had seen these: it is the newest now.
    pub fn advance_heads(&mut self, hash: MessageHash, seen: &[MessageHash]) {
        self.heads.retain(|head| !seen.contains(head) && *head != hash);
        if self.heads.len() >= GROUP_HEADS_MAX {
            self.heads.remove(0);
        }
        self.heads.push(hash);
    }

    /// A chain was handed over. Says whether something of it had come before. Of one
    /// member only so many are kept: the one of which nothing came for longest goes.
    pub fn begin_chain(&mut self, chain: ChainId, progress: Progress) -> bool {
        let author = progress.author;
        // Handed over once more, after it was lost here: what was missing still is.
        if let Some(place) = self.places.get_mut(&chain).filter(|place| place.known && place.author == author) {
            place.touched = progress.touched;
            return true;
        }
        let known = self.places.insert(chain, progress).is_some();
        let theirs = self.places.iter().filter(|(other, place)| **other != chain && place.author == author);
        let theirs: Vec<(Timestamp, ChainId)> = theirs.map(|(other, place)| (place.touched, *other)).collect();
        if theirs.len() >= GROUP_PLACES_PER_MEMBER_MAX
            && let Some((_, oldest)) = theirs.into_iter().min()
        {
            self.places.remove(&oldest);
        }
        known
    }

    /// For each chain, the number from which on messages are missing.
    #[must_use]
    pub fn missing_from(&self) -> Vec<(ChainId, u32)> {
        // A chain that was not handed over is not asked for: nothing of it could be read.
        let from = |progress: &Progress| if progress.known { progress.next } else { u32::MAX };
        self.places.iter().map(|(chain, progress)| (*chain, from(progress))).take(GROUP_PLACES_MAX).collect()
    }

    /// Forgets chains of which nothing came for long.
    pub fn expire(&mut self, now: Timestamp) {
        let keep = SKIPPED_KEYS_KEEP_MS.saturating_add(DAY_MS);
        self.places.retain(|_, progress| now.since_ms(progress.touched) <= keep);
        self.twins.retain(|(chain, _)| self.places.contains_key(chain));
    }

    /// Keeps something that came too early. Nobody takes the room of another: of one
    /// sender the oldest goes, and where there is no room at all the new one.
    pub fn keep_early(&mut self, from: AccountId, payload: &[u8]) {
        let theirs = || self.early.iter().enumerate().filter(|(_, (who, _))| *who == from);
        if theirs().count() >= GROUP_EARLY_EACH_MAX
            && let Some((oldest, _)) = theirs().next()
        {
            self.early.remove(oldest);
        }
        let bytes: usize = self.early.iter().map(|(_, early)| early.0.len()).sum();
        if self.early.len() < GROUP_EARLY_MAX && bytes.saturating_add(payload.len()) <= GROUP_EARLY_MAX_BYTES {
            self.early.push((from, Bytes(payload.to_vec())));
        }
    }

    /// Notes that somebody said something of a message that is not here. Says which of
    /// theirs goes for it, or that there is no room.
    ///
    /// # Errors
    /// When too many of all wait.
    pub fn note_overtaking(&mut self, author: AccountId, target: MessageRef) -> Result<Option<MessageRef>, NoRoom> {
        if self.overtaking.contains(&(author, target)) {
            return Ok(None);
        }
        let theirs = || self.overtaking.iter().enumerate().filter(|(_, (who, _))| *who == author);
        let oldest =
            if theirs().count() >= GROUP_OVERTAKING_EACH_MAX { theirs().next().map(|(at, _)| at) } else { None };
        let gone = oldest.and_then(|at| self.overtaking.remove(at)).map(|(_, target)| target);
        if self.overtaking.len() >= GROUP_OVERTAKING_MAX {
            return Err(NoRoom);
        }
        self.overtaking.push_back((author, target));
        Ok(gone)
    }

    /// Whether a member is to have an own message: it was said after they came.
    #[must_use]
    pub fn is_for(&self, account: &AccountId, message: &Unacknowledged) -> bool {
        self.came.get(account).is_none_or(|came| *came <= message.order)
    }

    /// An own message is on its way.
    pub fn sent(&mut self, message: Unacknowledged) {
        if self.unacknowledged.len() >= GROUP_UNACKNOWLEDGED_MAX {
            self.unacknowledged.pop_front();
        }
        self.unacknowledged.push_back(message);
    }
}

/// So much is waiting already that nothing more is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

/// A row of the groups' table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupRecord {
    /// The group itself.
    Row(Box<GroupRow>),
    /// Some of its operations, in order.
    Operations {
        /// Which group.
        group: GroupId,
        /// The place of the page.
        page: u32,
        /// Encoded operations.
        operations: Vec<Bytes>,
    },
}

impl GroupRecord {
    /// For the vault.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, GROUP_ROW_MAX_BYTES)
    }

    /// From the vault.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode_own(bytes, GROUP_ROW_MAX_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1);

    #[test]
    fn a_gap_stays_until_it_is_filled() {
        let mut progress = Progress::new(AccountId([1; 32]), true, 3, NOW);
        for number in [3, 5, 6, 2] {
            progress.read(number, NOW);
        }
        assert_eq!((progress.next, progress.end()), (4, 7));
        progress.read(4, NOW);
        assert_eq!((progress.next, progress.end(), progress.later.len()), (7, 7, 0));
    }

    #[test]
    fn the_newest_messages_are_those_that_no_other_has_seen() {
        let about = View::default().about;
        let mut row = GroupRow::new(GroupId([1; 32]), GroupStanding::Joined, about);
        let hash = |number| MessageHash([number; 32]);
        row.advance_heads(hash(1), &[]);
        row.advance_heads(hash(2), &[]);
        row.advance_heads(hash(3), &[hash(1), hash(2)]);
        assert_eq!(row.heads, [hash(3)]);
        for number in 10..40 {
            row.advance_heads(hash(number), &[]);
        }
        assert_eq!(row.heads.len(), GROUP_HEADS_MAX);
    }

    fn row() -> GroupRow {
        GroupRow::new(GroupId([1; 32]), GroupStanding::Joined, View::default().about)
    }

    fn secret(generation: u64) -> SecretIn {
        SecretIn { generation, secret: Fixed([u8::try_from(generation).unwrap(); 32]) }
    }

    #[test]
    fn no_secret_goes_before_its_log_was_read() {
        let (mut row, author) = (row(), AccountId([1; 32]));
        for generation in 1..=20 {
            row.keep_secret(author, secret(generation));
        }
        assert_eq!(row.secrets.len(), 20, "nothing of them was read yet");
        for kept in &mut row.secrets {
            kept.behind = false;
        }
        // Of the second there is something that could not be read.
        row.secrets[1].unread.insert("node".into(), 7);
        row.secrets[1].cursors.insert("node".into(), 9);
        row.keep_secret(author, secret(21));
        assert_eq!(row.secrets.first().map(|kept| kept.secret.generation), Some(2));
        assert!(row.read_again() && !row.read_again());
        assert_eq!((row.secrets[0].cursors["node"], row.secrets[0].behind), (6, true));
        for generation in 22..200 {
            row.keep_secret(author, secret(generation));
        }
        assert_eq!(row.secrets.len(), GROUP_SECRETS_UNREAD_MAX);
    }

    #[test]
    fn a_chain_that_is_handed_over_again_closes_no_gap() {
        let (mut row, author, chain) = (row(), AccountId([1; 32]), ChainId([2; 16]));
        row.begin_chain(chain, Progress::new(author, true, 3, NOW));
        row.places.get_mut(&chain).unwrap().read(5, NOW);
        assert!(row.begin_chain(chain, Progress::new(author, true, 9, NOW)), "it is asked for at once");
        assert_eq!((row.places[&chain].next, row.places[&chain].end()), (3, 6));
    }

    #[test]
    fn nobody_who_comes_early_takes_the_room_of_another() {
        let mut row = row();
        for member in 0..200 {
            row.keep_early(AccountId([member; 32]), &[member]);
        }
        for number in 0..100 {
            row.keep_early(AccountId([255; 32]), &[number]);
        }
        assert_eq!(row.early.len(), 200 + GROUP_EARLY_EACH_MAX);
        assert!((0..200).all(|member| row.early.contains(&(AccountId([member; 32]), Bytes(vec![member])))));
        row.keep_early(AccountId([254; 32]), &vec![0; GROUP_EARLY_MAX_BYTES]);
        assert!(row.early.iter().all(|(who, _)| *who != AccountId([254; 32])));
    }

    #[test]
    fn what_waits_for_its_message_is_bounded_for_each_who_says_it() {
        let mut row = row();
        let target = |number: usize| MessageRef {
            author: AccountId([9; 32]),
            id: MessageId([u8::try_from(number % 250).unwrap(); 16]),
        };
        assert_eq!(row.note_overtaking(AccountId([1; 32]), target(0)), Ok(None));
        for number in 0..GROUP_OVERTAKING_EACH_MAX {
            assert_eq!(row.note_overtaking(AccountId([2; 32]), target(number)), Ok(None));
        }
        let next = target(GROUP_OVERTAKING_EACH_MAX);
        assert_eq!(row.note_overtaking(AccountId([2; 32]), next), Ok(Some(target(0))));
        assert!(row.overtaking.contains(&(AccountId([1; 32]), target(0))));
    }
}
