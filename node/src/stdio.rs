//! Standard input and output without a trace: what was read or written is wiped
//! once it was used. (`std` and tokio keep it in buffers that live as long as the program.)

use std::future::Future as _;
use std::io::{self, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Such pieces that wait for the reader: whoever writes faster waits.
const PIECES_WAITING_MAX: usize = 4;

/// Standard input, read by a thread of its own.
pub(crate) struct Stdin {
    pieces: mpsc::Receiver<Zeroizing<Vec<u8>>>,
    piece: Zeroizing<Vec<u8>>,
    used: usize,
}

impl Stdin {
    /// Begins to read. Where that is not possible it has ended.
    pub(crate) fn open() -> Self {
        let (pieces_in, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        // Without a thread the sender is gone, and the input has ended.
        let _ = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read(&pieces_in));
        Self { pieces, piece: Zeroizing::default(), used: 0 }
    }
}

/// The files themselves, not the buffers that `std` has before them.
#[cfg(unix)]
mod unbuffered {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsFd as _;

    pub(super) fn input() -> io::Result<File> {
        Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
    }

    pub(super) fn output() -> io::Result<File> {
        Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
    }
}

#[cfg(not(unix))]
mod unbuffered {
    use std::io;

    pub(super) fn input() -> io::Result<io::Stdin> {
        Ok(io::stdin())
    }

    pub(super) fn output() -> io::Result<io::Stdout> {
        Ok(io::stdout())
    }
}

fn read(pieces: &mpsc::Sender<Zeroizing<Vec<u8>>>) {
    let Ok(mut input) = unbuffered::input() else { return };
    let mut buffer = Zeroizing::new(vec![0_u8; READ_BYTES]);
    loop {
        let bytes = match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let Some(filled) = buffer.get_mut(..bytes) else { return };
        let piece = Zeroizing::new(filled.to_vec());
        filled.zeroize();
        if pieces.blocking_send(piece).is_err() {
            return;
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.used >= self.piece.len() {
            let Some(piece) = ready!(self.pieces.poll_recv(cx)) else { return Poll::Ready(Ok(())) };
            (self.piece, self.used) = (piece, 0);
        }
        let upto = self.used.saturating_add(out.remaining()).min(self.piece.len());
        out.put_slice(self.piece.get(self.used..upto).unwrap_or_default());
        self.used = upto;
        if upto == self.piece.len() {
            self.piece = Zeroizing::default();
            self.used = 0;
        }
        Poll::Ready(Ok(()))
    }
}

/// Standard output. One piece is written at a time; the next one waits for it.
#[derive(Default)]
pub(crate) struct Stdout {
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Stdout {
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writing) = &mut self.writing else { return Poll::Ready(Ok(())) };
        let written = ready!(Pin::new(writing).poll(cx));
        self.writing = None;
        Poll::Ready(written.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}

impl AsyncWrite for Stdout {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(cx))?;
        let piece = Zeroizing::new(bytes.to_vec());
        let write = move || {
            let mut output = unbuffered::output()?;
            output.write_all(&piece)?;
            output.flush()
        };
        self.writing = Some(tokio::task::spawn_blocking(write));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
