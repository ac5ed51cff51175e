//! Files in the clipboard: file managers put addresses of files there as text.

/// The paths, if `text` is nothing but addresses of files: one to a line, as
/// in a `text/uri-list` (RFC 2483).
pub(crate) fn pasted_files(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(path_of).collect::<Option<Vec<_>>>().unwrap_or_default()
}

fn path_of(address: &str) -> Option<String> {
    let rest = address.strip_prefix("file://")?;
    // A host other than this machine is nobody's business here.
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    path.starts_with('/').then(|| percent_decoded(path))?
}

fn percent_decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_files_are_paths_and_anything_else_is_text() {
        assert_eq!(pasted_files("file:///home/a/My%20plan.pdf\r\nfile://localhost/b"), ["/home/a/My plan.pdf", "/b"]);
        assert_eq!(pasted_files("# copied\nfile:///caf%C3%A9\n"), ["/café"]);
        for text in ["", "hello", "file:///a\nand words", "file://other/host", "file:///%zz", "file:///%ff", "/etc"] {
            assert!(pasted_files(text).is_empty(), "{text}");
        }
    }
}
