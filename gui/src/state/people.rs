//! Contacts, requests and who is online.

use secure_chat_node::api::{At, ChatRequest, Contact, ContactState, Message, RequestState, Requests, Status, User};

/// How long "is writing" is believed without a repetition, in milliseconds.
const TYPING_FOR_MS: u64 = 6_000;
/// So many are remembered to be writing.
const TYPING_MAX: usize = 64;

/// Whether what is muted until then is still so.
pub(crate) fn is_muted(until: Option<At>, now_ms: u64) -> bool {
    until.is_some_and(|until| until.0.0 > now_ms)
}

/// Everybody this account knows of.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// Most recent conversation first.
    contacts: Vec<Contact>,
    /// The lists were read once.
    pub(crate) loaded: bool,
    pub(crate) incoming: Vec<ChatRequest>,
    pub(crate) outgoing: Vec<ChatRequest>,
    pub(crate) online: Vec<User>,
    typing: Vec<Typing>,
}

/// Somebody is writing.
#[derive(Debug)]
struct Typing {
    /// A contact's name, or a group's id.
    conversation: String,
    who: String,
    /// Until when it is believed, in milliseconds.
    until_ms: u64,
}

impl People {
    /// All contacts, most recent conversation first.
    pub(crate) fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// The contact of a conversation.
    pub(crate) fn contact(&self, username: &str) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.username == username)
    }

    /// The same, to change it.
    pub(crate) fn contact_mut(&mut self, username: &str) -> Option<&mut Contact> {
        self.contacts.iter_mut().find(|contact| contact.username == username)
    }

    /// The list was read anew.
    pub(crate) fn set_contacts(&mut self, contacts: Vec<Contact>) {
        self.contacts = contacts;
        self.loaded = true;
        self.sort();
    }

    /// A contact is new, or different.
    pub(crate) fn put(&mut self, contact: Contact) {
        match self.contacts.iter_mut().find(|known| known.account_id == contact.account_id) {
            Some(known) => *known = contact,
            None => self.contacts.push(contact),
        }
        self.sort();
    }

    /// A contact is gone.
    pub(crate) fn remove(&mut self, username: &str) {
        self.contacts.retain(|contact| contact.username != username);
    }

    fn sort(&mut self) {
        let at = |contact: &Contact| contact.last_message.as_ref().map_or(0, |message| message.at.0.0);
        self.contacts
            .sort_by(|a, b| at(b).cmp(&at(a)).then_with(|| a.username.to_lowercase().cmp(&b.username.to_lowercase())));
    }

    /// A message is the last one of its conversation, or has changed.
    pub(crate) fn touch(&mut self, message: &Message) {
        let Some(contact) = self.contact_mut(&message.conversation) else { return };
        let newer = contact
            .last_message
            .as_ref()
            .is_none_or(|last| last.message_id == message.message_id || last.at <= message.at);
        if newer {
            contact.last_message = Some(message.clone());
            // In a flood from one person, they are on top already.
            if self.contacts.first().is_none_or(|first| first.username != message.conversation) {
                self.sort();
            }
        }
    }

    /// Requests were read anew: those that wait are kept.
    pub(crate) fn set_requests(&mut self, requests: Requests) {
        let waits = |request: &ChatRequest| request.state == RequestState::Pending;
        self.incoming = requests.incoming.into_iter().filter(waits).collect();
        // One that ended without an answer is shown, so that it can be sent again.
        self.outgoing = requests
            .outgoing
            .into_iter()
            .filter(|request| {
                matches!(request.state, RequestState::Pending | RequestState::Failed | RequestState::Expired)
            })
            .collect();
    }

    /// Somebody asks for a chat.
    pub(crate) fn asked(&mut self, request: ChatRequest) {
        self.incoming.retain(|known| known.request_id != request.request_id);
        self.incoming.push(request);
    }

    /// A request that waits for this account's answer, or for another's.
    pub(crate) fn request(&self, request_id: &str) -> Option<&ChatRequest> {
        self.incoming.iter().chain(&self.outgoing).find(|request| request.request_id == request_id)
    }

    /// A request was answered or taken back.
    pub(crate) fn close_request(&mut self, request_id: &str) {
        self.incoming.retain(|request| request.request_id != request_id);
        self.outgoing.retain(|request| request.request_id != request_id);
    }

    /// A contact came, left, or is away.
    pub(crate) fn set_presence(
        &mut self,
        username: &str,
        status: Status,
        last_seen: Option<secure_chat_node::api::At>,
    ) {
        if status == Status::Offline {
            self.typing.retain(|typing| typing.who != username);
        }
        if let Some(contact) = self.contact_mut(username) {
            contact.status = status;
            contact.online = matches!(status, Status::Online | Status::Away);
            contact.last_seen = last_seen.or(contact.last_seen);
        }
    }

    /// Unread messages of a conversation.
    pub(crate) fn set_unread(&mut self, username: &str, unread: u64) {
        if let Some(contact) = self.contact_mut(username) {
            contact.unread = unread;
        }
    }

    /// Unread messages of all conversations that are not muted.
    pub(crate) fn unread(&self, now_ms: u64) -> u64 {
        let heard = |contact: &&Contact| !is_muted(contact.muted_until, now_ms);
        self.contacts.iter().filter(heard).map(|contact| contact.unread).sum()
    }

    /// The keys of a contact changed.
    pub(crate) fn key_changed(&mut self, username: &str, new_fingerprint: &str) {
        if let Some(contact) = self.contact_mut(username) {
            contact.state = ContactState::KeyChanged;
            contact.verified = false;
            contact.new_fingerprint = Some(new_fingerprint.to_owned());
        }
    }

    /// Somebody is writing, or has stopped.
    pub(crate) fn set_typing(&mut self, conversation: &str, who: &str, active: bool, now_ms: u64) {
        self.typing.retain(|typing| typing.conversation != conversation || typing.who != who);
        if active && self.typing.len() < TYPING_MAX {
            let until_ms = now_ms.saturating_add(TYPING_FOR_MS);
            self.typing.push(Typing { conversation: conversation.to_owned(), who: who.to_owned(), until_ms });
        }
    }

    /// Who is writing in a conversation, those first who began first.
    pub(crate) fn typing(&self, conversation: &str, now_ms: u64) -> Vec<&str> {
        let here = |typing: &&Typing| typing.conversation == conversation && typing.until_ms > now_ms;
        self.typing.iter().filter(here).map(|typing| typing.who.as_str()).collect()
    }

    /// Whether the contact of a conversation is writing.
    pub(crate) fn is_typing(&self, conversation: &str, now_ms: u64) -> bool {
        !self.typing(conversation, now_ms).is_empty()
    }

    /// When the next "is writing" ends, in milliseconds from now.
    pub(crate) fn typing_ends_in_ms(&mut self, now_ms: u64) -> Option<u64> {
        self.typing.retain(|typing| typing.until_ms > now_ms);
        self.typing.iter().map(|typing| typing.until_ms - now_ms).min()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use secure_chat_node::api::{At, MessageState};
    use secure_chat_protocol::id::Timestamp;

    pub(crate) fn contact(username: &str) -> Contact {
        Contact {
            username: username.to_owned(),
            account_id: format!("account of {username}"),
            peer_id: String::new(),
            fingerprint: "1111 2222".to_owned(),
            state: ContactState::Accepted,
            verified: true,
            online: false,
            status: Status::Offline,
            last_seen: None,
            unread: 0,
            muted_until: None,
            last_message: None,
            new_fingerprint: None,
        }
    }

    pub(crate) fn message(id: &str, conversation: &str, at_ms: u64, mine: bool) -> Message {
        Message {
            message_id: id.to_owned(),
            conversation: conversation.to_owned(),
            conversation_id: format!("account of {conversation}"),
            from: if mine { "alice".to_owned() } else { conversation.to_owned() },
            account_id: String::new(),
            mine,
            text: format!("text of {id}"),
            at: At(Timestamp(at_ms)),
            state: if mine { MessageState::Queued } else { MessageState::Received },
            reason: None,
            reply_to: None,
            edited: None,
            deleted: false,
            reactions: Default::default(),
            file: None,
        }
    }

    fn names(people: &People) -> Vec<&str> {
        people.contacts().iter().map(|contact| contact.username.as_str()).collect()
    }

    #[test]
    fn the_latest_conversation_stands_first() {
        let mut people = People::default();
        people.set_contacts(vec![contact("carol"), contact("Bob")]);
        assert_eq!(names(&people), ["Bob", "carol"]);
        people.touch(&message("1", "carol", 5, false));
        assert_eq!(names(&people), ["carol", "Bob"]);
        // An older message that comes late doesn't become the last line.
        people.touch(&message("0", "carol", 4, false));
        assert_eq!(
            people.contact("carol").and_then(|c| c.last_message.as_ref()).map(|m| m.message_id.as_str()),
            Some("1")
        );
    }

    #[test]
    fn somebody_who_went_silent_is_no_longer_writing() {
        let mut people = People::default();
        people.set_contacts(vec![contact("bob")]);
        people.set_typing("bob", "bob", true, 1_000);
        assert!(people.is_typing("bob", 1_000));
        assert_eq!(people.typing_ends_in_ms(2_000), Some(TYPING_FOR_MS - 1_000));
        assert!(!people.is_typing("bob", 1_000 + TYPING_FOR_MS));
        people.set_typing("bob", "bob", true, 1_000);
        people.set_presence("bob", Status::Offline, None);
        assert!(!people.is_typing("bob", 1_001));
    }

    #[test]
    fn those_who_write_are_bounded() {
        let mut people = People::default();
        for number in 0..1_000 {
            people.set_typing("group", &number.to_string(), true, 0);
        }
        assert_eq!(people.typing.len(), TYPING_MAX);
    }

    #[test]
    fn a_changed_key_is_no_longer_verified() {
        let mut people = People::default();
        people.set_contacts(vec![contact("bob")]);
        people.key_changed("bob", "9999");
        let bob = people.contact("bob").unwrap();
        assert_eq!((bob.state, bob.verified), (ContactState::KeyChanged, false));
    }
}
