//! What the node tells, unasked.

use serde::Serialize;
use tokio::sync::broadcast;

use super::{
    Account, At, ChatRequest, Contact, Direction, Downloaded, FileView, Group, GroupRequest, Message, MessageState,
    Role, Status,
};

/// Events kept for a listener that falls behind.
pub(crate) const EVENTS_BUFFERED: usize = 16_384;

/// An event with its number and time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberedEvent {
    /// Ascending by one from 1 in one run of the node.
    pub seq: u64,
    /// When.
    pub at: At,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum Event {
    /// An account was opened.
    #[serde(rename = "account.unlocked")]
    AccountUnlocked(Account),
    /// The account was locked: forget everything that was shown.
    #[serde(rename = "account.locked")]
    AccountLocked {},
    /// A rendezvous node gives the own name to somebody else.
    #[serde(rename = "account.name_conflict")]
    NameConflict {
        /// The rendezvous node.
        address: String,
    },
    /// Connections or rendezvous nodes changed: read `network.status` again.
    #[serde(rename = "network.state")]
    NetworkState {
        /// Open connections.
        connections: usize,
        /// Rendezvous nodes where the account is registered now.
        registered: usize,
    },
    /// An encrypted session with a contact begins.
    #[serde(rename = "session.established")]
    SessionEstablished {
        /// The contact's name.
        username: String,
        /// The contact's account.
        account_id: String,
    },
    /// Settings changed: read them again.
    #[serde(rename = "settings.changed")]
    SettingsChanged {},
    /// A contact came, left, or is away.
    #[serde(rename = "presence.changed")]
    PresenceChanged {
        /// The contact's name.
        username: String,
        /// The contact's account.
        account_id: String,
        /// Now.
        status: Status,
        /// When last online, if they tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_seen: Option<At>,
    },
    /// Somebody asks for a chat.
    #[serde(rename = "contact.request")]
    ContactRequest(ChatRequest),
    /// The own request was accepted, or the own acceptance is on its way.
    #[serde(rename = "contact.accepted")]
    ContactAccepted(Box<Contact>),
    /// The own request was declined.
    #[serde(rename = "contact.declined")]
    ContactDeclined {
        /// The request.
        request_id: String,
        /// Who declined.
        username: String,
        /// Their account.
        account_id: String,
    },
    /// A known name shows other keys: sending waits for the person.
    #[serde(rename = "contact.key_changed")]
    ContactKeyChanged {
        /// The name.
        username: String,
        /// The account that is known.
        account_id: String,
        /// The fingerprint that is new.
        new_fingerprint: String,
    },
    /// A message came in.
    #[serde(rename = "message.received")]
    MessageReceived(Box<Message>),
    /// A message got further, or failed.
    #[serde(rename = "message.state")]
    MessageState {
        /// Which.
        message_id: String,
        /// The conversation.
        conversation: String,
        /// How far it got.
        state: MessageState,
        /// Why it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A message was changed by its author.
    #[serde(rename = "message.edited")]
    MessageEdited(Box<Message>),
    /// A message was taken back by its author, or deleted here.
    #[serde(rename = "message.deleted")]
    MessageDeleted {
        /// Which.
        message_id: String,
        /// The conversation.
        conversation: String,
    },
    /// The reactions to a message changed.
    #[serde(rename = "message.reaction")]
    MessageReaction(Box<Message>),
    /// The number of unread messages of a conversation changed.
    #[serde(rename = "unread.changed")]
    UnreadChanged {
        /// The conversation.
        conversation: String,
        /// Messages not read yet.
        unread: u64,
    },
    /// Somebody is writing, or has stopped.
    #[serde(rename = "typing")]
    Typing {
        /// The conversation.
        conversation: String,
        /// Who.
        username: String,
        /// Their account.
        account_id: String,
        /// Writing.
        active: bool,
    },
    /// A contact invites to a group: `groups.join` accepts.
    #[serde(rename = "group.invited")]
    GroupInvited {
        /// The group.
        group_id: String,
        /// Its name.
        name: String,
        /// Who invites.
        username: String,
        /// Their account.
        account_id: String,
    },
    /// This account is in a group now.
    #[serde(rename = "group.joined")]
    GroupJoined(Box<Group>),
    /// This account is no longer in a group, or was not let in.
    #[serde(rename = "group.left")]
    GroupLeft {
        /// The group.
        group_id: String,
        /// Why, in a sentence.
        reason: String,
    },
    /// Somebody came in.
    #[serde(rename = "group.member_joined")]
    GroupMemberJoined {
        /// The group.
        group_id: String,
        /// Who.
        username: String,
        /// Their account.
        account_id: String,
    },
    /// Somebody left or was removed.
    #[serde(rename = "group.member_left")]
    GroupMemberLeft {
        /// The group.
        group_id: String,
        /// Who.
        username: String,
        /// Their account.
        account_id: String,
    },
    /// Somebody has another role.
    #[serde(rename = "group.role_changed")]
    GroupRoleChanged {
        /// The group.
        group_id: String,
        /// Who.
        username: String,
        /// Their account.
        account_id: String,
        /// Which.
        role: Role,
    },
    /// What a group says of itself, or how it stands, has changed.
    #[serde(rename = "group.updated")]
    GroupUpdated(Box<Group>),
    /// Somebody asks to join, and an admin decides.
    #[serde(rename = "group.join_requested")]
    GroupJoinRequested(GroupRequest),
    /// A message in a group came in.
    #[serde(rename = "group.message")]
    GroupMessage(Box<Message>),
    /// Somebody shares a file.
    #[serde(rename = "file.shared")]
    FileShared(Box<FileView>),
    /// A file is on its way.
    #[serde(rename = "file.progress")]
    FileProgress {
        /// Which.
        file_id: String,
        /// Here or away.
        direction: Direction,
        /// So far.
        bytes_done: u64,
        /// In all.
        bytes_total: u64,
    },
    /// A file is here, whole and verified; or waits at rendezvous nodes for its recipient.
    #[serde(rename = "file.completed")]
    FileCompleted {
        /// Which.
        file_id: String,
        /// Here or away.
        direction: Direction,
        /// A file that is here.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        downloaded: Option<Downloaded>,
    },
    /// A file does not come.
    #[serde(rename = "file.failed")]
    FileFailed {
        /// Which.
        file_id: String,
        /// Here or away.
        direction: Direction,
        /// Why, and what to do now.
        reason: String,
    },
    /// A file was taken back, forgotten, or its time is over.
    #[serde(rename = "file.deleted")]
    FileDeleted {
        /// Which.
        file_id: String,
        /// Its time is over.
        expired: bool,
    },
    /// Somebody has an own file whole.
    #[serde(rename = "file.downloaded")]
    FileDownloaded {
        /// Which.
        file_id: String,
        /// Who.
        username: String,
        /// Their account.
        account_id: String,
    },
    /// How it stands with a file has changed: waiting, on its way, halted.
    #[serde(rename = "file.state")]
    FileState(Box<FileView>),
    /// Something for the audit log.
    #[serde(rename = "security.audit")]
    SecurityAudit {
        /// The kind of entry.
        kind: String,
        /// `info`, `warning` or `critical`.
        severity: String,
        /// A sentence.
        detail: String,
    },
    /// Something suspicious.
    #[serde(rename = "security.alert")]
    SecurityAlert {
        /// Names it in `security.dismiss`.
        alert_id: String,
        /// How often it happened by now.
        count: u64,
        /// The rule.
        kind: String,
        /// `info`, `warning` or `critical`.
        severity: String,
        /// Whom it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// A sentence.
        detail: String,
    },
    /// The listener fell behind and lost this many events: read the lists again.
    #[serde(rename = "events.lagged")]
    Lagged {
        /// How many were lost.
        missed: u64,
    },
}

/// The events of a node from some moment on.
pub struct EventStream {
    receiver: broadcast::Receiver<NumberedEvent>,
    /// The number of the last event that was told or lost; 0 before the first.
    last_seq: u64,
}

impl EventStream {
    pub(super) fn new(receiver: broadcast::Receiver<NumberedEvent>) -> Self {
        Self { receiver, last_seq: 0 }
    }

    /// The next event; `None` when the node has stopped.
    ///
    /// A listener that fell behind gets [`Event::Lagged`], with the number of
    /// the last event it lost where that is known, and else 0.
    pub async fn next(&mut self) -> Option<NumberedEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(self.told(event)),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(self.lagged(missed)),
        }
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<NumberedEvent> {
        match self.receiver.try_recv() {
            Ok(event) => Some(self.told(event)),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(self.lagged(missed)),
            Err(_) => None,
        }
    }

    fn told(&mut self, event: NumberedEvent) -> NumberedEvent {
        self.last_seq = event.seq;
        event
    }

    fn lagged(&mut self, missed: u64) -> NumberedEvent {
        if self.last_seq > 0 {
            self.last_seq = self.last_seq.saturating_add(missed);
        }
        NumberedEvent { seq: self.last_seq, at: At::now(), event: Event::Lagged { missed } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(seq: u64) -> NumberedEvent {
        NumberedEvent { seq, at: At::default(), event: Event::SettingsChanged {} }
    }

    #[test]
    fn a_listener_that_falls_behind_learns_how_much_it_lost() {
        let (sender, receiver) = broadcast::channel(2);
        let mut stream = EventStream::new(receiver);
        sender.send(numbered(7)).unwrap();
        assert_eq!(stream.try_next(), Some(numbered(7)));
        for seq in 8..=12 {
            sender.send(numbered(seq)).unwrap();
        }
        let lagged = stream.try_next().unwrap();
        assert_eq!((lagged.seq, lagged.event), (10, Event::Lagged { missed: 3 }));
        assert_eq!(stream.try_next(), Some(numbered(11)));
    }

    #[test]
    fn an_event_is_told_with_its_type_and_number() {
        let event = NumberedEvent {
            seq: 3,
            at: At::default(),
            event: Event::UnreadChanged { conversation: "bob".into(), unread: 2 },
        };
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            serde_json::json!({"seq": 3, "at": "1970-01-01T00:00:00Z", "type": "unread.changed", "conversation": "bob", "unread": 2})
        );
    }
}
