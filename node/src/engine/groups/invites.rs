//! Whom an admin lets in: contacts who are invited, links, and requests that wait.

use rand::Rng as _;
use secure_chat_protocol::id::{AccountId, GroupId, Timestamp};
use secure_chat_protocol::invite::{Invite, InviteFields};
use secure_chat_protocol::limits::{DAY_MS, GROUP_INVITES_MAX};
use secure_chat_protocol::membership::{Action, Membership, invite_hash};
use secure_chat_protocol::record::Record;
use secure_chat_protocol::wire::codec::Fixed;
use secure_chat_protocol::wire::group::{GroupControl, GroupInvite, InvitePass, JoinAnswer};

use super::Group;
use crate::api::{ApiError, Done, ErrorKind, GroupInviteMade, params};
use crate::engine::state::{Open, rng};
use crate::engine::step::{Step, sentence};
use crate::messaging::contact::Standing;

impl Open {
    pub(super) fn invite_to_group(
        &mut self,
        step: &mut Step<'_>,
        params: params::GroupsInvite,
    ) -> Result<GroupInviteMade, ApiError> {
        let group = self.deciding(&params.group_id)?;
        let Some(user) = params.user else {
            let expires = params.expires.map_or_else(|| step.now.plus_ms(30 * DAY_MS), |at| at.0);
            return self.make_link(step, group, expires);
        };
        let account = self.resolve(&user)?;
        let chats = self.contacts.get(&account).is_some_and(|contact| contact.standing == Standing::Accepted);
        if !chats {
            let text = "Only contacts can be invited. For others, make a link.";
            return Err(ApiError::new(ErrorKind::NotAllowed, text));
        }
        let Some(held) = self.groups.get_mut(&group) else {
            return Err(ApiError::not_found("There is no such group."));
        };
        let Some(view) = held.membership.as_ref().map(Membership::view).cloned() else {
            return Err(ApiError::not_found("There is no such group."));
        };
        if view.has(&account) {
            return Err(ApiError::new(ErrorKind::Conflict, "They are in this group already."));
        }
        if view.banned.contains(&account) {
            return Err(ApiError::new(ErrorKind::NotAllowed, "They are banned. End the ban first."));
        }
        held.row.invited.insert(account);
        step.groups.insert(group);
        let members = u32::try_from(view.members.len()).unwrap_or(u32::MAX);
        self.tell_member(step, account, group, GroupControl::Invitation { about: view.about, members });
        Ok(GroupInviteMade { invite: None })
    }

    fn make_link(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        expires: Timestamp,
    ) -> Result<GroupInviteMade, ApiError> {
        if expires <= step.now {
            return Err(ApiError::invalid("expires", "The invite would be over already."));
        }
        let open = self.groups.get(&group).and_then(Group::view).map_or(0, |view| view.invites.len());
        if open >= GROUP_INVITES_MAX {
            let text = format!("At most {GROUP_INVITES_MAX} invites can be open. Revoke one first.");
            return Err(ApiError::new(ErrorKind::Full, text));
        }
        let (mut id, mut secret) = ([0; 16], [0; 16]);
        rng().fill_bytes(&mut id);
        rng().fill_bytes(&mut secret);
        let link = self.link_text(step, group, id, Fixed(secret), Some(expires))?;
        let hash = Fixed(invite_hash(&id, &secret));
        self.act_on_group(step, group, Action::Invite { id: Fixed(id), hash, expires: Some(expires) })?;
        if let Some(held) = self.groups.get_mut(&group) {
            held.row.links.insert(id, Fixed(secret));
        }
        Ok(GroupInviteMade { invite: Some(link) })
    }

    /// The text of a link.
    pub(super) fn link_text(
        &self,
        step: &Step<'_>,
        group: GroupId,
        id: [u8; 16],
        secret: Fixed<16>,
        expires: Option<Timestamp>,
    ) -> Result<String, ApiError> {
        let internal = |error: &dyn std::fmt::Display| ApiError::new(ErrorKind::Internal, sentence(&error.to_string()));
        let mut addresses = if self.settings.share_addresses { self.told_addresses() } else { Vec::new() };
        addresses.truncate(2);
        let fields = InviteFields {
            name: self.username.clone(),
            peers: self.peer_id.to_ed25519().into_iter().collect(),
            addresses,
            homes: self.home_addresses(),
            mailbox: Some(self.mailbox.mailbox_id()),
            expires: Some(expires.unwrap_or_else(|| step.now.plus_ms(365 * DAY_MS))),
        };
        let inviter = Invite::create(&self.identity, fields, &mut rng()).map_err(|error| internal(&error))?;
        let name = self.groups.get(&group).map(|held| held.row.about.name.clone()).unwrap_or_default();
        let pass = InvitePass { id: Fixed(id), secret };
        let invite = GroupInvite::new(group, name, pass, expires, inviter.to_link());
        let invite = invite.with_others(self.other_admins(group));
        invite.to_link().map_err(|error| internal(&error))
    }

    pub(super) fn revoke(&mut self, step: &mut Step<'_>, group: &str, invite: &str) -> Result<Done, ApiError> {
        let group = self.deciding(group)?;
        let missing = || ApiError::not_found("There is no such open invite.");
        let id = match GroupInvite::parse(invite) {
            Ok(link) if link.group == group => link.pass.id.0,
            Ok(_) => return Err(missing()),
            Err(_) => invite.trim().parse::<secure_chat_protocol::id::MessageId>().map_err(|_| missing())?.0,
        };
        if !self.groups.get(&group).and_then(Group::view).is_some_and(|view| view.invites.contains_key(&id)) {
            return Err(missing());
        }
        self.act_on_group(step, group, Action::RevokeInvite { id: Fixed(id) })?;
        if let Some(held) = self.groups.get_mut(&group) {
            held.row.links.remove(&id);
        }
        Ok(Done {})
    }

    fn applicant(&self, group: GroupId, user: &str) -> Result<AccountId, ApiError> {
        let name = user.trim().trim_start_matches('@');
        let applicants = self.groups.get(&group).map(|held| &held.row.applicants);
        let fits = |(account, applicant): &(&AccountId, &crate::messaging::group::Applicant)| {
            applicant.username.eq_ignore_ascii_case(name) || account.to_string() == name
        };
        let found: Vec<AccountId> =
            applicants.into_iter().flatten().filter(fits).map(|(account, _)| *account).collect();
        match found.as_slice() {
            [account] => Ok(*account),
            [] => Err(ApiError::not_found("Nobody of this name asks to join.")),
            several => {
                let fingerprints = several.iter().map(AccountId::fingerprint).collect();
                let text = "Several people of this name ask to join. Name one by the account id.";
                Err(ApiError { fingerprints, ..ApiError::new(ErrorKind::Conflict, text) })
            }
        }
    }

    pub(super) fn approve(&mut self, step: &mut Step<'_>, group: &str, user: &str) -> Result<Done, ApiError> {
        let group = self.deciding(group)?;
        let account = self.applicant(group, user)?;
        let record = self.groups.get(&group).and_then(|held| held.row.applicants.get(&account));
        let record = record.and_then(|applicant| Record::decode(&applicant.record.0).ok());
        let record = record.ok_or_else(|| ApiError::not_found("Nobody of this name asks to join."))?;
        self.take_in(step, group, &record)?;
        Ok(Done {})
    }

    pub(super) fn reject(&mut self, step: &mut Step<'_>, group: &str, user: &str) -> Result<Done, ApiError> {
        let group = self.deciding(group)?;
        let account = self.applicant(group, user)?;
        if let Some(held) = self.groups.get_mut(&group) {
            held.row.applicants.remove(&account);
        }
        step.groups.insert(group);
        self.tell_member(step, account, group, GroupControl::JoinAnswer(JoinAnswer::Rejected));
        Ok(Done {})
    }
}
