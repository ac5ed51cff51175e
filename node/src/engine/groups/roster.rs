//! Operations on a group's membership: own ones, those that came, and what they bring about.

use std::collections::BTreeSet;

use secure_chat_protocol::id::{AccountId, GroupId};
use secure_chat_protocol::limits::GROUP_SYNC_MAX_BYTES;
use secure_chat_protocol::membership::{Action, ChainPlace, GroupSecret, OperationError, Role, View};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::group::{GroupControl, PersonIn, SecretIn};

use super::Group;
use super::chat::place_key;
use crate::api::{ApiError, ErrorKind, Event};
use crate::engine::audit::Severity;
use crate::engine::state::{Open, rng};
use crate::engine::step::Step;
use crate::messaging::group::GroupStanding;
use crate::messaging::limits::GROUP_READ_MEMBERS_MAX;
use crate::store::Table;

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

pub(super) fn refused(error: &OperationError) -> ApiError {
    match error {
        OperationError::NotAllowed => {
            ApiError::new(ErrorKind::NotAllowed, "Your role in this group does not allow this.")
        }
        OperationError::Full => {
            ApiError::new(ErrorKind::Full, "The group is full: it can't have more members or changes.")
        }
        other => ApiError::new(ErrorKind::Internal, crate::engine::step::sentence(&other.to_string())),
    }
}

/// What became of operations that were told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing is missing before them.
    All,
    /// Something is missing before some; others were new.
    Some,
    /// Something is missing before them, and nothing was new.
    None,
}

/// Messages that an act costs besides those to each member: all operations, for a newcomer.
const ACT_MESSAGES_MAX: usize = 128;

/// Too much waits for members who are away.
pub(super) fn no_room() -> ApiError {
    ApiError::new(ErrorKind::Full, "Too many messages wait to be delivered. Try again later.")
}

/// Splits encoded operations so that each control message fits a session's message.
pub(super) fn pages<'a>(operations: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<Bytes>> {
    let (mut pages, mut page, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    for operation in operations {
        if bytes.saturating_add(operation.len()) > GROUP_SYNC_MAX_BYTES && !page.is_empty() {
            pages.push(std::mem::take(&mut page));
            bytes = 0;
        }
        bytes = bytes.saturating_add(operation.len());
        page.push(Bytes(operation.to_vec()));
    }
    if !page.is_empty() {
        pages.push(page);
    }
    pages
}

impl Open {
    /// Does something to a group's membership, and tells all members: those before and those after.
    pub(super) fn act_on_group(&mut self, step: &mut Step<'_>, group: GroupId, action: Action) -> Result<(), ApiError> {
        let held = self.groups.get_mut(&group).ok_or_else(|| ApiError::not_found("There is no such group."))?;
        let membership = held.membership.as_mut().ok_or_else(|| ApiError::not_found("There is no such group."))?;
        // Whoever acts tells each member of it, and perhaps hands them a chain: all or none.
        let told = membership.view().members.len().saturating_mul(2).saturating_add(ACT_MESSAGES_MAX);
        if !self.outbox.has_room(told) {
            return Err(no_room());
        }
        let before = membership.view().clone();
        let operation = membership.act(&self.identity, action).map_err(|error| refused(&error))?;
        step.groups.insert(group);
        let (encoded, after) = (operation.encoded().to_vec(), membership.view().clone());
        let newcomer = operation.record().map(|record| record.account_id());
        self.view_changed(step, group, &before);
        let told: Vec<AccountId> =
            before.members.keys().chain(after.members.keys()).copied().filter(|who| *who != self.me).collect();
        let told: BTreeSet<AccountId> = told.into_iter().collect();
        // A secret counts by who made it: without one admin an older one might count again.
        let changed = before.roster() != after.roster() || before.admins() != after.admins();
        let secret = if changed && after.has(&self.me) { self.make_secret(step, group) } else { None };
        let people: Vec<PersonIn> = newcomer.and_then(|account| self.listens_at(account)).into_iter().collect();
        // All of it is one message to each: in a large group that is what a change costs. The
        // newcomer is welcomed with everything.
        for account in told.iter().filter(|account| Some(**account) != newcomer || before.has(account)) {
            let change = GroupControl::Change {
                operation: Bytes(encoded.clone()),
                // Not for whoever is put out with it.
                secret: secret.clone().filter(|_| after.has(account)),
                people: people.clone(),
            };
            self.tell_member(step, *account, group, change);
        }
        Ok(())
    }

    /// Where somebody listens, if it is known.
    fn listens_at(&self, account: AccountId) -> Option<PersonIn> {
        let addresses = self.contacts.get(&account)?.addresses.clone();
        (!addresses.is_empty()).then_some(PersonIn { account, addresses })
    }

    /// Makes a fresh group secret, and hands it to all members.
    fn renew_secret(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(secret) = self.make_secret(step, group) else { return };
        let mut members = self.groups.get(&group).and_then(Group::view).map(View::roster).unwrap_or_default();
        members.remove(&self.me);
        for account in members {
            self.tell_member(step, account, group, GroupControl::Secret(secret.clone()));
        }
    }

    /// Two changed who is in, and neither knew of the other: the secret of one of them is known
    /// to whom the other put out, or not to whom the other took in. The first of the admins makes
    /// one for all who are in now.
    pub(super) fn settle_secrets(&mut self, step: &mut Step<'_>, group: GroupId, operation: &[u8]) {
        let Some(held) = self.groups.get(&group).filter(|held| held.is_joined()) else { return };
        let (Some(membership), Some(view)) = (&held.membership, held.view()) else { return };
        if view.admins().first() != Some(&self.me) || !self.outbox.has_room(view.members.len()) {
            return;
        }
        let Some(place) = membership.place_beside_another(operation) else { return };
        let counts = held.row.secret(view).is_some_and(|kept| kept.author == self.me);
        if !counts || place >= held.secret_covers {
            self.renew_secret(step, group);
        }
    }

    /// A fresh group secret, which nobody else knows yet.
    fn make_secret(&mut self, step: &mut Step<'_>, group: GroupId) -> Option<SecretIn> {
        let me = self.me;
        let held = self.groups.get_mut(&group)?;
        let view = held.view()?;
        let secret = SecretIn {
            generation: held.row.next_generation(view),
            secret: GroupSecret::generate(&mut rng()).to_wire(),
        };
        held.row.keep_secret(me, secret.clone());
        held.secret_covers = held.membership.as_ref().map_or(0, |membership| membership.operations().len());
        step.groups.insert(group);
        self.follow_topics(step);
        Some(secret)
    }

    /// Operations that somebody told. Those whose parents are missing wait for them.
    pub(super) fn take_operations(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        from: AccountId,
        told: &[Bytes],
    ) -> Taken {
        let Some(held) = self.groups.get_mut(&group) else { return Taken::All };
        let Some(membership) = held.membership.as_mut() else { return Taken::All };
        let before = membership.view().clone();
        let (mut fresh, mut wrong, mut lacking) = (false, None, BTreeSet::new());
        let mut ready: Vec<(AccountId, Vec<u8>)> = told.iter().map(|operation| (from, operation.0.clone())).collect();
        while !ready.is_empty() {
            let mut new = false;
            for (teller, operation) in ready {
                match membership.add(&operation) {
                    Ok(added) => new |= added,
                    Err(OperationError::MissingParents(missing)) => {
                        lacking.extend(missing.iter().copied());
                        held.orphans.keep(teller, missing, operation);
                    }
                    Err(error) => wrong = Some((teller, error)),
                }
            }
            fresh |= new;
            // Those that waited are looked at only if something came that they may have waited for.
            ready = if new { held.orphans.take_ready(|parent| membership.knows(parent)) } else { Vec::new() };
        }
        let incomplete = lacking.iter().any(|parent| !membership.knows(parent));
        if let Some((teller, error)) = wrong {
            let text = format!("An operation on a group was refused: {error}.");
            self.alert(step, "group.invalid_operation", Severity::Warning, Some(teller.to_string()), &text);
        }
        if fresh {
            step.groups.insert(group);
            self.view_changed(step, group, &before);
        }
        match (incomplete, fresh) {
            (false, _) => Taken::All,
            (true, true) => Taken::Some,
            (true, false) => Taken::None,
        }
    }

    /// The membership may have changed from `before`: draws the consequences.
    pub(super) fn view_changed(&mut self, step: &mut Step<'_>, group: GroupId, before: &View) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        let Some(after) = held.view().cloned() else { return };
        held.row.about = after.about.clone();
        held.row.members = u32::try_from(after.members.len()).unwrap_or(u32::MAX);
        step.groups.insert(group);
        if !held.is_joined() {
            return;
        }
        if !after.has(&self.me) {
            let reason = match after.banned.contains(&self.me) {
                true => "You were banned.",
                false if left_by_themselves(held, &self.me) => "You left.",
                false => "You were removed.",
            };
            return self.out_of_group(step, group, reason);
        }
        self.know_members(step, group);
        for (account, member) in &after.members {
            // Whoever went and came back, unnoticed here, has lost all chains meanwhile.
            if before.members.get(account).is_none_or(|known| known.since != member.since) {
                self.member_came(step, group, *account);
            }
        }
        for account in before.members.keys().filter(|account| !after.has(account)) {
            self.member_went(step, group, *account);
        }
        for (account, member) in &after.members {
            if before.role(account).is_some_and(|role| role != member.role) {
                let (username, account_id) = (self.conversation_name(*account), account.to_string());
                let (group_id, role) = (group.to_string(), member.role);
                let text = format!("Somebody's role in a group is {} now.", role_name(role));
                self.audit_about(step, "group.role_changed", Severity::Info, Some(account_id.clone()), text);
                step.tell(Event::GroupRoleChanged { group_id, username, account_id, role });
            }
        }
        if before.about != after.about {
            self.tell_group(step, group);
        }
        if before.has(&self.me) {
            self.note_members(step, before, &after);
        }
        for account in after.equivocators.difference(&before.equivocators) {
            let text = "A member of a group signed two different changes as the same one.";
            self.alert(step, "group.equivocation", Severity::Critical, Some(account.to_string()), text);
        }
        // Somebody must make a secret that those who went don't know: the first of the admins.
        let lacks = self.groups.get(&group).is_some_and(|held| held.row.secret(&after).is_none());
        let left = before.members.keys().any(|account| {
            !after.has(account) && self.groups.get(&group).is_some_and(|held| left_by_themselves(held, account))
        });
        if after.admins().first() == Some(&self.me) && (left || lacks) {
            self.renew_secret(step, group);
        }
        self.follow_topics(step);
        self.take_early(step, group);
        self.read_again_soon(group);
        self.renew_listing(step, group, before);
    }

    /// Who came, went and was banned is in the log.
    fn note_members(&mut self, step: &mut Step<'_>, before: &View, after: &View) {
        let came = after.members.keys().filter(|account| !before.has(account));
        let went = before.members.keys().filter(|account| !after.has(account));
        let changes = came
            .map(|account| (account, "group.member_joined", "Somebody joined a group."))
            .chain(went.map(|account| (account, "group.member_left", "Somebody left a group, or was removed.")))
            .chain(
                after
                    .banned
                    .difference(&before.banned)
                    .map(|account| (account, "group.member_banned", "Somebody was banned from a group.")),
            );
        for (account, kind, text) in changes {
            self.audit_about(step, kind, Severity::Info, Some(account.to_string()), text);
        }
    }

    fn member_came(&mut self, step: &mut Step<'_>, group: GroupId, account: AccountId) {
        if account == self.me {
            return;
        }
        if let Err(error) = self.load_own_chain(step, group) {
            tracing::error!(%error, "the own chain can't be read");
        }
        let chain = self.groups.get_mut(&group).and_then(|held| held.own.as_mut()).map(|own| own.hand_to(account));
        if let Some(chain) = chain {
            step.chains.insert((group, self.me));
            self.hand_chain(step, account, group, chain);
        }
        if let Some(held) = self.groups.get_mut(&group) {
            if !held.row.unacknowledged.is_empty() {
                held.row.came.insert(account, held.row.kept);
            }
            if held.row.members as usize <= GROUP_READ_MEMBERS_MAX {
                held.row.read_marks.insert(account, held.row.last_place);
            }
            held.row.applicants.remove(&account);
        }
        step.tell(Event::GroupMemberJoined {
            group_id: group.to_string(),
            username: self.conversation_name(account),
            account_id: account.to_string(),
        });
        self.reach(step, account);
    }

    fn member_went(&mut self, step: &mut Step<'_>, group: GroupId, account: AccountId) {
        if let Some(held) = self.groups.get_mut(&group) {
            held.acknowledged.remove(&account);
            held.row.invited.remove(&account);
            held.row.came.remove(&account);
            held.row.read_marks.remove(&account);
        }
        self.settle_acknowledged(step, group);
        if let Err(error) = self.settle_read(step, group) {
            tracing::error!(%error, "what was read can't be stored");
        }
        step.tell(Event::GroupMemberLeft {
            group_id: group.to_string(),
            username: self.conversation_name(account),
            account_id: account.to_string(),
        });
    }

    /// This account is no longer in a group.
    pub(super) fn out_of_group(&mut self, step: &mut Step<'_>, group: GroupId, reason: &str) {
        let me = self.me;
        let listed = self.groups.get(&group).and_then(Group::view);
        if listed.is_some_and(|view| view.about.public && view.members.is_empty()) {
            self.withdraw_listing(step, group);
        }
        let Some(held) = self.groups.get_mut(&group) else { return };
        held.row.standing = GroupStanding::Left;
        held.row.secrets.clear();
        held.row.applicants.clear();
        held.row.links.clear();
        held.row.early.clear();
        let authors: Vec<AccountId> = held.row.places.values().map(|progress| progress.author).collect();
        held.own = None;
        held.chains.clear();
        held.waiting.clear();
        step.groups.insert(group);
        step.chains.extend(authors.into_iter().map(|author| (group, author)));
        step.chains.insert((group, me));
        step.tell(Event::GroupLeft { group_id: group.to_string(), reason: reason.to_owned() });
        self.audit(step, "group.left", Severity::Info, "A group was left.");
        self.follow_topics(step);
    }

    /// How far each of somebody's chains was read here: what is said with their removal.
    pub(super) fn read_of(&self, step: &Step<'_>, group: GroupId, account: AccountId) -> Vec<ChainPlace> {
        let Some(held) = self.groups.get(&group) else { return Vec::new() };
        // Only what is here: a chain that was handed over far ahead would let its owner
        // go on writing.
        held.row.read_of(account, |chain, last| {
            let row = || step.txn.get(Table::GroupLog, &place_key(group, chain, last));
            account == self.me || row().is_ok_and(|row| row.is_some())
        })
    }

    /// Where members listen, as far as it is known here.
    pub(super) fn people(&self, group: GroupId) -> Vec<PersonIn> {
        let Some(view) = self.groups.get(&group).and_then(Group::view) else { return Vec::new() };
        let mut people = Vec::new();
        let mut bytes = 0_usize;
        for account in view.members.keys() {
            let addresses = if *account == self.me {
                if self.settings.share_addresses { self.told_addresses() } else { Vec::new() }
            } else {
                self.contacts.get(account).map(|contact| contact.addresses.clone()).unwrap_or_default()
            };
            bytes = bytes.saturating_add(40).saturating_add(addresses.iter().map(String::len).sum());
            if !addresses.is_empty() && bytes < GROUP_SYNC_MAX_BYTES / 2 {
                people.push(PersonIn { account: *account, addresses });
            }
        }
        people
    }
}

/// Whether somebody went on their own: whoever removes somebody makes the next secret.
pub(super) fn left_by_themselves(held: &Group, account: &AccountId) -> bool {
    let Some(membership) = &held.membership else { return false };
    let last =
        membership.operations().filter(|operation| operation.action().removes(operation.author()) == Some(*account));
    last.last().is_some_and(|operation| operation.author() == *account)
}
