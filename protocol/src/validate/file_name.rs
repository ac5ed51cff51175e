//! Names of files, made safe for every file system and for the eye.

use unicode_normalization::UnicodeNormalization as _;

use crate::limits::FILE_NAME_MAX_BYTES;

/// What a file is called when nothing of its name is left.
const NAMELESS: &str = "file";
/// Longest extension that is kept when a name is cut, in bytes, with its dot.
const EXTENSION_MAX_BYTES: usize = 32;

/// Device names of Windows, which name no file whatever follows the dot.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// A name under which a file may be kept: the last part of a path, without
/// control characters, without those that turn the direction of text or show
/// nothing, without those that some file system refuses; not hidden, not a
/// device, at most [`FILE_NAME_MAX_BYTES`] long. Never empty; a safe name stays as it is.
#[must_use]
pub fn safe_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).find(|part| !part.trim().is_empty()).unwrap_or_default();
    let cleaned: String = last.nfc().filter(|c| !is_invisible(*c)).map(plain).collect();
    let cleaned = cleaned.trim_matches(|c: char| c.is_whitespace()).trim_end_matches(['.', ' ']);
    let mut name = match cleaned.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => cleaned.to_owned(),
    };
    if name.is_empty() || name.chars().all(|c| c == '.' || c == '_') {
        NAMELESS.clone_into(&mut name);
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    shortened(&name)
}

/// Characters that are left out: they show nothing, or turn what follows around.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e0fff}')
}

/// Characters that some file system or shell takes for something else.
fn plain(c: char) -> char {
    match c {
        '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    RESERVED.contains(&stem.as_str())
        || numbered.is_some_and(|number| {
            let mut digits = number.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
}

fn shortened(name: &str) -> String {
    if name.len() <= FILE_NAME_MAX_BYTES {
        return name.to_owned();
    }
    let dot = name.rfind('.').filter(|dot| name.len().saturating_sub(*dot) <= EXTENSION_MAX_BYTES);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let room = FILE_NAME_MAX_BYTES.saturating_sub(extension.len());
    let mut kept: String =
        stem.char_indices().take_while(|(at, c)| at.saturating_add(c.len_utf8()) <= room).map(|(_, c)| c).collect();
    kept.truncate(kept.trim_end_matches(['.', ' ']).len());
    kept.push_str(extension);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_is_safe_stays() {
        for name in
            ["report.pdf", "Bericht 2024 (final).docx", "日本語.txt", "naïve.tar.gz", "a", "COMedy.txt", "x_y-z"]
        {
            assert_eq!(safe_file_name(name), name);
        }
    }

    #[test]
    fn a_path_is_no_name() {
        for (name, safe) in [
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("/etc/shadow", "shadow"),
            ("C:\\Windows\\win.ini", "win.ini"),
            ("a/b/", "b"),
            ("..", "file"),
            (".", "file"),
            ("", "file"),
            ("///", "file"),
            (".bashrc", "_bashrc"),
            ("file.", "file"),
        ] {
            assert_eq!(safe_file_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn what_misleads_the_eye_or_the_system_is_gone() {
        for (name, safe) in [
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\u{200b}b\0c\nd\u{7f}.txt", "abcd.txt"),
            ("stream.txt:hidden", "stream.txt_hidden"),
            ("what?*.txt", "what__.txt"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("lpt1", "_lpt1"),
            ("com¹.log", "_com¹.log"),
            ("a\u{a0}b", "a b"),
            ("  spaces .txt  ", "spaces .txt"),
        ] {
            assert_eq!(safe_file_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_before_its_extension() {
        let safe = safe_file_name(&format!("{}.pdf", "é".repeat(300)));
        assert!(safe.len() <= FILE_NAME_MAX_BYTES && safe.ends_with("é.pdf"));
        assert!(safe_file_name(&"x".repeat(300)).len() == FILE_NAME_MAX_BYTES);
    }

    proptest! {
        #[test]
        fn every_name_becomes_safe_and_stays_so(name in "\\PC{0,300}|[\\x00-\\x7f]{0,40}|[./\\\\a:\u{202e}]{0,20}") {
            let safe = safe_file_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= FILE_NAME_MAX_BYTES);
            let clean = !safe.starts_with('.') && !safe.contains(['/', '\\', '\0', '\u{202e}']);
            prop_assert!(clean);
            prop_assert_eq!(safe_file_name(&safe), safe);
        }
    }
}
