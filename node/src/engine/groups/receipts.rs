//! What members tell each other of reading and writing: read receipts, a little
//! later and one for many messages; and that somebody is typing, which is worth
//! nothing later and goes only to those who are there.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use secure_chat_protocol::id::{AccountId, GroupId, MessageId};
use secure_chat_protocol::limits::RECEIPT_MAX_IDS;
use secure_chat_protocol::membership::Membership;
use secure_chat_protocol::wire::content::{Content, MessageRef, ReceiptKind};
use secure_chat_protocol::wire::group::GroupControl;

use super::Group;
use crate::api::{ApiError, Done, Event, MessageState};
use crate::engine::state::{Open, rng};
use crate::engine::step::{Step, storage};
use crate::messaging::limits::{
    GROUP_READ_MEMBERS_MAX, GROUP_TYPING_MEMBERS_MAX, RECEIPTS_DELAY_MS, RECEIPTS_JITTER_MS, TYPING_EVERY_MS,
};
use crate::store::Page;

impl Open {
    /// The person read on, from one place to another: the authors will be told. The
    /// newest message of each says it for those before.
    pub(super) fn owe_group_receipts(
        &mut self,
        group: GroupId,
        (from, upto): ((u64, u64), (u64, u64)),
    ) -> Result<(), ApiError> {
        let Some(held) = self.groups.get_mut(&group).filter(|held| held.is_joined()) else { return Ok(()) };
        let Some(view) = held.membership.as_ref().map(Membership::view) else { return Ok(()) };
        if !self.settings.read_receipts || view.members.len() > GROUP_READ_MEMBERS_MAX {
            return Ok(());
        }
        let (history, mut at) = (self.vault.history(), from);
        loop {
            let (entries, more) = history.page(&group.0, Page::After(at), 1_000).map_err(|error| storage(&error))?;
            let read = entries.iter().take_while(|entry| (entry.at, entry.arrival) <= upto);
            for entry in read.filter(|entry| entry.author != self.me.0 && view.has(&AccountId(entry.author))) {
                held.read_due.insert(AccountId(entry.author), MessageId(entry.message_id));
            }
            match entries.last().map(|last| (last.at, last.arrival)) {
                Some(last) if more && last < upto => at = last,
                _ => break,
            }
        }
        if !held.read_due.is_empty() && held.read_due_at.is_none() {
            let wait = RECEIPTS_DELAY_MS.saturating_add(rng().random_range(0..=RECEIPTS_JITTER_MS));
            let due = Instant::now() + Duration::from_millis(wait);
            held.read_due_at = Some(due);
            self.wake_at(due);
        }
        Ok(())
    }

    /// Sends the receipts that are due.
    pub(super) fn send_group_receipts(&mut self, step: &mut Step<'_>) {
        let now = Instant::now();
        let due: Vec<GroupId> = self
            .groups
            .values()
            .filter(|held| held.read_due_at.is_some_and(|at| at <= now))
            .map(|held| held.row.group)
            .collect();
        for group in due {
            let Some(held) = self.groups.get_mut(&group) else { continue };
            held.read_due_at = None;
            let joined = held.is_joined();
            let read = std::mem::take(&mut held.read_due);
            for (author, id) in read.into_iter().filter(|_| joined) {
                if self.groups.get(&group).is_some_and(|held| held.has(&author)) {
                    let receipt = GroupControl::Receipt { kind: ReceiptKind::Read, ids: vec![id] };
                    self.tell_member(step, author, group, receipt);
                }
            }
        }
        if let Some(next) = self.groups.values().filter_map(|held| held.read_due_at).min() {
            self.wake_at(next);
        }
    }

    /// A member has read these messages of ours, and so all before them.
    pub(super) fn group_read(&mut self, step: &mut Step<'_>, from: AccountId, group: GroupId, ids: &[MessageId]) {
        if !self.groups.get(&group).is_some_and(|held| held.is_joined() && held.has(&from)) {
            return;
        }
        let me = self.me;
        for id in ids.iter().take(RECEIPT_MAX_IDS) {
            let Ok(Some((entry, _))) = self.load(step, MessageRef { author: me, id: *id }) else { continue };
            let Some(held) = self.groups.get_mut(&group).filter(|_| entry.conversation == group.0) else { continue };
            let mark = held.row.read_marks.entry(from).or_insert((0, 0));
            *mark = (*mark).max((entry.at, entry.arrival));
            step.groups.insert(group);
        }
        if let Err(error) = self.settle_read(step, group) {
            tracing::error!(%error, "what was read can't be stored");
        }
    }

    /// Own messages that all the others have read are read.
    pub(super) fn settle_read(&mut self, step: &mut Step<'_>, group: GroupId) -> Result<(), ApiError> {
        let me = self.me;
        let Some(held) = self.groups.get_mut(&group) else { return Ok(()) };
        let Some(view) = held.membership.as_ref().map(Membership::view) else { return Ok(()) };
        let marks = &held.row.read_marks;
        let others = view.members.keys().filter(|account| **account != me);
        let before = held.row.read_by_all;
        let all = others.map(|account| marks.get(account).copied().unwrap_or(before)).min();
        let Some(all) = all else { return Ok(()) };
        if all <= before {
            return Ok(());
        }
        held.row.read_by_all = all;
        held.row.read_marks.retain(|_, mark| *mark > all);
        step.groups.insert(group);
        let (history, mut at) = (self.vault.history(), before);
        loop {
            let (entries, more) = history.page(&group.0, Page::After(at), 1_000).map_err(|error| storage(&error))?;
            for entry in entries.iter().take_while(|entry| (entry.at, entry.arrival) <= all) {
                if entry.author == me.0 {
                    let (conversation, id) = (AccountId(group.0), MessageId(entry.message_id));
                    self.advance_state(step, conversation, id, MessageState::Read, None)?;
                }
            }
            match entries.last().map(|last| (last.at, last.arrival)) {
                Some(last) if more && last < all => at = last,
                _ => return Ok(()),
            }
        }
    }

    /// `messages.typing` in a group: told to those who are there, if they are not too many.
    pub(in crate::engine) fn typing_in_group(&mut self, step: &mut Step<'_>, group: GroupId) -> Result<Done, ApiError> {
        self.joined(&group.to_string())?;
        let mark = AccountId(group.0);
        let recent =
            self.last_typing.get(&mark).is_some_and(|at| at.elapsed() < Duration::from_millis(TYPING_EVERY_MS));
        let members = self.groups.get(&group).and_then(Group::view).map(|view| view.roster()).unwrap_or_default();
        if !self.settings.typing || recent || members.len() > GROUP_TYPING_MEMBERS_MAX {
            return Ok(Done {});
        }
        self.last_typing.insert(mark, Instant::now());
        let there: Vec<AccountId> =
            members.into_iter().filter(|account| *account != self.me && self.is_connected(*account)).collect();
        for account in there {
            // For this alone no session is begun.
            if self.sessions_with(step, account).is_ok_and(|sessions| sessions.can_encrypt()) {
                self.enqueue(step, account, MessageId::random(&mut rng()), Content::GroupTyping { group }, false)?;
            }
        }
        Ok(Done {})
    }

    /// A member is writing.
    pub(in crate::engine) fn types_in_group(&self, step: &mut Step<'_>, from: AccountId, group: GroupId) {
        if self.groups.get(&group).is_some_and(|held| held.is_joined() && held.has(&from)) {
            step.tell(Event::Typing {
                conversation: group.to_string(),
                username: self.conversation_name(from),
                account_id: from.to_string(),
                active: true,
            });
        }
    }
}
