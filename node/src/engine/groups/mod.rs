//! Groups: what the engine knows of them in memory, mirrored in the vault.
//!
//! Control messages travel in pairwise sessions through the outbox, and so arrive
//! in order, each once, whoever is away. Messages are encrypted once with the
//! author's chain and published; whoever misses one fetches it from any member.

mod admins;
mod audience;
mod chat;
mod commands;
mod control;
mod directory;
mod exchange;
mod gaps;
mod gossip;
mod invites;
mod joining;
mod log;
mod naming;
mod order;
mod orphans;
mod overtaking;
mod pace;
mod reading;
mod receipts;
mod roster;
mod tokens;
mod twins;
mod views;
mod writing;

pub(crate) use self::directory::ListedGroup;
pub(in crate::engine) use self::gossip::GoesOn;
pub(crate) use self::log::LogPage;
pub(crate) use self::naming::Naming;
pub(crate) use self::writing::Appended;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use secure_chat_protocol::id::{AccountId, ChainId, GroupId, MessageId};
use secure_chat_protocol::membership::{GroupSecret, Membership, Role, View};
use secure_chat_protocol::sender_key::{GroupMessageIn, MemberChains, SenderKey};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::content::Content;
use secure_chat_protocol::wire::group::GroupControl;

use super::state::{Open, rng};
use super::step::Step;
use crate::api::{ApiError, ErrorKind};
use crate::messaging::contact::{Contact, Standing};
use crate::messaging::group::{GroupRecord, GroupRow, GroupStanding};
use crate::messaging::limits::{FORGOTTEN_AT_ONCE_MAX, GROUP_PAGE_OPERATIONS, GROUP_ROW_MAX_BYTES};
use crate::store::{StoreError, Table, Vault};

/// A group in memory.
pub(crate) struct Group {
    pub(crate) row: GroupRow,
    /// Unknown until somebody who is in it has told.
    pub(crate) membership: Option<Membership>,
    /// Operations that are in the vault.
    stored_operations: usize,
    /// Operations that wait for those before them.
    orphans: orphans::Orphans,
    /// Messages whose chain did not come yet.
    waiting: VecDeque<GroupMessageIn>,
    /// Up to where members have the own chains.
    acknowledged: HashMap<AccountId, BTreeMap<ChainId, u32>>,
    /// Members who are being asked for what is missing, and since when.
    asking: HashMap<AccountId, Instant>,
    /// When the logs of all secrets that need it are read next.
    read_all_at: Option<Instant>,
    /// What could not be read of the logs is to be read again.
    read_again: bool,
    /// When members are to be asked next.
    sync_at: Option<Instant>,
    /// When they were last.
    compared_at: Option<Instant>,
    /// How fast each member publishes.
    paces: HashMap<AccountId, pace::Window>,
    /// How many messages of unknown chains came lately.
    strange: pace::Window,
    /// How fast strangers are let in.
    joins: pace::Window,
    /// Own messages that were published once, and that members may have soon.
    published: BTreeSet<(ChainId, u32)>,
    /// How much of each log was read lately.
    reading: reading::Reading,
    /// How far each node's copy of the log was written.
    writing: writing::Writing,
    /// What others have seen and we have not (yet).
    gaps: gaps::Gaps,
    /// Own messages that some member is known to have.
    sent: BTreeSet<(ChainId, u32)>,
    /// The newest message of each author that was read and is to be told.
    read_due: BTreeMap<AccountId, MessageId>,
    /// When that is due.
    read_due_at: Option<Instant>,
    /// How many operations were known when this account made its last secret.
    secret_covers: usize,
    own: Option<SenderKey>,
    chains: HashMap<AccountId, MemberChains>,
}

impl Group {
    pub(crate) fn new(row: GroupRow, membership: Option<Membership>) -> Self {
        let stored_operations = 0;
        Self {
            row,
            membership,
            stored_operations,
            orphans: orphans::Orphans::default(),
            waiting: VecDeque::new(),
            acknowledged: HashMap::new(),
            asking: HashMap::new(),
            read_all_at: None,
            read_again: false,
            sync_at: None,
            compared_at: None,
            paces: HashMap::new(),
            strange: pace::Window::default(),
            joins: pace::Window::default(),
            published: BTreeSet::new(),
            reading: reading::Reading::default(),
            writing: writing::Writing::default(),
            gaps: gaps::Gaps::default(),
            sent: BTreeSet::new(),
            read_due: BTreeMap::new(),
            read_due_at: None,
            secret_covers: 0,
            own: None,
            chains: HashMap::new(),
        }
    }

    /// What its members agree on, as far as it is known here.
    pub(crate) fn view(&self) -> Option<&View> {
        self.membership.as_ref().map(Membership::view)
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.row.standing == GroupStanding::Joined
    }

    /// In the group, or about to be.
    pub(crate) fn is_coming(&self) -> bool {
        matches!(self.row.standing, GroupStanding::Joined | GroupStanding::Asking)
    }

    pub(crate) fn has(&self, account: &AccountId) -> bool {
        self.view().is_some_and(|view| view.has(account))
    }

    pub(crate) fn role(&self, account: &AccountId) -> Option<Role> {
        self.view().and_then(|view| view.role(account))
    }

    /// The secret that counts.
    fn secret(&self) -> Option<GroupSecret> {
        let kept = self.row.secret(self.view()?)?;
        Some(GroupSecret::from_wire(kept.secret.secret))
    }
}

fn damaged() -> StoreError {
    StoreError::Damaged { what: "a group" }
}

fn operations_key(group: GroupId, page: u32) -> Vec<u8> {
    [group.as_ref(), b"operations", &page.to_be_bytes()].concat()
}

fn chain_key(group: GroupId, account: AccountId) -> Vec<u8> {
    [group.as_ref(), account.as_ref()].concat()
}

/// Reads all groups.
pub(crate) fn load(vault: &Vault) -> Result<BTreeMap<GroupId, Group>, StoreError> {
    let mut rows = Vec::new();
    let mut pages = BTreeMap::<(GroupId, u32), Vec<Bytes>>::new();
    for record in vault.scan(Table::Groups)? {
        match GroupRecord::decode(&record).map_err(|_| damaged())? {
            GroupRecord::Row(row) => rows.push(*row),
            GroupRecord::Operations { group, page, operations } => drop(pages.insert((group, page), operations)),
        }
    }
    let mut groups = BTreeMap::new();
    for row in rows {
        let own = pages.range((row.group, 0)..=(row.group, u32::MAX)).flat_map(|(_, operations)| operations);
        let own: Vec<&[u8]> = own.map(|operation| operation.0.as_slice()).collect();
        let membership =
            if own.is_empty() { None } else { Some(Membership::load(own.iter().copied()).map_err(|_| damaged())?) };
        let mut group = Group::new(row, membership);
        group.stored_operations = own.len();
        groups.insert(group.row.group, group);
    }
    Ok(groups)
}

impl Open {
    /// A group that is known, by its name in the application API.
    pub(super) fn group_named(&self, name: &str) -> Result<GroupId, ApiError> {
        let missing = || ApiError::not_found("There is no such group.");
        let group = name.trim().parse::<GroupId>().map_err(|_| missing())?;
        self.groups.get(&group).map(|group| group.row.group).ok_or_else(missing)
    }

    /// A group that this account is in.
    pub(super) fn joined(&self, name: &str) -> Result<GroupId, ApiError> {
        let group = self.group_named(name)?;
        if self.groups.get(&group).is_some_and(Group::is_joined) {
            Ok(group)
        } else {
            Err(ApiError::new(ErrorKind::NotAllowed, "You are not in this group."))
        }
    }

    /// Whether somebody is in a group with us.
    pub(super) fn shares_group(&self, account: AccountId) -> bool {
        self.groups.values().any(|group| group.is_joined() && group.has(&account))
    }

    /// Whether somebody who is no contact has to do with a group of ours: a member, an admin
    /// whom we asked to be let in, or somebody who asks or was asked to come.
    pub(super) fn meets_in_group(&self, account: AccountId) -> bool {
        self.groups.values().filter(|held| held.is_coming() || held.row.standing == GroupStanding::Invited).any(
            |held| {
                let row = &held.row;
                held.has(&account)
                    || row.asked.contains(&account)
                    || row.via == Some(account)
                    || row.others.iter().any(|other| other.account == account)
                    || row.invited.contains(&account)
                    || row.applicants.contains_key(&account)
            },
        )
    }

    /// Those with whom we share no group any more are forgotten as others with whom there
    /// was never a word, unless a group that we left shows what they said.
    pub(super) fn part_from_members(&mut self, step: &mut Step<'_>) {
        let over = self.contacts.values().filter(|contact| contact.standing == Standing::Member);
        let over: Vec<AccountId> = over
            .map(|contact| contact.account)
            .filter(|account| !self.meets_in_group(*account) && !self.outbox.has(account))
            .filter(|account| !self.groups.values().any(|held| is_told_of(held, account)))
            .take(FORGOTTEN_AT_ONCE_MAX)
            .collect();
        for account in over {
            if let Some(contact) = self.contacts.get_mut(&account) {
                contact.standing = Standing::Gone;
                step.contacts.insert(account);
            }
        }
    }

    /// Makes sure that there can be sessions with all members.
    pub(super) fn know_members(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(membership) = self.groups.get(&group).and_then(|group| group.membership.as_ref()) else { return };
        let mut learned = Vec::new();
        for account in membership.view().members.keys().filter(|account| **account != self.me) {
            let Some(record) = membership.record(account) else { continue };
            let known = self.contacts.get(account);
            if known.is_none_or(|contact| contact.standing == Standing::Gone || contact.peers.is_empty()) {
                learned.push((*account, record.clone()));
            }
        }
        for (account, record) in learned {
            let contact = self.contacts.entry(account).or_insert_with(|| {
                Contact::new(account, record.identity().to_wire(), record.name().as_str(), Standing::Member)
            });
            if contact.standing == Standing::Gone {
                contact.standing = Standing::Member;
            }
            if contact.record.0.is_empty() && contact.standing == Standing::Member {
                record.name().as_str().clone_into(&mut contact.username);
            }
            contact.learn(&record);
            step.contacts.insert(account);
        }
    }

    /// Tells somebody something about a group, through the outbox.
    pub(super) fn tell_member(&mut self, step: &mut Step<'_>, to: AccountId, group: GroupId, control: GroupControl) {
        let payload = match control.encode() {
            Ok(payload) => Bytes(payload),
            Err(error) => return tracing::error!(%error, "a group message can't be encoded"),
        };
        let id = MessageId::random(&mut rng());
        if let Err(error) = self.enqueue(step, to, id, Content::Group { group, payload }, false) {
            tracing::debug!(%error, "a member is not told");
        }
    }

    /// The own chain in a group, read when it is first needed.
    fn load_own_chain(&mut self, step: &Step<'_>, group: GroupId) -> Result<(), StoreError> {
        let me = self.me;
        let Some(held) = self.groups.get_mut(&group) else { return Err(damaged()) };
        if held.own.is_none() {
            let stored = step.txn.get(Table::SenderKeys, &chain_key(group, me))?;
            held.own = stored.and_then(|bytes| SenderKey::from_secret_bytes(&bytes).ok());
        }
        Ok(())
    }

    /// The chains of a member, read when they are first needed.
    fn chains_of(
        &mut self,
        step: &Step<'_>,
        group: GroupId,
        account: AccountId,
    ) -> Result<&mut MemberChains, StoreError> {
        let held = self.groups.get_mut(&group).ok_or_else(damaged)?;
        match held.chains.entry(account) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => {
                let stored = step.txn.get(Table::SenderKeys, &chain_key(group, account))?;
                let chains = stored.and_then(|bytes| MemberChains::from_secret_bytes(&bytes).ok());
                Ok(place.insert(chains.unwrap_or_else(|| MemberChains::new(group, account))))
            }
        }
    }

    /// Stages everything of groups that the step changed in memory.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]: the step must not count then.
    pub(super) fn finish_groups(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        for group in std::mem::take(&mut step.groups) {
            match self.groups.get_mut(&group) {
                Some(held) => {
                    store_operations(step, held)?;
                    let row = GroupRecord::Row(Box::new(held.row.clone())).encode();
                    step.txn.put(Table::Groups, group.as_ref(), &row.map_err(|_| too_large())?);
                }
                None => step.txn.delete(Table::Groups, group.as_ref()),
            }
        }
        for (group, account) in std::mem::take(&mut step.chains) {
            let Some(held) = self.groups.get(&group) else { continue };
            let bytes = if account == self.me {
                held.own.as_ref().map(SenderKey::to_secret_bytes)
            } else {
                held.chains.get(&account).map(MemberChains::to_secret_bytes)
            };
            match bytes {
                Some(bytes) => step.txn.put(Table::SenderKeys, &chain_key(group, account), bytes.expose()),
                None => step.txn.delete(Table::SenderKeys, &chain_key(group, account)),
            }
        }
        self.publish_all(step);
        Ok(())
    }
}

/// Whether the operations of a group tell of an account.
fn is_told_of(held: &Group, account: &AccountId) -> bool {
    held.membership.as_ref().is_some_and(|membership| membership.identity(account).is_some())
}

const fn too_large() -> StoreError {
    StoreError::TooLarge { bytes: GROUP_ROW_MAX_BYTES }
}

/// Stages the pages of operations that have grown.
fn store_operations(step: &mut Step<'_>, held: &mut Group) -> Result<(), StoreError> {
    let Some(membership) = &held.membership else { return Ok(()) };
    let count = membership.operations().len();
    if count <= held.stored_operations {
        return Ok(());
    }
    let first = held.stored_operations / GROUP_PAGE_OPERATIONS;
    let pages = count.div_ceil(GROUP_PAGE_OPERATIONS);
    for page in first..pages {
        let operations = membership.operations().skip(page.saturating_mul(GROUP_PAGE_OPERATIONS));
        let operations = operations.take(GROUP_PAGE_OPERATIONS);
        let operations = operations.map(|operation| Bytes(operation.encoded().to_vec())).collect();
        let page = u32::try_from(page).unwrap_or(u32::MAX);
        let group = held.row.group;
        let row = GroupRecord::Operations { group, page, operations }.encode().map_err(|_| too_large())?;
        step.txn.put(Table::Groups, &operations_key(group, page), &row);
    }
    held.stored_operations = count;
    held.row.pages = u32::try_from(pages).unwrap_or(u32::MAX);
    Ok(())
}
