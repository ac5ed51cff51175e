//! What all members agree on who know the same operations.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Membership;
use super::operation::{About, Action, ChainPlace, JoinPolicy, Role};
use super::resolve::{Scope, Settled};
use crate::crypto::kdf::Transcript;
use crate::id::{AccountId, ChainId, OperationId, Timestamp, ViewId};
use crate::limits::{GROUP_INVITES_MAX, GROUP_MEMBERS_MAX};

/// A member, as all see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberView {
    /// What they may do.
    pub role: Role,
    /// Their place in the order of coming in, from 0.
    pub seniority: u32,
    /// The operation that took them in: another one when they went and came back.
    pub since: OperationId,
}

/// An open invite link, as all see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InviteView {
    /// The hash of its secret.
    pub hash: [u8; 32],
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Who opened it.
    pub author: AccountId,
}

/// What a group's members agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Names it.
    pub id: ViewId,
    /// What the group says of itself.
    pub about: About,
    /// Who is in it.
    pub members: BTreeMap<AccountId, MemberView>,
    /// Who is kept out.
    pub banned: BTreeSet<AccountId>,
    /// Who was in it, and how far each of their chains is read.
    pub former: BTreeMap<AccountId, Vec<ChainPlace>>,
    /// Invite links that are open.
    pub invites: BTreeMap<[u8; 16], InviteView>,
    /// Who signed two operations with one number.
    pub equivocators: BTreeSet<AccountId>,
}

impl Default for View {
    fn default() -> Self {
        let about = About { name: String::new(), description: String::new(), join: JoinPolicy::Invite, public: false };
        Self {
            id: ViewId([0; 32]),
            about,
            members: BTreeMap::new(),
            banned: BTreeSet::new(),
            former: BTreeMap::new(),
            invites: BTreeMap::new(),
            equivocators: BTreeSet::new(),
        }
    }
}

impl View {
    pub(super) fn of(membership: &Membership, settled: &Settled) -> Self {
        let scope = Scope { within: None, effective: &settled.effective };
        let mut order: Vec<_> = membership.roster(scope).into_iter().collect();
        order.sort_by_key(|(_, (_, seniority))| *seniority);
        // Whom two admins took in at once beyond the limit is not in the group, the last first.
        order.truncate(GROUP_MEMBERS_MAX);
        let members: BTreeMap<_, _> = order
            .iter()
            .zip(0_u32..)
            .map(|((account, (role, (_, since))), seniority)| {
                (*account, MemberView { role: *role, seniority, since: *since })
            })
            .collect();
        let banned = membership.touching.keys().filter(|account| membership.is_banned(scope, **account));
        let banned = banned.copied().collect();
        let mut view = Self { banned, members, equivocators: settled.equivocators.clone(), ..Self::default() };
        let mut counted: Vec<_> = membership.nodes.iter().enumerate().collect();
        counted.retain(|(place, _)| scope.effective.contains(*place));
        counted.sort_by_key(|(_, node)| (node.depth, node.operation.id));
        let mut revoked = BTreeSet::new();
        for (_, node) in counted {
            let author = node.operation.author();
            match node.operation.action() {
                Action::Create { about, .. } | Action::Update { about } => view.about = about.clone(),
                Action::Invite { id, hash, expires } if view.invites.len() < GROUP_INVITES_MAX => {
                    view.invites.insert(id.0, InviteView { hash: hash.0, expires: *expires, author });
                }
                Action::RevokeInvite { id } => {
                    // Makes room for another.
                    view.invites.remove(&id.0);
                    revoked.insert(id.0);
                }
                action => {
                    let gone = action.removes(author).filter(|account| !view.members.contains_key(account));
                    if let Some(account) = gone {
                        view.former.insert(account, action.seen().to_vec());
                    }
                }
            }
        }
        view.invites.retain(|id, _| !revoked.contains(id));
        view.id = view.name(&membership.heads());
        view
    }

    /// `SHA256(L(view) ‖ sorted roster and roles ‖ heads)`.
    fn name(&self, heads: &[OperationId]) -> ViewId {
        let mut hash = Transcript::new("view");
        for (account, member) in &self.members {
            hash.field(account.as_ref()).field(&[member.role as u8]);
        }
        hash.field(b"heads");
        for head in heads {
            hash.field(head.as_ref());
        }
        ViewId(hash.finish())
    }

    /// Somebody's role.
    #[must_use]
    pub fn role(&self, account: &AccountId) -> Option<Role> {
        self.members.get(account).map(|member| member.role)
    }

    /// Whether somebody is in the group.
    #[must_use]
    pub fn has(&self, account: &AccountId) -> bool {
        self.members.contains_key(account)
    }

    /// Below which number the messages of somebody's chain count: all that a member says, and
    /// what somebody said who was one, as far as whoever put them out had read that chain.
    #[must_use]
    pub fn counts_below(&self, author: &AccountId, chain: &ChainId) -> u32 {
        if self.has(author) {
            return u32::MAX;
        }
        let seen = self.former.get(author).into_iter().flatten();
        seen.filter(|place| place.chain == *chain).map(|place| place.next).max().unwrap_or(0)
    }

    /// Who is in the group.
    #[must_use]
    pub fn roster(&self) -> BTreeSet<AccountId> {
        self.members.keys().copied().collect()
    }

    /// Those who may take others in, the most senior of the highest role first.
    #[must_use]
    pub fn admins(&self) -> Vec<AccountId> {
        let mut admins: Vec<_> = self.members.iter().filter(|(_, member)| member.role >= Role::Admin).collect();
        admins.sort_by_key(|(_, member)| (std::cmp::Reverse(member.role), member.seniority));
        admins.into_iter().map(|(account, _)| *account).collect()
    }
}
