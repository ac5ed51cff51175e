//! What libp2p's dial errors mean.

use std::error::Error as StdError;
use std::io;

use libp2p::core::transport::TransportError;

use super::address::PeerId;
use super::event::DialError;

/// A failed dial in our words.
pub(super) struct Cause {
    pub(super) error: DialError,
    /// It may well succeed a moment later: such as when both sides dialled each
    /// other at the same time from the ports they listen on.
    pub(super) passing: bool,
}

pub(super) fn cause(error: &libp2p::swarm::DialError) -> Cause {
    use libp2p::swarm::DialError as Theirs;
    let lasting = |error| Cause { error, passing: false };
    match error {
        Theirs::LocalPeerId { .. } => lasting(DialError::Ourselves),
        Theirs::NoAddresses => lasting(DialError::NoAddress),
        Theirs::WrongPeerId { obtained, .. } => lasting(DialError::WrongPeer { found: PeerId(*obtained) }),
        Theirs::Denied { .. } => lasting(DialError::TooMany),
        Theirs::DialPeerConditionFalse(_) | Theirs::Aborted => {
            Cause { error: DialError::Failed(error.to_string()), passing: true }
        }
        Theirs::Transport(errors) => {
            let mut causes = errors.iter().map(|(_, error)| transport_cause(error));
            let Some(first) = causes.next() else { return lasting(DialError::NoAddress) };
            // Any passing failure is worth another try; else the first address speaks for all.
            causes.fold(first, |best, cause| if cause.passing && !best.passing { cause } else { best })
        }
    }
}

fn transport_cause(error: &TransportError<io::Error>) -> Cause {
    let error = match error {
        TransportError::MultiaddrNotSupported(_) => {
            return Cause { error: DialError::Unsupported, passing: false };
        }
        TransportError::Other(error) => error,
    };
    match innermost_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => Cause { error: DialError::Refused, passing: false },
        Some(io::ErrorKind::TimedOut) => Cause { error: DialError::Timeout, passing: false },
        Some(
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::PermissionDenied,
        ) => Cause { error: DialError::Failed(root_text(error)), passing: false },
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::AddrInUse
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::InvalidData,
        ) => Cause { error: DialError::Failed(root_text(error)), passing: true },
        _ => Cause { error: DialError::Failed(root_text(error)), passing: false },
    }
}

/// The kind of the I/O error that is wrapped several times over. libp2p's wrappers
/// pass over themselves and what they hold when asked for their source, so that
/// often only its number remains, in the text.
fn innermost_kind(error: &io::Error) -> Option<io::ErrorKind> {
    if let Some(number) = os_error(&error.to_string()) {
        return Some(io::Error::from_raw_os_error(number).kind());
    }
    let mut kind = Some(error.kind()).filter(|kind| *kind != io::ErrorKind::Other);
    let mut source: Option<&(dyn StdError + 'static)> = error.get_ref().map(|inner| inner as &(dyn StdError + 'static));
    while let Some(error) = source {
        match error.downcast_ref::<io::Error>() {
            Some(io) => {
                kind = Some(io.kind()).filter(|kind| *kind != io::ErrorKind::Other).or(kind);
                source = io.get_ref().map(|inner| inner as &(dyn StdError + 'static));
            }
            None => source = error.source(),
        }
    }
    kind
}

/// The number in `… (os error 111)`, as std writes it.
fn os_error(text: &str) -> Option<i32> {
    text.rsplit_once("(os error ")?.1.split_once(')')?.0.parse().ok()
}

/// What a transport's error says, in words for people.
pub(super) fn text(error: &TransportError<io::Error>) -> String {
    let text = match error {
        TransportError::MultiaddrNotSupported(_) => "this kind of address is not supported here".to_owned(),
        TransportError::Other(error) => root_text(error),
    };
    // Some of libp2p's errors say nothing but in their debug form.
    if text.is_empty() { format!("{error:?}") } else { text }
}

fn root_text(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}
