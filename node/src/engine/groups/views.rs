//! Groups, as the application sees them.

use secure_chat_protocol::id::{AccountId, GroupId};
use secure_chat_protocol::membership::Role;

use super::Group;
use crate::api::{
    self, ApiError, At, Event, GroupBanned, GroupInviteLink, GroupInvites, GroupMember, GroupMembers, GroupRequest,
    GroupRequests, GroupState, Groups, Status,
};
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::messaging::group::{Applicant, GroupStanding};
use crate::messaging::stored::StoredMessage;

pub(super) fn applicant_view(group: GroupId, account: AccountId, applicant: &Applicant) -> GroupRequest {
    GroupRequest {
        group_id: group.to_string(),
        username: applicant.username.clone(),
        account_id: account.to_string(),
        fingerprint: account.fingerprint(),
        at: At(applicant.at),
    }
}

impl Open {
    pub(super) fn group_view(&self, step: &Step<'_>, group: GroupId) -> Option<api::Group> {
        let held = self.groups.get(&group)?;
        let row = &held.row;
        let last = step.txn.entry(row.last_place.1).ok().flatten().filter(|entry| entry.conversation == group.0);
        let last = last.and_then(|entry| {
            let stored = StoredMessage::decode(&entry.body).ok()?;
            Some(self.view(&entry, &stored))
        });
        let joined = held.is_joined();
        let decides = held.role(&self.me).is_some_and(|role| role >= Role::Admin);
        let invited_by = row.via.filter(|_| row.standing == GroupStanding::Invited);
        Some(api::Group {
            group_id: group.to_string(),
            name: row.about.name.clone(),
            description: row.about.description.clone(),
            state: match row.standing {
                GroupStanding::Invited => GroupState::Invited,
                GroupStanding::Asking => GroupState::Pending,
                GroupStanding::Joined => GroupState::Joined,
                GroupStanding::Left => GroupState::Left,
            },
            role: held.role(&self.me).filter(|_| joined),
            members: row.members,
            join: row.about.join,
            public: row.about.public,
            unread: row.unread,
            mentions: row.mentions,
            view: held.view().map(|view| view.id.to_string()).unwrap_or_default(),
            invited_by: invited_by.map(|account| self.conversation_name(account)),
            invited_by_account_id: invited_by.map(|account| account.to_string()),
            requests: if joined && decides { row.applicants.len() } else { 0 },
            muted_until: row.muted_until.map(At),
            last_message: last,
        })
    }

    /// Tells that something about a group has changed.
    pub(super) fn tell_group(&self, step: &mut Step<'_>, group: GroupId) {
        if let Some(view) = self.group_view(step, group) {
            step.tell(Event::GroupUpdated(Box::new(view)));
        }
    }

    pub(super) fn groups_view(&self, step: &Step<'_>) -> Groups {
        let mut rows: Vec<(&GroupId, &Group)> = self.groups.iter().collect();
        rows.sort_by_key(|(_, held)| std::cmp::Reverse(held.row.last_place));
        Groups { groups: rows.into_iter().filter_map(|(group, _)| self.group_view(step, *group)).collect() }
    }

    pub(super) fn members_view(&self, group: GroupId) -> GroupMembers {
        let Some(view) = self.groups.get(&group).and_then(Group::view) else {
            return GroupMembers { members: Vec::new(), banned: Vec::new() };
        };
        let mut members: Vec<_> = view.members.iter().collect();
        members.sort_by_key(|(_, member)| member.seniority);
        let member = |(account, member): (&AccountId, &secure_chat_protocol::membership::MemberView)| {
            let me = *account == self.me;
            let peer = if me { Some(self.peer_id) } else { self.peers_of(*account).first().copied() };
            GroupMember {
                username: self.conversation_name(*account),
                account_id: account.to_string(),
                peer_id: peer.map(|peer| peer.to_string()).unwrap_or_default(),
                fingerprint: account.fingerprint(),
                role: member.role,
                online: me || matches!(self.status_of(*account), Status::Online | Status::Away),
                me,
            }
        };
        let banned = view
            .banned
            .iter()
            .map(|account| GroupBanned { username: self.conversation_name(*account), account_id: account.to_string() });
        GroupMembers { banned: banned.collect(), members: members.into_iter().map(member).collect() }
    }

    pub(super) fn applicants_view(&self, group: GroupId) -> GroupRequests {
        let Some(held) = self.groups.get(&group) else { return GroupRequests { requests: Vec::new() } };
        let applicants = held.row.applicants.iter();
        let mut requests: Vec<_> =
            applicants.map(|(account, applicant)| applicant_view(group, *account, applicant)).collect();
        requests.sort_by_key(|request| request.at);
        GroupRequests { requests }
    }

    pub(super) fn links_view(&self, step: &Step<'_>, group: GroupId) -> Result<GroupInvites, ApiError> {
        let Some(held) = self.groups.get(&group) else { return Ok(GroupInvites { invites: Vec::new() }) };
        let Some(view) = held.view() else { return Ok(GroupInvites { invites: Vec::new() }) };
        let open = view.invites.iter().filter(|(_, invite)| invite.expires.is_none_or(|at| step.now <= at));
        let mut invites = Vec::new();
        for (id, invite) in open {
            let secret = held.row.links.get(id).copied();
            let link = secret.map(|secret| self.link_text(step, group, *id, secret, invite.expires)).transpose()?;
            invites.push(GroupInviteLink {
                invite_id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
                invite: link,
                by: self.conversation_name(invite.author),
                account_id: invite.author.to_string(),
                expires: invite.expires.map(At),
            });
        }
        Ok(GroupInvites { invites })
    }
}
