//! Words for the search: how a text is folded and cut, and when a query matches.
//!
//! Case, diacritics and compatibility forms do not count: NFKD (UAX #15), marks
//! with a combining class dropped, case folded through upper case and back. A
//! word is a run of letters and digits. Scripts that are written without spaces
//! have a word beginning at every character, so that a query finds any part.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Lengths, in characters, in which the beginning of a word is indexed. A longer
/// word is found by the longest of them that it has, and then looked at.
const PREFIX_CHARS: [usize; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16];
/// In scripts without spaces every run of up to this many characters is indexed.
const RUN_CHARS: usize = 3;

/// Letters that no decomposition takes apart, as people without them type them.
const fn plain_letters(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ħ' => "h",
        'ŧ' => "t",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        _ => return None,
    })
}

/// Joiners, soft hyphens and variation selectors stand inside words and mean nothing to a search.
const fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Thai to Tibetan, Myanmar, Khmer, kana, bopomofo and Han: written without spaces.
const fn is_unspaced(letter: char) -> bool {
    matches!(letter,
        '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{1aaf}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{312f}' | '\u{31a0}'..='\u{31ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aadf}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The text as a search sees it.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let keep = |letter: &char| canonical_combining_class(*letter) == 0 && !is_invisible(*letter);
    let folded = text.nfkd().filter(keep).flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkd().filter(keep);
    let mut out = String::with_capacity(text.len());
    for letter in folded {
        match plain_letters(letter) {
            Some(letters) => out.push_str(letters),
            None => out.push(letter),
        }
    }
    out
}

/// A run of word characters of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run<'t> {
    text: &'t str,
    unspaced: bool,
}

/// The runs of a folded text.
fn runs(folded: &str) -> impl Iterator<Item = Run<'_>> {
    let kind = |letter: char| match letter {
        // Most of most texts.
        'a'..='z' | '0'..='9' => Some(false),
        '\0'..='\u{7f}' => None,
        _ => letter.is_alphanumeric().then(|| is_unspaced(letter)),
    };
    let mut rest = folded;
    std::iter::from_fn(move || {
        let start = rest.find(|letter| kind(letter).is_some())?;
        let from = rest.get(start..)?;
        let unspaced = is_unspaced(from.chars().next()?);
        let end = from.find(|letter| kind(letter) != Some(unspaced)).unwrap_or(from.len());
        let (text, after) = from.split_at_checked(end)?;
        rest = after;
        Some(Run { text, unspaced })
    })
}

/// The first `chars` characters, if there are so many.
fn prefix(text: &str, chars: usize) -> Option<&str> {
    let end = text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(chars)?;
    text.get(..end)
}

/// Calls `token` with everything that a query may be looked up by. Doubles occur.
pub(super) fn index_tokens<'t>(folded: &'t str, mut token: impl FnMut(&'t str)) {
    for run in runs(folded) {
        if run.unspaced {
            for (start, _) in run.text.char_indices() {
                let from = run.text.get(start..).unwrap_or_default();
                (1..=RUN_CHARS).filter_map(|chars| prefix(from, chars)).for_each(&mut token);
            }
        } else {
            PREFIX_CHARS.iter().map_while(|chars| prefix(run.text, *chars)).for_each(&mut token);
        }
    }
}

/// What a person searches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    words: Vec<(String, bool)>,
}

impl Query {
    /// `None` when there is no word in it.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut words: Vec<_> = runs(&fold(text)).map(|run| (run.text.to_owned(), run.unspaced)).collect();
        words.sort();
        words.dedup();
        if words.is_empty() { None } else { Some(Self { words }) }
    }

    /// Every message that matches has all of these tokens; of those that have them, most match.
    pub(super) fn tokens(&self) -> Vec<&str> {
        let mut tokens = Vec::new();
        for (word, unspaced) in &self.words {
            if *unspaced {
                let starts: Vec<usize> = word.char_indices().map(|(at, _)| at).collect();
                let last = starts.len().saturating_sub(RUN_CHARS);
                let places = (0..last).step_by(RUN_CHARS).chain([last]);
                let from = places.filter_map(|place| word.get(*starts.get(place)?..));
                tokens.extend(from.map(|from| prefix(from, RUN_CHARS).unwrap_or(from)));
            } else {
                tokens.extend(PREFIX_CHARS.iter().rev().find_map(|chars| prefix(word, *chars)));
            }
        }
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// Whether every word of the query begins a word of the text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let folded = fold(text);
        self.words.iter().all(|(word, unspaced)| {
            runs(&folded).any(|run| {
                run.unspaced == *unspaced
                    && if *unspaced { run.text.contains(word.as_str()) } else { run.text.starts_with(word.as_str()) }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(query: &str, text: &str) -> bool {
        Query::new(query).is_some_and(|query| query.matches(text))
    }

    #[test]
    fn a_query_finds_beginnings_of_words_whatever_their_case_and_accents() {
        assert!(found("cafe", "Ein CAFÉ, bitte") && found("CAFÉ", "ein cafe") && found("ca bit", "Café, bitte"));
        assert!(found("strasse", "Straße") && found("straße", "STRASSE") && found("file", "ﬁle"));
        assert!(found("Λόγος", "λόγοσ") && found("ısı", "ISI") && found("lodz", "Łódź") && found("aero", "Ærø"));
        assert!(found("don't", "I don’t know") && found("example.com", "see https://example.com/x"));
        assert!(!found("afe", "café") && !found("cafe tea", "café") && !found("", "café") && !found("!?", "café!?"));
    }

    #[test]
    fn scripts_without_spaces_are_found_by_any_part() {
        assert!(found("京都", "東京都に住む") && found("東京都に住", "東京都に住む") && !found("京東", "東京都"));
        assert!(found("か", "がんばる") && found("ｶﾀｶﾅ", "カタカナ") && found("ไทย", "ภาษาไทยง่าย"));
        assert!(found("手机", "iPhone手机壳") && found("iphone手", "iPhone手机壳") && found("한국", "한국어를"));
    }

    #[test]
    fn what_stands_inside_words_unseen_does_not_cut_them() {
        assert!(
            found("dampfschiff", "Dampf\u{ad}schiff")
                && found("हिन्दी", "हिन्दी")
                && found("کتابخانه", "کتاب\u{200c}خانه")
        );
    }

    proptest! {
        #[test]
        fn whatever_matches_has_every_token(text in "[a-cä ßﬁ東京都かん]{0,40}", query in "[a-cä ß東京都かん]{1,12}") {
            if let Some(query) = Query::new(&query).filter(|query| query.matches(&text)) {
                let folded = fold(&text);
                let mut indexed = Vec::new();
                index_tokens(&folded, |token| indexed.push(token));
                prop_assert!(query.tokens().iter().all(|token| indexed.contains(token)));
            }
        }

        #[test]
        fn folding_is_final_and_a_text_finds_itself(text in "\\PC{0,40}") {
            let folded = fold(&text);
            prop_assert_eq!(fold(&folded), folded);
            prop_assert!(Query::new(&text).is_none_or(|query| query.matches(&text)));
        }
    }
}
