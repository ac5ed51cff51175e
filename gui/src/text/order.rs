//! The order of right-to-left words. egui lays words out from left to right
//! in the order in which they stand in memory; lines with Hebrew or Arabic in
//! them are put into visual order before they are handed over (UAX #9).

use unicode_bidi::{BidiInfo, Level};
use unicode_segmentation::UnicodeSegmentation;

/// Whether any character of `text` is written from right to left.
pub(crate) fn has_right_to_left(text: &str) -> bool {
    // Plain ASCII is most of what is asked about, and quickly told.
    !text.is_ascii() && text.chars().any(is_right_to_left)
}

fn is_right_to_left(c: char) -> bool {
    matches!(u32::from(c), 0x0590..=0x08FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFF | 0x1_0800..=0x1_0FFF | 0x1_E800..=0x1_EFFF)
}

/// Breaks `text` into lines no wider than `max_width`, each in visual order;
/// also says whether the text as a whole runs from right to left.
pub(crate) fn visual_lines(text: &str, max_width: f32, mut width_of: impl FnMut(&str) -> f32) -> (String, bool) {
    let rtl = BidiInfo::new(text, None).paragraphs.first().is_some_and(|paragraph| paragraph.level.is_rtl());
    let mut shown: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut line_width = 0.0;
        for word in paragraph.split_word_bounds() {
            let width = width_of(word);
            if line_width + width > max_width && line_width > 0.0 && !word.trim().is_empty() {
                shown.push(visual(&line, rtl));
                line.clear();
                line_width = 0.0;
            }
            line.push_str(word);
            line_width += width;
        }
        shown.push(visual(&line, rtl));
    }
    (shown.join("\n"), rtl)
}

/// One line in visual order. Letters inside a word keep their order, because
/// egui shapes a run of one script from right to left by itself.
fn visual(line: &str, rtl: bool) -> String {
    let level = if rtl { Level::rtl() } else { Level::ltr() };
    let info = BidiInfo::new(line, Some(level));
    let Some(paragraph) = info.paragraphs.first() else { return String::new() };
    let (levels, runs) = info.visual_runs(paragraph, paragraph.range.clone());
    let mut shown = String::with_capacity(line.len());
    for run in runs {
        let Some(text) = line.get(run.clone()) else { continue };
        if levels.get(run.start).is_none_or(|level| level.is_ltr()) {
            shown.push_str(text);
        } else {
            shown.extend(reversed_words(text).into_iter().rev());
        }
    }
    shown
}

/// The words of a right-to-left run, with mirrored brackets between them.
fn reversed_words(run: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in run.chars() {
        let strong = u32::from(c) >= 0x590 && !matches!(u32::from(c), 0x2000..=0x206F);
        match words.last_mut() {
            Some(word) if in_word && strong => word.push(c),
            _ => words.push(mirrored(c).to_string()),
        }
        in_word = strong;
    }
    words
}

fn mirrored(c: char) -> char {
    match c {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '{' => '}',
        '}' => '{',
        '<' => '>',
        '>' => '<',
        '«' => '»',
        '»' => '«',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_to_left_words_come_in_visual_order() {
        assert_eq!(visual("שלום עולם!", true), "!עולם שלום");
        assert_eq!(visual("abc שלום עולם 12 x", false), "abc 12 עולם שלום x");
        assert_eq!(visual("(שלום)", true), "(שלום)");
    }

    #[test]
    fn a_line_is_broken_before_it_is_put_in_order() {
        let (shown, rtl) = visual_lines("שלום עולם טוב", 9.0, |word| word.chars().count() as f32);
        assert!(rtl);
        assert_eq!(shown.lines().count(), 2);
        assert!(shown.lines().next().is_some_and(|line| line.contains("שלום") && line.contains("עולם")));
    }

    #[test]
    fn no_text_makes_it_panic() {
        for text in ["", "\n", "\u{202E}", "a\u{202E}b\u{5D0}", "\u{0}\u{1}", "🏳️‍🌈\u{5D0}", &"\u{627}".repeat(16 * 1024)]
        {
            let _ = visual_lines(text, 100.0, |word| word.chars().count() as f32 * 7.0);
        }
    }

    #[test]
    fn latin_text_is_told_from_hebrew() {
        assert!(!has_right_to_left("Latin, ελληνικά, 日本"));
        assert!(has_right_to_left("mixed שלום"));
    }
}
