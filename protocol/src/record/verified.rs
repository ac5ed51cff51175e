//! A record that was verified, and how records follow each other.

use super::wire::{PeerBindingIn, RECORD_VERSION, RecordError, RecordIn, SIGNATURE_BYTES};
use crate::crypto::kdf;
use crate::id::{AccountId, Timestamp};
use crate::identity::{IdentityKeyPair, PublicIdentity};
use crate::sealed::{MailboxDescriptor, MailboxDescriptorIn};
use crate::validate::Username;
use crate::wire::codec::Fixed;

impl RecordIn {
    /// Checks everything that a record says of itself.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn verify(self) -> Result<Record, RecordError> {
        let checked = self.check()?;
        Ok(Record {
            name: checked.name,
            identity: checked.identity,
            mailbox: checked.mailbox,
            hash: kdf::hash_fields("record-hash", &[&checked.encoded]),
            encoded: checked.encoded,
            wire: self,
        })
    }
}

/// What the owner decides of a record.
#[derive(Debug, Clone)]
pub struct RecordFields {
    /// The username.
    pub name: Username,
    /// See [`super::peer_binding`].
    pub peers: Vec<PeerBindingIn>,
    /// Multiaddr texts; may be empty.
    pub addresses: Vec<String>,
    /// Multiaddr texts with `/p2p/…`; may be empty.
    pub homes: Vec<String>,
    /// See [`crate::sealed::MailboxKeys::descriptor`].
    pub mailbox: Option<MailboxDescriptorIn>,
}

/// How a record stands to one that is known of the same account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// It is that very record.
    Same,
    /// It comes directly after, and names it.
    Next,
    /// It comes later; what lies between was not seen.
    Later,
    /// It is older: whoever serves it is behind, or holds the newer one back.
    Older,
    /// It has the same number and other contents, or names another record as the
    /// one before it: the owner, or whoever has the owner's key, says two things.
    Forked,
    /// It is another account's.
    OtherAccount,
}

/// A verified record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    name: Username,
    identity: PublicIdentity,
    mailbox: Option<MailboxDescriptor>,
    hash: [u8; 32],
    encoded: Vec<u8>,
    wire: RecordIn,
}

impl Record {
    /// Makes and signs the record that comes after `previous`.
    ///
    /// # Errors
    /// [`RecordError`] when the fields break a bound or are not this identity's,
    /// [`RecordError::Sequence`] when `previous` is another account's or the last there can be.
    pub fn create(
        identity: &IdentityKeyPair,
        fields: RecordFields,
        previous: Option<&Self>,
        now: Timestamp,
    ) -> Result<Self, RecordError> {
        if previous.is_some_and(|record| record.account_id() != identity.account_id()) {
            return Err(RecordError::Sequence);
        }
        let seq = previous.map_or(0, Self::seq).checked_add(1).ok_or(RecordError::Sequence)?;
        let mut wire = RecordIn {
            version: RECORD_VERSION,
            name: fields.name.as_str().to_owned(),
            identity: identity.public().to_wire(),
            peers: fields.peers,
            addresses: fields.addresses,
            homes: fields.homes,
            mailbox: fields.mailbox,
            seq,
            prev_hash: Fixed(previous.map_or([0; 32], |record| record.hash)),
            issued: now,
            signature: Fixed([0; SIGNATURE_BYTES]),
        };
        wire.sign(identity)?;
        wire.verify()
    }

    /// Decodes and verifies a record.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        RecordIn::decode(bytes)?.verify()
    }

    /// As it travels and is stored.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// `SHA256` over the whole record, signature included: what the next one names.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// How this record stands to `known`.
    #[must_use]
    pub fn compared_with(&self, known: &Self) -> Succession {
        use std::cmp::Ordering::{Equal, Greater, Less};
        if self.account_id() != known.account_id() {
            return Succession::OtherAccount;
        }
        match self.seq().cmp(&known.seq()) {
            Equal if self.hash == known.hash => Succession::Same,
            Equal => Succession::Forked,
            Less => Succession::Older,
            Greater if self.seq() != known.seq().saturating_add(1) => Succession::Later,
            Greater if self.wire.prev_hash.0 == known.hash => Succession::Next,
            Greater => Succession::Forked,
        }
    }

    /// Whether it comes directly after `previous`.
    #[must_use]
    pub fn follows(&self, previous: &Self) -> bool {
        self.compared_with(previous) == Succession::Next
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &Username {
        &self.name
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> &PublicIdentity {
        &self.identity
    }

    /// Who it is.
    #[must_use]
    pub const fn account_id(&self) -> AccountId {
        self.identity.account_id()
    }

    /// Their libp2p Ed25519 public keys, at least one.
    pub fn peer_keys(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.wire.peers.iter().map(|peer| &peer.peer_key.0)
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
    pub const fn mailbox(&self) -> Option<&MailboxDescriptor> {
        self.mailbox.as_ref()
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.wire.seq
    }

    /// When it was made, by its owner's clock.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.wire.issued
    }

    /// The parts, for a changed successor.
    #[must_use]
    pub fn to_fields(&self) -> RecordFields {
        RecordFields {
            name: self.name.clone(),
            peers: self.wire.peers.clone(),
            addresses: self.wire.addresses.clone(),
            homes: self.wire.homes.clone(),
            mailbox: self.wire.mailbox.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::crypto::ed25519::SigningKey;
    use crate::identity::Purpose;
    use crate::limits::{ADDRESSES_MAX, HOMES_MAX, RECORD_MAX_BYTES};
    use crate::record::{DescriptorError, peer_binding};
    use crate::sealed::MailboxKeys;
    use crate::wire::codec;

    const HOME: &str = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    struct Person {
        identity: IdentityKeyPair,
        peer: SigningKey,
        mailbox: MailboxKeys,
    }

    impl Person {
        fn new(seed: u64) -> Self {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            Self {
                identity: IdentityKeyPair::generate(&mut rng, Timestamp(0)),
                peer: SigningKey::generate(&mut rng),
                mailbox: MailboxKeys::generate(Timestamp(0), &mut rng),
            }
        }

        fn fields(&self, name: &str) -> RecordFields {
            RecordFields {
                name: Username::parse(name).unwrap(),
                peers: vec![peer_binding(&self.peer, self.identity.account_id())],
                addresses: vec!["/ip4/192.0.2.1/tcp/4001".into()],
                homes: vec![HOME.into()],
                mailbox: Some(self.mailbox.descriptor(&self.identity)),
            }
        }

        fn record(&self, name: &str, previous: Option<&Record>) -> Record {
            Record::create(&self.identity, self.fields(name), previous, Timestamp(9)).unwrap()
        }

        /// A record as this person's own hostile program would sign it.
        fn signed(&self, change: impl FnOnce(&mut RecordIn)) -> Result<Record, RecordError> {
            let mut wire = self.record("Alice", None).wire;
            change(&mut wire);
            wire.signature = Fixed([0; 64]);
            let encoded = codec::encode(&wire, 1 << 20).unwrap();
            wire.signature = self.identity.sign(Purpose::Record, &[&encoded[..encoded.len() - 64]]).to_wire();
            wire.verify()
        }
    }

    #[test]
    fn a_record_says_who_a_name_is() {
        let alice = Person::new(1);
        let record = alice.record("Alice", None);
        let received = Record::decode(record.encoded()).unwrap();
        assert_eq!(received, record);
        assert_eq!(received.name().as_str(), "Alice");
        assert_eq!(received.account_id(), alice.identity.account_id());
        assert_eq!(received.peer_keys().next(), Some(alice.peer.verifying_key().as_bytes()));
        assert_eq!(received.mailbox().unwrap().mailbox_id(), alice.mailbox.mailbox_id());
        assert_eq!((received.homes(), received.addresses().len()), ([HOME.to_owned()].as_slice(), 1));
        assert_eq!((received.seq(), received.issued()), (1, Timestamp(9)));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bytes = Person::new(1).record("Alice", None).encoded().to_vec();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(Record::decode(&changed).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn every_cut_and_every_addition_is_refused() {
        let bytes = Person::new(1).record("Alice", None).encoded().to_vec();
        for length in 0..bytes.len() {
            assert!(RecordIn::decode(&bytes[..length]).is_err(), "length {length}");
        }
        assert!(RecordIn::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn records_follow_each_other() {
        let alice = Person::new(1);
        let first = alice.record("Alice", None);
        let second = alice.record("Alice", Some(&first));
        let third = alice.record("Alice", Some(&second));
        assert!(second.follows(&first) && third.follows(&second) && !third.follows(&first));
        assert_eq!(third.compared_with(&first), Succession::Later);
        assert_eq!(first.compared_with(&third), Succession::Older);
        assert_eq!(first.compared_with(&first), Succession::Same);
        assert_eq!(Person::new(2).record("Alice", None).compared_with(&first), Succession::OtherAccount);
    }

    #[test]
    fn two_records_with_the_same_number_are_noticed() {
        let alice = Person::new(1);
        let (one, other) = (alice.record("Alice", None), alice.record("Alicia", None));
        assert_eq!(other.compared_with(&one), Succession::Forked);
        assert_eq!(alice.record("Alice", Some(&other)).compared_with(&one), Succession::Forked);
    }

    #[test]
    fn nobody_can_take_over_a_record_or_a_chain() {
        let (alice, mallory) = (Person::new(1), Person::new(2));
        let record = alice.record("Alice", None);
        let taken = Record::create(&mallory.identity, mallory.fields("Alice"), Some(&record), Timestamp(9));
        assert_eq!(taken, Err(RecordError::Sequence));
        let mut resigned = record.wire.clone();
        resigned.identity = mallory.identity.public().to_wire();
        assert_eq!(resigned.verify(), Err(RecordError::BadSignature));
        // Parts of alice's record under mallory's own signature.
        assert_eq!(mallory.signed(|wire| wire.peers = record.wire.peers.clone()), Err(RecordError::Peer));
        let stolen = mallory.signed(|wire| wire.mailbox = record.wire.mailbox.clone());
        assert_eq!(stolen, Err(RecordError::Mailbox(DescriptorError::BadSignature)));
        assert!(matches!(alice.signed(|wire| wire.identity.created.0 += 1), Err(RecordError::Identity(_))));
    }

    #[test]
    fn a_signature_for_one_purpose_is_none_for_another() {
        let alice = Person::new(1);
        let account = alice.identity.account_id();
        // The peer key's signature over the account, made for something else.
        let wrong = PeerBindingIn {
            peer_key: alice.peer.verifying_key().to_wire(),
            signature: alice.peer.sign(Purpose::PeerBinding, &[account.as_bytes()]).to_wire(),
        };
        assert_eq!(alice.signed(|wire| wire.peers = vec![wrong]), Err(RecordError::Peer));
        let mut wire = alice.record("Alice", None).wire;
        let encoded = codec::encode(&wire, 1 << 20).unwrap();
        wire.signature = alice.identity.sign(Purpose::Invite, &[&encoded[..encoded.len() - 64]]).to_wire();
        assert_eq!(wire.verify(), Err(RecordError::BadSignature));
    }

    #[test]
    fn a_signed_record_that_breaks_a_rule_is_refused() {
        let alice = Person::new(1);
        assert!(alice.signed(|_| ()).is_ok());
        assert_eq!(alice.signed(|wire| wire.version = 2), Err(RecordError::Version(2)));
        assert!(matches!(alice.signed(|wire| wire.name = "a\u{430}lice".into()), Err(RecordError::Name(_))));
        assert_eq!(alice.signed(|wire| wire.peers.clear()), Err(RecordError::Bounds));
        assert_eq!(
            alice.signed(|wire| wire.peers.push(wire.peers[0])),
            Err(RecordError::Bounds),
            "the same peer twice"
        );
        assert_eq!(alice.signed(|wire| wire.homes = vec![HOME.into(); 9]), Err(RecordError::Bounds));
        assert_eq!(alice.signed(|wire| wire.addresses = vec!["/memory/1".into(); 17]), Err(RecordError::Bounds));
        assert!(matches!(alice.signed(|wire| wire.addresses = vec!["10.0.0.1".into()]), Err(RecordError::Address(_))));
        assert!(matches!(alice.signed(|wire| wire.homes = vec!["/memory/1".into()]), Err(RecordError::Address(_))));
        assert_eq!(alice.signed(|wire| wire.seq = 0), Err(RecordError::Sequence));
        assert_eq!(alice.signed(|wire| wire.seq = 2), Err(RecordError::Sequence), "a later one names the one before");
        assert_eq!(alice.signed(|wire| wire.prev_hash = Fixed([1; 32])), Err(RecordError::Sequence));
    }

    #[test]
    fn the_longest_record_fits() {
        let alice = Person::new(1);
        let mut fields = alice.fields("Alice_Alice_Alice_Alice_Alice_");
        fields.addresses = vec![format!("/dns4/{}/tcp/1", "a".repeat(490)); ADDRESSES_MAX];
        fields.homes = vec![format!("/dns4/{}{}", "a".repeat(400), &HOME[14..]); HOMES_MAX];
        let record = Record::create(&alice.identity, fields, None, Timestamp(9)).unwrap();
        assert!(record.encoded().len() <= RECORD_MAX_BYTES);
    }

    #[test]
    fn a_successor_can_be_made_from_the_parts() {
        let alice = Person::new(1);
        let first = alice.record("Alice", None);
        let fields = RecordFields { addresses: vec![], ..first.to_fields() };
        let second = Record::create(&alice.identity, fields, Some(&first), Timestamp(10)).unwrap();
        assert!(second.follows(&first) && second.addresses().is_empty() && second.name() == first.name());
    }

    proptest! {
        #[test]
        fn noise_is_no_record(noise in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(Record::decode(&noise).is_err());
        }
    }
}
