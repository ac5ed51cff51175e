//! Invites: a `secure-chat:` link, also for a QR code, that carries all that two
//! people need to meet without a directory. Floor 4.
//!
//! It leaves out what comes later over the wire: prekeys, and the mailbox's key
//! (an ML-KEM key alone would not fit a QR code). The network keys come without
//! their own signatures: whoever answers at an address proves its key to libp2p,
//! and the handshake proves the identity.

use std::collections::HashSet;

use data_encoding::BASE32_NOPAD;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, MailboxId, Timestamp};
use crate::identity::{IdentityError, IdentityIn, IdentityKeyPair, PublicIdentity, Purpose, Signature};
use crate::limits::{ADDRESSES_MAX, HOMES_MAX, INVITE_MAX_BYTES, RECORD_PEERS_MAX};
use crate::validate::{AddressError, Username, UsernameError, check_address, check_home};
use crate::wire::codec::{self, DecodeError, Fixed};

/// What a link starts with, in any case.
pub const INVITE_SCHEME: &str = "secure-chat:";
/// The version of [`InviteIn`] that this code writes and understands.
pub const INVITE_VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 64;

/// An invite as it travels: not to be believed before it is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteIn {
    /// [`INVITE_VERSION`].
    pub version: u8,
    /// The inviter's username.
    pub name: String,
    /// Who invites.
    pub identity: IdentityIn,
    /// Their libp2p Ed25519 public keys: 1 to [`RECORD_PEERS_MAX`].
    pub peers: Vec<Fixed<32>>,
    /// Where they may be reached, as multiaddr texts.
    pub addresses: Vec<String>,
    /// Their home rendezvous nodes, multiaddr texts that end in `/p2p/…`.
    pub homes: Vec<String>,
    /// Their mailbox at those nodes.
    pub mailbox: Option<MailboxId>,
    /// After this time it is not to be used.
    pub expires: Option<Timestamp>,
    /// Tells one invite from another.
    pub nonce: Fixed<16>,
    /// By the identity, for [`Purpose::Invite`], over one field: the encoding of all fields above.
    pub signature: Fixed<SIGNATURE_BYTES>,
}

/// Why a text is no invite, or can't be made into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It does not start with `secure-chat:`.
    #[error("an invite starts with {INVITE_SCHEME}")]
    NotAnInvite,
    /// Longer than [`INVITE_MAX_BYTES`].
    #[error("an invite has at most {INVITE_MAX_BYTES} characters")]
    TooLong,
    /// Cut short, or changed on its way.
    #[error("the invite is damaged or incomplete: copy all of it, or ask for a new one")]
    Damaged,
    /// Made by a newer version.
    #[error("the invite was made by a newer version of the program")]
    UnsupportedVersion(u8),
    /// The name is none.
    #[error("the invite's name is not valid: {0}")]
    Name(#[from] UsernameError),
    /// An address is none.
    #[error("an address of the invite is not valid: {0}")]
    Address(#[from] AddressError),
    /// A list is too long, has doubles, or names no peer.
    #[error("the invite breaks a bound")]
    Bounds,
    /// Not signed by whom it says.
    #[error("the invite is not signed by the one whom it names")]
    Forged,
}

impl From<DecodeError> for InviteError {
    fn from(_: DecodeError) -> Self {
        Self::Damaged
    }
}

impl From<IdentityError> for InviteError {
    fn from(_: IdentityError) -> Self {
        Self::Forged
    }
}

impl InviteIn {
    fn encode(&self) -> Result<Vec<u8>, InviteError> {
        codec::encode(self, INVITE_MAX_BYTES).map_err(|_| InviteError::TooLong)
    }

    /// Checks everything that an invite says of itself, but for the time.
    ///
    /// # Errors
    /// [`InviteError`]
    pub fn verify(self) -> Result<Invite, InviteError> {
        if self.version != INVITE_VERSION {
            return Err(InviteError::UnsupportedVersion(self.version));
        }
        let distinct: HashSet<&Fixed<32>> = self.peers.iter().collect();
        let bounded = (1..=RECORD_PEERS_MAX).contains(&self.peers.len())
            && distinct.len() == self.peers.len()
            && self.addresses.len() <= ADDRESSES_MAX
            && self.homes.len() <= HOMES_MAX;
        if !bounded {
            return Err(InviteError::Bounds);
        }
        self.addresses.iter().try_for_each(|address| check_address(address).map(|_| ()))?;
        self.homes.iter().try_for_each(|home| check_home(home).map(|_| ()))?;
        let name = Username::parse(&self.name)?;
        let identity = self.identity.verify()?;
        let encoded = self.encode()?;
        let signed = encoded.get(..encoded.len().saturating_sub(SIGNATURE_BYTES)).ok_or(InviteError::Damaged)?;
        identity
            .verify(Purpose::Invite, &[signed], &Signature::from(self.signature))
            .map_err(|_| InviteError::Forged)?;
        Ok(Invite { name, identity, encoded, wire: self })
    }
}

/// What the inviter decides.
#[derive(Debug, Clone)]
pub struct InviteFields {
    /// The inviter's username.
    pub name: Username,
    /// Their libp2p Ed25519 public keys, at least one.
    pub peers: Vec<[u8; 32]>,
    /// Multiaddr texts; may be empty.
    pub addresses: Vec<String>,
    /// Multiaddr texts with `/p2p/…`; may be empty.
    pub homes: Vec<String>,
    /// The mailbox at those nodes.
    pub mailbox: Option<MailboxId>,
    /// After this time it is not to be used.
    pub expires: Option<Timestamp>,
}

/// A verified invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    name: Username,
    identity: PublicIdentity,
    encoded: Vec<u8>,
    wire: InviteIn,
}

impl Invite {
    /// Makes and signs an invite. Addresses that would make the link longer than
    /// [`INVITE_MAX_BYTES`] are left out, the last ones first.
    ///
    /// # Errors
    /// [`InviteError`] when the fields break a bound, [`InviteError::TooLong`] when it does not fit without addresses.
    pub fn create<R: CryptoRng + ?Sized>(
        identity: &IdentityKeyPair,
        fields: InviteFields,
        rng: &mut R,
    ) -> Result<Self, InviteError> {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        let mut wire = InviteIn {
            version: INVITE_VERSION,
            name: fields.name.as_str().to_owned(),
            identity: identity.public().to_wire(),
            peers: fields.peers.into_iter().map(Fixed).collect(),
            addresses: fields.addresses,
            homes: fields.homes,
            mailbox: fields.mailbox,
            expires: fields.expires,
            nonce: Fixed(nonce),
            signature: Fixed([0; SIGNATURE_BYTES]),
        };
        let mut encoded = wire.encode();
        while !encoded.as_ref().is_ok_and(|bytes| link_len(bytes.len()) <= INVITE_MAX_BYTES) {
            wire.addresses.pop().ok_or(InviteError::TooLong)?;
            encoded = wire.encode();
        }
        let mut signed = encoded?;
        signed.truncate(signed.len().saturating_sub(SIGNATURE_BYTES));
        wire.signature = identity.sign(Purpose::Invite, &[&signed]).to_wire();
        wire.verify()
    }

    /// Reads a link. White space around and inside it (mail programs wrap lines),
    /// and upper case (QR codes), make no difference.
    ///
    /// # Errors
    /// [`InviteError`]
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        // Room for line breaks, and no more work than that for a text that is none.
        if text.len() > 2 * INVITE_MAX_BYTES {
            return Err(InviteError::TooLong);
        }
        let text: String = text.split_whitespace().collect();
        let scheme = text.get(..INVITE_SCHEME.len()).ok_or(InviteError::NotAnInvite)?;
        if !scheme.eq_ignore_ascii_case(INVITE_SCHEME) {
            return Err(InviteError::NotAnInvite);
        }
        if text.len() > INVITE_MAX_BYTES {
            return Err(InviteError::TooLong);
        }
        let payload = text.get(INVITE_SCHEME.len()..).unwrap_or_default().to_ascii_uppercase();
        let bytes = BASE32_NOPAD.decode(payload.as_bytes()).map_err(|_| InviteError::Damaged)?;
        match bytes.first() {
            Some(&INVITE_VERSION) => codec::decode::<InviteIn>(&bytes, INVITE_MAX_BYTES)?.verify(),
            Some(version) => Err(InviteError::UnsupportedVersion(*version)),
            None => Err(InviteError::Damaged),
        }
    }

    /// Tells it from other invites; only those who have the link know it.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; 16] {
        &self.wire.nonce.0
    }

    /// The link.
    #[must_use]
    pub fn to_link(&self) -> String {
        format!("{INVITE_SCHEME}{}", BASE32_NOPAD.encode(&self.encoded).to_ascii_lowercase())
    }

    /// The link in capitals: a QR code holds a third more of these ("alphanumeric mode").
    #[must_use]
    pub fn to_qr_text(&self) -> String {
        self.to_link().to_ascii_uppercase()
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.wire.expires.is_some_and(|expires| now > expires)
    }

    /// The inviter's username.
    #[must_use]
    pub const fn name(&self) -> &Username {
        &self.name
    }

    /// Who invites.
    #[must_use]
    pub const fn identity(&self) -> &PublicIdentity {
        &self.identity
    }

    /// Who invites.
    #[must_use]
    pub const fn account_id(&self) -> AccountId {
        self.identity.account_id()
    }

    /// Their libp2p Ed25519 public keys, at least one.
    pub fn peer_keys(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.wire.peers.iter().map(|peer| &peer.0)
    }

    /// Where they may be reached.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.wire.addresses
    }

    /// Their home rendezvous nodes.
    #[must_use]
    pub fn homes(&self) -> &[String] {
        &self.wire.homes
    }

    /// Their mailbox at those nodes.
    #[must_use]
    pub const fn mailbox(&self) -> Option<MailboxId> {
        self.wire.mailbox
    }
}

/// Characters of the link for so many bytes.
const fn link_len(bytes: usize) -> usize {
    INVITE_SCHEME.len().saturating_add(bytes.saturating_mul(8).div_ceil(5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    const HOME: &str = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    fn alice() -> IdentityKeyPair {
        IdentityKeyPair::generate(&mut ChaCha20Rng::seed_from_u64(1), Timestamp(0))
    }

    fn fields() -> InviteFields {
        InviteFields {
            name: Username::parse("Alice").unwrap(),
            peers: vec![[7; 32]],
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".into(), "/ip4/192.0.2.1/udp/4001/quic-v1".into()],
            homes: vec![HOME.into()],
            mailbox: Some(MailboxId([5; 32])),
            expires: Some(Timestamp(1_000)),
        }
    }

    fn invite() -> Invite {
        Invite::create(&alice(), fields(), &mut ChaCha20Rng::seed_from_u64(2)).unwrap()
    }

    /// As a hostile inviter would sign it.
    fn signed(change: impl FnOnce(&mut InviteIn)) -> Result<Invite, InviteError> {
        let mut wire = invite().wire;
        change(&mut wire);
        wire.signature = Fixed([0; 64]);
        let encoded = codec::encode(&wire, 1 << 20).unwrap();
        wire.signature = alice().sign(Purpose::Invite, &[&encoded[..encoded.len() - 64]]).to_wire();
        wire.verify()
    }

    #[test]
    fn a_link_brings_two_people_together() {
        let read = Invite::parse(&invite().to_link()).unwrap();
        assert_eq!(read, invite());
        assert_eq!((read.name().as_str(), read.account_id()), ("Alice", alice().account_id()));
        assert_eq!((read.homes(), read.addresses().len()), ([HOME.to_owned()].as_slice(), 2));
        assert_eq!((read.peer_keys().next(), read.mailbox()), (Some(&[7; 32]), Some(MailboxId([5; 32]))));
        assert!(!read.is_expired(Timestamp(1_000)) && read.is_expired(Timestamp(1_001)));
    }

    #[test]
    fn a_link_survives_mail_programs_and_qr_codes() {
        let link = invite().to_link();
        let wrapped: String =
            link.as_bytes().chunks(76).map(|line| format!("{}\r\n ", std::str::from_utf8(line).unwrap())).collect();
        for text in [format!("  {link}\n"), wrapped, invite().to_qr_text()] {
            assert_eq!(Invite::parse(&text), Ok(invite()), "{text}");
        }
    }

    #[test]
    fn a_usual_link_fits_a_qr_code() {
        // Version 25 at error correction M holds 1,451 alphanumeric characters.
        assert!(invite().to_qr_text().len() < 1_000, "{}", invite().to_qr_text().len());
        assert!(
            invite()
                .to_qr_text()
                .bytes()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b':' || c == b'-')
        );
    }

    #[test]
    fn what_is_no_invite_is_told_apart() {
        let link = invite().to_link();
        assert_eq!(Invite::parse(""), Err(InviteError::NotAnInvite));
        assert_eq!(Invite::parse("https://example.org/x"), Err(InviteError::NotAnInvite));
        assert_eq!(Invite::parse("\u{430}ecure-chat:aaaa"), Err(InviteError::NotAnInvite));
        assert_eq!(Invite::parse("secure-chat:"), Err(InviteError::Damaged));
        assert_eq!(Invite::parse("secure-chat:ae"), Err(InviteError::Damaged));
        assert_eq!(Invite::parse("secure-chat:a!b"), Err(InviteError::Damaged));
        assert_eq!(Invite::parse(&link[..link.len() - 9]), Err(InviteError::Damaged));
        assert_eq!(Invite::parse("secure-chat:ai"), Err(InviteError::UnsupportedVersion(2)));
        assert_eq!(Invite::parse(&format!("secure-chat:{}", "a".repeat(5_000))), Err(InviteError::TooLong));
        assert_eq!(Invite::parse(&"a".repeat(1 << 20)), Err(InviteError::TooLong));
    }

    #[test]
    fn every_changed_character_is_refused() {
        let link = invite().to_link();
        for at in INVITE_SCHEME.len()..link.len() {
            let mut changed = link.clone().into_bytes();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            assert!(Invite::parse(std::str::from_utf8(&changed).unwrap()).is_err(), "character {at}");
        }
        for length in 0..link.len() {
            assert!(Invite::parse(&link[..length]).is_err());
        }
    }

    #[test]
    fn a_signed_invite_that_breaks_a_rule_is_refused() {
        assert!(signed(|_| ()).is_ok());
        assert_eq!(signed(|wire| wire.version = 0), Err(InviteError::UnsupportedVersion(0)));
        assert_eq!(signed(|wire| wire.peers.clear()), Err(InviteError::Bounds));
        assert_eq!(signed(|wire| wire.peers = vec![Fixed([1; 32]); 2]), Err(InviteError::Bounds));
        assert_eq!(signed(|wire| wire.homes = vec![HOME.into(); 9]), Err(InviteError::Bounds));
        assert!(matches!(signed(|wire| wire.name = "al ice".into()), Err(InviteError::Name(_))));
        assert!(matches!(signed(|wire| wire.homes = vec!["/memory/1".into()]), Err(InviteError::Address(_))));
        let mallory = IdentityKeyPair::generate(&mut ChaCha20Rng::seed_from_u64(3), Timestamp(0));
        assert_eq!(signed(|wire| wire.identity = mallory.public().to_wire()), Err(InviteError::Forged));
    }

    #[test]
    fn addresses_that_do_not_fit_are_left_out() {
        let mut fields = fields();
        fields.addresses = vec![format!("/dns4/{}/tcp/1", "a".repeat(490)); ADDRESSES_MAX];
        let invite = Invite::create(&alice(), fields.clone(), &mut ChaCha20Rng::seed_from_u64(2)).unwrap();
        assert!((1..ADDRESSES_MAX).contains(&invite.addresses().len()));
        assert!(invite.to_link().len() <= INVITE_MAX_BYTES);
        assert_eq!(Invite::parse(&invite.to_link()), Ok(invite));
        fields.homes = vec![format!("/dns4/{}{}", "a".repeat(400), &HOME[14..]); HOMES_MAX];
        let none = Invite::create(&alice(), fields, &mut ChaCha20Rng::seed_from_u64(2));
        assert_eq!(none, Err(InviteError::TooLong));
    }

    proptest! {
        #[test]
        fn noise_is_no_invite(noise in "secure-chat:[a-z2-7]{0,900}") {
            prop_assert!(Invite::parse(&noise).is_err());
        }
    }
}
