//! Texts of messages, greetings and reactions.

use unicode_properties::{UnicodeEmoji, emoji};
use unicode_segmentation::UnicodeSegmentation;

use crate::limits::{GREETING_MAX_BYTES, REACTION_MAX_BYTES, TEXT_MAX_BYTES};

/// U+20E3, which makes a keycap of the digit before it.
const KEYCAP: char = '\u{20e3}';

/// Why a text can't be sent. The fault of whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("the text is empty")]
    Empty,
    /// Longer than allowed.
    #[error("the text takes {bytes} bytes, at most {limit_bytes} are allowed")]
    TooLong {
        /// What it takes.
        bytes: usize,
        /// What is allowed.
        limit_bytes: usize,
    },
    /// It holds U+0000, which texts don't have.
    #[error("the text holds a NUL character")]
    Nul,
    /// A reaction that is not one emoji.
    #[error("a reaction is one emoji")]
    NotAnEmoji,
}

/// Checks the text of a message. It is sent as it is: whoever shows it escapes it.
///
/// # Errors
/// [`TextError`] when it is empty, too long or holds a NUL.
pub fn check_text(text: &str) -> Result<&str, TextError> {
    bounded(text, TEXT_MAX_BYTES)?;
    if text.trim().is_empty() { Err(TextError::Empty) } else { Ok(text) }
}

/// Checks the greeting of a chat request, which may be empty.
///
/// # Errors
/// [`TextError`] when it is too long or holds a NUL.
pub fn check_greeting(text: &str) -> Result<&str, TextError> {
    bounded(text, GREETING_MAX_BYTES)
}

/// Checks a reaction: one emoji, or nothing (`None`), which takes an earlier one back.
///
/// # Errors
/// [`TextError`] when it is too long or not exactly one emoji.
pub fn check_reaction(text: &str) -> Result<Option<&str>, TextError> {
    bounded(text, REACTION_MAX_BYTES)?;
    let mut clusters = text.graphemes(true);
    match (clusters.next(), clusters.next()) {
        (None, _) => Ok(None),
        (Some(cluster), None) if is_emoji(cluster) => Ok(Some(cluster)),
        _ => Err(TextError::NotAnEmoji),
    }
}

pub(super) fn bounded(text: &str, limit_bytes: usize) -> Result<&str, TextError> {
    if text.len() > limit_bytes {
        return Err(TextError::TooLong { bytes: text.len(), limit_bytes });
    }
    if text.contains('\0') { Err(TextError::Nul) } else { Ok(text) }
}

/// Whether a grapheme cluster is an emoji: UTS 51's sequences, told by their parts.
fn is_emoji(cluster: &str) -> bool {
    let part = |c: char| c.is_emoji_char_or_emoji_component() && !c.is_ascii() || c == KEYCAP || c == '\u{fe0e}';
    let mut chars = cluster.chars();
    let Some(first) = chars.next() else { return false };
    let rest_fits = chars.clone().all(part);
    if first.is_ascii() {
        // Digits, # and * are emoji by their property, but only as keycaps by their look.
        return first.is_emoji_char() && rest_fits && cluster.ends_with(KEYCAP);
    }
    if emoji::is_regional_indicator(first) {
        return chars.clone().count() == 1 && chars.all(emoji::is_regional_indicator);
    }
    first.is_emoji_char() && rest_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_something_in_it_and_at_most_16_kib() {
        assert_eq!(check_text(" \n\t\u{2003}"), Err(TextError::Empty));
        assert_eq!(check_text(" hi\n"), Ok(" hi\n"), "a text is sent as it is");
        assert!(check_text(&"é".repeat(8 * 1024)).is_ok());
        let long = "x".repeat(16 * 1024 + 1);
        assert_eq!(check_text(&long), Err(TextError::TooLong { bytes: 16_385, limit_bytes: 16_384 }));
        assert_eq!(check_text("a\0b"), Err(TextError::Nul));
    }

    #[test]
    fn a_greeting_may_be_empty() {
        assert_eq!(check_greeting(""), Ok(""));
        assert!(check_greeting(&"x".repeat(1_024)).is_ok());
        assert!(check_greeting(&"x".repeat(1_025)).is_err());
    }

    #[test]
    fn a_reaction_is_one_emoji_or_none() {
        assert_eq!(check_reaction(""), Ok(None));
        for emoji in
            ["👍", "👍🏽", "❤", "❤️", "👩‍👩‍👧‍👦", "🇨🇭", "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}", "1️⃣", "✅"]
        {
            assert_eq!(check_reaction(emoji), Ok(Some(emoji)), "{emoji}");
        }
        for other in ["a", "1", "#", "👍👍", "👍a", " ", "\u{200d}", "🇨", "\u{202e}", "é", "日", "\u{1f3fb}\u{301}"]
        {
            assert_eq!(check_reaction(other), Err(TextError::NotAnEmoji), "{other:?}");
        }
        assert!(matches!(check_reaction(&"👩‍".repeat(30)), Err(TextError::TooLong { .. })));
    }
}
