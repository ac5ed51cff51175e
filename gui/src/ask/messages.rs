//! Conversations.

use secure_chat_node::api::{At, Message, MessageState, NodeHandle};

use super::Answered;

/// Messages read at once.
pub(crate) const PAGE_MESSAGES: u32 = 200;
/// Hits shown of a search.
pub(crate) const HITS_MAX: u32 = 100;

/// Which part of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    Latest,
    Before(String),
    After(String),
    Around(String),
    /// One message, for a reply that quotes it.
    Quote(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    History {
        conversation: String,
        page: Page,
    },
    Send {
        conversation: String,
        text: String,
        reply_to: Option<String>,
        local: u64,
    },
    Edit {
        message_id: String,
        text: String,
    },
    Delete {
        message_id: String,
        for_everyone: bool,
    },
    React {
        message_id: String,
        emoji: String,
    },
    Retry {
        message_id: String,
    },
    Typing {
        conversation: String,
    },
    SaveDraft {
        conversation: String,
        text: String,
    },
    LoadDraft {
        conversation: String,
    },
    MarkRead {
        conversation: String,
        up_to: String,
    },
    /// `serial` tells the answer from that of an earlier query.
    Search {
        query: String,
        conversation: Option<String>,
        serial: u64,
    },
}

#[derive(Debug)]
pub(crate) enum Answer {
    History {
        conversation: String,
        page: Page,
        result: Answered<(Vec<Message>, bool)>,
    },
    Sent {
        conversation: String,
        local: u64,
        result: Answered<String>,
    },
    /// A message was edited, deleted, reacted to or retried.
    Changed {
        message_id: String,
        change: Change,
        result: Answered<()>,
    },
    Draft {
        conversation: String,
        result: Answered<String>,
    },
    Found {
        conversation: Option<String>,
        serial: u64,
        result: Answered<(Vec<Message>, bool)>,
    },
    /// Nothing that the person waits for.
    Quiet,
}

/// What was asked for about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Edited { text: String },
    Deleted { for_everyone: bool },
    Reacted,
    Retried,
}

impl Ask {
    pub(super) fn in_order(&self) -> bool {
        !matches!(self, Self::History { .. } | Self::Search { .. } | Self::Typing { .. })
    }

    pub(super) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::History { conversation, page } => {
                let result = history(node, &conversation, &page).await;
                Answer::History { conversation, page, result }
            }
            Self::Send { conversation, text, reply_to, local } => {
                let result = node.messages_send(conversation.clone(), text, reply_to).await.map(|sent| sent.message_id);
                Answer::Sent { conversation, local, result }
            }
            Self::Search { query, conversation, serial } => {
                let found = node.messages_search(query, conversation.clone(), HITS_MAX).await;
                Answer::Found { conversation, serial, result: found.map(|found| (found.messages, found.more)) }
            }
            Self::LoadDraft { conversation } => {
                let result = node.messages_draft(conversation.clone(), None).await.map(|draft| draft.text);
                Answer::Draft { conversation, result }
            }
            // Losing one of these is not worth a word: the next one makes it good.
            Self::SaveDraft { conversation, text } => {
                let _ = node.messages_draft(conversation, text).await;
                Answer::Quiet
            }
            Self::Typing { conversation } => {
                let _ = node.messages_typing(conversation).await;
                Answer::Quiet
            }
            Self::MarkRead { conversation, up_to } => {
                let _ = node.messages_mark_read(conversation, up_to).await;
                Answer::Quiet
            }
            change => change.perform_change(node).await,
        }
    }

    async fn perform_change(self, node: &NodeHandle) -> Answer {
        let (message_id, change, result) = match self {
            Self::Edit { message_id, text } => {
                let result = node.messages_edit(message_id.clone(), text.clone()).await;
                (message_id, Change::Edited { text }, result)
            }
            Self::Delete { message_id, for_everyone } => {
                let result = node.messages_delete(message_id.clone(), for_everyone).await;
                (message_id, Change::Deleted { for_everyone }, result)
            }
            Self::React { message_id, emoji } => {
                let result = node.messages_react(message_id.clone(), emoji).await;
                (message_id, Change::Reacted, result)
            }
            Self::Retry { message_id } => {
                let result = node.messages_retry(message_id.clone()).await;
                (message_id, Change::Retried, result)
            }
            // The others are asked above.
            _ => return Answer::Quiet,
        };
        Answer::Changed { message_id, change, result: result.map(|_| ()) }
    }
}

pub(super) async fn history(node: &NodeHandle, conversation: &str, page: &Page) -> Answered<(Vec<Message>, bool)> {
    let (before, after, around, limit) = match page.clone() {
        Page::Latest => (None, None, None, PAGE_MESSAGES),
        Page::Before(id) => (Some(id), None, None, PAGE_MESSAGES),
        Page::After(id) => (None, Some(id), None, PAGE_MESSAGES),
        Page::Around(id) => (None, None, Some(id), PAGE_MESSAGES),
        Page::Quote(id) => (None, None, Some(id), 1),
    };
    let page = node.messages_history(conversation, before, after, around, limit).await?;
    Ok((page.messages, page.more))
}

/// A message without anything in it, to be filled in.
pub(crate) fn blank() -> Message {
    Message {
        message_id: String::new(),
        conversation: String::new(),
        conversation_id: String::new(),
        from: String::new(),
        account_id: String::new(),
        mine: false,
        text: String::new(),
        at: At::default(),
        state: MessageState::Queued,
        reason: None,
        reply_to: None,
        edited: None,
        deleted: false,
        reactions: Default::default(),
        file: None,
    }
}
