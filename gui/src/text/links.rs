//! Links in a message. They are found, never fetched, and never opened
//! without a question that shows the whole address.

use std::ops::Range;

/// Links shown of one message.
const LINKS_MAX: usize = 32;

/// The byte ranges of web links in `text`.
pub(crate) fn links(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while found.len() < LINKS_MAX
        && let Some(rest) = text.get(from..)
        && let Some(start) = next_scheme(rest)
    {
        let start = from + start;
        let Some(tail) = text.get(start..) else { break };
        let end =
            tail.find(|c: char| c.is_whitespace() || c.is_control() || "<>\"“”«»".contains(c)).unwrap_or(tail.len());
        let link = tail.get(..end).unwrap_or_default();
        let length = trimmed(link).len();
        // A scheme alone is no link.
        if link.get(..length).and_then(|link| link.split_once("://")).is_some_and(|(_, rest)| rest.len() > 2) {
            found.push(start..start + length);
        }
        from = start + end.max(1);
    }
    found
}

fn next_scheme(text: &str) -> Option<usize> {
    let http = text.find("http://");
    let https = text.find("https://");
    match (http, https) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The link without the punctuation of the sentence that it ends.
fn trimmed(link: &str) -> &str {
    let mut link = link;
    loop {
        let shorter = link.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '…']);
        let shorter = match shorter.strip_suffix(')') {
            // One that the link opened itself belongs to it.
            Some(open) if open.matches('(').count() <= open.matches(')').count() => open,
            _ => shorter,
        };
        if shorter.len() == link.len() {
            return link;
        }
        link = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        links(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn a_link_ends_before_the_sentence_does() {
        assert_eq!(
            found("See https://example.org/a?b=c, or (http://example.net/x_(y))."),
            ["https://example.org/a?b=c", "http://example.net/x_(y)"]
        );
        assert_eq!(found("https://пример.рф/путь！"), ["https://пример.рф/путь！"]);
    }

    #[test]
    fn other_schemes_are_text() {
        assert!(found("file:///etc/passwd javascript:alert(1) http:// https://").is_empty());
    }

    #[test]
    fn no_message_makes_many_links() {
        assert_eq!(links(&"http://a.bc ".repeat(1_000)).len(), LINKS_MAX);
    }
}
