//! The framing of an encrypted message: `version ‖ kind ‖ [length ‖ initial header] ‖ ratchet message`.

use super::error::DecryptError;
use crate::double_ratchet::FRAME_BYTES;
use crate::handshake::InitialHeaderIn;
use crate::limits;
use crate::wire::codec;

/// The version that is spoken here.
const VERSION: u8 = 1;
/// A message of a session that the other side knows.
const KIND_ORDINARY: u8 = 1;
/// A message that carries what its receiver needs to begin the session.
const KIND_INITIAL: u8 = 2;

/// An encrypted message taken apart.
pub(super) struct Frame<'a> {
    /// Version and kind, authenticated with the message.
    pub(super) start: [u8; FRAME_BYTES],
    /// The encoded [`InitialHeaderIn`].
    pub(super) initial: Option<&'a [u8]>,
    /// The ratchet message.
    pub(super) message: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, DecryptError> {
        if bytes.len() > limits::CIPHERTEXT_MAX_BYTES {
            return Err(DecryptError::Malformed);
        }
        let (start, rest) = bytes.split_first_chunk::<FRAME_BYTES>().ok_or(DecryptError::Malformed)?;
        match *start {
            [VERSION, KIND_ORDINARY] => Ok(Self { start: *start, initial: None, message: rest }),
            [VERSION, KIND_INITIAL] => {
                let (length, rest) = rest.split_first_chunk().ok_or(DecryptError::Malformed)?;
                let length = usize::from(u16::from_le_bytes(*length));
                let (initial, message) = rest.split_at_checked(length).ok_or(DecryptError::Malformed)?;
                Ok(Self { start: *start, initial: Some(initial), message })
            }
            [VERSION, _] => Err(DecryptError::Malformed),
            _ => Err(DecryptError::UnknownVersion),
        }
    }
}

/// The beginning of a message, with room for `body_bytes` more, and its frame.
pub(super) fn begin(initial: Option<&[u8]>, body_bytes: usize) -> (Vec<u8>, [u8; FRAME_BYTES]) {
    let start = [VERSION, if initial.is_some() { KIND_INITIAL } else { KIND_ORDINARY }];
    let initial_bytes = initial.map_or(0, |initial| initial.len().saturating_add(2));
    let mut out = Vec::with_capacity(FRAME_BYTES.saturating_add(initial_bytes).saturating_add(body_bytes));
    out.extend_from_slice(&start);
    if let Some(initial) = initial {
        // An initial header is bounded at 2 KiB when it is encoded.
        out.extend_from_slice(&u16::try_from(initial.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(initial);
    }
    (out, start)
}

pub(super) fn encode_initial(header: &InitialHeaderIn) -> Vec<u8> {
    match codec::encode(header, limits::INITIAL_HEADER_MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(_) => unreachable!("all its fields have fixed sizes, 1,349 bytes at most"),
    }
}

pub(super) fn decode_initial(bytes: &[u8]) -> Result<InitialHeaderIn, DecryptError> {
    codec::decode(bytes, limits::INITIAL_HEADER_MAX_BYTES).map_err(|_| DecryptError::Malformed)
}
