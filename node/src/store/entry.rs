//! One message of the history, and its row: `time 8 ‖ message id 16 ‖
//! conversation 32 ‖ author 32 ‖ text ‖ body`.
//!
//! The searchable text is nearly always part of the body's encoding; then the
//! row only says where.

use super::error::StoreError;
use super::state::Fields;

/// The layout that this code writes and reads.
pub(super) const ENTRY_SCHEMA: u8 = 1;

const NO_TEXT: u8 = 0;
const TEXT_IN_BODY: u8 = 1;
const TEXT_APART: u8 = 2;

/// A message to be appended to the history.
#[derive(Clone, Copy)]
pub struct NewEntry<'a> {
    /// The contact's account id, or the group's.
    pub conversation: [u8; 32],
    /// The author's account id.
    pub author: [u8; 32],
    /// The author's name for the message.
    pub message_id: [u8; 16],
    /// Its place in the conversation: hybrid time in milliseconds since 1970.
    pub at: u64,
    /// What the engine keeps of it.
    pub body: &'a [u8],
    /// What a search looks at.
    pub text: Option<&'a str>,
}

/// A message of the history.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the order of arrival.
    pub arrival: u64,
    /// The contact's account id, or the group's.
    pub conversation: [u8; 32],
    /// The author's account id.
    pub author: [u8; 32],
    /// The author's name for the message.
    pub message_id: [u8; 16],
    /// Its place in the conversation: hybrid time in milliseconds since 1970.
    pub at: u64,
    /// What the engine keeps of it.
    pub body: Vec<u8>,
}

/// Shows its place, not what was written nor by whom.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({} at {}, {} bytes)", self.arrival, self.at, self.body.len())
    }
}

/// An entry with the text that a search looks at.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) entry: Entry,
    text: Text,
}

#[derive(Clone)]
enum Text {
    None,
    InBody { start: usize, length: usize },
    Apart(String),
}

impl Text {
    fn place(body: &[u8], text: Option<&str>) -> Self {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Self::None };
        match body.windows(text.len()).position(|window| window == text.as_bytes()) {
            Some(start) => Self::InBody { start, length: text.len() },
            None => Self::Apart(text.to_owned()),
        }
    }
}

impl Stored {
    pub(super) fn new(arrival: u64, new: &NewEntry<'_>) -> Self {
        let NewEntry { conversation, author, message_id, at, body, text } = *new;
        let text = Text::place(body, text);
        Self { entry: Entry { arrival, conversation, author, message_id, at, body: body.to_vec() }, text }
    }

    pub(super) fn change(&mut self, body: &[u8], text: Option<&str>) {
        self.text = Text::place(body, text);
        self.entry.body = body.to_vec();
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.text {
            Text::None => None,
            Text::Apart(text) => Some(text),
            Text::InBody { start, length } => {
                let bytes = self.entry.body.get(*start..start.saturating_add(*length))?;
                std::str::from_utf8(bytes).ok()
            }
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let Entry { conversation, author, message_id, at, body, .. } = &self.entry;
        let mut out = Vec::with_capacity(body.len().saturating_add(128));
        out.extend_from_slice(&at.to_le_bytes());
        out.extend_from_slice(message_id);
        out.extend_from_slice(conversation);
        out.extend_from_slice(author);
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
        match &self.text {
            Text::None => out.push(NO_TEXT),
            Text::InBody { start, length: bytes } => {
                out.push(TEXT_IN_BODY);
                out.extend_from_slice(&length(*start));
                out.extend_from_slice(&length(*bytes));
            }
            Text::Apart(text) => {
                out.push(TEXT_APART);
                out.extend_from_slice(&length(text.len()));
                out.extend_from_slice(text.as_bytes());
            }
        }
        out.extend_from_slice(body);
        out
    }

    pub(super) fn decode(arrival: u64, row: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged { what: "a message of the history" };
        let mut fields = Fields(row);
        let at = u64::from_le_bytes(fields.take()?);
        let (message_id, conversation, author) = (fields.take()?, fields.take()?, fields.take()?);
        let length = |bytes: [u8; 4]| usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| damaged());
        let text = match fields.take()? {
            [NO_TEXT] => Text::None,
            [TEXT_IN_BODY] => Text::InBody { start: length(fields.take()?)?, length: length(fields.take()?)? },
            [TEXT_APART] => {
                let bytes = length(fields.take()?)?;
                let text = std::str::from_utf8(fields.take_slice(bytes)?).map_err(|_| damaged())?;
                Text::Apart(text.to_owned())
            }
            _ => return Err(damaged()),
        };
        let body = fields.0.to_vec();
        Ok(Self { entry: Entry { arrival, conversation, author, message_id, at, body }, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new<'a>(body: &'a [u8], text: Option<&'a str>) -> NewEntry<'a> {
        NewEntry { conversation: [1; 32], author: [2; 32], message_id: [3; 16], at: 4, body, text }
    }

    #[test]
    fn an_entry_reads_back_with_its_text() {
        for (body, text) in
            [(&b"\x01\x05hello"[..], Some("hello")), (b"other", Some("hello")), (b"", None), (b"body", Some(""))]
        {
            let stored = Stored::new(9, &new(body, text));
            let read = Stored::decode(9, &stored.encode()).unwrap();
            assert_eq!(read.entry, stored.entry);
            assert_eq!(read.text(), text.filter(|text| !text.is_empty()));
        }
        assert!(Stored::new(9, &new(b"\x05hello", Some("hello"))).encode().len() < 110, "the text is not kept twice");
    }

    #[test]
    fn a_cut_row_is_refused() {
        let row = Stored::new(9, &new(b"", Some("hello"))).encode();
        assert!((0..row.len()).all(|length| Stored::decode(9, &row[..length]).is_err()));
    }
}
