//! Texts of others made safe to show: no control sequence, no reordering, nothing hidden.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory, emoji};

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Escapes what a terminal would obey or hide: control characters, line ends,
/// bidirectional overrides, zero-width and other invisible characters. They
/// appear as `\u{…}`. For names, and for anything that must stay on its line.
#[must_use]
pub fn escape_for_terminal(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// As [`escape_for_terminal`], but line feeds and tabs stay: for texts of several lines.
#[must_use]
pub fn escape_lines_for_terminal(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

fn escape(text: &str, keep: fn(char) -> bool) -> Cow<'_, str> {
    let mut out = String::new();
    let mut before = None;
    let mut copied_up_to = 0;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let after = || text.get(end..).and_then(|rest| rest.chars().next());
        if is_hidden(c) && !keep(c) && !joins(before, c, after()) {
            out.push_str(text.get(copied_up_to..at).unwrap_or_default());
            out.push_str(&escape_char(c));
            copied_up_to = end;
        }
        before = Some(c);
    }
    if copied_up_to == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied_up_to..).unwrap_or_default());
    Cow::Owned(out)
}

/// `\u{1b}` for the escape character.
pub(super) fn escape_char(c: char) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
    out
}

/// Whether `c` acts on a terminal or on its neighbours without being seen itself.
pub(super) fn is_hidden(c: char) -> bool {
    if (' '..='~').contains(&c) {
        return false;
    }
    let by_category = matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    );
    // Letters, marks and symbols without ink: fillers, joiners of other
    // scripts, the empty Braille cell, variation selectors of ideographs.
    let by_name = matches!(c,
        '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}');
    by_category || by_name
}

/// Whether a joiner or a tag does its proper work between its neighbours: inside
/// an emoji, or inside a word of a script that is written with joiners.
fn joins(before: Option<char>, c: char, after: Option<char>) -> bool {
    let emoji_part = |c: char| !c.is_ascii() && c.is_emoji_char_or_emoji_component();
    let joined_script = |c: char| {
        matches!(c, '\u{0600}'..='\u{08ff}' | '\u{0900}'..='\u{0dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}')
            && !is_hidden(c)
    };
    let Some(before) = before else { return false };
    match c {
        ZERO_WIDTH_JOINER if before != c && emoji_part(before) => after.is_some_and(UnicodeEmoji::is_emoji_char),
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => joined_script(before) && after.is_some_and(joined_script),
        // A flag of a region is a black flag, then tags.
        _ if emoji::is_tag_character(c) => before == '🏴' || emoji::is_tag_character(before) && before != '\u{e007f}',
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_control_sequence_reaches_the_terminal() {
        assert_eq!(escape_for_terminal("a\u{1b}[31mred\u{7}"), "a\\u{1b}[31mred\\u{7}");
        assert_eq!(escape_for_terminal("c1 \u{9b}31m"), "c1 \\u{9b}31m");
        assert_eq!(escape_for_terminal("line\r\nend"), "line\\u{d}\\u{a}end");
        assert_eq!(escape_lines_for_terminal("line\r\n\tend"), "line\\u{d}\n\tend");
    }

    #[test]
    fn nothing_is_reordered_or_hidden() {
        for hidden in
            ['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{ad}', '\u{2028}', '\u{3164}', '\u{e0041}', '\u{200d}']
        {
            let text = format!("pay{hidden}pal");
            assert_eq!(escape_for_terminal(&text), format!("pay\\u{{{:x}}}pal", u32::from(hidden)));
        }
        assert_eq!(escape_for_terminal("\u{200d}👩"), "\\u{200d}👩", "a joiner with nothing to join");
        assert_eq!(escape_for_terminal("👩\u{200d}"), "👩\\u{200d}");
    }

    #[test]
    fn plain_texts_stay_as_they_are() {
        for text in ["", "hello", "naïve Ünïcödé", "日本語", "עברית", "👩‍👩‍👧", "❤️‍🔥", "👍🏽", "می\u{200c}خواهم", "क्\u{200d}ष"]
        {
            assert!(matches!(escape_for_terminal(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_escaped_text_has_no_control_characters(text in any::<String>()) {
            let escaped = escape_for_terminal(&text);
            prop_assert!(!escaped.chars().any(char::is_control));
            let reorders = escaped.chars().any(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
            prop_assert!(!reorders);
            let twice = escape_for_terminal(&escaped);
            prop_assert_eq!(twice.as_ref(), escaped.as_ref(), "escaping twice changes nothing");
        }
    }
}
