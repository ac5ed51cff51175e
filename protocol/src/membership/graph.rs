//! The operations that are known, each with everything that came before it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand_core::CryptoRng;

use super::operation::{About, Action, OPERATION_VERSION, Operation, OperationIn, Role};
use super::view::View;
use crate::crypto::kdf;
use crate::id::{AccountId, GroupId, OperationId};
use crate::identity::{IdentityKeyPair, PublicIdentity};
use crate::limits::{
    GROUP_LIST_MAX, GROUP_MEMBERS_MAX, GROUP_OPERATIONS_MAX, GROUP_PARENTS_MAX, GROUP_WASTED_OPERATIONS_MAX,
};
use crate::record::Record;
use crate::wire::codec::{Bytes, Fixed};

/// Why an operation was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The sender's: not an operation, or one of a newer version.
    #[error("not an operation")]
    Malformed,
    /// The sender's: of another group.
    #[error("the operation is another group's")]
    WrongGroup,
    /// Nobody's: it follows operations that did not come yet.
    #[error("operations before this one are missing")]
    MissingParents(Vec<OperationId>),
    /// The author's: nobody of this group, or not signed by them.
    #[error("the operation is not signed by a member")]
    Forged,
    /// The author's: their count of operations is wrong.
    #[error("the operation does not follow its author's last one")]
    BadSequence,
    /// The author's: their role did not allow it when they did it.
    #[error("the author's role does not allow this")]
    NotAllowed,
    /// The group has had as many operations, or has as many members, as it can.
    #[error("the group is full")]
    Full,
}

/// A set of positions in the graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places(Vec<u64>);

impl Places {
    pub(super) fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    pub(super) fn insert(&mut self, place: usize) {
        let word = place / 64;
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (place % 64);
        }
    }

    fn union(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }
}

/// An operation in its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) operation: Operation,
    /// Everything before it.
    pub(super) past: Places,
    /// The longest way to the beginning.
    pub(super) depth: u32,
}

/// The membership of one group, as far as its operations are known.
#[derive(Debug, Clone)]
pub struct Membership {
    group: GroupId,
    /// Parents come before what follows them.
    pub(super) nodes: Vec<Node>,
    places: HashMap<OperationId, usize>,
    identities: BTreeMap<AccountId, PublicIdentity>,
    heads: BTreeSet<OperationId>,
    /// Operations that touch an account: additions, removals, roles, bans.
    pub(super) touching: BTreeMap<AccountId, Vec<usize>>,
    pub(super) by_author: BTreeMap<AccountId, Vec<usize>>,
    /// Those that count.
    effective: Places,
    view: View,
}

/// The id of the group that `creator` begins with this nonce.
fn group_id(creator: AccountId, nonce: &[u8; 32]) -> GroupId {
    GroupId(kdf::hash_fields("group", &[creator.as_ref(), nonce]))
}

impl Membership {
    /// Begins a group.
    ///
    /// # Errors
    /// [`OperationError::Malformed`] when `about` or the record is not acceptable.
    pub fn create<R: CryptoRng + ?Sized>(
        identity: &IdentityKeyPair,
        record: &Record,
        about: About,
        rng: &mut R,
    ) -> Result<Self, OperationError> {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let wire = OperationIn {
            version: OPERATION_VERSION,
            group: group_id(identity.account_id(), &nonce),
            author: identity.account_id(),
            seq: 1,
            parents: Vec::new(),
            action: Action::Create { nonce: Fixed(nonce), about, record: Bytes(record.encoded().to_vec()) },
            signature: Fixed([0; 64]),
        };
        let first = Operation::sign(identity, wire).ok_or(OperationError::Malformed)?;
        Self::open(first.encoded())
    }

    /// A group from its first operation.
    ///
    /// # Errors
    /// [`OperationError`] when it is not the one that made the group.
    pub fn open(first: &[u8]) -> Result<Self, OperationError> {
        let operation = Operation::decode(first).ok_or(OperationError::Malformed)?;
        let Action::Create { nonce, .. } = operation.action() else { return Err(OperationError::Malformed) };
        let record = operation.record().ok_or(OperationError::Malformed)?;
        let wire = &operation.wire;
        let whole = wire.seq == 1 && wire.parents.is_empty() && record.account_id() == wire.author;
        if !whole || wire.group != group_id(wire.author, &nonce.0) {
            return Err(OperationError::WrongGroup);
        }
        let identity = record.identity().clone();
        if !operation.is_signed_by(&identity) {
            return Err(OperationError::Forged);
        }
        let mut membership = Self {
            group: wire.group,
            nodes: Vec::new(),
            places: HashMap::new(),
            identities: BTreeMap::new(),
            heads: BTreeSet::new(),
            touching: BTreeMap::new(),
            by_author: BTreeMap::new(),
            effective: Places::default(),
            view: View::default(),
        };
        membership.insert(operation, Places::default(), 0);
        Ok(membership)
    }

    /// A group from all its operations, parents before what follows them.
    ///
    /// # Errors
    /// [`OperationError`] of the first that is not acceptable.
    pub fn load<'a>(operations: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, OperationError> {
        let mut operations = operations.into_iter();
        let mut membership = Self::open(operations.next().ok_or(OperationError::Malformed)?)?;
        for operation in operations {
            membership.add(operation)?;
        }
        Ok(membership)
    }

    fn insert(&mut self, operation: Operation, past: Places, depth: u32) {
        let place = self.nodes.len();
        for parent in &operation.wire.parents {
            self.heads.remove(parent);
        }
        self.heads.insert(operation.id);
        self.places.insert(operation.id, place);
        self.by_author.entry(operation.author()).or_default().push(place);
        let mut touched = BTreeSet::new();
        touched.extend(operation.adds());
        touched.extend(operation.action().removes(operation.author()));
        match operation.action() {
            Action::SetRole { member, .. } | Action::Unban { member } => {
                touched.insert(*member);
            }
            Action::Transfer { member } => touched.extend([*member, operation.author()]),
            _ => {}
        }
        for account in touched {
            self.touching.entry(account).or_default().push(place);
        }
        if let Some(record) = operation.record() {
            self.identities.insert(record.account_id(), record.identity().clone());
        }
        self.nodes.push(Node { operation, past, depth });
        let settled = self.settle(None);
        self.view = View::of(self, &settled);
        self.effective = settled.effective;
    }

    /// Takes an operation in. Says whether it was new. What is checked first is cheap:
    /// nobody but a member costs more than one signature.
    ///
    /// # Errors
    /// [`OperationError`]
    pub fn add(&mut self, encoded: &[u8]) -> Result<bool, OperationError> {
        let operation = Operation::read(encoded).ok_or(OperationError::Malformed)?;
        if operation.wire.group != self.group {
            return Err(OperationError::WrongGroup);
        }
        if self.places.contains_key(&operation.id) {
            return Ok(false);
        }
        if self.nodes.len() >= GROUP_OPERATIONS_MAX || self.has_wasted_enough(&operation.author()) {
            return Err(OperationError::Full);
        }
        let missing: Vec<OperationId> =
            operation.wire.parents.iter().filter(|parent| !self.places.contains_key(parent)).copied().collect();
        if !missing.is_empty() {
            return Err(OperationError::MissingParents(missing));
        }
        let identity = self.identities.get(&operation.author()).ok_or(OperationError::Forged)?;
        if operation.wire.parents.is_empty() || !operation.is_signed_by(identity) {
            return Err(OperationError::Forged);
        }
        let operation = operation.with_record().ok_or(OperationError::Malformed)?;
        let (past, depth) = self.past_of(&operation.wire.parents);
        let before = self.by_author.get(&operation.author()).into_iter().flatten();
        let last = before.filter(|place| past.contains(**place)).filter_map(|place| self.nodes.get(*place));
        let last = last.map(|node| node.operation.wire.seq).max().unwrap_or(0);
        if operation.wire.seq != last.saturating_add(1) {
            return Err(OperationError::BadSequence);
        }
        // Judged by its causal past alone: whoever had no right then never gets a place in the graph.
        if !self.permits(&past, operation.author(), &operation) {
            return Err(OperationError::NotAllowed);
        }
        self.insert(operation, past, depth);
        Ok(true)
    }

    /// Whether somebody who is no admin has filled the graph with operations that
    /// don't count: doubles of one number, or what they did beside their removal.
    /// None of those can change the view any more.
    fn has_wasted_enough(&self, author: &AccountId) -> bool {
        if self.view.role(author).is_some_and(|role| role >= Role::Admin) {
            return false;
        }
        let theirs = self.by_author.get(author).into_iter().flatten();
        theirs.filter(|place| !self.effective.contains(**place)).count() >= GROUP_WASTED_OPERATIONS_MAX
    }

    /// What a new operation of `author` follows: their own last one, and what counts
    /// and has no successor that does. What doesn't count is left aside, so that
    /// nobody can crowd out with it what does.
    fn parents_for(&self, author: &AccountId) -> Vec<OperationId> {
        let mut followed = Places::default();
        for (_, node) in self.nodes.iter().enumerate().filter(|(place, _)| self.effective.contains(*place)) {
            followed.union(&node.past);
        }
        let is_tip = |place: &usize| self.effective.contains(*place) && !followed.contains(*place);
        let own = self.by_author.get(author).and_then(|places| places.last()).copied();
        let own = own.filter(|place| !followed.contains(*place));
        let tips = (0..self.nodes.len()).filter(is_tip).filter(|place| Some(*place) != own);
        let id = |place: usize| self.nodes.get(place).map(|node| node.operation.id);
        let mut tips: Vec<OperationId> = tips.filter_map(id).collect();
        tips.sort_unstable();
        let mut parents: BTreeSet<OperationId> = own.and_then(id).into_iter().collect();
        parents.extend(tips.into_iter().take(GROUP_PARENTS_MAX - 1));
        parents.into_iter().collect()
    }

    fn past_of(&self, parents: &[OperationId]) -> (Places, u32) {
        let (mut past, mut depth) = (Places::default(), 0);
        for place in parents.iter().filter_map(|parent| self.places.get(parent)) {
            past.insert(*place);
            if let Some(node) = self.nodes.get(*place) {
                past.union(&node.past);
                depth = depth.max(node.depth.saturating_add(1));
            }
        }
        (past, depth)
    }

    /// Does something, as far as the own role allows it now. The operation is
    /// taken in, and goes to all members.
    ///
    /// # Errors
    /// [`OperationError::NotAllowed`], [`OperationError::Full`] or [`OperationError::Malformed`]: nothing has changed.
    pub fn act(&mut self, identity: &IdentityKeyPair, action: Action) -> Result<Operation, OperationError> {
        let author = identity.account_id();
        let parents = self.parents_for(&author);
        let (past, _) = self.past_of(&parents);
        let own = self.by_author.get(&author).into_iter().flatten().filter(|place| past.contains(**place));
        let last =
            own.filter_map(|place| self.nodes.get(*place)).map(|node| node.operation.wire.seq).max().unwrap_or(0);
        let adds = matches!(action, Action::Add { .. });
        if adds && self.view.members.len() >= GROUP_MEMBERS_MAX {
            return Err(OperationError::Full);
        }
        let wire = OperationIn {
            version: OPERATION_VERSION,
            group: self.group,
            author,
            seq: last.saturating_add(1),
            parents,
            action,
            signature: Fixed([0; 64]),
        };
        let operation = Operation::sign(identity, wire).ok_or(OperationError::Malformed)?;
        self.add(operation.encoded())?;
        Ok(operation)
    }

    /// Which group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// What all members agree on who know the same operations.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The operations that no other names as its parent, as many as a message holds.
    #[must_use]
    pub fn heads(&self) -> Vec<OperationId> {
        self.heads.iter().take(GROUP_LIST_MAX).copied().collect()
    }

    /// Whether an operation is known.
    #[must_use]
    pub fn knows(&self, id: &OperationId) -> bool {
        self.places.contains_key(id)
    }

    /// How many operations came before this one here, if somebody came in or went by another
    /// one that counts, of which its author did not know, and whose author did not know of it.
    #[must_use]
    pub fn place_beside_another(&self, encoded: &[u8]) -> Option<usize> {
        let place = *self.places.get(&Operation::read(encoded)?.id)?;
        let node = self.nodes.get(place)?;
        let beside = |(other, with): (usize, &Node)| {
            let operation = &with.operation;
            let changes = operation.adds().is_some() || operation.action().removes(operation.author()).is_some();
            changes && other != place && !node.past.contains(other) && !with.past.contains(place)
        };
        let mut counted = self.nodes.iter().enumerate().filter(|(other, _)| self.effective.contains(*other));
        counted.any(beside).then_some(place)
    }

    /// All operations, parents before what follows them.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = &Operation> {
        self.nodes.iter().map(|node| &node.operation)
    }

    /// The operations that somebody lacks who knows those named, and what is before
    /// them. Parents come before what follows them.
    pub fn missing_at(&self, heads: &[OperationId]) -> impl Iterator<Item = &Operation> {
        let mut known = Places::default();
        for place in heads.iter().filter_map(|head| self.places.get(head)) {
            known.insert(*place);
            if let Some(node) = self.nodes.get(*place) {
                known.union(&node.past);
            }
        }
        let lacking = self.nodes.iter().enumerate().filter(move |(place, _)| !known.contains(*place));
        lacking.map(|(_, node)| &node.operation)
    }

    /// Who somebody is whom an operation took in.
    #[must_use]
    pub fn identity(&self, account: &AccountId) -> Option<&PublicIdentity> {
        self.identities.get(account)
    }

    /// The newest record that an operation carries of somebody.
    #[must_use]
    pub fn record(&self, account: &AccountId) -> Option<&Record> {
        let touching = self.touching.get(account)?.iter().filter_map(|place| self.nodes.get(*place));
        let records =
            touching.filter_map(|node| node.operation.record()).filter(|record| record.account_id() == *account);
        records.max_by_key(|record| record.seq())
    }
}
