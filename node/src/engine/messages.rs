//! Commands about messages.

use std::time::{Duration, Instant};

use secure_chat_protocol::id::{AccountId, GroupId, MessageId, Timestamp};
use secure_chat_protocol::limits::RECEIPT_MAX_IDS;
use secure_chat_protocol::validate::{TextError, check_reaction, check_text};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::content::{Content, MESSAGE_VERSION, MessageIn, MessageRef, ReceiptKind};

use super::files::Gone;
use super::state::{Open, rng};
use super::step::{Step, sentence, storage};
use crate::api::{ApiError, At, Done, Draft, ErrorKind, Event, Message, MessageState, Messages, Reply, Sent, params};
use crate::messaging::limits::{DRAFT_MAX_BYTES, HISTORY_PAGE, HISTORY_PAGE_MAX, TYPING_EVERY_MS};
use crate::messaging::outbox::Outgoing;
use crate::messaging::stored::{StoredMessage, message_name, parse_message_name};
use crate::store::{Entry, HistoryReader, NewEntry, Page, Table};

pub(super) fn text_error(error: &TextError) -> ApiError {
    match error {
        TextError::TooLong { .. } => ApiError {
            limit_bytes: Some(secure_chat_protocol::limits::TEXT_MAX_BYTES as u64),
            field: Some("text"),
            ..ApiError::new(ErrorKind::TooLarge, sentence(&error.to_string()))
        },
        _ => ApiError::invalid("text", sentence(&error.to_string())),
    }
}

fn internal(error: &impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Internal, sentence(&error.to_string()))
}

impl Open {
    /// Stages a message to somebody: encrypted and sent in this or a later step.
    /// Returns its row in the outbox.
    pub(crate) fn enqueue(
        &mut self,
        step: &mut Step<'_>,
        to: AccountId,
        id: MessageId,
        body: Content,
        shown: bool,
    ) -> Result<(u64, u64), ApiError> {
        if self.outbox.is_full() {
            return Err(ApiError::new(ErrorKind::Full, "Too many messages wait to be delivered. Try again later."));
        }
        let contact = self.contacts.get_mut(&to).ok_or_else(|| ApiError::not_found("There is no such contact."))?;
        let mut seq = 0;
        if body.is_sequenced() {
            seq = contact.next_seq;
            contact.next_seq = seq.saturating_add(1);
            step.contacts.insert(to);
        }
        let floor = self.outbox.floor(&to, if seq > 0 { seq } else { contact.next_seq });
        let message =
            MessageIn { version: MESSAGE_VERSION, id, seq, floor, sent: step.now, record_seq: self.record.seq(), body };
        let plaintext = message.encode().map_err(|error| internal(&error))?;
        let row = self.outbox.push(Outgoing {
            to,
            message: id,
            seq,
            shown,
            created: step.now,
            plaintext: Bytes(plaintext),
            ciphertext: Bytes::default(),
        });
        step.rows.insert(row);
        step.deliver.insert(to);
        Ok((row, seq))
    }

    pub(super) fn chat_with(&self, user: &str) -> Result<AccountId, ApiError> {
        let account = self.resolve(user)?;
        let contact = self.contacts.get(&account).ok_or_else(|| ApiError::not_found("There is no such contact."))?;
        if contact.new_key.is_some() && !contact.blocked {
            let text = format!(
                "The keys of {} have changed. Compare the safety number, then accept the new keys.",
                contact.username
            );
            return Err(ApiError::new(ErrorKind::KeyChanged, text));
        }
        if !contact.may_chat() {
            let text = if contact.blocked {
                "You have blocked them. Unblock them first."
            } else {
                "They have not accepted your request yet."
            };
            return Err(ApiError::new(ErrorKind::NotAllowed, text));
        }
        Ok(account)
    }

    pub(crate) fn send_text(
        &mut self,
        step: &mut Step<'_>,
        to: &str,
        text: &str,
        reply_to: Option<&str>,
    ) -> Result<Sent, ApiError> {
        let account = self.chat_with(to)?;
        let text = check_text(text).map_err(|error| text_error(&error))?.to_owned();
        let wrong = || ApiError::invalid("reply_to", "There is no such message.");
        let reply_to = reply_to.map(|name| parse_message_name(name).ok_or_else(wrong)).transpose()?;
        let id = MessageId::random(&mut rng());
        let (_, seq) = self.enqueue(step, account, id, Content::Text { text: text.clone(), reply_to }, true)?;
        let stored = StoredMessage {
            sent: step.now,
            text,
            reply_to,
            edited: None,
            deleted: false,
            reactions: Vec::new(),
            state: MessageState::Queued,
            reason: None,
            seq,
            file: None,
        };
        self.append(step, account, MessageRef { author: self.me, id }, &stored).map_err(|error| storage(&error))?;
        Ok(Sent { message_id: message_name(MessageRef { author: self.me, id }) })
    }

    /// Appends a message to the history of a conversation.
    pub(crate) fn append(
        &mut self,
        step: &mut Step<'_>,
        conversation: AccountId,
        message: MessageRef,
        stored: &StoredMessage,
    ) -> Result<Entry, crate::store::StoreError> {
        let group = GroupId(conversation.0);
        let last = self.groups.get(&group).map_or(0, |group| group.row.last_place.0);
        let last = self.contacts.get(&conversation).map_or(last, |contact| contact.last_place.0);
        let at = step.now.0.max(last);
        let body = stored.encode().unwrap_or_default();
        let new = NewEntry {
            conversation: conversation.0,
            author: message.author.0,
            message_id: message.id.0,
            at,
            body: &body,
            text: stored.searchable(),
        };
        let arrival = step.txn.append(new)?;
        if let Some(contact) = self.contacts.get_mut(&conversation) {
            contact.last_place = (at, arrival);
            step.contacts.insert(conversation);
        } else if let Some(group) = self.groups.get_mut(&group) {
            group.row.last_place = (at, arrival);
            step.groups.insert(group.row.group);
        }
        Ok(Entry {
            arrival,
            conversation: conversation.0,
            author: message.author.0,
            message_id: message.id.0,
            at,
            body,
        })
    }

    /// A message of the history, staged changes included.
    pub(crate) fn load(
        &self,
        step: &Step<'_>,
        message: MessageRef,
    ) -> Result<Option<(Entry, StoredMessage)>, ApiError> {
        let entry = step.txn.find(&message.author.0, &message.id.0).map_err(|error| storage(&error))?;
        let Some(entry) = entry else { return Ok(None) };
        let stored = StoredMessage::decode(&entry.body).map_err(|error| internal(&error))?;
        Ok(Some((entry, stored)))
    }

    /// Stages a changed message.
    pub(crate) fn store_message(
        &self,
        step: &mut Step<'_>,
        arrival: u64,
        stored: &StoredMessage,
    ) -> Result<(), ApiError> {
        let body = stored.encode().map_err(|error| internal(&error))?;
        step.txn.update(arrival, &body, stored.searchable()).map_err(|error| storage(&error))
    }

    fn existing(&self, step: &Step<'_>, name: &str) -> Result<(MessageRef, Entry, StoredMessage), ApiError> {
        let missing = || ApiError::not_found("There is no such message.");
        let message = parse_message_name(name).ok_or_else(missing)?;
        let (entry, stored) = self.load(step, message)?.ok_or_else(missing)?;
        Ok((message, entry, stored))
    }

    fn own(&self, message: MessageRef) -> Result<(), ApiError> {
        if message.author == self.me {
            Ok(())
        } else {
            Err(ApiError::new(ErrorKind::NotAllowed, "Only its author can do this."))
        }
    }

    /// Says something in a conversation that it does not show by itself.
    fn tell_conversation(&mut self, step: &mut Step<'_>, to: AccountId, body: Content) -> Result<(), ApiError> {
        self.tell_conversation_at(step, to, step.now, body)
    }

    /// As [`Self::tell_conversation`]; in groups it carries this time, by which members put edits in
    /// their order. Between two the session does.
    fn tell_conversation_at(
        &mut self,
        step: &mut Step<'_>,
        to: AccountId,
        sent: Timestamp,
        body: Content,
    ) -> Result<(), ApiError> {
        let id = MessageId::random(&mut rng());
        if self.groups.contains_key(&GroupId(to.0)) {
            let group = self.joined(&to.to_string())?;
            return self.say_at(step, group, (id, sent), body);
        }
        self.chat_with(&to.to_string())?;
        self.enqueue(step, to, id, body, false).map(|_| ())
    }

    pub(crate) fn edit(&mut self, step: &mut Step<'_>, name: &str, text: &str) -> Result<Done, ApiError> {
        let (message, entry, mut stored) = self.existing(step, name)?;
        self.own(message)?;
        let text = check_text(text).map_err(|error| text_error(&error))?;
        if stored.deleted {
            return Err(ApiError::new(ErrorKind::NotAllowed, "The message was deleted."));
        }
        let to = AccountId(entry.conversation);
        text.clone_into(&mut stored.text);
        // Whatever the clock shows now, it is said after the edit before it.
        let sent = stored.edited.map_or(step.now, |edited| step.now.max(edited.plus_ms(1)));
        stored.edited = Some(sent);
        self.tell_conversation_at(step, to, sent, Content::Edit { target: message.id, text: text.to_owned() })?;
        self.store_message(step, entry.arrival, &stored)?;
        step.tell(Event::MessageEdited(Box::new(self.view(&entry, &stored))));
        Ok(Done {})
    }

    pub(crate) fn delete(&mut self, step: &mut Step<'_>, name: &str, for_everyone: bool) -> Result<Done, ApiError> {
        let (message, entry, mut stored) = self.existing(step, name)?;
        let conversation = AccountId(entry.conversation);
        if for_everyone {
            self.own(message)?;
            self.tell_conversation(step, conversation, Content::Delete { target: message.id })?;
            stored.text.clear();
            stored.reactions.clear();
            stored.deleted = true;
            self.store_message(step, entry.arrival, &stored)?;
            if let Some(file) = stored.file {
                self.forget_file(step, file, Gone::Deleted);
            }
        } else {
            step.txn.remove(entry.arrival).map_err(|error| storage(&error))?;
        }
        step.tell(Event::MessageDeleted {
            message_id: message_name(message),
            conversation: self.conversation_name(conversation),
        });
        Ok(Done {})
    }

    pub(crate) fn react(&mut self, step: &mut Step<'_>, name: &str, emoji: &str) -> Result<Done, ApiError> {
        let (message, entry, mut stored) = self.existing(step, name)?;
        let emoji = check_reaction(emoji).map_err(|error| ApiError::invalid("emoji", sentence(&error.to_string())))?;
        let to = AccountId(entry.conversation);
        let emoji = emoji.unwrap_or_default().to_owned();
        if stored.react(self.me, &emoji) {
            self.tell_conversation(step, to, Content::Reaction { target: message, emoji })?;
            self.store_message(step, entry.arrival, &stored)?;
            step.tell(Event::MessageReaction(Box::new(self.view(&entry, &stored))));
        }
        Ok(Done {})
    }

    pub(crate) fn retry(&mut self, step: &mut Step<'_>, name: &str) -> Result<Done, ApiError> {
        let (message, entry, mut stored) = self.existing(step, name)?;
        self.own(message)?;
        let to = AccountId(entry.conversation);
        if self.groups.contains_key(&GroupId(to.0)) {
            return self.retry_in_group(step, GroupId(to.0));
        }
        if let Some(lane) = self.lanes.get_mut(&to) {
            lane.retry_now();
        }
        step.deliver.insert(to);
        if stored.state == MessageState::Failed {
            self.chat_with(&to.to_string())?;
            let body = match stored.file {
                Some(file) => self.file_content(step, file)?,
                None => Content::Text { text: stored.text.clone(), reply_to: stored.reply_to },
            };
            stored.seq = self.enqueue(step, to, message.id, body, true)?.1;
            (stored.state, stored.reason) = (MessageState::Queued, None);
            self.store_message(step, entry.arrival, &stored)?;
        }
        Ok(Done {})
    }

    pub(crate) fn typing(&mut self, step: &mut Step<'_>, to: &str) -> Result<Done, ApiError> {
        if let Ok(group) = self.group_named(to) {
            return self.typing_in_group(step, group);
        }
        let account = self.chat_with(to)?;
        let recent =
            self.last_typing.get(&account).is_some_and(|at| at.elapsed() < Duration::from_millis(TYPING_EVERY_MS));
        if self.settings.typing && !recent && self.is_connected(account) {
            self.last_typing.insert(account, Instant::now());
            self.enqueue(step, account, MessageId::random(&mut rng()), Content::Typing { active: true }, false)?;
        }
        Ok(Done {})
    }

    pub(crate) fn draft(
        &mut self,
        step: &mut Step<'_>,
        conversation: &str,
        text: Option<String>,
    ) -> Result<Draft, ApiError> {
        let account = self.resolve(conversation)?;
        let key = [b"draft".as_slice(), account.as_ref()].concat();
        if let Some(text) = text {
            if text.len() > DRAFT_MAX_BYTES {
                return Err(ApiError {
                    limit_bytes: Some(DRAFT_MAX_BYTES as u64),
                    ..ApiError::new(ErrorKind::TooLarge, "The draft is too long.")
                });
            }
            if text.is_empty() {
                step.txn.delete(Table::Notes, &key)
            } else {
                step.txn.put(Table::Notes, &key, text.as_bytes())
            }
            return Ok(Draft { text });
        }
        let kept = step.txn.get(Table::Notes, &key).map_err(|error| storage(&error))?;
        Ok(Draft { text: kept.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default() })
    }

    pub(crate) fn history(&mut self, step: &Step<'_>, params: &params::MessagesHistory) -> Result<Messages, ApiError> {
        let conversation = self.resolve(&params.conversation)?;
        let limit = params.limit.unwrap_or(HISTORY_PAGE);
        if limit == 0 || limit > HISTORY_PAGE_MAX {
            return Err(ApiError::invalid(
                "limit",
                format!("Between 1 and {HISTORY_PAGE_MAX} messages can be read at once."),
            ));
        }
        let place = |name: &String, field: &'static str| {
            let missing = || ApiError::invalid(field, "There is no such message in this conversation.");
            let message = parse_message_name(name).ok_or_else(missing)?;
            let (entry, _) = self
                .load(step, message)?
                .filter(|(entry, _)| entry.conversation == conversation.0)
                .ok_or_else(missing)?;
            Ok::<_, ApiError>((entry.at, entry.arrival))
        };
        let page = match (&params.before, &params.after, &params.around) {
            (None, None, None) => Page::Latest,
            (Some(name), None, None) => Page::Before(place(name, "before")?),
            (None, Some(name), None) => Page::After(place(name, "after")?),
            (None, None, Some(name)) => Page::Around(place(name, "around")?),
            _ => return Err(ApiError::invalid("before", "Give at most one of before, after and around.")),
        };
        let (entries, more) =
            self.vault.history().page(&conversation.0, page, limit as usize).map_err(|error| storage(&error))?;
        Ok(Messages { messages: self.views(&entries), more })
    }

    fn views(&self, entries: &[Entry]) -> Vec<Message> {
        let decoded =
            entries.iter().filter_map(|entry| StoredMessage::decode(&entry.body).ok().map(|stored| (entry, stored)));
        decoded.map(|(entry, stored)| self.view(entry, &stored)).collect()
    }

    pub(crate) fn search(&mut self, step: &mut Step<'_>, params: params::MessagesSearch, reply: Reply<Messages>) {
        let conversation = match params.conversation.as_deref().map(|name| self.resolve(name)).transpose() {
            Ok(conversation) => conversation,
            Err(error) => return step.reply(reply, Err(error)),
        };
        let limit = params.limit.unwrap_or(HISTORY_PAGE).clamp(1, HISTORY_PAGE_MAX) as usize;
        let found = find(&self.vault.history(), &params.query, conversation, limit);
        let result = found.map(|mut entries| {
            let more = entries.len() > limit;
            entries.truncate(limit);
            Messages { messages: self.views(&entries), more }
        });
        step.reply(reply, result);
    }

    pub(crate) fn mark_read(&mut self, step: &mut Step<'_>, conversation: &str, up_to: &str) -> Result<Done, ApiError> {
        let account = self.resolve(conversation)?;
        let (_, entry, _) = self.existing(step, up_to)?;
        let group = GroupId(account.0);
        if self.groups.contains_key(&group) && entry.conversation == account.0 {
            return self.mark_group_read(step, group, (entry.at, entry.arrival));
        }
        let Some(contact) = self.contacts.get(&account).filter(|_| entry.conversation == account.0) else {
            return Err(ApiError::invalid("up_to", "There is no such message in this conversation."));
        };
        let (place, from) = ((entry.at, entry.arrival), contact.read_place);
        if place <= from {
            return Ok(Done {});
        }
        let (read, left) = self.unread_between(account, from, place)?;
        if let Some(contact) = self.contacts.get_mut(&account) {
            contact.read_place = place;
            contact.unread = left;
            step.contacts.insert(account);
        }
        let tells =
            self.settings.read_receipts && self.contacts.get(&account).is_some_and(|contact| contact.may_chat());
        if tells {
            for ids in read.chunks(RECEIPT_MAX_IDS) {
                let body = Content::Receipt { kind: ReceiptKind::Read, ids: ids.to_vec() };
                self.enqueue(step, account, MessageId::random(&mut rng()), body, false)?;
            }
        }
        step.tell(Event::UnreadChanged { conversation: self.conversation_name(account), unread: left });
        Ok(Done {})
    }

    /// The messages of a contact behind `from` up to `place`, and how many come after it.
    fn unread_between(
        &self,
        account: AccountId,
        from: (u64, u64),
        place: (u64, u64),
    ) -> Result<(Vec<MessageId>, u64), ApiError> {
        let (history, mut at, mut read, mut left) = (self.vault.history(), from, Vec::new(), 0_u64);
        loop {
            let (entries, more) = history.page(&account.0, Page::After(at), 1_000).map_err(|error| storage(&error))?;
            for entry in entries.iter().filter(|entry| entry.author == account.0) {
                if (entry.at, entry.arrival) <= place {
                    read.push(MessageId(entry.message_id))
                } else {
                    left = left.saturating_add(1)
                }
            }
            match entries.last() {
                Some(last) if more => at = (last.at, last.arrival),
                _ => return Ok((read, left)),
            }
        }
    }

    /// A message, as the application sees it.
    pub(crate) fn view(&self, entry: &Entry, stored: &StoredMessage) -> Message {
        let (author, conversation) = (AccountId(entry.author), AccountId(entry.conversation));
        let mut reactions = std::collections::BTreeMap::<String, Vec<String>>::new();
        for (account, emoji) in &stored.reactions {
            reactions.entry(emoji.clone()).or_default().push(account.to_string());
        }
        Message {
            message_id: message_name(MessageRef { author, id: MessageId(entry.message_id) }),
            conversation: self.conversation_name(conversation),
            conversation_id: conversation.to_string(),
            from: self.conversation_name(author),
            account_id: author.to_string(),
            mine: author == self.me,
            text: stored.text.clone(),
            at: At(stored.sent),
            state: stored.state,
            reason: stored.reason.clone(),
            reply_to: stored.reply_to.map(message_name),
            edited: stored.edited.map(|edited| At(plausible(edited, self.config.clock.now()))),
            deleted: stored.deleted,
            reactions,
            file: stored.file.and_then(|file| self.file_view(file)).map(Box::new),
        }
    }

    /// The name of a person, as conversations show it.
    pub(crate) fn conversation_name(&self, account: AccountId) -> String {
        if account == self.me {
            return self.username.as_str().to_owned();
        }
        self.contacts.get(&account).map_or_else(|| account.to_string(), |contact| contact.username.clone())
    }

    /// Moves an own message to another state, and says so.
    pub(crate) fn advance_state(
        &mut self,
        step: &mut Step<'_>,
        conversation: AccountId,
        id: MessageId,
        state: MessageState,
        reason: Option<String>,
    ) -> Result<(), ApiError> {
        let message = MessageRef { author: self.me, id };
        let Some((entry, mut stored)) = self.load(step, message)? else { return Ok(()) };
        let backwards = stored.state >= state && stored.state != MessageState::Failed;
        if entry.conversation != conversation.0 || backwards {
            return Ok(());
        }
        stored.state = state;
        stored.reason.clone_from(&reason);
        self.store_message(step, entry.arrival, &stored)?;
        step.tell(Event::MessageState {
            message_id: message_name(message),
            conversation: self.conversation_name(conversation),
            state,
            reason,
        });
        Ok(())
    }
}

/// The time that a message shows: its author's, unless that lies ahead.
pub(crate) fn plausible(sent: Timestamp, now: Timestamp) -> Timestamp {
    sent.min(now)
}

fn find(
    history: &HistoryReader,
    query: &str,
    conversation: Option<AccountId>,
    limit: usize,
) -> Result<Vec<Entry>, ApiError> {
    if query.trim().is_empty() {
        return Err(ApiError::invalid("query", "Type at least one word to search for."));
    }
    if query.len() > crate::store::QUERY_MAX_BYTES {
        return Err(ApiError::invalid("query", "The query is too long."));
    }
    history
        .search(query, conversation.as_ref().map(|account| &account.0), limit.saturating_add(1))
        .map_err(|error| storage(&error))
}
