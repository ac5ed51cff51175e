//! A message as it is shown.

use secure_chat_node::api::{FileView, Message, MessageState};

use crate::text::bytes;

/// A reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reaction {
    pub(crate) emoji: String,
    pub(crate) count: usize,
    /// Chosen by this account, too.
    pub(crate) mine: bool,
}

/// A message as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Empty until the node has named it.
    pub(crate) id: String,
    /// Names an own message until it has an id.
    pub(crate) local: Option<u64>,
    pub(crate) mine: bool,
    pub(crate) from: String,
    pub(crate) text: String,
    pub(crate) at_ms: u64,
    pub(crate) state: MessageState,
    pub(crate) reason: Option<String>,
    pub(crate) reply_to: Option<String>,
    pub(crate) edited: bool,
    pub(crate) deleted: bool,
    pub(crate) reactions: Vec<Reaction>,
    /// The file that it shares; the text is its caption then.
    pub(crate) file: Option<Box<Shared>>,
}

/// A file that a message shares, as its card shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) file_id: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) mime: String,
    /// There is a small picture of it.
    pub(crate) preview: bool,
}

impl Shared {
    fn new(file: &FileView) -> Self {
        Self {
            file_id: file.file_id.clone(),
            name: file.name.clone(),
            size: file.size,
            mime: file.mime.clone(),
            preview: file.preview,
        }
    }
}

impl Row {
    /// A message, seen by the account `me`.
    pub(crate) fn new(message: &Message, me: &str) -> Self {
        let reactions = message
            .reactions
            .iter()
            .filter(|(_, by)| !by.is_empty())
            .map(|(emoji, by)| Reaction {
                emoji: emoji.clone(),
                count: by.len(),
                mine: by.iter().any(|account| account == me),
            })
            .collect();
        Self {
            id: message.message_id.clone(),
            local: None,
            mine: message.mine,
            from: message.from.clone(),
            text: message.text.clone(),
            at_ms: message.at.0.0,
            state: message.state,
            reason: message.reason.clone(),
            reply_to: message.reply_to.clone(),
            edited: message.edited.is_some(),
            deleted: message.deleted,
            reactions,
            file: message.file.as_deref().map(|file| Box::new(Shared::new(file))),
        }
    }

    /// What the reader has to know before they believe it: that others were told
    /// something else. Of one that failed, the reason says why.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.reason.as_deref().filter(|_| self.state != MessageState::Failed)
    }

    /// What a reply to it shows of it.
    pub(crate) fn quote(&self) -> Quote {
        let text = match &self.file {
            Some(file) if self.text.is_empty() => format!("📎 {}", file.name),
            _ => self.text.clone(),
        };
        Quote { mine: self.mine, from: self.from.clone(), text }
    }

    /// A guess at the height, in points, until the row is painted.
    pub(super) fn estimate(&self) -> f32 {
        const LINE_CHARS: usize = 64;
        const LINE_PT: f32 = 20.0;
        // Bytes are near enough, and need no walk over the text.
        let lines = self.text.len() / LINE_CHARS + 1;
        let extras = usize::from(self.reply_to.is_some()) * 2 + usize::from(!self.reactions.is_empty());
        let file = match &self.file {
            Some(file) if file.preview => 240.0,
            Some(_) => 60.0,
            None => 0.0,
        };
        let warning = if self.warning().is_some() { 32.0 } else { 0.0 };
        28.0 + file + warning + LINE_PT * (lines + extras) as f32
    }
}

/// The text of a message in a list; that of one that shares a file begins with the file.
pub(crate) fn text_of(message: &Message) -> String {
    text_with(message.file.as_ref().map(|file| (file.name.as_str(), file.size)), &message.text)
}

/// The same, of the name and the bytes of the file.
pub(crate) fn text_with(file: Option<(&str, u64)>, text: &str) -> String {
    match file {
        Some((name, size)) if text.is_empty() => format!("📎 {name} ({})", bytes(size)),
        Some((name, size)) => format!("📎 {name} ({})\n{text}", bytes(size)),
        None => text.to_owned(),
    }
}

/// What is shown of a message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) mine: bool,
    pub(crate) from: String,
    pub(crate) text: String,
}
