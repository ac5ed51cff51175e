//! What is said in groups: encrypted once with the own chain, opened with the author's.

use std::time::{Duration, Instant};

use secure_chat_protocol::id::{AccountId, GroupId, MessageHash, MessageId, Timestamp};
use secure_chat_protocol::limits::DAY_MS;
use secure_chat_protocol::sender_key::{GroupDecryptError, GroupMessageIn, SendContext, SenderKey};
use secure_chat_protocol::validate::{check_reaction, check_text};
use secure_chat_protocol::wire::content::{Content, MESSAGE_VERSION, MessageIn, MessageRef};

use super::Group;
use super::pace::Pace;
use super::roster::no_room;
use super::twins::Known;
use crate::api::{ApiError, ErrorKind, Event, MessageState, Sent};
use crate::engine::audit::Severity;
use crate::engine::files::Gone;
use crate::engine::messages::{plausible, text_error};
use crate::engine::state::{Open, rng};
use crate::engine::step::{Step, sentence, storage};
use crate::messaging::group::{Progress, Unacknowledged};
use crate::messaging::limits::{
    GROUP_BURST_MESSAGES, GROUP_KEEP_DAYS, GROUP_NUMBER_MAX, GROUP_SYNC_APART_MS, GROUP_SYNC_SOON_MS, GROUP_WAITING_MAX,
};
use crate::messaging::stored::{StoredMessage, message_name, parse_message_name};
use crate::store::Table;

/// Names a kept message by its place.
pub(super) fn place_key(group: GroupId, chain: secure_chat_protocol::id::ChainId, number: u32) -> Vec<u8> {
    [group.as_ref(), b"m", chain.as_ref(), &number.to_be_bytes()].concat()
}

pub(super) fn hash_key(group: GroupId, hash: &MessageHash) -> Vec<u8> {
    [group.as_ref(), b"h", hash.as_ref()].concat()
}

/// What became of a message that came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was read.
    New,
    /// It is known, or can't be read yet.
    Nothing,
    /// It is no message, does not count, or is one too many of its author: nobody else is to have it from us.
    Refused,
    /// It is not by its author, or is no message.
    Forged,
}

fn failed(error: &impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Internal, sentence(&error.to_string()))
}

impl Open {
    /// `groups.send`.
    pub(super) fn send_to_group(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        text: &str,
        reply_to: Option<&str>,
    ) -> Result<Sent, ApiError> {
        let text = check_text(text).map_err(|error| text_error(&error))?.to_owned();
        let wrong = || ApiError::invalid("reply_to", "There is no such message.");
        let reply_to = reply_to.map(|name| parse_message_name(name).ok_or_else(wrong)).transpose()?;
        let id = MessageId::random(&mut rng());
        let stored = StoredMessage {
            sent: step.now,
            text: text.clone(),
            reply_to,
            edited: None,
            deleted: false,
            reactions: Vec::new(),
            state: MessageState::Queued,
            reason: None,
            seq: 0,
            file: None,
        };
        let name = MessageRef { author: self.me, id };
        let entry = self.append(step, AccountId(group.0), name, &stored).map_err(|error| storage(&error))?;
        if let Err(error) = self.say(step, group, id, Content::Text { text, reply_to }) {
            // What is not said is not shown.
            step.txn.remove(entry.arrival).map_err(|error| storage(&error))?;
            return Err(error);
        }
        Ok(Sent { message_id: message_name(name) })
    }

    /// Encrypts something for all members, keeps it for those who are away, and publishes it.
    pub(in crate::engine) fn say(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        id: MessageId,
        body: Content,
    ) -> Result<(), ApiError> {
        self.say_at(step, group, (id, step.now), body)
    }

    /// As [`Self::say`], with the time that it carries.
    pub(in crate::engine) fn say_at(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        (id, sent): (MessageId, Timestamp),
        body: Content,
    ) -> Result<(), ApiError> {
        self.ready_chain(step, group)?;
        let plaintext =
            MessageIn { version: MESSAGE_VERSION, id, seq: 0, floor: 0, sent, record_seq: self.record.seq(), body };
        let plaintext = plaintext.encode().map_err(|error| failed(&error))?;
        let me = self.me;
        let held = self.groups.get_mut(&group).ok_or_else(|| ApiError::not_found("There is no such group."))?;
        let Some(view) = held.membership.as_ref().map(|membership| membership.view()) else {
            return Err(ApiError::not_found("There is no such group."));
        };
        let Some(own) = held.own.as_mut() else { return Err(failed(&"there is no chain")) };
        let (roster, heads) = (view.roster(), held.row.heads.clone());
        let context = SendContext { group, author: me, view: view.id, roster: &roster, heads: &heads, now: step.now };
        let message = own.encrypt(&context, &plaintext, &mut rng()).map_err(|error| failed(&error))?;
        let encoded = message.encode().map_err(|error| failed(&error))?;
        step.chains.insert((group, me));
        let order = held.row.kept;
        held.row.sent(Unacknowledged {
            chain: message.chain,
            number: message.number,
            message: id,
            logged: false,
            order,
        });
        let apart = held.compared_at.map(|last| last + Duration::from_millis(GROUP_SYNC_APART_MS));
        let soon = (Instant::now() + Duration::from_millis(GROUP_SYNC_SOON_MS)).max(apart.unwrap_or_else(Instant::now));
        held.sync_at = Some(held.sync_at.map_or(soon, |at| at.min(soon)));
        self.wake_at(soon);
        self.keep(step, group, &message, &encoded, id);
        self.publish(step, group, &encoded);
        self.log_unheard(step, group);
        self.settle_acknowledged(step, group);
        Ok(())
    }

    /// Begins a new chain if the present one may not be used, and sees to it that
    /// all members have it before anything is sent with it.
    fn ready_chain(&mut self, step: &mut Step<'_>, group: GroupId) -> Result<(), ApiError> {
        self.load_own_chain(step, group).map_err(|error| storage(&error))?;
        let me = self.me;
        let held = self.groups.get_mut(&group).ok_or_else(|| ApiError::not_found("There is no such group."))?;
        let Some(view) = held.membership.as_ref().map(|membership| membership.view()) else {
            return Err(ApiError::not_found("There is no such group."));
        };
        let (roster, view) = (view.roster(), view.id);
        let own = match held.own.take() {
            Some(own) if !own.must_rotate(&roster, step.now) => held.own.insert(own),
            _ => held.own.insert(SenderKey::generate(view, step.now, &mut rng())),
        };
        let lacking: Vec<AccountId> =
            roster.iter().filter(|account| **account != me && !own.is_held_by(account)).copied().collect();
        if !self.outbox.has_room(lacking.len()) {
            return Err(no_room());
        }
        let handed: Vec<_> = lacking.into_iter().map(|account| (account, own.hand_to(account))).collect();
        step.chains.insert((group, me));
        for (account, chain) in handed {
            self.hand_chain(step, account, group, chain);
        }
        Ok(())
    }

    /// After a rollback of the vault: every own chain is begun anew, since others have
    /// used up numbers that this account would give again.
    pub(in crate::engine) fn replace_all_chains(&mut self, step: &mut Step<'_>) {
        for held in self.groups.values_mut() {
            held.own = None;
            step.txn.delete(Table::SenderKeys, &super::chain_key(held.row.group, self.me));
        }
    }

    /// Keeps a message for members who lack it, and notes that it was seen.
    fn keep(&mut self, step: &mut Step<'_>, group: GroupId, message: &GroupMessageIn, encoded: &[u8], id: MessageId) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        let hash = GroupMessageIn::hash(encoded);
        let now = step.now;
        let progress = held
            .row
            .places
            .entry(message.chain)
            .or_insert_with(|| Progress::new(message.author, true, message.number, now));
        progress.read(message.number, now);
        held.row.advance_heads(hash, &message.heads);
        held.gaps.saw(hash);
        held.row.kept = held.row.kept.saturating_add(1);
        let day = u32::try_from(now.0 / DAY_MS).unwrap_or(u32::MAX).saturating_add(GROUP_KEEP_DAYS);
        let row = [&held.row.kept.to_be_bytes(), encoded].concat();
        let known = Known { chain: message.chain, number: message.number, id };
        step.txn.put_until(Table::GroupLog, &place_key(group, message.chain, message.number), day, &row);
        step.txn.put_until(Table::GroupLog, &hash_key(group, &hash), day, &known.encode());
        step.groups.insert(group);
    }

    pub(super) fn has_seen(&self, step: &Step<'_>, group: GroupId, hash: &MessageHash) -> bool {
        if self.groups.get(&group).is_some_and(|held| held.gaps.has_seen(hash)) {
            return true;
        }
        step.txn.get(Table::GroupLog, &hash_key(group, hash)).is_ok_and(|seen| seen.is_some())
    }

    /// A message, from wherever it came. Says whether it was new and could be read.
    pub(super) fn group_message(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        encoded: &[u8],
        from: Option<AccountId>,
    ) -> bool {
        self.hear(step, group, encoded, from) == Heard::New
    }

    /// As [`Self::group_message`]: says what became of it.
    pub(super) fn hear(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        encoded: &[u8],
        from: Option<AccountId>,
    ) -> Heard {
        let Ok(message) = GroupMessageIn::decode(encoded) else { return Heard::Refused };
        let hash = GroupMessageIn::hash(encoded);
        if message.author == self.me || self.has_seen(step, group, &hash) {
            return Heard::Nothing;
        }
        let Some(held) = self.groups.get(&group).filter(|held| held.is_joined()) else { return Heard::Nothing };
        if !counts(held, &message) {
            // Of somebody unknown the others may know more.
            let gone = held.view().is_some_and(|view| view.former.contains_key(&message.author));
            return if gone { Heard::Refused } else { Heard::Nothing };
        }
        // What is left out here is fetched later, at the pace of whoever fetches.
        let paced = from.is_none();
        if message.number >= GROUP_NUMBER_MAX || (paced && self.has_flooded(group, message.author)) {
            return Heard::Refused;
        }
        let Ok(chains) = self.chains_of(step, group, message.author) else { return Heard::Nothing };
        let opened = match chains.decrypt(&message, step.now) {
            Ok(opened) => opened,
            Err(GroupDecryptError::UnknownChain) => {
                if !paced || !self.too_many_strange(step, group) {
                    self.wait_for_chain(step, group, message);
                }
                return Heard::Nothing;
            }
            Err(GroupDecryptError::Duplicate) => {
                if self.split_seen(step, group, &message, encoded) && paced {
                    self.note_pace(step, group, message.author);
                }
                return Heard::Nothing;
            }
            Err(GroupDecryptError::TooOld) => return Heard::Nothing,
            Err(error) => {
                // Malformed is only what its author has signed.
                if paced && error == GroupDecryptError::Malformed {
                    self.note_pace(step, group, message.author);
                }
                let text = format!("A group message could not be opened: {error}.");
                let subject = (error == GroupDecryptError::Malformed).then(|| message.author.to_string());
                self.alert(step, "group.undecryptable", Severity::Warning, subject, &text);
                return if error == GroupDecryptError::SkipLimit { Heard::Nothing } else { Heard::Forged };
            }
        };
        step.chains.insert((group, message.author));
        if paced {
            self.note_pace(step, group, message.author);
        }
        let said = MessageIn::decode(opened.expose());
        let id = said.as_ref().map_or(MessageId([0; 16]), |said| said.id);
        self.keep(step, group, &message, encoded, id);
        match said {
            Ok(said) => {
                self.record_announced(step, message.author, said.record_seq);
                if let Err(error) = self.apply_group(step, group, message.author, said) {
                    tracing::debug!(%error, "a group message was not applied");
                }
            }
            Err(error) => {
                let text = format!("A member sent a message that can't be understood: {error}.");
                self.alert(step, "group.malformed", Severity::Warning, Some(message.author.to_string()), &text);
            }
        }
        self.note_gaps(step, group, &message, from);
        Heard::New
    }

    /// Whether a member has published faster than anybody reads.
    fn has_flooded(&self, group: GroupId, author: AccountId) -> bool {
        let pace = self.groups.get(&group).and_then(|held| held.paces.get(&author));
        pace.is_some_and(|pace| pace.has_passed(Instant::now(), GROUP_BURST_MESSAGES))
    }

    /// Counts a message of a chain that is not known, and so of nobody in particular.
    fn too_many_strange(&mut self, step: &mut Step<'_>, group: GroupId) -> bool {
        let Some(held) = self.groups.get_mut(&group) else { return true };
        let pace = held.strange.note(Instant::now(), GROUP_BURST_MESSAGES);
        if pace == Pace::JustPassed {
            let text = "A group is flooded with messages that nobody here can open: what is too much is dropped.";
            self.alert(step, "group.flood", Severity::Warning, Some(group.to_string()), text);
        }
        pace != Pace::Fine
    }

    /// Counts a message that its author has signed: nobody else can use up their share.
    fn note_pace(&mut self, step: &mut Step<'_>, group: GroupId, author: AccountId) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        let pace = held.paces.entry(author).or_default().note(Instant::now(), GROUP_BURST_MESSAGES);
        if pace == Pace::JustPassed {
            let text = "A member floods a group: what is too much is put off.";
            self.alert(step, "group.flood", Severity::Warning, Some(author.to_string()), text);
        }
    }

    /// Its chain did not come yet: keeps it in memory until then.
    fn wait_for_chain(&mut self, step: &mut Step<'_>, group: GroupId, message: GroupMessageIn) {
        let now = step.now;
        let Some(held) = self.groups.get_mut(&group) else { return };
        if held.row.note_unknown(message.chain, message.author, now) {
            step.groups.insert(group);
        }
        if held.waiting.len() >= GROUP_WAITING_MAX {
            held.waiting.pop_front();
        }
        held.waiting.push_back(message);
    }

    /// A chain came: what waited for it can be opened.
    pub(super) fn retry_waiting(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        for message in std::mem::take(&mut held.waiting) {
            if let Ok(encoded) = message.encode() {
                self.group_message(step, group, &encoded, None);
            }
        }
    }

    pub(super) fn apply_group(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        author: AccountId,
        said: MessageIn,
    ) -> Result<(), ApiError> {
        if self.overtakes(step, group, author, &said) {
            return Ok(());
        }
        let name = MessageRef { author, id: said.id };
        self.apply_here(step, group, author, said)?;
        self.apply_overtaking(step, group, name);
        Ok(())
    }

    /// Of a text, or of a message that is here.
    fn apply_here(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        author: AccountId,
        said: MessageIn,
    ) -> Result<(), ApiError> {
        let own = |target| MessageRef { author, id: target };
        match &said.body {
            Content::Text { text, reply_to } => self.apply_group_text(step, group, author, &said, text, *reply_to),
            Content::Edit { target, text } => {
                let Some((entry, mut stored)) = self.load(step, own(*target))? else { return Ok(()) };
                // One that was overtaken by a later one changes nothing any more: by its author's own
                // clock, whatever that shows.
                let newest = stored.edited.is_none_or(|edited| edited <= said.sent);
                if entry.conversation == group.0 && !stored.deleted && newest && check_text(text).is_ok() {
                    text.clone_into(&mut stored.text);
                    stored.edited = Some(said.sent);
                    self.store_message(step, entry.arrival, &stored)?;
                    step.tell(Event::MessageEdited(Box::new(self.view(&entry, &stored))));
                }
                Ok(())
            }
            Content::File { payload } => self.apply_group_file(step, group, author, &said, &payload.0),
            Content::Delete { target } => {
                let Some((entry, mut stored)) = self.load(step, own(*target))? else { return Ok(()) };
                if entry.conversation == group.0 {
                    stored.text.clear();
                    stored.reactions.clear();
                    stored.deleted = true;
                    self.store_message(step, entry.arrival, &stored)?;
                    if let Some(file) = stored.file {
                        self.forget_file(step, file, Gone::Deleted);
                    }
                    let message_id = message_name(own(*target));
                    step.tell(Event::MessageDeleted { message_id, conversation: group.to_string() });
                }
                Ok(())
            }
            Content::Reaction { target, emoji } => {
                let Some((entry, mut stored)) = self.load(step, *target)? else { return Ok(()) };
                let Ok(emoji) = check_reaction(emoji) else { return Ok(()) };
                let fits = entry.conversation == group.0 && !stored.deleted;
                if fits && stored.react(author, emoji.unwrap_or_default()) {
                    self.store_message(step, entry.arrival, &stored)?;
                    step.tell(Event::MessageReaction(Box::new(self.view(&entry, &stored))));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn apply_group_text(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        author: AccountId,
        said: &MessageIn,
        text: &str,
        reply_to: Option<MessageRef>,
    ) -> Result<(), ApiError> {
        let name = MessageRef { author, id: said.id };
        if check_text(text).is_err() || self.load(step, name)?.is_some() {
            return Ok(());
        }
        let stored = StoredMessage {
            sent: plausible(said.sent, step.now),
            text: text.to_owned(),
            reply_to,
            edited: None,
            deleted: false,
            reactions: Vec::new(),
            state: MessageState::Received,
            reason: None,
            seq: 0,
            file: None,
        };
        let entry = self.append(step, AccountId(group.0), name, &stored).map_err(|error| storage(&error))?;
        let named = mentions(text, self.username.as_str());
        if let Some(held) = self.groups.get_mut(&group) {
            held.row.unread = held.row.unread.saturating_add(1);
            held.row.mentions = held.row.mentions.saturating_add(u64::from(named));
        }
        step.tell(Event::GroupMessage(Box::new(self.view(&entry, &stored))));
        Ok(())
    }
}

/// Whether a message's author is heard: a member, or somebody who was one, as far
/// as whoever removed them had read.
fn counts(held: &Group, message: &GroupMessageIn) -> bool {
    held.view().is_some_and(|view| message.number < view.counts_below(&message.author, &message.chain))
}

/// Whether a text names somebody, as `@name`.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), format!("@{}", name.to_lowercase()));
    text.match_indices(&name).any(|(at, _)| {
        let after = text.get(at.saturating_add(name.len())..).and_then(|rest| rest.chars().next());
        let before = text.get(..at).and_then(|start| start.chars().next_back());
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joins(after) && !joins(before)
    })
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn a_name_is_mentioned_only_as_a_whole() {
        assert!(mentions("Hi @Bob!", "bob") && mentions("@bob", "Bob"));
        assert!(!mentions("@bobby", "bob") && !mentions("mail x@bob", "bob") && !mentions("bob", "bob"));
    }
}
