//! How fast rows are sealed, envelopes opened, records verified and stamps
//! found, on one core: `cargo bench -p secure-chat-protocol --bench mailbox_and_vault`.
#![allow(clippy::unwrap_used, reason = "a measurement: a failure ends it")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::id::{EnvelopeId, Timestamp};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sealed::{self, MailboxKeys};
use secure_chat_protocol::validate::{Username, check_password};
use secure_chat_protocol::vault::{Argon2Params, MasterKey, VaultHeader};
use secure_chat_protocol::work::{Deposit, Solver};

/// Each figure is taken over at least this time.
const TIME_MIN: Duration = Duration::from_millis(500);

fn measure<T>(name: &str, mut act: impl FnMut() -> T) {
    let started = Instant::now();
    let mut times = 0_u32;
    while started.elapsed() < TIME_MIN {
        black_box(act());
        times += 1;
    }
    let each = started.elapsed().as_secs_f64() / f64::from(times);
    println!("{name:44} {:>12.0} /s {:>12.2} µs", 1.0 / each, each * 1e6);
}

fn main() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (header, _) = VaultHeader::create("password", Argon2Params::default(), &mut rng).unwrap();
    measure("unlock a vault (64 MiB, 3 passes)", || header.unlock("password").unwrap());
    measure("judge a password", || check_password("correct-Horse7battery", Some("alice")));

    let table = MasterKey::generate(&mut rng).table_key("body");
    for bytes in [300, 4_000] {
        let plaintext = vec![1; bytes];
        let row = table.seal(b"0123456789abcdef", 1, &plaintext, &mut rng);
        measure(&format!("seal a row of {bytes} bytes"), || table.seal(b"0123456789abcdef", 1, &plaintext, &mut rng));
        measure(&format!("open a row of {bytes} bytes"), || table.open(b"0123456789abcdef", 1, &row).unwrap());
    }
    measure("hash an id to a record key", || table.index(b"0123456789abcdef"));

    measure("make an identity", || IdentityKeyPair::generate(&mut rng, Timestamp(0)));
    let identity = IdentityKeyPair::generate(&mut rng, Timestamp(0));
    let mailbox = MailboxKeys::generate(Timestamp(0), &mut rng);
    let wire = mailbox.descriptor(&identity);
    let descriptor = wire.verify(identity.public()).unwrap();
    let fields = RecordFields {
        name: Username::parse("Alice").unwrap(),
        peers: vec![peer_binding(&SigningKey::generate(&mut rng), identity.account_id())],
        addresses: vec![],
        homes: vec![],
        mailbox: Some(wire),
    };
    let record = Record::create(&identity, fields, None, Timestamp(0)).unwrap();
    measure("decode and verify a record with a mailbox", || Record::decode(record.encoded()).unwrap());

    let inner = vec![1; 1_024];
    let envelope = sealed::seal(&descriptor, &inner, &mut rng).unwrap();
    measure("seal an envelope of 1 KiB", || sealed::seal(&descriptor, &inner, &mut rng).unwrap());
    measure("open an envelope of 1 KiB", || sealed::open(&mailbox, &envelope).unwrap());
    let mailbox_id = descriptor.mailbox_id();
    let deposit = Deposit { node_peer: b"node", mailbox: &mailbox_id, id: &EnvelopeId([1; 16]), sealed: &envelope };
    let mut solver = Solver::new(&deposit, Timestamp(0), 26).unwrap();
    measure("1,000 tries for a stamp", || solver.advance(1_000));
}
