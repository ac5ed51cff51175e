//! Vectors of identities, prekeys, handshakes and ratchets, with every secret and
//! every random draw: a second implementation can play both sides, and must come
//! to the same bytes. `protocol/vectors/check_sessions.py` does.

use std::convert::Infallible;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use secure_chat_protocol::crypto::kdf;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::identity::{IdentityKeyPair, Purpose};
use secure_chat_protocol::limits::BUNDLE_MAX_BYTES;
use secure_chat_protocol::padding::{pad, padded_length};
use secure_chat_protocol::prekey::{BundleIn, PreKeys};
use secure_chat_protocol::safety_number::safety_number;
use secure_chat_protocol::session::SessionSet;
use secure_chat_protocol::wire::codec::encode;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Remembers what it gave.
struct Draws {
    rng: ChaCha20Rng,
    given: Vec<String>,
}

impl Draws {
    fn new(seed: u64) -> Self {
        Self { rng: ChaCha20Rng::seed_from_u64(seed), given: Vec::new() }
    }

    fn taken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.given)
    }
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.rng.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.rng.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng.try_fill_bytes(bytes)?;
        self.given.push(hex(bytes));
        Ok(())
    }
}

impl TryCryptoRng for Draws {}

struct Person {
    name: &'static str,
    identity: IdentityKeyPair,
    prekeys: PreKeys,
    sessions: Option<SessionSet>,
    draws: Draws,
    described: Value,
}

impl Person {
    /// Identity and prekeys, with the secrets as they were drawn.
    fn new(name: &'static str, seed: u64) -> Self {
        let mut draws = Draws::new(seed);
        let identity = IdentityKeyPair::generate(&mut draws, NOW);
        let keys = draws.taken();
        let prekeys = PreKeys::generate(&identity, NOW, &mut draws);
        let secrets = draws.taken();
        let public = identity.public();
        let described = json!({
            "sig_seed": keys[0], "dh_secret": keys[1], "created": NOW.0,
            "account_id": hex(public.account_id()), "wire": hex(encode(&public.to_wire(), 256).unwrap()),
            "stored": hex(identity.to_secret_bytes().expose()),
            "signed_prekey": { "id": secrets[0], "dh_secret": secrets[1], "kem_seed": secrets[2],
                "wire": hex(encode(&prekeys.signed_public(), BUNDLE_MAX_BYTES).unwrap()) },
            "kit": { "id": secrets[3], "dh_secret": secrets[4], "kem_seed": secrets[5],
                "wire": hex(encode(&prekeys.kits_public()[0], BUNDLE_MAX_BYTES).unwrap()) },
        });
        Self { name, identity, prekeys, sessions: None, draws, described }
    }

    fn bundle(&mut self, with_kit: bool) -> BundleIn {
        let kit = if with_kit { self.prekeys.take_kit_public() } else { None };
        BundleIn { identity: self.identity.public().to_wire(), signed: self.prekeys.signed_public(), kit }
    }

    fn sessions(&mut self) -> &mut SessionSet {
        self.sessions.as_mut().unwrap()
    }

    /// A message, as the vectors describe it, and its bytes.
    fn says(&mut self, text: &[u8]) -> (Value, Vec<u8>) {
        let Self { sessions, draws, name, .. } = self;
        let bytes = sessions.as_mut().unwrap().encrypt(text, NOW, draws).unwrap();
        let step = json!({ "from": name, "draws": draws.taken(), "plaintext": hex(text), "ciphertext": hex(&bytes) });
        (step, bytes)
    }

    fn hears(&mut self, bytes: &[u8], text: &[u8]) {
        let Self { identity, prekeys, sessions, .. } = self;
        let opened = sessions.as_mut().unwrap().decrypt(identity, prekeys, bytes, NOW).unwrap();
        assert_eq!(opened.plaintext.expose(), text);
    }
}

/// A conversation: its messages in the order in which they are sent, and `events`,
/// which says when each is sent and when it is opened.
fn conversation(alice: &mut Person, bob: &mut Person, with_kit: bool) -> Value {
    let (alices, bobs) = (alice.identity.account_id(), bob.identity.account_id());
    (alice.sessions, bob.sessions) = (Some(SessionSet::new(alices, bobs)), Some(SessionSet::new(bobs, alices)));
    let bundle = bob.bundle(with_kit);
    let wire = hex(encode(&bundle, BUNDLE_MAX_BYTES).unwrap());
    let bundle = bundle.verify(NOW, Some(bobs)).unwrap();
    let Person { identity, sessions, draws, .. } = alice;
    sessions.as_mut().unwrap().initiate(identity, &bundle, NOW, draws).unwrap();
    let initiate = draws.taken();
    let mut steps = Vec::new();
    let mut say = |person: &mut Person, text: &[u8]| {
        let (step, bytes) = person.says(text);
        steps.push(step);
        bytes
    };
    let (long, longer) = ([0x61; 255], [0x62; 256]);
    let a0 = say(alice, b"hello");
    let a1 = say(alice, &long);
    bob.hears(&a1, &long);
    bob.hears(&a0, b"hello");
    let b0 = say(bob, b"late");
    let b1 = say(bob, &longer);
    alice.hears(&b1, &longer);
    let a2 = say(alice, b"");
    bob.hears(&a2, b"");
    let b2 = say(bob, b"again");
    alice.hears(&b2, b"again");
    alice.hears(&b0, b"late");
    json!({
        "bundle": wire, "kit": with_kit, "initiate_draws": initiate, "messages": steps,

        "events": ["send 0", "send 1", "open 1", "open 0", "send 2", "send 3", "open 3", "send 4", "open 4", "send 5", "open 5", "open 2"],
        "stored_by_alice": hex(alice.sessions().to_secret_bytes().expose()),
    })
}

pub(crate) fn vectors() -> Value {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let number = safety_number(alice.identity.public(), bob.identity.public());
    let signature = alice.identity.sign(Purpose::AuditExport, &[b"", b"field"]);
    let lengths = [0_usize, 1, 255, 256, 4_094, 4_095, 4_096, 40_960];
    json!({
        "hash_of_fields": { "purpose": "example", "fields": ["", "00", hex("field")],
            "hash": hex(kdf::hash_fields("example", &[b"", &[0], b"field"])) },
        "signature": { "by": "alice", "purpose": "audit", "fields": ["", hex("field")], "signature": hex(signature.as_bytes()) },
        "padding": lengths.map(|length| json!({ "length": length, "padded": padded_length(length) })),
        "padded": { "plaintext": hex("text"), "padded": hex(pad(b"text")) },
        "alice": alice.described.clone(),
        "bob": bob.described.clone(),
        "safety_number": { "digits": number.digits, "qr": number.qr },
        "conversations": [conversation(&mut alice, &mut bob, true), conversation(&mut alice, &mut bob, false)],
    })
}
