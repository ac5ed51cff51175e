//! The encrypted header of a message: `nonce ‖ XChaCha20-Poly1305(HK, flags ‖ dh ‖ pn ‖ n)`.

use crate::crypto::aead::{self, TAG_BYTES, XNONCE_BYTES};
use crate::crypto::secret::Secret;
use crate::crypto::x25519::PublicKey;

/// flags 1, ratchet key 32, pn 4, n 4.
const PLAIN_BYTES: usize = 41;
/// Sealed.
pub(super) const SEALED_BYTES: usize = PLAIN_BYTES + TAG_BYTES;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The sender's ratchet key of this chain.
    pub(super) ratchet_key: PublicKey,
    /// How many messages the sender's chain before this one had.
    pub(super) previous: u32,
    /// The message's number in its chain, from 0.
    pub(super) number: u32,
}

/// The header opened, but is none of this version: the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnknownFlags;

impl Header {
    pub(super) fn seal(&self, key: &Secret<32>, nonce: &[u8; XNONCE_BYTES], associated: &[u8]) -> [u8; SEALED_BYTES] {
        let mut sealed = [0; SEALED_BYTES];
        let (plain, tag) = sealed.split_at_mut(PLAIN_BYTES);
        // The first byte, the flags, is zero in this version.
        if let [_flags, fields @ ..] = plain {
            let (ratchet_key, counters) = fields.split_at_mut(32);
            let (previous, number) = counters.split_at_mut(4);
            ratchet_key.copy_from_slice(self.ratchet_key.as_bytes());
            previous.copy_from_slice(&self.previous.to_le_bytes());
            number.copy_from_slice(&self.number.to_le_bytes());
        }
        tag.copy_from_slice(&aead::xseal_in_place(key, nonce, associated, plain));
        sealed
    }

    /// `None` when `key` is not the one it was sealed with.
    pub(super) fn open(
        key: &Secret<32>,
        nonce: &[u8; XNONCE_BYTES],
        associated: &[u8],
        sealed: &[u8; SEALED_BYTES],
    ) -> Option<Result<Self, UnknownFlags>> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
        let mut plain = *ciphertext.first_chunk::<PLAIN_BYTES>()?;
        aead::xopen_in_place(key, nonce, associated, &mut plain, tag).ok()?;
        let (flags, rest) = plain.split_first()?;
        let (ratchet_key, rest) = rest.split_first_chunk::<32>()?;
        let (previous, rest) = rest.split_first_chunk::<4>()?;
        let number = rest.first_chunk::<4>()?;
        if *flags != 0 {
            return Some(Err(UnknownFlags));
        }
        Some(Ok(Self {
            ratchet_key: PublicKey::from_bytes(*ratchet_key),
            previous: u32::from_le_bytes(*previous),
            number: u32::from_le_bytes(*number),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { ratchet_key: PublicKey::from_bytes([9; 32]), previous: 7, number: u32::MAX };

    #[test]
    fn a_header_opens_with_its_key_and_no_other() {
        let key = Secret::from_bytes([1; 32]);
        let sealed = HEADER.seal(&key, &[2; 24], b"ad");
        assert_eq!(Header::open(&key, &[2; 24], b"ad", &sealed), Some(Ok(HEADER)));
        assert_eq!(Header::open(&key, &[3; 24], b"ad", &sealed), None);
        assert_eq!(Header::open(&key, &[2; 24], b"da", &sealed), None);
        assert_eq!(Header::open(&Secret::from_bytes([2; 32]), &[2; 24], b"ad", &sealed), None);
    }

    #[test]
    fn unknown_flags_are_refused() {
        let key = Secret::from_bytes([1; 32]);
        let mut plain = [0; PLAIN_BYTES];
        plain[0] = 1;
        let tag = aead::xseal_in_place(&key, &[2; 24], b"", &mut plain);
        let sealed: [u8; SEALED_BYTES] = [&plain[..], &tag[..]].concat().try_into().unwrap();
        assert_eq!(Header::open(&key, &[2; 24], b"", &sealed), Some(Err(UnknownFlags)));
    }
}
