//! What opened messages do: in the order of their sender, each once.

use std::time::{Duration, Instant};

use rand::RngExt;
use secure_chat_protocol::id::{AccountId, MessageId};
use secure_chat_protocol::limits::{DAY_MS, RECEIPT_MAX_IDS, TOKENS_BATCH};
use secure_chat_protocol::validate::{check_reaction, check_text};
use secure_chat_protocol::wire::content::{Content, MessageIn, MessageRef, Profile, ReceiptKind};

use super::files::Gone;
use super::inbound::Via;
use super::messages::plausible;
use super::state::{Open, rng};
use super::step::Step;
use crate::api::{ApiError, Event, MessageState};
use crate::messaging::contact::{Place, Standing};
use crate::messaging::limits::{MAILBOX_RESET_EVERY_MS, RECEIPTS_DELAY_MS, RECEIPTS_JITTER_MS, SEEN_KEEP_DAYS};
use crate::messaging::stored::{StoredMessage, message_name};
use crate::store::Table;

fn held_key(from: AccountId, seq: u64) -> Vec<u8> {
    [from.as_ref(), &seq.to_be_bytes()].concat()
}

impl Open {
    /// A message of a contact was opened: shows it, or keeps it until those before it have come.
    pub(super) fn arrive(&mut self, step: &mut Step<'_>, from: AccountId, message: MessageIn, via: Via) {
        step.contacts.insert(from);
        let (seq, id) = (message.seq, message.id);
        self.record_announced(step, from, message.record_seq);
        let Some(contact) = self.contacts.get_mut(&from) else { return };
        let free = contact.inbox.raise(message.floor.min(seq.max(message.floor)));
        self.apply_held(step, from, free);
        if seq == 0 {
            return self.apply(step, from, message);
        }
        let place = self.contacts.get(&from).map_or(Place::Past, |contact| contact.inbox.place(seq));
        match place {
            Place::Next => {
                self.apply(step, from, message);
                let Some(contact) = self.contacts.get_mut(&from) else { return };
                contact.inbox.shown(seq);
                let free = contact.inbox.advance();
                self.apply_held(step, from, free);
            }
            Place::Early => {
                self.make_room_behind_gap(step, from);
                if let Ok(bytes) = message.encode() {
                    step.txn.put(Table::Held, &held_key(from, seq), &bytes);
                    if let Some(contact) = self.contacts.get_mut(&from) {
                        contact.inbox.held.insert(seq);
                    }
                }
            }
            Place::Past => {
                if !self.was_applied(step, from, id) {
                    self.apply(step, from, message);
                }
            }
        }
        if via == Via::Mailbox {
            self.owe_receipt(step, from, id);
        }
    }

    fn apply_held(&mut self, step: &mut Step<'_>, from: AccountId, free: Vec<u64>) {
        for seq in free {
            let key = held_key(from, seq);
            let held = step.txn.get(Table::Held, &key).ok().flatten();
            step.txn.delete(Table::Held, &key);
            if let Some(message) = held.and_then(|bytes| MessageIn::decode(&bytes).ok()) {
                self.apply(step, from, message);
            }
        }
    }

    /// So much waits behind a gap that the gap is no longer waited for: what fills it
    /// later is shown when it comes.
    fn make_room_behind_gap(&mut self, step: &mut Step<'_>, from: AccountId) {
        let Some(contact) = self.contacts.get_mut(&from).filter(|contact| contact.inbox.is_full()) else { return };
        let Some(first) = contact.inbox.held.first().copied() else { return };
        let free = contact.inbox.raise(first);
        self.apply_held(step, from, free);
    }

    fn applied_key(from: AccountId, id: MessageId) -> Vec<u8> {
        [b"applied".as_slice(), from.as_ref(), id.as_ref()].concat()
    }

    fn was_applied(&self, step: &Step<'_>, from: AccountId, id: MessageId) -> bool {
        step.txn.find(&from.0, &id.0).is_ok_and(|entry| entry.is_some())
            || step.txn.get(Table::Seen, &Self::applied_key(from, id)).is_ok_and(|seen| seen.is_some())
    }

    fn apply(&mut self, step: &mut Step<'_>, from: AccountId, message: MessageIn) {
        if message.seq > 0 && !matches!(message.body, Content::Text { .. }) {
            let until = u32::try_from(step.now.0 / DAY_MS).unwrap_or(u32::MAX).saturating_add(SEEN_KEEP_DAYS);
            step.txn.put_until(Table::Seen, &Self::applied_key(from, message.id), until, b"");
        }
        if let Err(error) = self.apply_checked(step, from, message) {
            tracing::debug!(%error, "a message was not applied");
        }
    }

    fn apply_checked(&mut self, step: &mut Step<'_>, from: AccountId, message: MessageIn) -> Result<(), ApiError> {
        let chats = self.contacts.get(&from).is_some_and(|contact| contact.standing == Standing::Accepted);
        match &message.body {
            Content::Text { text, reply_to } if chats => self.apply_text(step, from, &message, text, *reply_to),
            Content::Edit { target, text } if chats => self.apply_edit(step, from, *target, text, message.sent),
            Content::Delete { target } if chats => self.apply_delete(step, from, *target),
            Content::Reaction { target, emoji } if chats => self.apply_reaction(step, from, *target, emoji),
            Content::Receipt { kind, ids } => self.apply_receipt(step, from, *kind, ids),
            Content::Typing { active } if chats => {
                let username = self.conversation_name(from);
                step.tell(Event::Typing {
                    conversation: username.clone(),
                    username,
                    account_id: from.to_string(),
                    active: *active,
                });
                Ok(())
            }
            Content::GroupTyping { group } => {
                self.types_in_group(step, from, *group);
                Ok(())
            }
            Content::File { payload } => self.apply_file(step, from, &message, &payload.0, chats),
            Content::Request { profile, .. } => {
                self.asked_again(step, from, profile, &message);
                Ok(())
            }
            Content::Accepted { profile } => {
                self.accepted(step, from, profile);
                Ok(())
            }
            Content::Declined => {
                self.declined(step, from);
                Ok(())
            }
            Content::Cancelled => {
                self.cancelled(step, from);
                Ok(())
            }
            Content::Profile(profile) => {
                self.apply_profile(step, from, profile);
                Ok(())
            }
            Content::Group { group, payload } => {
                self.group_control(step, from, *group, &payload.0);
                Ok(())
            }
            Content::SessionReset => {
                self.encrypt_anew(step, from);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn apply_text(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        message: &MessageIn,
        text: &str,
        reply_to: Option<MessageRef>,
    ) -> Result<(), ApiError> {
        let name = MessageRef { author: from, id: message.id };
        if check_text(text).is_err() || self.load(step, name)?.is_some() {
            return Ok(());
        }
        let stored = StoredMessage {
            sent: plausible(message.sent, step.now),
            text: text.to_owned(),
            reply_to,
            edited: None,
            deleted: false,
            reactions: Vec::new(),
            state: MessageState::Received,
            reason: None,
            seq: message.seq,
            file: None,
        };
        let entry = self.append(step, from, name, &stored).map_err(|error| super::step::storage(&error))?;
        if let Some(contact) = self.contacts.get_mut(&from) {
            contact.unread = contact.unread.saturating_add(1);
        }
        step.tell(Event::MessageReceived(Box::new(self.view(&entry, &stored))));
        Ok(())
    }

    fn apply_edit(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        target: MessageId,
        text: &str,
        sent: secure_chat_protocol::id::Timestamp,
    ) -> Result<(), ApiError> {
        let Some((entry, mut stored)) = self.load(step, MessageRef { author: from, id: target })? else {
            return Ok(());
        };
        if entry.conversation != from.0 || stored.deleted || check_text(text).is_err() {
            return Ok(());
        }
        text.clone_into(&mut stored.text);
        stored.edited = Some(plausible(sent, step.now));
        self.store_message(step, entry.arrival, &stored)?;
        step.tell(Event::MessageEdited(Box::new(self.view(&entry, &stored))));
        Ok(())
    }

    fn apply_delete(&mut self, step: &mut Step<'_>, from: AccountId, target: MessageId) -> Result<(), ApiError> {
        let name = MessageRef { author: from, id: target };
        let Some((entry, mut stored)) = self.load(step, name)? else { return Ok(()) };
        if entry.conversation != from.0 {
            return Ok(());
        }
        stored.text.clear();
        stored.reactions.clear();
        stored.deleted = true;
        self.store_message(step, entry.arrival, &stored)?;
        if let Some(file) = stored.file {
            self.forget_file(step, file, Gone::Deleted);
        }
        step.tell(Event::MessageDeleted { message_id: message_name(name), conversation: self.conversation_name(from) });
        Ok(())
    }

    fn apply_reaction(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        target: MessageRef,
        emoji: &str,
    ) -> Result<(), ApiError> {
        let Some((entry, mut stored)) = self.load(step, target)? else { return Ok(()) };
        let Ok(emoji) = check_reaction(emoji) else { return Ok(()) };
        if entry.conversation == from.0 && !stored.deleted && stored.react(from, emoji.unwrap_or_default()) {
            self.store_message(step, entry.arrival, &stored)?;
            step.tell(Event::MessageReaction(Box::new(self.view(&entry, &stored))));
        }
        Ok(())
    }

    pub(super) fn apply_receipt(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        kind: ReceiptKind,
        ids: &[MessageId],
    ) -> Result<(), ApiError> {
        for id in ids {
            if let Some(row) = self.outbox.find(&from, id) {
                self.acknowledged(step, row, true);
            }
            if kind == ReceiptKind::Read {
                self.advance_state(step, from, *id, MessageState::Read, None)?;
            }
        }
        Ok(())
    }

    /// The arrival of a message is to be acknowledged, a little later and with others.
    pub(super) fn owe_receipt(&mut self, step: &mut Step<'_>, to: AccountId, id: MessageId) {
        let Some(contact) = self.contacts.get_mut(&to) else { return };
        contact.receipts_due.push(id);
        step.contacts.insert(to);
        let full = contact.receipts_due.len() >= RECEIPT_MAX_IDS;
        let wait = if full { 0 } else { RECEIPTS_DELAY_MS.saturating_add(rng().random_range(0..=RECEIPTS_JITTER_MS)) };
        let at = Instant::now() + Duration::from_millis(wait);
        let lane = self.lane(to);
        if full || lane.receipts_at.is_none() {
            lane.receipts_at = Some(at);
            self.wake_at(at);
        }
    }

    /// Sends the receipts that are owed to a contact.
    pub(super) fn send_receipts(&mut self, step: &mut Step<'_>, to: AccountId) {
        self.lane(to).receipts_at = None;
        let Some(contact) = self.contacts.get_mut(&to) else { return };
        let due = std::mem::take(&mut contact.receipts_due);
        for ids in due.chunks(RECEIPT_MAX_IDS) {
            let body = Content::Receipt { kind: ReceiptKind::Delivered, ids: ids.to_vec() };
            if let Err(error) = self.enqueue(step, to, MessageId::random(&mut rng()), body, false) {
                tracing::debug!(%error, "a receipt could not be sent");
                if let Some(contact) = self.contacts.get_mut(&to) {
                    contact.receipts_due.extend_from_slice(ids);
                }
            }
        }
        step.contacts.insert(to);
    }

    /// A message out of the mailbox did not open. Nobody has proved to be the
    /// sender, so at most now and then a new session is started.
    pub(super) fn mail_did_not_open(&mut self, step: &mut Step<'_>, from: AccountId) {
        let every = Duration::from_millis(MAILBOX_RESET_EVERY_MS);
        let recent = self.lane(from).reset_at.is_some_and(|at| at.elapsed() < every);
        let chats = self.contacts.get(&from).is_some_and(|contact| contact.standing != Standing::Gone);
        if recent || !chats {
            return;
        }
        // The session that there is goes on until a verified bundle replaces it: a
        // stranger who claims to be a contact breaks nothing.
        let lane = self.lane(from);
        (lane.reset_at, lane.replace_session) = (Some(Instant::now()), true);
        self.fetch_bundle(step, from);
    }

    /// How we are reached, for somebody.
    pub(super) fn profile(&mut self, step: &mut Step<'_>, to: AccountId, with_tokens: bool) -> Profile {
        let tokens = with_tokens.then(|| self.grant(step, to)).flatten();
        Profile {
            record: secure_chat_protocol::wire::codec::Bytes(self.record.encoded().to_vec()),
            addresses: if self.settings.share_addresses { self.told_addresses() } else { Vec::new() },
            tokens,
        }
    }

    /// A contact has used up most of their tokens: grants more.
    pub(super) fn grant_more(&mut self, step: &mut Step<'_>, to: AccountId) {
        let Some(contact) = self.contacts.get(&to).filter(|contact| contact.may_chat()) else {
            return self.grant_member(step, to);
        };
        let low = contact
            .granted
            .as_ref()
            .is_some_and(|granted| granted.issued.saturating_sub(granted.used) < TOKENS_BATCH / 2);
        if low {
            let profile = self.profile(step, to, true);
            if let Err(error) = self.enqueue(step, to, MessageId::random(&mut rng()), Content::Profile(profile), false)
            {
                tracing::debug!(%error, "tokens could not be sent");
            }
        }
    }

    /// What a contact says of how they are reached.
    pub(super) fn apply_profile(&mut self, step: &mut Step<'_>, from: AccountId, profile: &Profile) {
        let Ok(record) = secure_chat_protocol::record::Record::decode(&profile.record.0) else { return };
        let Some(contact) = self.contacts.get_mut(&from).filter(|_| record.account_id() == from) else { return };
        contact.learn(&record);
        if !profile.addresses.is_empty() {
            contact.addresses.clone_from(&profile.addresses);
        }
        if let Some(tokens) = &profile.tokens {
            contact.tokens = Some(tokens.clone());
        }
        step.contacts.insert(from);
        step.deliver.insert(from);
    }
}
