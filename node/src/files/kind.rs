//! What kind of file this is: by its name, and by its content. Nothing is opened
//! or unpacked; only its first bytes are looked at.

use std::path::Path;

/// What the policy allows unless the person says otherwise: extension, media type.
const SEED: &[(&str, &str)] = &[
    ("txt", "text/plain"),
    ("pdf", "application/pdf"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("csv", "text/csv"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("mp4", "video/mp4"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("zip", "application/zip"),
    ("tar", "application/x-tar"),
    ("gz", "application/gzip"),
    ("py", "text/x-python"),
    ("js", "text/javascript"),
    ("html", "text/html"),
    ("css", "text/css"),
    ("json", "application/json"),
    ("xml", "application/xml"),
];

/// Of these the type is known, but the policy does not allow them by itself.
const OTHERS: &[(&str, &str)] = &[
    ("md", "text/markdown"),
    ("webp", "image/webp"),
    ("svg", "image/svg+xml"),
    ("webm", "video/webm"),
    ("ogg", "audio/ogg"),
    ("7z", "application/x-7z-compressed"),
    ("xz", "application/x-xz"),
    ("exe", "application/vnd.microsoft.portable-executable"),
];

/// Types that run something when they are opened.
const RISKY: &[&str] = &[
    "exe", "dll", "com", "scr", "msi", "bat", "cmd", "ps1", "vbs", "vbe", "wsf", "hta", "lnk", "url", "jar", "js",
    "jse", "py", "sh", "bash", "desktop", "appimage", "deb", "rpm", "dmg", "pkg", "app", "apk", "docm", "xlsm", "html",
    "htm", "svg", "xml", "iso",
];

const UNKNOWN: &str = "application/octet-stream";

/// What was found out about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The media type, by the name; by the content where the name says nothing.
    pub(crate) mime: String,
    /// What the person should know before they open it.
    pub(crate) warning: Option<String>,
}

/// The extension of a name, in lower case.
pub(crate) fn extension(name: &str) -> Option<String> {
    Path::new(name).extension().and_then(|extension| extension.to_str()).map(str::to_lowercase)
}

/// Whether the seed list has files of this name.
pub(crate) fn is_on_the_seed_list(name: &str) -> bool {
    extension(name).is_some_and(|extension| SEED.iter().any(|(known, _)| *known == extension))
}

/// Whether a file of this name may do something when it is opened.
pub(crate) fn is_risky(name: &str) -> bool {
    extension(name).is_some_and(|extension| RISKY.contains(&extension.as_str()))
}

/// Looks at the name and the first bytes.
pub(crate) fn judge(name: &str, head: &[u8]) -> Kind {
    let extension = extension(name);
    let by_name = extension
        .as_deref()
        .and_then(|extension| SEED.iter().chain(OTHERS).find(|(known, _)| *known == extension).map(|(_, mime)| *mime));
    let content = sniff(head);
    let fits = match (by_name, content) {
        (Some(named), Some(content)) => agrees(named, content),
        (Some(named), None) => head.is_empty() || !begins_alike(named) || is_late_pdf(named, head),
        (None, _) => true,
    };
    let runs = content.is_some_and(|content| content.starts_with("application/x-executable"));
    let warning = if runs {
        Some("It is a program. Run it only if you expected it.".to_owned())
    } else if !fits {
        Some(match content {
            Some(content) => format!("Its content is {content}, which its name does not say."),
            None => format!("Its content is not {}, which its name says.", by_name.unwrap_or(UNKNOWN)),
        })
    } else if is_risky(name) {
        Some("Files of this type can run commands when they are opened.".to_owned())
    } else {
        None
    };
    Kind { mime: by_name.or(content).unwrap_or(UNKNOWN).to_owned(), warning }
}

/// Whether content that looks like this may have that type.
fn agrees(named: &str, content: &str) -> bool {
    let zipped = named.contains("openxmlformats") || named == "application/zip";
    match content {
        "application/zip" => zipped,
        "text/html" | "application/xml" => named.starts_with("text/") || named.ends_with("xml"),
        "text/x-script" => named.starts_with("text/"),
        content => named == content,
    }
}

/// Types of which every file begins in a way that [`sniff`] knows: without it, it is none. Old archives made by
/// tar and sound without tags may begin with anything.
fn begins_alike(named: &str) -> bool {
    const ALIKE: &[&str] = &[
        "application/pdf",
        "application/msword",
        "application/zip",
        "application/gzip",
        "application/x-7z-compressed",
        "application/x-xz",
        "application/vnd.microsoft.portable-executable",
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "video/mp4",
        "video/webm",
        "audio/wav",
        "audio/ogg",
    ];
    named.contains("openxmlformats") || ALIKE.contains(&named)
}

/// A PDF may have other bytes before its first line.
fn is_late_pdf(named: &str, head: &[u8]) -> bool {
    named == "application/pdf" && head.windows(5).any(|part| part == b"%PDF-")
}

/// The type that the first bytes show, where they do.
fn sniff(head: &[u8]) -> Option<&'static str> {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"%PDF-", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"PK\x03\x04", "application/zip"),
        (b"PK\x05\x06", "application/zip"),
        (b"\x1f\x8b", "application/gzip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
        (b"\x7fELF", "application/x-executable"),
        (b"MZ", "application/x-executable-windows"),
        (b"\xcf\xfa\xed\xfe", "application/x-executable-mach"),
        (b"\xca\xfe\xba\xbe", "application/x-executable-mach"),
        (b"#!", "text/x-script"),
        (b"ID3", "audio/mpeg"),
        (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
        (b"OggS", "audio/ogg"),
        (b"\xfd7zXZ\0", "application/x-xz"),
        // Matroska, of which WebM is a part.
        (b"\x1a\x45\xdf\xa3", "video/webm"),
    ];
    if let Some((_, mime)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(mime);
    }
    let at = |from: usize, bytes: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(bytes));
    if at(4, b"ftyp") {
        return Some("video/mp4");
    }
    if head.starts_with(b"RIFF") && at(8, b"WAVE") {
        return Some("audio/wav");
    }
    if head.starts_with(b"RIFF") && at(8, b"WEBP") {
        return Some("image/webp");
    }
    if at(257, b"ustar") {
        return Some("application/x-tar");
    }
    if matches!(head, [0xff, second, ..] if second & 0xe6 == 0xe2) {
        return Some("audio/mpeg");
    }
    let text = head.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        return Some("text/html");
    }
    text.starts_with(b"<?xml").then_some("application/xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_its_name_does_not_say_is_a_warning() {
        assert_eq!(judge("a.pdf", b"%PDF-1.7").warning, None);
        assert!(judge("a.pdf", b"MZ\x90").warning.unwrap().contains("program"));
        assert!(judge("cat.jpg", b"\x89PNG\r\n\x1a\n").warning.unwrap().contains("image/png"));
        assert_eq!(judge("letter.docx", b"PK\x03\x04").warning, None, "a docx is a zip");
        assert_eq!(judge("notes.txt", b"hello").warning, None);
        assert!(judge("notes.txt", b"\x7fELF").warning.is_some());
        assert_eq!(judge("a.txt", b"").warning, None);
    }

    #[test]
    fn content_that_is_not_what_its_name_says_is_a_warning_also_where_it_is_nothing_known() {
        for name in ["a.pdf", "a.png", "a.jpg", "a.gif", "a.zip", "a.docx", "a.doc", "a.gz", "a.mp4", "a.wav", "a.7z"] {
            for content in [b"just some words, no more".as_slice(), &[0; 560]] {
                let warning = judge(name, content).warning.unwrap_or_else(|| panic!("{name} passes for one"));
                assert!(warning.contains("not"), "{warning}");
            }
            assert_eq!(judge(name, b"").warning, None, "{name}: an empty file holds nothing");
        }
        for name in ["a.txt", "a.csv", "a.json", "a.css", "a.mp3", "a.tar", "a.md", "a.unknown", "a"] {
            assert_eq!(judge(name, b"just some words, no more").warning, None, "{name} may begin with anything");
        }
        assert_eq!(judge("a.pdf", b"\n\n%PDF-1.4").warning, None, "other bytes may come before it");
        assert_eq!(judge("a.webp", b"RIFF\x10\0\0\0WEBPVP8 ").warning, None);
        assert_eq!(judge("a.webm", b"\x1a\x45\xdf\xa3\x9f").warning, None);
    }

    #[test]
    fn what_may_run_is_a_warning_whatever_it_holds() {
        assert!(judge("setup.py", b"print(1)").warning.is_some());
        assert!(judge("invoice.pdf.exe", b"").warning.is_some());
    }

    #[test]
    fn the_type_comes_from_the_name_and_else_from_the_content() {
        assert_eq!(judge("A.PNG", b"").mime, "image/png");
        assert_eq!(judge("noname", b"GIF89a").mime, "image/gif");
        assert_eq!(judge("noname", b"\0\0").mime, UNKNOWN);
        assert!(is_on_the_seed_list("x.tar.GZ") && !is_on_the_seed_list("x.exe") && !is_on_the_seed_list("x"));
    }
}
