//! Coming in and going: requests, links, approvals, welcomes, leaving.

use std::time::Instant;

use secure_chat_protocol::id::{AccountId, GroupId, OperationId};
use secure_chat_protocol::identity::PublicIdentity;
use secure_chat_protocol::invite::Invite;
use secure_chat_protocol::limits::GROUP_MEMBERS_MAX;
use secure_chat_protocol::membership::{Action, JoinPolicy, Membership, Role, View, invite_hash};
use secure_chat_protocol::record::Record;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::group::{GroupControl, GroupInvite, InvitePass, JoinAnswer, PersonIn, SecretIn};

use super::pace::Pace;
use super::roster::{Taken, pages};
use super::{Group, is_told_of};
use crate::api::{ApiError, Done, ErrorKind, Event, GroupJoining, GroupState};
use crate::engine::audit::Severity;
use crate::engine::peers::plausible_addresses;
use crate::engine::state::Open;
use crate::engine::step::{Step, sentence};
use crate::messaging::contact::{Contact, Inbox, Standing};
use crate::messaging::group::{Applicant, GroupRow, GroupStanding};
use crate::messaging::limits::{
    CONTACTS_MAX, GROUP_APPLICANTS_MAX, GROUP_APPLICANTS_MAX_BYTES, GROUP_BURST_JOINS, GROUP_WELCOMES_WAITING_MAX,
    GROUPS_MAX,
};

impl Open {
    /// `groups.join` by a link.
    pub(super) fn join_by_link(&mut self, step: &mut Step<'_>, link: &str) -> Result<GroupJoining, ApiError> {
        let wrong = |error: &dyn std::fmt::Display| ApiError::invalid("invite", sentence(&error.to_string()));
        let link = GroupInvite::parse(link).map_err(|error| wrong(&error))?;
        let invite = Invite::parse(&link.inviter).map_err(|error| wrong(&error))?;
        if link.expires.is_some_and(|expires| step.now > expires) {
            return Err(ApiError::new(ErrorKind::Expired, "This invite is over. Ask for a new one."));
        }
        if invite.account_id() == self.me {
            return Err(ApiError::new(ErrorKind::Conflict, "This is your own invite."));
        }
        let connected = self.is_connected(invite.account_id());
        let contact = self.contacts.entry(invite.account_id()).or_insert_with(|| {
            Contact::new(invite.account_id(), invite.identity().to_wire(), invite.name().as_str(), Standing::Member)
        });
        if contact.standing == Standing::Gone {
            contact.standing = Standing::Member;
        }
        if contact.record.0.is_empty() {
            contact.peers = invite.peer_keys().map(|key| Fixed(*key)).collect();
            contact.homes = invite.homes().to_vec();
        }
        // Who is met from before may listen somewhere else now: the link is what says it.
        if !connected && !invite.addresses().is_empty() {
            contact.addresses = invite.addresses().to_vec();
        }
        step.contacts.insert(invite.account_id());
        let about = secure_chat_protocol::membership::About { name: link.name, ..View::default().about };
        let asked = self.ask_to_join(step, link.group, about, invite.account_id(), Some(link.pass))?;
        self.may_ask(step, link.group, link.others);
        Ok(asked)
    }

    /// Asks an admin to be let in.
    pub(super) fn ask_to_join(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        about: secure_chat_protocol::membership::About,
        via: AccountId,
        pass: Option<InvitePass>,
    ) -> Result<GroupJoining, ApiError> {
        let known = self.groups.contains_key(&group);
        if !known && self.groups.len() >= GROUPS_MAX {
            return Err(ApiError::new(ErrorKind::Full, format!("You can be in at most {GROUPS_MAX} groups.")));
        }
        let held = self
            .groups
            .entry(group)
            .or_insert_with(|| Group::new(GroupRow::new(group, GroupStanding::Asking, about), None));
        if held.is_joined() {
            return Err(ApiError::new(ErrorKind::Conflict, "You are in this group already."));
        }
        held.row.standing = GroupStanding::Asking;
        (held.row.via, held.row.pass) = (Some(via), pass);
        held.row.asked.clear();
        held.row.others.clear();
        step.groups.insert(group);
        self.ask_admin(step, group, via);
        Ok(GroupJoining { group_id: group.to_string(), state: GroupState::Pending })
    }

    /// Somebody would join. Whether they may is judged here, whatever they say.
    pub(super) fn join_requested(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        group: GroupId,
        record: &Bytes,
        addresses: Vec<String>,
        pass: Option<InvitePass>,
    ) {
        let Some(record) = Record::decode(&record.0).ok().filter(|record| record.account_id() == from) else { return };
        if let Some(contact) = self.contacts.get_mut(&from) {
            contact.learn(&record);
            if !addresses.is_empty() {
                contact.addresses.clone_from(&addresses);
            }
            step.contacts.insert(from);
        }
        let verdict = self.judge(step, from, group, pass);
        let answer = match verdict {
            Verdict::Add if self.too_many_join(step, group) => JoinAnswer::Full,
            Verdict::Add => match self.take_in(step, group, &record) {
                Ok(()) => return,
                Err(error) if error.kind == ErrorKind::Full => JoinAnswer::Full,
                Err(_) => JoinAnswer::NotHere,
            },
            // Who was told everything already, and took nothing of it yet, is not told again.
            Verdict::Welcome if self.outbox.count_for(&from) >= GROUP_WELCOMES_WAITING_MAX => return,
            Verdict::Welcome => {
                self.welcome(step, group, from);
                return self.hand_again(step, from, group, None);
            }
            Verdict::Wait => {
                if self.keep_applicant(step, group, &record, plausible_addresses(&addresses)) {
                    JoinAnswer::Waiting
                } else {
                    JoinAnswer::Full
                }
            }
            Verdict::No(answer) => answer,
        };
        self.tell_member(step, from, group, GroupControl::JoinAnswer(answer));
    }

    fn judge(&self, step: &Step<'_>, from: AccountId, group: GroupId, pass: Option<InvitePass>) -> Verdict {
        let Some(held) = self.groups.get(&group).filter(|held| held.is_joined()) else {
            return Verdict::No(JoinAnswer::NotHere);
        };
        let (Some(view), Some(Role::Admin | Role::Owner)) = (held.view(), held.role(&self.me)) else {
            return Verdict::No(JoinAnswer::NotHere);
        };
        if view.has(&from) {
            return Verdict::Welcome;
        }
        if view.banned.contains(&from) {
            return Verdict::No(JoinAnswer::Banned);
        }
        if view.members.len() >= GROUP_MEMBERS_MAX {
            return Verdict::No(JoinAnswer::Full);
        }
        if let Some(pass) = pass {
            let open = view.invites.get(&pass.id.0).is_some_and(|invite| {
                invite.hash == invite_hash(&pass.id.0, &pass.secret.0)
                    && invite.expires.is_none_or(|expires| step.now <= expires)
            });
            return if open { Verdict::Add } else { Verdict::No(JoinAnswer::InviteOver) };
        }
        match view.about.join {
            _ if held.row.invited.contains(&from) => Verdict::Add,
            JoinPolicy::Open => Verdict::Add,
            JoinPolicy::Approval if held.row.applicants.len() < GROUP_APPLICANTS_MAX => Verdict::Wait,
            JoinPolicy::Approval => Verdict::No(JoinAnswer::Full),
            JoinPolicy::Invite => Verdict::No(JoinAnswer::Rejected),
        }
    }

    /// Whether strangers come in faster than a group can bear.
    fn too_many_join(&mut self, step: &mut Step<'_>, group: GroupId) -> bool {
        let Some(held) = self.groups.get_mut(&group) else { return true };
        let pace = held.joins.note(Instant::now(), GROUP_BURST_JOINS);
        if pace == Pace::JustPassed {
            let text = "Many ask to join a group at once: they are told to come back later.";
            self.alert(step, "group.join_flood", Severity::Warning, Some(group.to_string()), text);
        }
        pace != Pace::Fine
    }

    /// Says whether there is room for them.
    fn keep_applicant(&mut self, step: &mut Step<'_>, group: GroupId, record: &Record, addresses: Vec<String>) -> bool {
        let now = step.now;
        let account = record.account_id();
        let Some(held) = self.groups.get_mut(&group) else { return false };
        let bytes = |applicant: &Applicant| {
            applicant.record.0.len().saturating_add(applicant.addresses.iter().map(String::len).sum())
        };
        let taken: usize = held.row.applicants.values().map(bytes).sum();
        if taken.saturating_add(record.encoded().len()) > GROUP_APPLICANTS_MAX_BYTES {
            return false;
        }
        let applicant = Applicant {
            username: record.name().as_str().to_owned(),
            record: Bytes(record.encoded().to_vec()),
            addresses,
            at: now,
        };
        let view = super::views::applicant_view(group, account, &applicant);
        if held.row.applicants.insert(account, applicant).is_none() {
            step.tell(Event::GroupJoinRequested(view));
        }
        step.groups.insert(group);
        true
    }

    /// Adds somebody, and welcomes them.
    pub(super) fn take_in(&mut self, step: &mut Step<'_>, group: GroupId, record: &Record) -> Result<(), ApiError> {
        let account = record.account_id();
        self.act_on_group(step, group, Action::Add { record: Bytes(record.encoded().to_vec()) })?;
        if let Some(held) = self.groups.get_mut(&group) {
            held.row.applicants.remove(&account);
            held.row.invited.remove(&account);
        }
        self.welcome(step, group, account);
        self.audit(step, "group.member_added", Severity::Info, "Somebody was added to a group.");
        Ok(())
    }

    /// Tells somebody who is in everything that a member knows.
    fn welcome(&mut self, step: &mut Step<'_>, group: GroupId, account: AccountId) {
        let Some(held) = self.groups.get(&group) else { return };
        let (Some(membership), Some(view)) = (&held.membership, held.view()) else { return };
        let Some(kept) = held.row.secret(view) else { return };
        let secret = kept.secret.clone();
        let heads = membership.heads();
        let operations: Vec<Vec<u8>> = membership.operations().map(|operation| operation.encoded().to_vec()).collect();
        for operations in pages(operations.iter().map(Vec::as_slice)) {
            self.tell_member(step, account, group, GroupControl::Operations { operations });
        }
        let people = self.people(group);
        self.tell_member(step, account, group, GroupControl::Welcome { heads, secret, people });
    }

    /// Operations: of members, or of the admin whom we asked to be let in.
    pub(super) fn operations_told(&mut self, step: &mut Step<'_>, from: AccountId, group: GroupId, told: &[Bytes]) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        let asked = held.row.standing == GroupStanding::Asking && held.row.asked.contains(&from);
        let met = held.membership.as_ref().is_some_and(|membership| membership.identity(&from).is_some());
        let left = held.row.standing == GroupStanding::Left;
        let heard = asked || ((held.is_joined() || left) && met);
        if !heard {
            return;
        }
        let mut told = told;
        if held.membership.is_none()
            && let Some((first, rest)) = told.split_first()
        {
            match Membership::open(&first.0) {
                Ok(membership) if membership.group() == group => held.membership = Some(membership),
                _ => return,
            }
            step.groups.insert(group);
            told = rest;
        }
        if self.take_operations(step, group, from, told) != Taken::All {
            self.ask_members(step, group, Some(from));
        }
        if left {
            self.come_back(step, group);
        }
    }

    /// We were put out, and then it turned out that whoever did it had no right to: all the
    /// others count us in. Asks for what was said since.
    fn come_back(&mut self, step: &mut Step<'_>, group: GroupId) {
        let me = self.me;
        let Some(held) = self.groups.get(&group).filter(|held| held.has(&me)) else { return };
        let Some(view) = held.view().filter(|_| !super::roster::left_by_themselves(held, &me)) else { return };
        let about = view.about.clone();
        let Some(admin) = view.admins().into_iter().find(|admin| *admin != me) else { return };
        self.know_members(step, group);
        if let Err(error) = self.ask_to_join(step, group, about, admin, None) {
            tracing::debug!(%error, "nobody is asked to take us back");
        }
    }

    /// We are in, says the admin whom we asked; the operations must say so too.
    pub(super) fn welcomed(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        group: GroupId,
        heads: &[OperationId],
        secret: SecretIn,
        people: &[PersonIn],
    ) {
        let me = self.me;
        let Some(held) = self.groups.get_mut(&group) else { return };
        // Nobody is put into a group without having asked.
        let asked = held.row.asked.contains(&from);
        let whole = held.membership.as_ref().is_some_and(|known| heads.iter().all(|head| known.knows(head)));
        let admin = held.role(&from).is_some_and(|role| role >= Role::Admin);
        let follows = held.view().is_some_and(|view| held.row.may_follow(view, secret.generation));
        if asked && whole && admin && !follows {
            return self.secret_refused(step, from);
        }
        if asked && whole && admin && held.is_joined() {
            // Another admin, whom we asked as well, was quicker.
            held.row.keep_secret(from, secret);
            step.groups.insert(group);
            return self.follow_topics(step);
        }
        if !asked || held.row.standing != GroupStanding::Asking || !whole || !admin || !held.has(&me) {
            let text = "Somebody said that this account is in a group, and could not show it.";
            return self.alert(step, "group.invalid_welcome", Severity::Warning, Some(from.to_string()), text);
        }
        held.row.standing = GroupStanding::Joined;
        (held.row.pass, held.row.ask_next) = (None, None);
        held.row.others.clear();
        held.row.keep_secret(from, secret);
        if let Some(view) = held.view().cloned() {
            held.row.about = view.about;
            held.row.members = u32::try_from(view.members.len()).unwrap_or(u32::MAX);
        }
        step.groups.insert(group);
        self.know_members(step, group);
        self.people_told(step, from, group, people, true);
        self.follow_topics(step);
        self.take_early(step, group);
        if let Some(view) = self.group_view(step, group) {
            step.tell(Event::GroupJoined(Box::new(view)));
        }
        self.audit(step, "group.joined", Severity::Info, "A group was joined.");
        self.read_log(step, group);
        self.ask_members(step, group, Some(from));
    }

    /// The admin whom we asked has not let us in (yet).
    pub(super) fn join_answered(&mut self, step: &mut Step<'_>, from: AccountId, group: GroupId, answer: JoinAnswer) {
        let Some(held) = self.groups.get(&group) else { return };
        if held.row.standing != GroupStanding::Asking || !held.row.asked.contains(&from) {
            return;
        }
        if matches!(answer, JoinAnswer::NotHere | JoinAnswer::Full) && self.ask_another(step, group, from) {
            return;
        }
        if answer == JoinAnswer::Rejected && self.others_decide(step, group, from) {
            return;
        }
        let reason = match answer {
            JoinAnswer::Waiting => return self.tell_group(step, group),
            JoinAnswer::Rejected => "You were not let in.",
            JoinAnswer::InviteOver => "The invite is over or was revoked. Ask for a new one.",
            JoinAnswer::Full => "The group is full.",
            JoinAnswer::Banned => "You are banned from this group.",
            JoinAnswer::NotHere => "Whom you asked can't let anybody in (any more).",
        };
        self.forget_or_leave(step, group, reason);
    }

    /// One admin has said no: whoever else was asked may have said yes at the same time, and
    /// then we are in. Says whether anybody is left who was asked.
    fn others_decide(&mut self, step: &mut Step<'_>, group: GroupId, no: AccountId) -> bool {
        let Some(held) = self.groups.get_mut(&group).filter(|held| held.row.asked.len() > 1) else { return false };
        held.row.asked.remove(&no);
        // Nobody else is asked for it, though.
        (held.row.ask_next, held.row.via) = (None, held.row.asked.first().copied());
        held.row.others.clear();
        step.groups.insert(group);
        self.tell_group(step, group);
        true
    }

    /// A group that we were never in is forgotten; the others stay readable.
    fn forget_or_leave(&mut self, step: &mut Step<'_>, group: GroupId, reason: &str) {
        let was_in = self.groups.get(&group).is_some_and(|held| held.row.last_place != (0, 0));
        if was_in {
            return self.out_of_group(step, group, reason);
        }
        self.forget_group(step, group);
        step.tell(Event::GroupLeft { group_id: group.to_string(), reason: reason.to_owned() });
    }

    /// `groups.leave`.
    pub(super) fn leave_group(&mut self, step: &mut Step<'_>, group: GroupId) -> Result<Done, ApiError> {
        let Some(held) = self.groups.get(&group) else { return Ok(Done {}) };
        match held.row.standing {
            GroupStanding::Invited | GroupStanding::Asking => self.forget_or_leave(step, group, "You left."),
            GroupStanding::Left => {
                return Err(ApiError::new(ErrorKind::NotAllowed, "You are not in this group."));
            }
            GroupStanding::Joined => {
                let Some(view) = held.view() else { return Ok(Done {}) };
                let owners = view.members.values().filter(|member| member.role == Role::Owner).count();
                if view.role(&self.me) == Some(Role::Owner) && owners == 1 && view.members.len() > 1 {
                    let text = "You are the last owner. Make somebody else the owner first.";
                    return Err(ApiError::new(ErrorKind::NotAllowed, text));
                }
                let seen = self.read_of(step, group, self.me);
                self.act_on_group(step, group, Action::Leave { seen })?;
            }
        }
        Ok(Done {})
    }

    /// Forgets everything about a group but its messages.
    pub(super) fn forget_group(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(held) = self.groups.remove(&group) else { return };
        for page in 0..held.row.pages {
            step.txn.delete(crate::store::Table::Groups, &super::operations_key(group, page));
        }
        step.groups.insert(group);
        self.follow_topics(step);
    }

    /// A stranger's first message is about a group of ours: they ask to join, or are
    /// a member of whom we have not heard yet. Says whether they are heard.
    pub(in crate::engine) fn meet_in_group(
        &mut self,
        step: &mut Step<'_>,
        identity: &PublicIdentity,
        group: GroupId,
        payload: &[u8],
    ) -> bool {
        let account = identity.account_id();
        let Some(held) = self.groups.get(&group) else { return false };
        // Whoever has a link to a group that we left is told so; all else about it is over.
        let left = held.row.standing == GroupStanding::Left;
        let record = match GroupControl::decode(payload) {
            Ok(GroupControl::JoinRequest { record, pass, .. }) => {
                let admin = held.is_coming() && held.role(&self.me).is_some_and(|role| role >= Role::Admin);
                let heard = admin || (left && pass.is_some());
                let record = Record::decode(&record.0).ok().filter(|record| heard && record.account_id() == account);
                let Some(record) = record else { return false };
                Some(record)
            }
            _ if !held.is_coming() => return false,
            // Of a member, as far as the operations say that are here; a newcomer whose
            // operation is still on its way is asked for their chain later.
            Ok(
                GroupControl::Chain { .. }
                | GroupControl::Operations { .. }
                | GroupControl::Secret(_)
                | GroupControl::Change { .. },
            ) if held.row.standing == GroupStanding::Asking || is_told_of(held, &account) => None,
            _ => return false,
        };
        if self.contacts.len() >= CONTACTS_MAX {
            return false;
        }
        let name = record.as_ref().map_or_else(|| account.to_string(), |record| record.name().as_str().to_owned());
        let mut contact = self
            .contacts
            .remove(&account)
            .unwrap_or_else(|| Contact::new(account, identity.to_wire(), &name, Standing::Member));
        contact.standing = Standing::Member;
        contact.inbox = Inbox::default();
        self.contacts.insert(account, contact);
        step.contacts.insert(account);
        true
    }
}

impl Open {
    /// Whether somebody who is not known to be a member may be one soon: the operation
    /// that took them in is perhaps on its way.
    pub(in crate::engine) fn comes_early(&self, group: GroupId, payload: &[u8]) -> bool {
        let member_says = matches!(
            GroupControl::decode(payload),
            Ok(GroupControl::Chain { .. }
                | GroupControl::Operations { .. }
                | GroupControl::Secret(_)
                | GroupControl::Change { .. })
        );
        member_says && self.groups.get(&group).is_some_and(Group::is_coming)
    }
}

/// What becomes of a request to join.
enum Verdict {
    /// Let in.
    Add,
    /// In already: tell them again.
    Welcome,
    /// An admin decides.
    Wait,
    No(JoinAnswer),
}
