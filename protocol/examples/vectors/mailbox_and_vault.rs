//! Frozen vectors of records, invites, mailboxes and the vault, for a second
//! implementation: `protocol/vectors/mailbox_and_vault.json`, which
//! `protocol/vectors/check.py` reads with nothing but `docs/protocol.md` in mind.

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::id::{EnvelopeId, Timestamp};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::invite::{Invite, InviteFields};
use secure_chat_protocol::limits::{DAY_MS, HOUR_MS};
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sealed::{self, EnvelopeIn, MailboxKeys, TokenSeed, token_hash};
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::vault::{Argon2Params, KeySlots, VaultHeader};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::work::{self, Deposit};
use serde_json::{Value, json};

const HOME: &str = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
const PASSWORD: &str = "correct-Horse7batte\u{301}ry";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Alice {
    rng: ChaCha20Rng,
    identity: IdentityKeyPair,
    peer: SigningKey,
    mailbox: MailboxKeys,
}

impl Alice {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(20_000);
        let identity = IdentityKeyPair::generate(&mut rng, Timestamp(1_700_000_000_000));
        let peer = SigningKey::generate(&mut rng);
        let mailbox = MailboxKeys::generate(Timestamp(1_700_000_000_001), &mut rng);
        Self { rng, identity, peer, mailbox }
    }

    fn records(&self) -> Value {
        let fields = RecordFields {
            name: Username::parse("Alice_1").unwrap(),
            peers: vec![peer_binding(&self.peer, self.identity.account_id())],
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".into()],
            homes: vec![HOME.into()],
            mailbox: Some(self.mailbox.descriptor(&self.identity)),
        };
        let first = Record::create(&self.identity, fields.clone(), None, Timestamp(1_700_000_000_002)).unwrap();
        let fields = RecordFields { mailbox: None, addresses: vec![], ..fields };
        let second = Record::create(&self.identity, fields, Some(&first), Timestamp(1_700_000_000_003)).unwrap();
        let row = |record: &Record| json!({ "encoded": hex(record.encoded()), "hash": hex(record.hash()) });
        json!([row(&first), row(&second)])
    }

    fn invite(&mut self) -> Value {
        let fields = InviteFields {
            name: Username::parse("Alice_1").unwrap(),
            peers: vec![*self.peer.verifying_key().as_bytes()],
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".into()],
            homes: vec![HOME.into()],
            mailbox: Some(self.mailbox.mailbox_id()),
            expires: Some(Timestamp(1_800_000_000_000)),
        };
        json!(Invite::create(&self.identity, fields, &mut self.rng).unwrap().to_link())
    }

    fn mailbox(&mut self) -> Value {
        let descriptor = self.mailbox.descriptor(&self.identity).verify(self.identity.public()).unwrap();
        let from = self.identity.account_id();
        let inner = EnvelopeIn { from, messages: vec![Bytes(vec![1; 60]), Bytes(vec![2; 300])] }.encode().unwrap();
        let envelope = sealed::seal(&descriptor, &inner, &mut self.rng).unwrap();
        assert_eq!(sealed::open(&self.mailbox, &envelope).unwrap().expose(), inner);
        let id = EnvelopeId([9; 16]);
        let mailbox = descriptor.mailbox_id();
        let deposit = Deposit { node_peer: b"node", mailbox: &mailbox, id: &id, sealed: &envelope };
        let stamp = work::solve(&deposit, Timestamp(470_000 * HOUR_MS), 12, u64::MAX).unwrap();
        json!({
            "keys": hex(self.mailbox.to_secret_bytes().expose()),
            "mailbox_id": hex(mailbox),
            "inner": hex(&inner),
            "envelope": hex(&envelope),
            "open": {
                "node_peer": hex("node"), "client_peer": hex("alice"), "challenge": hex([7; 32]),
                "signature": hex(self.mailbox.sign_open(b"node", b"alice", &[7; 32]).0),
            },
            "stamp": { "node_peer": hex("node"), "envelope_id": hex(id), "bits": 12, "hour": stamp.hour, "nonce": stamp.nonce },
        })
    }

    fn vault(&mut self) -> Value {
        let (header, master) = VaultHeader::create(PASSWORD, Argon2Params::LEAST, &mut self.rng).unwrap();
        let table = master.table_key("body");
        let mut slots = KeySlots::generate(Timestamp(0), &mut self.rng);
        slots.rotate(&master, Timestamp(DAY_MS), &mut self.rng).unwrap();
        let daily = slots.table_key(&master, "session");
        let rows: Vec<Value> = [0_usize, 1, 100, 1_000]
            .map(|length| json!({ "length": length, "sealed": hex(table.seal(b"key", 3, &vec![0x80; length], &mut self.rng)) }))
            .into();
        json!({
            "password": PASSWORD,
            "header": hex(header.to_bytes()),
            "derived": { "purpose": "test", "key": hex(master.derive("test").expose()) },
            "table": "body",
            "index": { "id": hex("id"), "key": hex(table.index(b"id")) },
            "rows": { "record_key": hex("key"), "schema": 3, "byte": "80", "sealed": rows },
            "key_file": hex(slots.encode(&master, &mut self.rng)),
            "daily_row": {
                "table": "session", "record_key": hex("key"), "schema": 1, "plaintext": hex("state"),
                "sealed": hex(daily.seal(b"key", 1, b"state", &mut self.rng)),
            },
        })
    }
}

pub(crate) fn vectors() -> Value {
    let mut alice = Alice::new();
    let seed = TokenSeed::from_wire(Fixed([5; 32]));
    let token = |index: u32| json!({ "index": index, "token": hex(seed.token(index).0), "hash": hex(token_hash(&seed.token(index)).0) });
    json!({
        "identity": { "secret": hex(alice.identity.to_secret_bytes().expose()), "account_id": hex(alice.identity.account_id()) },
        "records": alice.records(),
        "invite": alice.invite(),
        "mailbox": alice.mailbox(),
        "tokens": { "seed": hex([5; 32]), "tokens": [token(0), token(1), token(70_000)] },
        "vault": alice.vault(),
    })
}
