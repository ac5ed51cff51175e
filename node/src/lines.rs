//! Lines from a stream, none of them longer than a bound.

use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::{Zeroize as _, Zeroizing};

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
    reader: R,
    /// What was read and not used yet is at `used..filled`; all else is zeros.
    buffer: Zeroizing<Vec<u8>>,
    used: usize,
    filled: usize,
    line: Zeroizing<Vec<u8>>,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        let (buffer, line) = (Zeroizing::new(vec![0; READ_BYTES]), Zeroizing::default());
        Self { reader, buffer, used: 0, filled: 0, line, too_long: false }
    }

    /// The next line. Loses nothing when it is cancelled.
    pub(crate) async fn next(&mut self) -> Line {
        loop {
            if self.used >= self.filled {
                // A stream that breaks has nothing more to say: that is its end.
                let Ok(bytes) = self.reader.read(&mut self.buffer).await else { return self.end() };
                (self.used, self.filled) = (0, bytes);
                if bytes == 0 {
                    return self.end();
                }
            }
            let Some(bytes) = self.buffer.get_mut(self.used..self.filled) else { return self.end() };
            let newline = bytes.iter().position(|byte| *byte == b'\n');
            let Some(part) = bytes.get_mut(..newline.unwrap_or(bytes.len())) else { return self.end() };
            if self.line.len().saturating_add(part.len()) > LINE_MAX_BYTES {
                self.too_long = true;
                self.line = Zeroizing::default();
            }
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            // A line may hold a password: the buffer lives on.
            part.zeroize();
            let used = newline.map_or(part.len(), |at| at.saturating_add(1));
            self.used = self.used.saturating_add(used);
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
