//! Which operations count: roles at the causal past, strong removal, equivocation.
//!
//! Everything here is a function of a set of operations that is closed under
//! "comes before"; the order in which they came plays no part.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Membership, Node, Places};
use super::operation::{Action, Operation, Role};
use crate::id::{AccountId, OperationId};

/// How often the settling of removals starts over because one of them turned out
/// not to count: more only where an admin builds such knots on purpose.
const RESTARTS_MAX: usize = 64;

/// Where somebody stands in the order of coming in: the lower, the more senior.
pub(super) type Seniority = (u32, OperationId);

/// Which of two removals prevails: that with the lower one.
type Strength = (Reverse<Role>, Seniority, OperationId);

/// Which operations count.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) effective: Places,
    pub(super) equivocators: BTreeSet<AccountId>,
}

/// Operations of one past that count.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) within: Option<&'a Places>,
    pub(super) effective: &'a Places,
}

impl Scope<'_> {
    fn contains(&self, place: usize) -> bool {
        self.effective.contains(place) && self.within.is_none_or(|within| within.contains(place))
    }
}

impl Membership {
    fn in_scope<'a>(&'a self, scope: Scope<'a>, account: &AccountId) -> impl Iterator<Item = (usize, &'a Node)> {
        let touching = self.touching.get(account).into_iter().flatten().copied();
        touching.filter(move |place| scope.contains(*place)).filter_map(|place| Some((place, self.nodes.get(place)?)))
    }

    /// Somebody's role and seniority, by the operations of `scope`: in the group if
    /// an addition comes after every removal.
    pub(super) fn standing(&self, scope: Scope<'_>, account: AccountId) -> Option<(Role, Seniority)> {
        let removed: Vec<usize> = self
            .in_scope(scope, &account)
            .filter(|(_, node)| node.operation.action().removes(node.operation.author()) == Some(account))
            .map(|(place, _)| place)
            .collect();
        let lasting = |node: &Node| removed.iter().all(|place| node.past.contains(*place));
        let mut additions = self
            .in_scope(scope, &account)
            .filter(|(_, node)| node.operation.adds() == Some(account) && lasting(node))
            .peekable();
        additions.peek()?;
        let (mut seniority, mut base, mut since) = (None, Role::Member, Vec::new());
        for (place, node) in additions {
            let own = (node.depth, node.operation.id);
            seniority = Some(seniority.map_or(own, |other: Seniority| other.min(own)));
            if matches!(node.operation.action(), Action::Create { .. }) {
                base = Role::Owner;
            }
            since.push(place);
        }
        let role = self.role_since(scope, account, &since).unwrap_or(base);
        Some((role, seniority?))
    }

    /// The role that somebody was given since they came in; of concurrent ones the lowest.
    fn role_since(&self, scope: Scope<'_>, account: AccountId, since: &[usize]) -> Option<Role> {
        let given = self.in_scope(scope, &account).filter_map(|(place, node)| {
            let role = match node.operation.action() {
                Action::SetRole { member, role } if *member == account => *role,
                Action::Transfer { member } if *member == account => Role::Owner,
                Action::Transfer { .. } if node.operation.author() == account => Role::Admin,
                _ => return None,
            };
            // Whatever came before they were taken in again is over.
            let valid = since.iter().any(|addition| node.past.contains(*addition));
            valid.then_some((place, node, role))
        });
        let given: Vec<_> = given.collect();
        let newest = given.iter().filter(|(place, ..)| !given.iter().any(|(_, later, _)| later.past.contains(*place)));
        newest.map(|(_, _, role)| *role).min()
    }

    /// Whether somebody is banned.
    pub(super) fn is_banned(&self, scope: Scope<'_>, account: AccountId) -> bool {
        let bans: Vec<usize> = self
            .in_scope(scope, &account)
            .filter(|(_, node)| matches!(node.operation.action(), Action::Ban { member, .. } if *member == account))
            .map(|(place, _)| place)
            .collect();
        let ends: Vec<&Node> = self
            .in_scope(scope, &account)
            .filter(|(_, node)| matches!(node.operation.action(), Action::Unban { .. }))
            .map(|(_, node)| node)
            .collect();
        bans.iter().any(|ban| !ends.iter().any(|end| end.past.contains(*ban)))
    }

    /// Everybody in the group, by the operations of `scope`. Where no owner is left,
    /// the most senior of the highest role is one.
    pub(super) fn roster(&self, scope: Scope<'_>) -> BTreeMap<AccountId, (Role, Seniority)> {
        let all = self.touching.keys().filter_map(|account| Some((*account, self.standing(scope, *account)?)));
        let mut roster: BTreeMap<_, _> = all.collect();
        if !roster.values().any(|(role, _)| *role == Role::Owner) {
            let heir = roster.values_mut().min_by_key(|(role, seniority)| (Reverse(*role), *seniority));
            if let Some((role, _)) = heir {
                *role = Role::Owner;
            }
        }
        roster
    }

    /// Somebody's role, the heir's included.
    fn role(&self, scope: Scope<'_>, account: AccountId, needed: Role) -> Option<Role> {
        let (role, _) = self.standing(scope, account)?;
        if role >= needed {
            return Some(role);
        }
        self.roster(scope).get(&account).map(|(role, _)| *role)
    }

    /// Whether a role allows an operation.
    fn allows(&self, scope: Scope<'_>, role: Role, operation: &Operation) -> bool {
        let author = operation.author();
        let role_of = |member: &AccountId| self.standing(scope, *member).map(|(role, _)| role);
        match operation.action() {
            // The graph has exactly one, at its beginning.
            Action::Create { .. } => false,
            Action::Add { .. } => {
                let banned = operation.adds().is_none_or(|account| self.is_banned(scope, account));
                role >= Role::Admin && !banned
            }
            Action::Remove { member, .. } => {
                let theirs = role_of(member);
                *member != author && theirs.is_some_and(|theirs| role == Role::Owner || role > theirs)
            }
            Action::Ban { member, .. } => {
                let theirs = role_of(member);
                let below = theirs.is_none_or(|theirs| role > theirs);
                *member != author && (role == Role::Owner || (role == Role::Admin && below))
            }
            Action::Leave { .. } => true,
            Action::SetRole { member, .. } => role == Role::Owner && role_of(member).is_some(),
            Action::Transfer { member } => role == Role::Owner && *member != author && role_of(member).is_some(),
            Action::Unban { .. } | Action::Update { .. } | Action::Invite { .. } | Action::RevokeInvite { .. } => {
                role >= Role::Admin
            }
        }
    }

    fn needed(action: &Action) -> Role {
        match action {
            Action::Leave { .. } => Role::Member,
            Action::SetRole { .. } | Action::Transfer { .. } | Action::Remove { .. } | Action::Ban { .. } => {
                Role::Owner
            }
            _ => Role::Admin,
        }
    }

    fn may(&self, scope: Scope<'_>, author: AccountId, operation: &Operation) -> bool {
        let role = self.role(scope, author, Self::needed(operation.action()));
        role.is_some_and(|role| self.allows(scope, role, operation))
    }

    /// Whether an operation with this past is allowed by that past alone.
    pub(super) fn permits(&self, past: &Places, author: AccountId, operation: &Operation) -> bool {
        let settled = self.settle(Some(past));
        let scope = Scope { within: Some(past), effective: &settled.effective };
        self.may(scope, author, operation)
    }

    /// Of several operations of one author with one number only that with the lowest id counts.
    fn equivocal(&self, within: Option<&Places>, voided: &Places) -> (Places, BTreeSet<AccountId>) {
        let (mut losers, mut authors) = (Places::default(), BTreeSet::new());
        for (author, places) in &self.by_author {
            let mut numbers = BTreeMap::<u64, (OperationId, usize)>::new();
            for place in places.iter().filter(|place| within.is_none_or(|within| within.contains(**place))) {
                let Some(node) = self.nodes.get(*place) else { continue };
                let (seq, own) = (node.operation.wire.seq, (node.operation.id, *place));
                if voided.contains(*place) {
                    continue;
                }
                if let Some(other) = numbers.insert(seq, own) {
                    authors.insert(*author);
                    let (winner, loser) = if other < own { (other, own) } else { (own, other) };
                    numbers.insert(seq, winner);
                    losers.insert(loser.1);
                }
            }
        }
        (losers, authors)
    }

    /// What counts, if these operations don't.
    fn fold(&self, within: Option<&Places>, voided: &Places, losers: &Places) -> Places {
        let mut effective = Places::default();
        for (place, node) in self.nodes.iter().enumerate() {
            if within.is_some_and(|within| !within.contains(place)) || voided.contains(place) || losers.contains(place)
            {
                continue;
            }
            let author = node.operation.author();
            // What an author builds on a discarded branch of their own goes with it.
            let mut own = self.by_author.get(&author).into_iter().flatten();
            let discarded = own.any(|earlier| losers.contains(*earlier) && node.past.contains(*earlier));
            let scope = Scope { within: Some(&node.past), effective: &effective };
            if !discarded && (place == 0 || self.may(scope, author, &node.operation)) {
                effective.insert(place);
            }
        }
        effective
    }

    /// What the removal or demotion at `place` voids: what its object did concurrently,
    /// as far as it needed what was taken from them.
    fn victims(&self, place: usize, effective: &Places) -> Vec<usize> {
        let Some(node) = self.nodes.get(place) else { return Vec::new() };
        let past = Scope { within: Some(&node.past), effective };
        let (object, left) = match node.operation.action() {
            Action::Remove { member, .. } | Action::Ban { member, .. } => (*member, None),
            Action::SetRole { member, role } => {
                let lower = self.standing(past, *member).is_some_and(|(before, _)| *role < before);
                if !lower || *member == node.operation.author() {
                    return Vec::new();
                }
                (*member, Some(*role))
            }
            _ => return Vec::new(),
        };
        let theirs = self.by_author.get(&object).into_iter().flatten().copied();
        let concurrent = theirs.filter(|other| {
            let after = self.nodes.get(*other).is_some_and(|other| other.past.contains(place));
            effective.contains(*other) && !node.past.contains(*other) && !after
        });
        let voided = concurrent.filter(|other| match (left, self.nodes.get(*other)) {
            (Some(role), Some(other)) => {
                let scope = Scope { within: Some(&other.past), effective };
                !self.allows(scope, role, &other.operation)
            }
            _ => true,
        });
        voided.collect()
    }

    /// The strongest removal that has something to void: by its author's role, then seniority, then its id.
    fn strongest(
        &self,
        within: Option<&Places>,
        effective: &Places,
        done: &BTreeSet<usize>,
    ) -> Option<(usize, Vec<usize>)> {
        let mut best: Option<(Strength, usize, Vec<usize>)> = None;
        for (place, node) in self.nodes.iter().enumerate() {
            let outside = within.is_some_and(|within| !within.contains(place));
            if outside || !effective.contains(place) || done.contains(&place) {
                continue;
            }
            let victims = self.victims(place, effective);
            if victims.is_empty() {
                continue;
            }
            let scope = Scope { within: Some(&node.past), effective };
            let Some((role, seniority)) = self.standing(scope, node.operation.author()) else { continue };
            let rank = (Reverse(role), seniority, node.operation.id);
            if best.as_ref().is_none_or(|(other, ..)| rank < *other) {
                best = Some((rank, place, victims));
            }
        }
        best.map(|(_, place, victims)| (place, victims))
    }

    /// Which operations count, of all or of those within a past.
    pub(super) fn settle(&self, within: Option<&Places>) -> Settled {
        let mut excluded = BTreeSet::new();
        let mut outcome = Settled::default();
        for _ in 0..RESTARTS_MAX {
            let (mut voided, mut done) = (Places::default(), excluded.clone());
            let mut applied = Vec::new();
            loop {
                let (losers, equivocators) = self.equivocal(within, &voided);
                let effective = self.fold(within, &voided, &losers);
                let next = self.strongest(within, &effective, &done);
                outcome = Settled { effective, equivocators };
                let Some((place, victims)) = next else { break };
                victims.into_iter().for_each(|victim| voided.insert(victim));
                done.insert(place);
                applied.push(place);
            }
            // A removal whose author lost the right to it by another one voids nothing.
            let unfounded = applied.into_iter().find(|place| !outcome.effective.contains(*place));
            match unfounded {
                Some(place) => excluded.insert(place),
                None => break,
            };
        }
        outcome
    }
}
