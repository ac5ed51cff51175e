//! Where an own file is to wait for those who are away, and who pays for its room there.

use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::id::{AccountId, FileId, GroupId};
use secure_chat_protocol::sealed::TokenSeed;
use secure_chat_protocol::wire::codec::Fixed;

use crate::engine::groups::Group;
use crate::engine::state::{Open, rng};
use crate::engine::step::Step;
use crate::files::limits::UPLOAD_HOMES_MAX;
use crate::files::row::Upload;

impl Open {
    /// Where a file is to wait, and who pays for the room: noted before anything leaves. Whether there is a place.
    pub(super) fn plan_upload(
        &mut self,
        step: &mut Step<'_>,
        file: FileId,
        peer: AccountId,
        group: Option<GroupId>,
    ) -> bool {
        if self.files.rows.get(&file).is_none_or(|row| !row.uploads.is_empty()) {
            return true;
        }
        let own = self.home_addresses();
        let payer = match group {
            None => Some(peer),
            // Whoever is registered nowhere leaves it where a member is.
            Some(group) if own.is_empty() => self.member_with_room(group),
            Some(_) => None,
        };
        let spent = payer.and_then(|payer| Some((payer, self.spend_token(step, payer)?)));
        let (payer, token, homes) = match spent {
            Some((payer, (token, theirs))) => (payer, Some(token), theirs),
            None => (peer, None, own),
        };
        let upload =
            |home: String| Upload { home, seed: Fixed(*Secret::<32>::random(&mut rng()).expose()), token, done: false };
        let uploads: Vec<Upload> = homes.into_iter().take(UPLOAD_HOMES_MAX).map(upload).collect();
        let is_somewhere = !uploads.is_empty();
        if let Some(row) = self.files.rows.get_mut(&file).filter(|_| is_somewhere) {
            (row.uploads, row.peer) = (uploads, payer);
            step.files.insert(file);
        }
        is_somewhere
    }

    /// A token of somebody's, and their homes, which take it.
    fn spend_token(&mut self, step: &mut Step<'_>, payer: AccountId) -> Option<(Fixed<32>, Vec<String>)> {
        let contact = self.contacts.get_mut(&payer).filter(|contact| !contact.homes.is_empty())?;
        let grant = contact.tokens.as_mut().filter(|grant| grant.count > 0)?;
        let token = TokenSeed::from_wire(grant.seed).token(grant.first);
        grant.first = grant.first.saturating_add(1);
        grant.count = grant.count.saturating_sub(1);
        step.contacts.insert(payer);
        Some((token, contact.homes.clone()))
    }

    /// A member who has homes and gave us tokens, those first at whose homes the group's log stands.
    fn member_with_room(&self, group: GroupId) -> Option<AccountId> {
        let view = self.groups.get(&group).filter(|group| group.is_joined()).and_then(Group::view)?;
        let has_room = |account: &AccountId| {
            let contact = self.contacts.get(account).filter(|contact| !contact.blocked && !contact.homes.is_empty());
            *account != self.me && contact.is_some_and(|contact| contact.tokens.as_ref().is_some_and(|it| it.count > 0))
        };
        view.admins().into_iter().chain(view.members.keys().copied()).find(has_room)
    }
}
