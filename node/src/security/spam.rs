//! Signals in what strangers write. What has one is set aside, not lost.

use std::collections::VecDeque;

use secure_chat_protocol::crypto::kdf;

/// Greetings that are remembered, to know repeats by.
const REMEMBERED_MAX: usize = 256;

/// Why a request was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Reason {
    /// It has a link.
    Link,
    /// Somebody else wrote the same before.
    Repeated,
    /// The name looks like that of a contact.
    LooksLikeContact,
    /// The person set it aside.
    ByHand,
}

impl Reason {
    /// As the application sees it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Repeated => "repeated",
            Self::LooksLikeContact => "looks_like_contact",
            Self::ByHand => "by_hand",
        }
    }
}

/// Remembers what strangers wrote lately, as hashes. In memory only.
#[derive(Debug, Default)]
pub struct StrangerWatch {
    written: VecDeque<([u8; 32], [u8; 32])>,
}

fn has_link(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("://")
        || text.contains("www.")
        || text.contains("secure-chat:")
        || text.split_whitespace().any(|word| {
            let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
            let labels: Vec<&str> = word.split('/').next().unwrap_or_default().split('.').collect();
            labels.len() >= 2
                && labels.iter().all(|label| !label.is_empty())
                && labels
                    .last()
                    .is_some_and(|top| (2..=6).contains(&top.chars().count()) && top.chars().all(char::is_alphabetic))
        })
}

/// Letters that are taken for one another, as one of them. Names are ASCII here.
fn skeleton(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace("rn", "m").replace("vv", "w");
    let letter = |letter: char| match letter {
        '0' => 'o',
        '1' | 'i' | '|' => 'l',
        '5' => 's',
        '3' => 'e',
        '4' => 'a',
        '8' => 'b',
        '7' => 't',
        other => other,
    };
    lower.chars().filter(|letter| letter.is_alphanumeric()).map(letter).collect()
}

impl StrangerWatch {
    /// The signals in a request of `from`, called `name`, who is no contact.
    pub fn judge<'a>(
        &mut self,
        from: [u8; 32],
        name: &str,
        text: &str,
        contacts: impl Iterator<Item = &'a str>,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if has_link(text) {
            reasons.push(Reason::Link);
        }
        let words: String = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let hash = kdf::hash_fields("stranger-text", &[words.as_bytes()]);
        // Short greetings are the same by chance.
        if words.len() > 24 {
            if self.written.iter().any(|(who, what)| *what == hash && *who != from) {
                reasons.push(Reason::Repeated);
            }
            if self.written.len() >= REMEMBERED_MAX {
                self.written.pop_front();
            }
            self.written.push_back((from, hash));
        }
        let mine = skeleton(name);
        if contacts.into_iter().any(|contact| skeleton(contact) == mine) {
            reasons.push(Reason::LooksLikeContact);
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(watch: &mut StrangerWatch, from: u8, name: &str, text: &str) -> Vec<Reason> {
        watch.judge([from; 32], name, text, ["alice", "bill"].into_iter())
    }

    #[test]
    fn links_repeats_and_look_alikes_are_set_aside_and_people_are_not() {
        let mut watch = StrangerWatch::default();
        let offer = "Dear friend, I have an offer for you alone";
        for fine in ["Shall we talk?", "Hi. It's me, from work... really", "See you at 8.30, e.g. at Joe's", offer] {
            assert_eq!(judge(&mut watch, 1, "carol", fine), [], "{fine}");
        }
        assert_eq!(judge(&mut watch, 1, "carol", offer), [], "one may ask again");
        assert_eq!(judge(&mut watch, 2, "dave", "dear friend,  I have an offer for you ALONE"), [Reason::Repeated]);
        for link in ["see https://x.example/a", "go to evil.com now", "(shop.example.org/path)", "secure-chat:abc"] {
            assert_eq!(judge(&mut watch, 3, "erin", link), [Reason::Link], "{link}");
        }
        assert_eq!(judge(&mut watch, 4, "a1ice", "hi"), [Reason::LooksLikeContact]);
        assert_eq!(judge(&mut watch, 4, "BlII", "hi"), [Reason::LooksLikeContact]);
    }
}
