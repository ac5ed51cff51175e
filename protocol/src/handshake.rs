//! The hybrid, asynchronous handshake, in the form of PQXDH: X3DH's four
//! Diffie-Hellmans and an encapsulation to a post-quantum key. Floor 5.
//!
//! What a leaked signed prekey allows: whoever holds `SPK`'s secret half while it
//! is in use can pretend to its owner to be anyone (DH1 is all that authenticates
//! the initiator). It does not open sessions that used a kit.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::crypto::kdf::{self, Transcript};
use crate::crypto::kem;
use crate::crypto::secret::Secret;
use crate::crypto::x25519::{NonContributory, PublicKey, SecretKey};
use crate::id::{PreKeyId, Timestamp};
use crate::identity::{IdentityError, IdentityIn, IdentityKeyPair, PublicIdentity};
use crate::prekey::{LookupError, PreKeys, VerifiedBundle};
use crate::wire::codec::Fixed;

/// X25519, ML-KEM-768, SHA-256, ChaCha20-Poly1305, XChaCha20-Poly1305.
pub const SUITE: u8 = 1;
/// Flag in the transcript: a one-time kit was used.
const FLAG_KIT: u8 = 1;

/// Why a session could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The caller's fault: a session with oneself makes no sense.
    #[error("there are no sessions with oneself")]
    Oneself,
    /// The caller's fault: the bundle is not of the peer these sessions are with.
    #[error("the bundle belongs to somebody else")]
    WrongPeer,
    /// The peer's fault: a key in the bundle is of low order.
    #[error("the bundle's keys give no shared secret")]
    NonContributory,
}

impl From<NonContributory> for HandshakeError {
    fn from(_: NonContributory) -> Self {
        Self::NonContributory
    }
}

/// Why a first message's header was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RespondError {
    #[error("unknown suite")]
    UnknownSuite,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("unknown prekey")]
    UnknownPreKey,
    #[error("replay")]
    Replay,
    #[error("the memory of first messages is full")]
    Full,
    #[error("a key gives no shared secret")]
    NonContributory,
}

impl From<NonContributory> for RespondError {
    fn from(_: NonContributory) -> Self {
        Self::NonContributory
    }
}

/// What the initiator sends before each message until the first answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialHeaderIn {
    /// [`SUITE`].
    pub suite: u8,
    /// The initiator.
    pub identity: IdentityIn,
    /// When the session was started, by the initiator's clock: of two sessions, both
    /// sides prefer the later one.
    pub started: Timestamp,
    /// `EK_A`, X25519.
    pub ephemeral: Fixed<32>,
    /// Which signed prekey was used.
    pub signed: PreKeyId,
    /// Which one-time kit was used, unless there was none.
    pub kit: Option<PreKeyId>,
    /// The encapsulation to the kit's ML-KEM key, or to the signed prekey's without one.
    pub ciphertext: Fixed<{ kem::CIPHERTEXT_BYTES }>,
}

/// What both sides come to.
#[derive(Debug)]
pub(crate) struct HandshakeSecrets {
    /// `TH`: everything public that went into the session. Unique to it.
    pub(crate) transcript: [u8; 32],
    pub(crate) root: Secret<32>,
    /// The key of the headers that the initiator sends first.
    pub(crate) initiator_header: Secret<32>,
    /// The key of the headers that the responder sends first.
    pub(crate) responder_header: Secret<32>,
}

/// The public keys that stand in the transcript, in its order.
struct Publics<'a> {
    initiator: &'a PublicIdentity,
    responder: &'a PublicIdentity,
    started: Timestamp,
    signed: (&'a PreKeyId, &'a PublicKey, &'a [u8]),
    kit: Option<(&'a PreKeyId, &'a PublicKey, &'a [u8])>,
    ephemeral: &'a PublicKey,
    ciphertext: &'a [u8],
}

impl Publics<'_> {
    /// `TH = SHA256(L(hs) ‖ suite ‖ flags ‖ all keys and ids ‖ EK_A ‖ ct)`.
    fn transcript(&self) -> [u8; 32] {
        let mut hash = Transcript::new("hs");
        hash.field(&[SUITE]).field(&[if self.kit.is_some() { FLAG_KIT } else { 0 }]);
        for identity in [self.initiator, self.responder] {
            hash.field(identity.sig_key().as_bytes()).field(identity.dh_key().as_bytes());
        }
        hash.field(&self.started.0.to_le_bytes());
        for (id, dh_key, kem_key) in [Some(self.signed), self.kit].into_iter().flatten() {
            hash.field(id.as_bytes()).field(dh_key.as_bytes()).field(kem_key);
        }
        hash.field(self.ephemeral.as_bytes()).field(self.ciphertext);
        hash.finish()
    }
}

/// The four Diffie-Hellmans in the order of X3DH, and the encapsulated secret.
struct Shared {
    dh1: Secret<32>,
    dh2: Secret<32>,
    dh3: Secret<32>,
    dh4: Option<Secret<32>>,
    kem: Secret<32>,
}

impl Shared {
    /// `HKDF(salt = 0³², ikm = FF³² ‖ DHs ‖ SS, info = L(hs) ‖ TH)`. The last 32 of
    /// 128 bytes are reserved for a post-quantum ratchet, and not kept.
    fn secrets(&self, transcript: [u8; 32]) -> HandshakeSecrets {
        let fourth = self.dh4.as_ref().map_or(&[][..], |dh4| dh4.expose().as_slice());
        let material: [&[u8]; 6] =
            [&[0xff; 32], self.dh1.expose(), self.dh2.expose(), self.dh3.expose(), fourth, self.kem.expose()];
        let output: Secret<128> = kdf::hkdf(&[0; 32], &material, &[&kdf::label("hs"), &transcript]);
        let (root, rest) = output.split::<32, 96>();
        let (initiator_header, rest) = rest.split::<32, 64>();
        let (responder_header, _reserved) = rest.split::<32, 32>();
        HandshakeSecrets { transcript, root, initiator_header, responder_header }
    }
}

/// The initiator's side.
pub(crate) fn initiate<R: CryptoRng + ?Sized>(
    me: &IdentityKeyPair,
    bundle: &VerifiedBundle,
    started: Timestamp,
    rng: &mut R,
) -> Result<(HandshakeSecrets, InitialHeaderIn), HandshakeError> {
    if bundle.identity.account_id() == me.account_id() {
        return Err(HandshakeError::Oneself);
    }
    let (signed, kit) = (&bundle.signed, bundle.kit.as_ref());
    let ephemeral = SecretKey::generate(rng);
    let (ciphertext, kem) = kit.map_or(&signed.kem_key, |kit| &kit.kem_key).encapsulate(rng);
    let shared = Shared {
        dh1: me.agreement_key().diffie_hellman(&signed.dh_key)?,
        dh2: ephemeral.diffie_hellman(bundle.identity.dh_key())?,
        dh3: ephemeral.diffie_hellman(&signed.dh_key)?,
        dh4: kit.map(|kit| ephemeral.diffie_hellman(&kit.dh_key)).transpose()?,
        kem,
    };
    let publics = Publics {
        initiator: me.public(),
        responder: &bundle.identity,
        started,
        signed: (&signed.id, &signed.dh_key, signed.kem_key.as_bytes()),
        kit: kit.map(|kit| (&kit.id, &kit.dh_key, kit.kem_key.as_bytes().as_slice())),
        ephemeral: ephemeral.public(),
        ciphertext: &*ciphertext,
    };
    let header = InitialHeaderIn {
        suite: SUITE,
        identity: me.public().to_wire(),
        started,
        ephemeral: ephemeral.public().to_wire(),
        signed: signed.id,
        kit: kit.map(|kit| kit.id),
        ciphertext: Fixed(*ciphertext),
    };
    Ok((shared.secrets(publics.transcript()), header))
}

/// The responder's side. Changes nothing: see [`PreKeys::used`].
pub(crate) fn respond<'a>(
    me: &IdentityKeyPair,
    prekeys: &'a PreKeys,
    initiator: &PublicIdentity,
    header: &InitialHeaderIn,
) -> Result<(HandshakeSecrets, &'a SecretKey), RespondError> {
    if header.suite != SUITE {
        return Err(RespondError::UnknownSuite);
    }
    let ephemeral = PublicKey::from_bytes(header.ephemeral.0);
    let keys = prekeys.lookup(&header.signed, header.kit.as_ref(), &ephemeral_hash(header)).map_err(|e| match e {
        LookupError::Unknown => RespondError::UnknownPreKey,
        LookupError::Replay => RespondError::Replay,
        LookupError::Full => RespondError::Full,
    })?;
    let (kem, named_kem) =
        keys.kit.map_or(keys.signed_kem, |(_, kem)| kem).decapsulate_with_public(&header.ciphertext.0);
    let shared = Shared {
        dh1: keys.signed_dh.diffie_hellman(initiator.dh_key())?,
        dh2: me.agreement_key().diffie_hellman(&ephemeral)?,
        dh3: keys.signed_dh.diffie_hellman(&ephemeral)?,
        dh4: keys.kit.map(|(dh, _)| dh.diffie_hellman(&ephemeral)).transpose()?,
        kem,
    };
    let (signed_kem, kit) = match (&header.kit, keys.kit) {
        (Some(id), Some((dh, _))) => {
            (keys.signed_kem.encapsulation_key(), Some((id, dh.public(), named_kem.as_bytes().as_slice())))
        }
        _ => (named_kem.clone(), None),
    };
    let publics = Publics {
        initiator,
        responder: me.public(),
        started: header.started,
        signed: (&header.signed, keys.signed_dh.public(), signed_kem.as_bytes()),
        kit,
        ephemeral: &ephemeral,
        ciphertext: &header.ciphertext.0,
    };
    Ok((shared.secrets(publics.transcript()), keys.signed_dh))
}

/// What a responder remembers of a first message.
pub(crate) fn ephemeral_hash(header: &InitialHeaderIn) -> [u8; 32] {
    kdf::hash_fields("ek", &[&header.ephemeral.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prekey::{BundleIn, SignedPreKeyIn};
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    const NOW: Timestamp = Timestamp(1_000_000);

    struct Pair {
        alice: IdentityKeyPair,
        bob: IdentityKeyPair,
        prekeys: PreKeys,
        rng: ChaCha20Rng,
    }

    fn pair() -> Pair {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let alice = IdentityKeyPair::generate(&mut rng, NOW);
        let bob = IdentityKeyPair::generate(&mut rng, NOW);
        let prekeys = PreKeys::generate(&bob, NOW, &mut rng);
        Pair { alice, bob, prekeys, rng }
    }

    impl Pair {
        fn bundle(&mut self, with_kit: bool) -> VerifiedBundle {
            let kit = if with_kit { self.prekeys.take_kit_public() } else { None };
            let identity = self.bob.public().to_wire();
            BundleIn { identity, signed: self.prekeys.signed_public(), kit }.verify(NOW, None).unwrap()
        }

        fn initiated(&mut self, with_kit: bool) -> (HandshakeSecrets, InitialHeaderIn) {
            let bundle = self.bundle(with_kit);
            initiate(&self.alice, &bundle, NOW, &mut self.rng).unwrap()
        }

        fn responded(&self, header: &InitialHeaderIn) -> Result<HandshakeSecrets, RespondError> {
            respond(&self.bob, &self.prekeys, self.alice.public(), header).map(|(secrets, _)| secrets)
        }
    }

    fn same(a: &HandshakeSecrets, b: &HandshakeSecrets) -> bool {
        a.transcript == b.transcript
            && a.root == b.root
            && a.initiator_header == b.initiator_header
            && a.responder_header == b.responder_header
    }

    #[test]
    fn both_sides_come_to_the_same_secrets_with_and_without_a_kit() {
        let mut pair = pair();
        for with_kit in [true, false] {
            let (secrets, header) = pair.initiated(with_kit);
            assert_eq!(header.kit.is_some(), with_kit);
            assert!(same(&secrets, &pair.responded(&header).unwrap()));
            assert!(secrets.root != secrets.initiator_header && secrets.initiator_header != secrets.responder_header);
        }
    }

    #[test]
    fn a_changed_header_never_leads_to_the_same_secrets() {
        let mut pair = pair();
        let (secrets, header) = pair.initiated(true);
        let mut changed = vec![header.clone(); 5];
        changed[0].ephemeral.0[3] ^= 1;
        changed[1].ciphertext.0[100] ^= 1;
        changed[2].kit = None; // a downgrade: the kit is stripped
        changed[3].started = Timestamp(5);
        changed[4].kit = pair.prekeys.take_kit_public().map(|kit| kit.id); // encapsulated anew to another kit
        for header in &changed {
            assert!(pair.responded(header).is_ok_and(|other| !same(&secrets, &other)));
        }
    }

    #[test]
    fn an_unknown_suite_or_prekey_is_refused() {
        let mut pair = pair();
        let (_, header) = pair.initiated(true);
        let refused = |changed: InitialHeaderIn| pair.responded(&changed).err();
        assert_eq!(refused(InitialHeaderIn { suite: 0, ..header.clone() }), Some(RespondError::UnknownSuite));
        assert_eq!(refused(InitialHeaderIn { suite: 2, ..header.clone() }), Some(RespondError::UnknownSuite));
        let unknown = PreKeyId([0; 16]);
        assert_eq!(refused(InitialHeaderIn { signed: unknown, ..header.clone() }), Some(RespondError::UnknownPreKey));
        assert_eq!(
            refused(InitialHeaderIn { kit: Some(unknown), ..header.clone() }),
            Some(RespondError::UnknownPreKey)
        );
        let signed_as_kit = InitialHeaderIn { kit: Some(header.signed), ..header };
        assert_eq!(refused(signed_as_kit), Some(RespondError::UnknownPreKey));
    }

    #[test]
    fn the_claimed_initiator_is_part_of_the_secrets() {
        let mut pair = pair();
        let (secrets, header) = pair.initiated(true);
        let mallory = IdentityKeyPair::generate(&mut pair.rng, NOW);
        let (other, _) = respond(&pair.bob, &pair.prekeys, mallory.public(), &header).unwrap();
        assert!(!same(&secrets, &other), "unknown key share");
    }

    #[test]
    fn an_all_zero_shared_secret_is_refused_on_both_sides() {
        let mut pair = pair();
        let (_, header) = pair.initiated(false);
        let low_order = InitialHeaderIn { ephemeral: Fixed([0; 32]), ..header };
        assert_eq!(pair.responded(&low_order).err(), Some(RespondError::NonContributory));

        let signed = SignedPreKeyIn { dh_key: Fixed([0; 32]), ..pair.prekeys.signed_public() }.signed(&pair.bob);
        let bundle = BundleIn { identity: pair.bob.public().to_wire(), signed, kit: None };
        let bundle = bundle.verify(NOW, None).unwrap();
        let refused = initiate(&pair.alice, &bundle, NOW, &mut pair.rng).err();
        assert_eq!(refused, Some(HandshakeError::NonContributory));
    }

    #[test]
    fn there_is_no_session_with_oneself() {
        let mut pair = pair();
        let bundle = pair.bundle(true);
        assert_eq!(initiate(&pair.bob, &bundle, NOW, &mut pair.rng).err(), Some(HandshakeError::Oneself));
    }
}
