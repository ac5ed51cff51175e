//! A group, as the vault keeps it besides the operations on its membership: how
//! it stands, its secrets, how far each chain was read, and what the person sees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use secure_chat_protocol::id::{AccountId, ChainId, GroupId, MessageHash, MessageId, Timestamp};
use secure_chat_protocol::limits::{
    DAY_MS, GROUP_HEADS_MAX, GROUP_PLACES_MAX, GROUP_SECRETS_MAX, GROUP_SECRETS_UNREAD_MAX, GROUP_SEEN_MAX, SKIP_MAX,
    SKIPPED_KEYS_KEEP_MS,
};
use secure_chat_protocol::membership::{About, ChainPlace, View};
use secure_chat_protocol::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};
use secure_chat_protocol::wire::content::MessageRef;
use secure_chat_protocol::wire::group::{InvitePass, OtherAdmin, SecretIn};
use serde::{Deserialize, Serialize};

use super::limits::{
    GROUP_CHAIN_ASK_MS, GROUP_CHAIN_ASKS_MAX, GROUP_EARLY_EACH_MAX, GROUP_EARLY_MAX, GROUP_EARLY_MAX_BYTES,
    GROUP_GENERATIONS_AHEAD_MAX, GROUP_GENERATIONS_FIRST_MAX, GROUP_OVERTAKING_EACH_MAX, GROUP_OVERTAKING_MAX,
    GROUP_PLACES_PER_MEMBER_MAX, GROUP_ROW_MAX_BYTES, GROUP_UNACKNOWLEDGED_MAX, GROUP_UNKNOWN_CHAINS_EACH_MAX,
    GROUP_UNKNOWN_CHAINS_MAX,
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
    /// How often they were.
    pub asks: u8,
}

impl Progress {
    /// A chain from `first` on.
    #[must_use]
    pub const fn new(author: AccountId, known: bool, first: u32, now: Timestamp) -> Self {
        Self { author, known, next: first, later: BTreeSet::new(), touched: now, asked: None, asks: 0 }
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

    /// The generation of the next secret: above all that are known, but for what somebody
    /// who is no admin any more has put far beyond those of the admins. So all members
    /// accept it, whatever that one has told a few of them.
    #[must_use]
    pub fn next_generation(&self, view: &View) -> u64 {
        let counted = self.secret(view).map_or(0, |kept| kept.secret.generation);
        let near = counted.saturating_add(GROUP_GENERATIONS_AHEAD_MAX);
        let known = self.secrets.iter().map(|kept| kept.secret.generation);
        known.filter(|generation| *generation <= near).max().unwrap_or(counted).saturating_add(1)
    }

    /// Whether a secret of this generation may be one. Nobody puts theirs so far ahead
    /// that no later one could count.
    #[must_use]
    pub fn may_follow(&self, view: &View, generation: u64) -> bool {
        let farthest = match self.secret(view) {
            Some(_) => self.next_generation(view).saturating_add(GROUP_GENERATIONS_AHEAD_MAX),
            None => GROUP_GENERATIONS_FIRST_MAX,
        };
        generation <= farthest
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

    /// A message came of a chain that was not handed over: notes whose it is said to be, so
    /// that they are asked for it. Whoever says so has proved nothing: of one author only so
    /// many are noted, and one that was asked for in vain makes room. Says whether it is new.
    pub fn note_unknown(&mut self, chain: ChainId, author: AccountId, now: Timestamp) -> bool {
        if self.places.contains_key(&chain) {
            return false;
        }
        let unknown = || self.places.iter().filter(|(_, place)| !place.known);
        let theirs_full =
            unknown().filter(|(_, place)| place.author == author).count() >= GROUP_UNKNOWN_CHAINS_EACH_MAX;
        if theirs_full || unknown().count() >= GROUP_UNKNOWN_CHAINS_MAX {
            let in_vain = unknown().filter(|(_, place)| place.asks >= GROUP_CHAIN_ASKS_MAX);
            let fitting = in_vain.filter(|(_, place)| !theirs_full || place.author == author);
            let oldest = fitting.map(|(other, place)| (place.touched, *other)).min();
            let Some((_, oldest)) = oldest else { return false };
            self.places.remove(&oldest);
        }
        self.places.insert(chain, Progress::new(author, false, 0, now));
        true
    }

    /// The chains that were not handed over and are to be asked for now, with whom to ask.
    /// After some questions it is given up: the author has begun another since, or never
    /// had it.
    pub fn chains_to_ask_for(
        &mut self,
        now: Timestamp,
        may_ask: impl Fn(&AccountId) -> bool,
    ) -> Vec<(AccountId, ChainId)> {
        let mut asked = Vec::new();
        for (chain, place) in self.places.iter_mut().filter(|(_, place)| !place.known) {
            let since = place.asked.unwrap_or(place.touched);
            let due = place.asks < GROUP_CHAIN_ASKS_MAX && now.since_ms(since) >= GROUP_CHAIN_ASK_MS;
            if due && may_ask(&place.author) {
                place.asked = Some(now.plus_ms(GROUP_CHAIN_ASK_MS.saturating_mul(30)));
                place.asks = place.asks.saturating_add(1);
                asked.push((place.author, *chain));
            }
        }
        asked
    }

    /// How far each chain of somebody was read, the latest ones if there are too many: for
    /// those of which the last message that was read `is_here`.
    pub fn read_of(&self, account: AccountId, is_here: impl Fn(ChainId, u32) -> bool) -> Vec<ChainPlace> {
        let theirs = self.places.iter().filter(|(_, place)| place.author == account && place.known);
        let read =
            theirs.filter(|(chain, place)| place.end().checked_sub(1).is_some_and(|last| is_here(**chain, last)));
        let mut read: Vec<_> = read.collect();
        read.sort_by_key(|(_, place)| std::cmp::Reverse(place.touched));
        read.truncate(GROUP_SEEN_MAX);
        let mut seen: Vec<ChainPlace> =
            read.into_iter().map(|(chain, place)| ChainPlace { chain: *chain, next: place.end() }).collect();
        seen.sort_by_key(|place| place.chain);
        seen
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
    use secure_chat_protocol::id::OperationId;
    use secure_chat_protocol::membership::{MemberView, Role};

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
    fn nobody_fills_an_account_with_chains_that_were_never_handed_over() {
        let (mut row, alice, bob) = (row(), AccountId([1; 32]), AccountId([2; 32]));
        let chain = |number: u32| ChainId(u128::from(number).to_be_bytes());
        let mut noted = 0;
        for number in 0..256 {
            noted += usize::from(row.note_unknown(chain(number), alice, NOW));
        }
        assert_eq!(noted, GROUP_UNKNOWN_CHAINS_EACH_MAX, "anybody may have said that they are Alice's");
        assert!(row.note_unknown(chain(1_000), bob, NOW), "Bob's are noted as before");
        // Whoever is away has a question waiting already.
        let mut now = NOW;
        let mut asked = Vec::new();
        for _ in 0..100 {
            now = now.plus_ms(GROUP_CHAIN_ASK_MS * 40);
            asked.extend(row.chains_to_ask_for(now, |author| *author == alice));
        }
        assert_eq!(asked.len(), GROUP_UNKNOWN_CHAINS_EACH_MAX * usize::from(GROUP_CHAIN_ASKS_MAX));
        assert!(asked.iter().all(|(author, _)| *author == alice));
        // What was asked for in vain makes room, for others of the same author alone.
        assert!(row.note_unknown(chain(500), alice, now) && !row.note_unknown(chain(500), alice, now));
        let theirs = row.places.values().filter(|place| place.author == alice).count();
        assert_eq!(theirs, GROUP_UNKNOWN_CHAINS_EACH_MAX);
        for author in 3..=255 {
            for number in 0..8 {
                row.note_unknown(chain(u32::from(author) * 1_000 + number), AccountId([author; 32]), now);
            }
        }
        assert!(row.places.len() <= GROUP_UNKNOWN_CHAINS_MAX && row.places.contains_key(&chain(1_000)));
    }

    #[test]
    fn a_removal_says_how_far_every_chain_was_read_and_of_the_latest_if_there_are_many() {
        let (mut row, author, other) = (row(), AccountId([1; 32]), AccountId([2; 32]));
        let chain = |number: usize| ChainId((number as u128).to_be_bytes());
        let mut read = |number: usize, author, upto| {
            let now = Timestamp(number as u64);
            let mut progress = Progress::new(author, true, 0, now);
            (0..upto).for_each(|number| progress.read(number, now));
            row.places.insert(chain(number), progress);
        };
        read(1, author, 5);
        read(2, author, 1);
        // Handed over last, and nothing of it came yet.
        read(3, author, 0);
        read(4, other, 9);
        let place = |number, next| ChainPlace { chain: chain(number), next };
        assert_eq!(row.read_of(author, |_, _| true), [place(1, 5), place(2, 1)]);
        let here = |of: ChainId, last| of == chain(1) && last == 4;
        assert_eq!(row.read_of(author, here), [place(1, 5)], "only what was kept");
        for number in 10..10 + GROUP_SEEN_MAX {
            let mut progress = Progress::new(author, true, 0, Timestamp(number as u64));
            progress.read(0, Timestamp(number as u64));
            row.places.insert(chain(number), progress);
        }
        let seen = row.read_of(author, |_, _| true);
        assert_eq!((seen.len(), seen[0]), (GROUP_SEEN_MAX, place(10, 1)));
        assert!(seen.is_sorted_by(|one, other| one.chain < other.chain));
    }

    #[test]
    fn no_admin_puts_a_secret_so_far_ahead_that_no_later_one_counts() {
        let (mut row, mut view) = (row(), View::default());
        let (alice, mallory) = (AccountId([1; 32]), AccountId([2; 32]));
        let admin = |seniority| MemberView { role: Role::Admin, seniority, since: OperationId([0; 32]) };
        view.members = [(alice, admin(0)), (mallory, admin(1))].into();
        assert!(row.may_follow(&view, 100_000) && !row.may_follow(&view, u64::MAX));
        let secret = |generation| SecretIn { generation, secret: Fixed([1; 32]) };
        row.keep_secret(alice, secret(5));
        assert!(row.may_follow(&view, 6) && !row.may_follow(&view, u64::MAX));
        // Whoever missed much follows nevertheless.
        assert!(row.may_follow(&view, 10_000));
        // What she tells a few of them, as far ahead as they believe, and again.
        let mut others = row.clone();
        for _ in 0..3 {
            let far = row.next_generation(&view) + GROUP_GENERATIONS_AHEAD_MAX;
            assert!(row.may_follow(&view, far));
            row.keep_secret(mallory, secret(far));
        }
        // Once she is put out, those few and all the others follow each other.
        view.members.remove(&mallory);
        for _ in 0..5 {
            let next = row.next_generation(&view);
            assert!(others.may_follow(&view, next) && row.may_follow(&view, others.next_generation(&view)));
            row.keep_secret(alice, secret(next));
            others.keep_secret(alice, secret(next));
            assert_eq!(row.secret(&view).map(|kept| kept.secret.generation), Some(next));
        }
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
