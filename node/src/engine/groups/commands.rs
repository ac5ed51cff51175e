//! The application's commands about groups.

use std::collections::BTreeSet;

use secure_chat_protocol::id::{AccountId, GroupId, Timestamp};
use secure_chat_protocol::membership::{About, AboutError, Action, GroupSecret, Membership, Role};
use secure_chat_protocol::wire::group::SecretIn;

use super::{Group, Naming};
use crate::api::{ApiError, At, Command, Done, ErrorKind, Event, GroupJoining, GroupMade, Reply, params};
use crate::engine::audit::Severity;
use crate::engine::state::{Open, rng};
use crate::engine::step::{Step, sentence, storage};
use crate::messaging::group::{GroupRow, GroupStanding};
use crate::messaging::limits::GROUPS_MAX;
use crate::store::Page;

/// Longest text of a search in the directories, in bytes.
const QUERY_MAX_BYTES: usize = 256;

impl Open {
    /// A command about groups.
    pub(in crate::engine) fn group_command(&mut self, step: &mut Step<'_>, command: Command) {
        match command {
            Command::GroupsCreate(params, reply) => self.name_group(step, Naming::Create(params, reply)),
            Command::GroupsJoin(params, reply) => self.join_group(step, params, reply),
            Command::GroupsInvite(params, reply) => {
                let result = self.invite_to_group(step, params);
                step.reply(reply, result);
            }
            Command::GroupsRequests(params, reply) => {
                let result = self.deciding(&params.group_id).map(|group| self.applicants_view(group));
                step.reply(reply, result);
            }
            Command::GroupsApprove(params, reply) => {
                let result = self.approve(step, &params.group_id, &params.user);
                step.reply(reply, result);
            }
            Command::GroupsReject(params, reply) => {
                let result = self.reject(step, &params.group_id, &params.user);
                step.reply(reply, result);
            }
            Command::GroupsLeave(params, reply) => {
                let result = self.group_named(&params.group_id).and_then(|group| self.leave_group(step, group));
                step.reply(reply, result);
            }
            Command::GroupsList(_, reply) => {
                let groups = self.groups_view(step);
                step.reply(reply, Ok(groups));
            }
            Command::GroupsMembers(params, reply) => {
                let result = self.group_named(&params.group_id).map(|group| self.members_view(group));
                step.reply(reply, result);
            }
            Command::GroupsInvites(params, reply) => {
                let result = self.deciding(&params.group_id).and_then(|group| self.links_view(step, group));
                step.reply(reply, result);
            }
            Command::GroupsRevokeInvite(params, reply) => {
                let result = self.revoke(step, &params.group_id, &params.invite);
                step.reply(reply, result);
            }
            other => self.role_command(step, other),
        }
    }

    /// Commands about members and roles.
    fn role_command(&mut self, step: &mut Step<'_>, command: Command) {
        match command {
            Command::GroupsSetRole(params, reply) => {
                let result = self.set_role(step, &params.group_id, &params.user, params.role);
                step.reply(reply, result);
            }
            Command::GroupsRemoveMember(params, reply) => {
                let result = self.put_out(step, &params.group_id, &params.user, false);
                step.reply(reply, result);
            }
            Command::GroupsBan(params, reply) => {
                let result = self.put_out(step, &params.group_id, &params.user, true);
                step.reply(reply, result);
            }
            Command::GroupsUnban(params, reply) => {
                let result = self.unban(step, &params.group_id, &params.user);
                step.reply(reply, result);
            }
            Command::GroupsTransfer(params, reply) => {
                let result = self.transfer(step, &params.group_id, &params.user);
                step.reply(reply, result);
            }
            Command::GroupsUpdate(params, reply) => self.name_group(step, Naming::Update(params, reply)),
            other => self.talk_command(step, other),
        }
    }

    /// Commands about what is said, and about how a group is shown.
    fn talk_command(&mut self, step: &mut Step<'_>, command: Command) {
        match command {
            Command::GroupsSend(params, reply) => {
                let result = self.joined(&params.group_id);
                let result =
                    result.and_then(|group| self.send_to_group(step, group, &params.text, params.reply_to.as_deref()));
                step.reply(reply, result);
            }
            Command::GroupsHistory(params, reply) => {
                let group = self.group_named(&params.group_id);
                let result = group.and_then(|group| {
                    let conversation = group.to_string();
                    let params::GroupsHistory { before, limit, .. } = params;
                    let page = params::MessagesHistory { conversation, before, after: None, around: None, limit };
                    self.history(step, &page)
                });
                step.reply(reply, result);
            }
            Command::GroupsMarkRead(params, reply) => {
                let group = self.group_named(&params.group_id);
                let result = group.and_then(|group| self.mark_read(step, &group.to_string(), &params.up_to));
                step.reply(reply, result);
            }
            Command::GroupsMute(params, reply) => {
                let result = self.mute_group(step, &params.group_id, params.until);
                step.reply(reply, result);
            }
            Command::GroupsDeleteLocal(params, reply) => {
                let result = self.delete_group(step, &params.group_id);
                step.reply(reply, result);
            }
            Command::GroupsSearch(params, reply) => {
                if params.query.len() > QUERY_MAX_BYTES {
                    return step.reply(reply, Err(ApiError::invalid("query", "The query is too long.")));
                }
                self.search_groups(step, params.query, reply);
            }
            other => other.refuse(ApiError::new(ErrorKind::Internal, "This can't be done now.")),
        }
    }

    /// A group where this account takes others in.
    pub(super) fn deciding(&self, name: &str) -> Result<GroupId, ApiError> {
        let group = self.joined(name)?;
        if self.groups.get(&group).and_then(|held| held.role(&self.me)).is_some_and(|role| role >= Role::Admin) {
            Ok(group)
        } else {
            Err(ApiError::new(ErrorKind::NotAllowed, "Only admins and owners can do this."))
        }
    }

    /// A member, or somebody banned, by name, account id or peer id.
    fn member_named(&self, group: GroupId, user: &str) -> Result<AccountId, ApiError> {
        let view = self.groups.get(&group).and_then(Group::view);
        let view = view.ok_or_else(|| ApiError::not_found("There is no such group."))?;
        let name = user.trim().trim_start_matches('@');
        let known = view.members.keys().chain(&view.banned).chain(view.former.keys());
        // Who was banned, or is back, is a former member too.
        let named = known.filter(|account| self.conversation_name(**account).eq_ignore_ascii_case(name));
        let named: Vec<AccountId> = named.copied().collect::<BTreeSet<_>>().into_iter().collect();
        match named.as_slice() {
            [account] => return Ok(*account),
            [] => {}
            several => {
                let fingerprints = several.iter().map(AccountId::fingerprint).collect();
                let text = "Several members have this name. Name one by the account id.";
                return Err(ApiError { fingerprints, ..ApiError::new(ErrorKind::Conflict, text) });
            }
        }
        let account = self
            .resolve(name)
            .ok()
            .filter(|account| view.has(account) || view.banned.contains(account) || view.former.contains_key(account));
        account.ok_or_else(|| ApiError::not_found(format!("There is no member named {name:?}.")))
    }

    pub(super) fn create_group(
        &mut self,
        step: &mut Step<'_>,
        params: params::GroupsCreate,
    ) -> Result<GroupMade, ApiError> {
        if self.groups.len() >= GROUPS_MAX {
            return Err(ApiError::new(ErrorKind::Full, format!("You can be in at most {GROUPS_MAX} groups.")));
        }
        let about = About {
            name: params.name.trim().to_owned(),
            description: params.description.unwrap_or_default(),
            join: params.join,
            public: params.public,
        };
        checked(&about)?;
        let membership = Membership::create(&self.identity, &self.record, about.clone(), &mut rng())
            .map_err(|error| super::roster::refused(&error))?;
        let group = membership.group();
        let mut row = GroupRow::new(group, GroupStanding::Joined, about);
        row.members = 1;
        let secret = SecretIn { generation: 1, secret: GroupSecret::generate(&mut rng()).to_wire() };
        row.keep_secret(self.me, secret);
        self.groups.insert(group, Group::new(row, Some(membership)));
        step.groups.insert(group);
        self.follow_topics(step);
        self.list_group(step, group);
        if let Some(view) = self.group_view(step, group) {
            step.tell(Event::GroupJoined(Box::new(view)));
        }
        self.audit(step, "group.created", Severity::Info, "A group was made.");
        Ok(GroupMade { group_id: group.to_string() })
    }

    fn join_group(&mut self, step: &mut Step<'_>, params: params::GroupsJoin, reply: Reply<GroupJoining>) {
        if let Some(link) = params.invite.filter(|link| !link.trim().is_empty()) {
            let result = self.join_by_link(step, &link);
            return step.reply(reply, result);
        }
        let name = params.group_id.unwrap_or_default();
        if name.trim().is_empty() {
            let error = ApiError::invalid("group_id", "Say which group: by its id, or with an invite.");
            return step.reply(reply, Err(error));
        }
        let known = self.group_named(&name).ok().and_then(|group| self.groups.get(&group));
        let conflict = |text: &str| Err(ApiError::new(ErrorKind::Conflict, text));
        let result = match known.map(|held| (held.row.standing, held.row.via, held.row.about.clone(), held.row.group)) {
            Some((GroupStanding::Invited, Some(via), about, group)) => self.ask_to_join(step, group, about, via, None),
            Some((GroupStanding::Joined, ..)) => conflict("You are in this group already."),
            Some((GroupStanding::Asking, ..)) => conflict("Your request waits for an answer."),
            _ => return self.join_listed(step, &name, reply),
        };
        step.reply(reply, result);
    }

    fn owners(&self, group: GroupId) -> usize {
        let view = self.groups.get(&group).and_then(Group::view);
        view.map_or(0, |view| view.members.values().filter(|member| member.role == Role::Owner).count())
    }

    fn set_role(&mut self, step: &mut Step<'_>, group: &str, user: &str, role: Role) -> Result<Done, ApiError> {
        let group = self.joined(group)?;
        let member = self.member_named(group, user)?;
        let present = self.groups.get(&group).and_then(|held| held.role(&member));
        if present == Some(role) {
            return Ok(Done {});
        }
        if present == Some(Role::Owner) && self.owners(group) == 1 {
            let text = "The group would have no owner. Make somebody else the owner first.";
            return Err(ApiError::new(ErrorKind::NotAllowed, text));
        }
        self.act_on_group(step, group, Action::SetRole { member, role })?;
        Ok(Done {})
    }

    fn put_out(&mut self, step: &mut Step<'_>, group: &str, user: &str, ban: bool) -> Result<Done, ApiError> {
        let group = self.joined(group)?;
        let member = self.member_named(group, user)?;
        if member == self.me {
            return Err(ApiError::new(ErrorKind::NotAllowed, "That is you. Leave the group instead."));
        }
        let seen = self.read_of(step, group, member);
        let action = if ban { Action::Ban { member, seen } } else { Action::Remove { member, seen } };
        self.act_on_group(step, group, action)?;
        self.audit(step, "group.member_removed", Severity::Info, "Somebody was removed from a group.");
        Ok(Done {})
    }

    fn unban(&mut self, step: &mut Step<'_>, group: &str, user: &str) -> Result<Done, ApiError> {
        let group = self.joined(group)?;
        let member = self.member_named(group, user)?;
        let banned = self.groups.get(&group).and_then(Group::view).is_some_and(|view| view.banned.contains(&member));
        if !banned {
            return Err(ApiError::not_found("They are not banned."));
        }
        self.act_on_group(step, group, Action::Unban { member })?;
        Ok(Done {})
    }

    fn transfer(&mut self, step: &mut Step<'_>, group: &str, user: &str) -> Result<Done, ApiError> {
        let group = self.joined(group)?;
        let member = self.member_named(group, user)?;
        if member == self.me {
            return Err(ApiError::new(ErrorKind::Conflict, "You are the owner already."));
        }
        self.act_on_group(step, group, Action::Transfer { member })?;
        Ok(Done {})
    }

    pub(super) fn update_group(&mut self, step: &mut Step<'_>, params: params::GroupsUpdate) -> Result<Done, ApiError> {
        let group = self.joined(&params.group_id)?;
        let about = self.groups.get(&group).and_then(Group::view).map(|view| view.about.clone());
        let mut about = about.ok_or_else(|| ApiError::not_found("There is no such group."))?;
        let before = about.clone();
        if let Some(name) = params.name {
            name.trim().clone_into(&mut about.name);
        }
        about.description = params.description.unwrap_or(about.description);
        about.join = params.join.unwrap_or(about.join);
        checked(&about)?;
        if about != before {
            self.act_on_group(step, group, Action::Update { about })?;
            self.list_group(step, group);
        }
        Ok(Done {})
    }

    fn mute_group(&mut self, step: &mut Step<'_>, group: &str, until: Option<At>) -> Result<Done, ApiError> {
        let group = self.group_named(group)?;
        let now = step.now;
        if let Some(held) = self.groups.get_mut(&group) {
            let for_good = Timestamp(253_402_300_799_000);
            held.row.muted_until = Some(until.map_or(for_good, |at| at.0)).filter(|at| *at > now);
        }
        step.groups.insert(group);
        self.tell_group(step, group);
        Ok(Done {})
    }

    /// Forgets a group with its messages. One that this account is in is left first.
    fn delete_group(&mut self, step: &mut Step<'_>, group: &str) -> Result<Done, ApiError> {
        let group = self.group_named(group)?;
        if self.groups.get(&group).is_some_and(Group::is_joined) {
            return Err(ApiError::new(ErrorKind::NotAllowed, "Leave the group first."));
        }
        let (history, mut page) = (self.vault.history(), Page::Latest);
        loop {
            let (entries, more) = history.page(&group.0, page, 1_000).map_err(|error| storage(&error))?;
            for entry in &entries {
                step.txn.remove(entry.arrival).map_err(|error| storage(&error))?;
            }
            match entries.first() {
                Some(first) if more => page = Page::Before((first.at, first.arrival)),
                _ => break,
            }
        }
        self.forget_group(step, group);
        Ok(Done {})
    }

    /// `messages.mark_read` for a group.
    pub(in crate::engine) fn mark_group_read(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        place: (u64, u64),
    ) -> Result<Done, ApiError> {
        let Some(from) = self.groups.get(&group).map(|held| held.row.read_place) else { return Ok(Done {}) };
        if place <= from {
            return Ok(Done {});
        }
        self.owe_group_receipts(group, (from, place))?;
        let (history, mut at, mut left) = (self.vault.history(), place, 0_u64);
        loop {
            let (entries, more) = history.page(&group.0, Page::After(at), 1_000).map_err(|error| storage(&error))?;
            let theirs = entries.iter().filter(|entry| entry.author != self.me.0).count();
            left = left.saturating_add(u64::try_from(theirs).unwrap_or(u64::MAX));
            match entries.last() {
                Some(last) if more => at = (last.at, last.arrival),
                _ => break,
            }
        }
        if let Some(held) = self.groups.get_mut(&group) {
            (held.row.read_place, held.row.unread, held.row.mentions) = (place, left, held.row.mentions.min(left));
        }
        step.groups.insert(group);
        step.tell(Event::UnreadChanged { conversation: group.to_string(), unread: left });
        Ok(Done {})
    }
}

fn checked(about: &About) -> Result<(), ApiError> {
    about.check().map_err(|error| {
        let field = match error {
            AboutError::Name(_) => "name",
            AboutError::Description(_) => "description",
        };
        ApiError::invalid(field, sentence(&error.to_string()))
    })
}
