//! Lines from a stream, none of them longer than a bound.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use zeroize::Zeroizing;

/// The longest line, in bytes. Longer ones are skipped and reported.
pub(crate) const LINE_MAX_BYTES: usize = 1024 * 1024;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its end. Wiped when dropped, as it may hold a password.
    Whole(Zeroizing<Vec<u8>>),
    /// A line of more than [`LINE_MAX_BYTES`], which was skipped.
    TooLong,
    /// The stream ended, or broke.
    End,
}

/// Reads lines.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Zeroizing<Vec<u8>>,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(READ_BYTES, reader), line: Zeroizing::default(), too_long: false }
    }

    /// The next line. Loses nothing when it is cancelled.
    pub(crate) async fn next(&mut self) -> Line {
        loop {
            // A stream that breaks has nothing more to say: that is its end.
            let Ok(bytes) = self.reader.fill_buf().await else { return self.end() };
            if bytes.is_empty() {
                return self.end();
            }
            let newline = bytes.iter().position(|byte| *byte == b'\n');
            let part = newline.map_or(bytes, |at| bytes.get(..at).unwrap_or_default());
            if self.line.len().saturating_add(part.len()) > LINE_MAX_BYTES {
                self.too_long = true;
                self.line = Zeroizing::default();
            }
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            let used = newline.map_or(bytes.len(), |at| at.saturating_add(1));
            self.reader.consume(used);
            if newline.is_some() {
                return self.take();
            }
        }
    }

    fn take(&mut self) -> Line {
        if std::mem::take(&mut self.too_long) { Line::TooLong } else { Line::Whole(std::mem::take(&mut self.line)) }
    }

    /// The last line needs no line end.
    fn end(&mut self) -> Line {
        if self.too_long || !self.line.is_empty() { self.take() } else { Line::End }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Line {
        Line::Whole(Zeroizing::new(text.as_bytes().to_vec()))
    }

    #[tokio::test]
    async fn a_last_line_without_an_end_is_a_line() {
        let mut lines = Lines::new(&b"one\n\ntwo"[..]);
        assert_eq!(lines.next().await, whole("one"));
        assert_eq!(lines.next().await, whole(""));
        assert_eq!(lines.next().await, whole("two"));
        assert_eq!(lines.next().await, Line::End);
        assert_eq!(lines.next().await, Line::End);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_one_read() {
        let mut text = vec![b'x'; 3 * LINE_MAX_BYTES];
        text.extend_from_slice(b"\nnext\n");
        text.extend(vec![b'y'; LINE_MAX_BYTES]);
        let mut lines = Lines::new(text.as_slice());
        assert_eq!(lines.next().await, Line::TooLong);
        assert_eq!(lines.next().await, whole("next"));
        assert!(matches!(lines.next().await, Line::Whole(line) if line.len() == LINE_MAX_BYTES));
        assert_eq!(lines.next().await, Line::End);
    }
}
