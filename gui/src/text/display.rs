//! Text of others as it may be shown: characters that move or hide other
//! text would let a message look like something it is not.

use std::borrow::Cow;

/// `text` without what deceives: bidirectional overrides and other control
/// characters become U+FFFD; line breaks and tabs stay.
pub(crate) fn displayed(text: &str) -> Cow<'_, str> {
    if text.chars().any(deceives) {
        Cow::Owned(text.chars().map(|c| if deceives(c) { '\u{FFFD}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn deceives(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Embeddings, overrides and isolates reorder what follows them.
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => true,
        // Interlinear annotations, and tags outside of emoji flags.
        '\u{FFF9}'..='\u{FFFB}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_can_not_reorder_what_is_shown() {
        assert_eq!(displayed("photo\u{202E}gpj.exe"), "photo\u{FFFD}gpj.exe");
        assert_eq!(displayed("bell\u{7}, escape\u{1b}[31m"), "bell\u{FFFD}, escape\u{FFFD}[31m");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["two\nlines\tand a tab", "👨‍👩‍👧 family", "العربية", ""] {
            assert!(matches!(displayed(text), Cow::Borrowed(shown) if shown == text));
        }
    }
}
