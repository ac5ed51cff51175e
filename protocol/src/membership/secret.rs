//! The group secret, which changes with the roster: what names the group's topic
//! and log to insiders, and hides from everybody else whose messages pass there.

use rand_core::CryptoRng;

use crate::crypto::aead::{self, TAG_BYTES, XNONCE_BYTES};
use crate::crypto::kdf;
use crate::crypto::secret::Secret;
use crate::group_log::LogKeys;
use crate::id::AccountId;
use crate::limits::GROUP_GOSSIP_MAX_BYTES;
use crate::wire::codec::Fixed;

/// Sealed messages are padded to multiples of this many bytes: whose heads are
/// many must not be told from the size.
const SEALED_STEP_BYTES: usize = 512;

fn hex(bytes: &Secret<32>) -> String {
    use std::fmt::Write as _;
    bytes.expose().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What only the members of one roster know.
#[derive(PartialEq, Eq)]
pub struct GroupSecret(Secret<32>);

impl std::fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupSecret")
    }
}

impl GroupSecret {
    /// A new one.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    /// From the wire or the vault.
    #[must_use]
    pub const fn from_wire(bytes: Fixed<32>) -> Self {
        Self(Secret::from_bytes(bytes.0))
    }

    /// For the wire or the vault.
    #[must_use]
    pub const fn to_wire(&self) -> Fixed<32> {
        Fixed(*self.0.expose())
    }

    /// `HMAC(group secret, L(group/purpose))`.
    fn derive(&self, purpose: &str) -> Secret<32> {
        kdf::hmac_sha256(self.0.expose(), &[&kdf::label(purpose)])
    }

    /// The gossip topic: random to outsiders.
    #[must_use]
    pub fn topic(&self) -> String {
        hex(&self.derive("group/topic"))
    }

    /// The gossip topic of one member alone, on which they are told what did not reach them:
    /// `HMAC(group secret, L(group/topic-of) || account id)`, in hexadecimal.
    #[must_use]
    pub fn topic_of(&self, member: &AccountId) -> String {
        hex(&kdf::hmac_sha256(self.0.expose(), &[&kdf::label("group/topic-of"), member.as_ref()]))
    }

    /// The names and capabilities of the log at the rendezvous nodes.
    #[must_use]
    pub fn log_keys(&self) -> LogKeys {
        LogKeys::derive(&self.0)
    }

    /// Hides an encoded group message from everybody outside: XChaCha20-Poly1305
    /// under a random nonce, padded.
    pub fn seal<R: CryptoRng + ?Sized>(&self, message: &[u8], rng: &mut R) -> Vec<u8> {
        let padded = message.len().saturating_add(1).next_multiple_of(SEALED_STEP_BYTES);
        let mut nonce = [0; XNONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let mut out = Vec::with_capacity(padded.saturating_add(XNONCE_BYTES + TAG_BYTES));
        out.extend_from_slice(&nonce);
        crate::padding::pad_up_to(message, padded, &mut out);
        let body = out.get_mut(XNONCE_BYTES..).unwrap_or_default();
        let tag = aead::xseal_in_place(&self.derive("group/envelope"), &nonce, b"", body);
        out.extend_from_slice(&tag);
        out
    }

    /// Opens what a member sealed; nothing when it was somebody else.
    #[must_use]
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let most = GROUP_GOSSIP_MAX_BYTES.saturating_add(SEALED_STEP_BYTES + XNONCE_BYTES + TAG_BYTES);
        if sealed.len() > most {
            return None;
        }
        let (nonce, rest) = sealed.split_first_chunk::<XNONCE_BYTES>()?;
        let mut padded = aead::xopen(&self.derive("group/envelope"), nonce, b"", rest).ok()?;
        let length = crate::padding::marked_length(&padded).ok()?;
        padded.truncate(length);
        Some(padded)
    }
}
