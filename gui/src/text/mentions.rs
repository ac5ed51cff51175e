//! Names that are mentioned in a message: `@` and a name, as a whole.

use std::ops::Range;

/// Where names stand in the text that `is_name` knows, with their `@`.
pub(crate) fn mentions(text: &str, is_name: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('@') {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        if before.is_some_and(is_of_a_name) {
            continue;
        }
        let rest = text.get(at + 1..).unwrap_or_default();
        let length = rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len());
        // A full stop may end the sentence and not the name.
        let word = rest.get(..length).unwrap_or_default();
        let name = [word, word.trim_end_matches(['.', '-'])].into_iter().find(|name| is_name(name));
        found.extend(name.map(|name| at..at + 1 + name.len()));
    }
    found
}

/// The beginning of a name that is being typed, and where its `@` stands, in characters.
pub(crate) fn begun_mention(text: &str, cursor_chars: usize) -> Option<(usize, String)> {
    let typed: Vec<char> = text.chars().take(cursor_chars).collect();
    let at = typed.iter().rposition(|c| *c == '@')?;
    let name = typed.get(at + 1..)?;
    let alone = at.checked_sub(1).and_then(|before| typed.get(before)).is_none_or(|c| !is_of_a_name(*c));
    (alone && name.iter().all(|c| is_of_a_name(*c))).then(|| (at, name.iter().collect()))
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_whole() {
        let names = |text: &str| -> Vec<String> {
            let found = mentions(text, |name| name == "bob" || name == "dana.l");
            found.into_iter().map(|range| text[range].to_owned()).collect()
        };
        assert_eq!(names("hi @bob, and @dana.l: see @bob."), ["@bob", "@dana.l", "@bob"]);
        assert_eq!(names("@bobby mail@bob @ @@bob ü@bob"), ["@bob"]);
        assert_eq!(names(""), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_is_begun_can_be_completed() {
        assert_eq!(begun_mention("hi @bo", 6), Some((3, "bo".into())));
        assert_eq!(begun_mention("é @", 3), Some((2, String::new())));
        assert_eq!(begun_mention("hi @bo there", 6), Some((3, "bo".into())));
        for (text, cursor) in [("hi @bo there", 12), ("a@bo", 4), ("hi", 2), ("", 0)] {
            assert_eq!(begun_mention(text, cursor), None, "{text}");
        }
    }
}
