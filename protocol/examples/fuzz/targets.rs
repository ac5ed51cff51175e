//! Every decoder of the protocol, each as a function that must never panic,
//! with seeds to start from. Shared by the smoke run (`main.rs` beside it) and
//! the coverage-guided one (`protocol/fuzz`).
//!
//! A target asserts what a decoder promises: what it accepts encodes to the same
//! bytes again. It returns a short text for what happened, by which the smoke
//! run tells inputs that reached something new.

use std::fmt::Debug;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::crypto::kdf;
use secure_chat_protocol::crypto::secret::SecretBytes;
use secure_chat_protocol::file::{ChunkCipher, FileKey, FirstPass, Geometry, Leaves};
use secure_chat_protocol::id::{
    AccountId, BlobId, ChainId, EnvelopeId, FileId, GroupId, LogId, MailboxId, MessageHash, MessageId, OperationId,
    Timestamp,
};
use secure_chat_protocol::identity::{IdentityIn, IdentityKeyPair, Purpose};
use secure_chat_protocol::invite::{Invite, InviteFields};
use secure_chat_protocol::limits::{
    BUNDLE_MAX_BYTES, DAY_MS, LISTING_LIFETIME_MAX_MS, LISTING_MAX_BYTES, RECORD_MAX_BYTES,
};
use secure_chat_protocol::listing::{ListedAdmin, ListedJoin, Listing, ListingFields, ListingIn};
use secure_chat_protocol::membership::{About, Action, ChainPlace, JoinPolicy, Membership};
use secure_chat_protocol::padding;
use secure_chat_protocol::prekey::{BundleIn, PreKeys};
use secure_chat_protocol::record::{Record, RecordFields, RecordIn, peer_binding};
use secure_chat_protocol::sealed::{self, EnvelopeIn, MailboxDescriptor, MailboxDescriptorIn, MailboxKeys};
use secure_chat_protocol::sender_key::{GroupMessageIn, MemberChains, SendContext, SenderKey};
use secure_chat_protocol::session::{self, SessionSet};
use secure_chat_protocol::validate::{self, GroupName, Username};
use secure_chat_protocol::vault::{Argon2Params, KeySlots, MasterKey, RotatingTableKey, TableKey, VaultHeader};
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::content::{
    Content, MESSAGE_VERSION, MessageIn, MessageRef, Profile, ReceiptKind, TokenGrant,
};
use secure_chat_protocol::wire::group::{
    GroupControl, GroupFetch, GroupGossip, GroupInvite, GroupMissing, InvitePass, JoinAnswer, PassOn, PersonIn,
    SecretIn,
};
use secure_chat_protocol::wire::peer::{DeliveryStatus, Hello, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::{
    BlobCharge, BlobRequest, BlobState, DirectoryRequest, GroupLogRequest, LogEntry, LogStamp, NodeInfo, Payment,
    Presence, PresenceStatus, Push, Refusal, Request, Response, StoredEnvelope, Who,
};
use secure_chat_protocol::wire::transfer::{
    ANSWER_HEADER_BYTES, AnswerHeader, FetchRequest, FileControl, Manifest, ManifestKey, Preview, StoredAt,
};

const HOME: &str = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

/// One decoder.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&World, &[u8]) -> String,
    pub(crate) seeds: fn(&World) -> Vec<Vec<u8>>,
}

/// The keys that the decoders need, all from one seed.
pub(crate) struct World {
    identity: IdentityKeyPair,
    record: Record,
    mailbox: MailboxKeys,
    descriptor: MailboxDescriptor,
    master: MasterKey,
    table: TableKey,
    slots: KeySlots,
    daily: RotatingTableKey,
    bob: Bob,
}

/// Somebody whom Alice writes to, before and after they have talked.
struct Bob {
    identity: IdentityKeyPair,
    bundle: BundleIn,
    prekeys: SecretBytes,
    unmet: SecretBytes,
    met: SecretBytes,
    first: Vec<u8>,
    later: Vec<Vec<u8>>,
}

impl Bob {
    fn new(alice: &IdentityKeyPair, rng: &mut ChaCha20Rng) -> Self {
        let now = Timestamp(DAY_MS);
        let identity = IdentityKeyPair::generate(rng, now);
        let mut prekeys = PreKeys::generate(&identity, now, rng);
        let kit = prekeys.take_kit_public();
        let stored = prekeys.to_secret_bytes();
        let bundle = BundleIn { identity: identity.public().to_wire(), signed: prekeys.signed_public(), kit };
        let mut alices = SessionSet::new(alice.account_id(), identity.account_id());
        let mut bobs = SessionSet::new(identity.account_id(), alice.account_id());
        let unmet = bobs.to_secret_bytes();
        alices.initiate(alice, &bundle.verify(now, None).unwrap(), now, rng).unwrap();
        let first = alices.encrypt(b"first", now, rng).unwrap();
        bobs.decrypt(&identity, &mut prekeys, &first, now).unwrap();
        let answer = bobs.encrypt(b"answer", now, rng).unwrap();
        let mut none = PreKeys::generate(alice, now, rng);
        alices.decrypt(alice, &mut none, &answer, now).unwrap();
        let later = (0..3).map(|_| alices.encrypt(b"later", now, rng).unwrap()).collect();
        Self { identity, bundle, prekeys: stored, unmet, met: bobs.to_secret_bytes(), first, later }
    }

    /// Opens `input`, and holds the promise that what does not open changes nothing.
    fn decrypt(&self, sessions: &SecretBytes, input: &[u8]) -> String {
        let mut prekeys = PreKeys::from_secret_bytes(self.prekeys.expose()).unwrap();
        let mut set = SessionSet::from_secret_bytes(sessions.expose()).unwrap();
        let opened = set.decrypt(&self.identity, &mut prekeys, input, Timestamp(2 * DAY_MS));
        if opened.is_err() {
            assert!(set.to_secret_bytes() == *sessions, "a message that did not open changed a session");
            assert!(prekeys.to_secret_bytes() == self.prekeys, "a message that did not open changed the prekeys");
        }
        told(opened)
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(0);
        let identity = IdentityKeyPair::generate(&mut rng, Timestamp(0));
        let mailbox = MailboxKeys::generate(Timestamp(0), &mut rng);
        let descriptor = mailbox.descriptor(&identity);
        let fields = RecordFields {
            name: Username::parse("Alice").unwrap(),
            peers: vec![peer_binding(&SigningKey::generate(&mut rng), identity.account_id())],
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".into()],
            homes: vec![HOME.into()],
            mailbox: Some(descriptor.clone()),
        };
        let master = MasterKey::generate(&mut rng);
        let mut slots = KeySlots::generate(Timestamp(0), &mut rng);
        slots.rotate(&master, Timestamp(DAY_MS), &mut rng).unwrap();
        Self {
            record: Record::create(&identity, fields, None, Timestamp(1)).unwrap(),
            descriptor: descriptor.verify(identity.public()).unwrap(),
            table: master.table_key("body"),
            daily: slots.table_key(&master, "session"),
            bob: Bob::new(&identity, &mut rng),
            identity,
            mailbox,
            master,
            slots,
        }
    }
}

impl World {
    fn group(&self) -> Membership {
        let about = About { name: "Hikers".into(), description: String::new(), join: JoinPolicy::Open, public: true };
        Membership::create(&self.identity, &self.record, about, &mut rng()).unwrap()
    }

    fn sender_key(&self) -> SenderKey {
        SenderKey::generate(self.group().view().id, Timestamp(0), &mut rng())
    }

    fn group_message(&self) -> GroupMessageIn {
        let (mut key, group) = (self.sender_key(), self.group());
        let roster = group.view().roster();
        let context = SendContext {
            group: group.group(),
            author: self.identity.account_id(),
            view: group.view().id,
            roster: &roster,
            heads: &[MessageHash([7; 32])],
            now: Timestamp(0),
        };
        key.encrypt(&context, b"hello", &mut rng()).unwrap()
    }
}

fn group_controls(world: &World) -> Vec<GroupControl> {
    let about = world.group().view().about.clone();
    let account = world.identity.account_id();
    let record = Bytes(world.record.encoded().to_vec());
    let secret = SecretIn { generation: 1, secret: Fixed([1; 32]) };
    let people = vec![PersonIn { account, addresses: vec![HOME.into()] }];
    let operations: Vec<Bytes> =
        world.group().operations().map(|operation| Bytes(operation.encoded().to_vec())).collect();
    let operation = operations.first().cloned().unwrap_or_default();
    vec![
        GroupControl::Invitation { about, members: 3 },
        GroupControl::JoinRequest { record, addresses: vec![HOME.into()], pass: None },
        GroupControl::JoinAnswer(JoinAnswer::Waiting),
        GroupControl::Operations { operations },
        GroupControl::Welcome { heads: world.group().heads(), secret: secret.clone(), people: people.clone() },
        GroupControl::Secret(secret.clone()),
        GroupControl::Chain {
            chain: world.sender_key().hand_to(account),
            tokens: Some(TokenGrant { seed: Fixed([2; 32]), first: 1, count: 16 }),
        },
        GroupControl::ChainRequest { chain: ChainId([1; 16]) },
        GroupControl::People { people: people.clone() },
        GroupControl::Receipt { kind: ReceiptKind::Read, ids: vec![MessageId([1; 16])] },
        GroupControl::Tokens(TokenGrant { seed: Fixed([2; 32]), first: 1, count: 16 }),
        GroupControl::Change { operation, secret: Some(secret), people },
    ]
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

/// What happened, without the numbers in it.
fn outcome<T: Debug, E: Debug>(result: &Result<T, E>) -> String {
    let text = match result {
        // The variant, not its fields.
        Ok(value) => format!("{value:?}").chars().take_while(|c| !" ({".contains(*c)).collect(),
        Err(error) => format!("{error:?}"),
    };
    branch(&text)
}

/// Which way the decoder went: without numbers, and without the parts of the input that an error quotes,
/// or each character that is refused would count as something new.
fn branch(text: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let kept = text.chars().filter(|c| {
        let quote = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        quoted ^= quote;
        !quoted && !quote && !c.is_ascii_digit()
    });
    kept.take(80).collect()
}

fn canonical<T: Debug, E: Debug, F: Debug>(
    input: &[u8],
    decoded: Result<T, E>,
    encode: impl Fn(&T) -> Result<Vec<u8>, F>,
) -> String {
    if let Ok(value) = &decoded {
        assert_eq!(encode(value).expect("what decodes encodes"), input, "the decoder is not canonical");
    }
    outcome(&decoded)
}

/// Where the outcome alone would print secrets or say nothing.
fn told<T, E: Debug>(result: Result<T, E>) -> String {
    outcome(&result.map(|_| "ok"))
}

/// As [`told`], of an error that is in words already.
fn said<T>(result: Result<T, String>) -> String {
    result.map_or_else(|words| branch(&words), |_| "ok".into())
}

macro_rules! messages {
    ($type:ty, $seeds:expr) => {
        Target {
            name: stringify!($type),
            run: |_, input| canonical(input, <$type>::decode(input), |value| value.encode()),
            seeds: |world| {
                let seeds: fn(&World) -> Vec<$type> = $seeds;
                seeds(world).iter().map(|value| value.encode().unwrap()).collect()
            },
        }
    };
}

/// Every decoder there is.
pub(crate) const TARGETS: &[Target] = &[
    messages!(MessageIn, contents),
    messages!(PeerRequest, peer_requests),
    messages!(PeerResponse, peer_responses),
    messages!(Request, requests),
    messages!(Response, responses),
    messages!(Push, |_| vec![Push::Mail { waiting: 3 }, Push::KitsLow { left: 1 }, Push::Presence(vec![presence()])]),
    messages!(EnvelopeIn, |world| vec![envelope(world)]),
    messages!(GroupMessageIn, |world| vec![world.group_message()]),
    Target {
        name: "GroupControl",
        run: |_, input| canonical(input, GroupControl::decode(input), |control| control.clone().encode()),
        seeds: |world| group_controls(world).into_iter().map(|control| control.encode().unwrap()).collect(),
    },
    Target {
        name: "GroupGossip",
        run: |_, input| canonical(input, GroupGossip::decode(input), GroupGossip::encode),
        seeds: |world| {
            let message = Bytes(world.group_message().encode().unwrap());
            let to = PassOn::to(&[AccountId([1; 32]), AccountId([2; 32])]);
            [PassOn::All, to].map(|pass_on| GroupGossip { pass_on, message: message.clone() }.encode().unwrap()).into()
        },
    },
    Target {
        name: "Membership",
        run: |world, input| {
            let mut group = world.group();
            let before = group.view().clone();
            let result = group.add(input);
            assert!(result.is_ok() || *group.view() == before, "what was refused changed something");
            outcome(&result)
        },
        seeds: |world| {
            let mut group = world.group();
            let record = Bytes(world.record.encoded().to_vec());
            let place = |chain| ChainPlace { chain: ChainId([chain; 16]), next: 7 };
            let (member, seen) = (AccountId([9; 32]), vec![place(1), place(2)]);
            let ban = Action::Ban { member, seen: seen.clone() };
            let actions = [Action::Add { record }, ban, Action::Leave { seen }];
            actions.into_iter().map(|action| group.act(&world.identity, action).unwrap().encoded().to_vec()).collect()
        },
    },
    Target {
        name: "MemberChains",
        run: |world, input| {
            let Ok(message) = GroupMessageIn::decode(input) else { return "undecodable".into() };
            let mut chains = MemberChains::new(world.group().group(), world.identity.account_id());
            chains.accept(&world.sender_key().hand_to(AccountId([2; 32])), Timestamp(0)).unwrap();
            let before = chains.to_secret_bytes();
            let result = chains.decrypt(&message, Timestamp(1));
            assert!(result.is_ok() || before == chains.to_secret_bytes(), "a refused message changed something");
            told(result)
        },
        seeds: |world| vec![world.group_message().encode().unwrap()],
    },
    Target {
        name: "GroupInvite",
        run: |_, input| told(GroupInvite::parse(&String::from_utf8_lossy(input))),
        seeds: |world| {
            let pass = InvitePass { id: Fixed([1; 16]), secret: Fixed([2; 16]) };
            let group = world.group().group();
            vec![GroupInvite::new(group, "Hikers".into(), pass, None, "x".repeat(80)).to_link().unwrap().into_bytes()]
        },
    },
    messages!(FetchRequest, |_| vec![
        FetchRequest::Leaves { file: FileId([4; 32]) },
        FetchRequest::Chunks { file: FileId([4; 32]), first: 3, count: 8 },
    ]),
    Target {
        name: "FileControl",
        run: |_, input| canonical(input, FileControl::decode(input), |control| control.clone().encode()),
        seeds: |_| file_controls().into_iter().map(|control| control.encode().unwrap()).collect(),
    },
    Target {
        name: "AnswerHeader",
        run: |_, input| {
            let mut bytes = [0; ANSWER_HEADER_BYTES];
            bytes.iter_mut().zip(input).for_each(|(byte, given)| *byte = *given);
            canonical(&bytes, AnswerHeader::from_bytes(bytes), |header| Ok::<_, ()>(header.to_bytes().to_vec()))
        },
        seeds: |_| vec![AnswerHeader::Chunk { index: 2, length: 16_400 }.to_bytes().to_vec()],
    },
    Target {
        name: "safe_file_name",
        run: |_, input| {
            let safe = validate::safe_file_name(&String::from_utf8_lossy(input));
            assert_eq!(validate::safe_file_name(&safe), safe);
            let text = String::from_utf8_lossy(input);
            let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
            let ways = [
                ("kept", safe == last),
                ("named", safe == "file"),
                ("shown", safe.starts_with('_') && !last.starts_with('_')),
                ("cut", last.len() > safe.len() + 300),
                ("with its extension", last.len() > safe.len() + 300 && safe.contains('.')),
                ("replaced", safe.matches('_').count() > last.matches('_').count() + 1),
                ("left out", safe.chars().count() < last.trim().chars().count()),
            ];
            ways.iter().filter(|(_, taken)| *taken).map(|(way, _)| *way).collect::<Vec<_>>().join(", ")
        },
        seeds: |_| {
            let long = format!("{}.tar.gz", "x".repeat(700));
            let names = ["../a/con.txt", "rtl\u{202e}fdp.exe", "C:\\.x ", "a<b>c:d", "report.pdf", &long];
            names.iter().map(|name| name.as_bytes().to_vec()).collect()
        },
    },
    Target {
        name: "ChunkCipher::open",
        run: |_, input| {
            let (cipher, leaves) = (chunk_cipher(), chunk_leaves());
            let fits = leaves.fits(0, input);
            let opened = cipher.open(0, &mut input.to_vec());
            assert!(!fits || opened.is_ok(), "a chunk that fits its hash does not open");
            told(opened)
        },
        seeds: |_| {
            let mut chunk = b"hello".to_vec();
            chunk_cipher().seal(0, &mut chunk).unwrap();
            vec![chunk]
        },
    },
    Target {
        name: "Record",
        run: |_, input| canonical(input, Record::decode(input), |record| Ok::<_, ()>(record.encoded().to_vec())),
        seeds: |world| vec![world.record.encoded().to_vec()],
    },
    Target {
        name: "Listing",
        run: |_, input| {
            canonical(input, Listing::decode(input, Timestamp(1)), |entry| Ok::<_, ()>(entry.encoded().to_vec()))
        },
        seeds: listings,
    },
    Target {
        name: "Listing, signed",
        run: |world, input| {
            let Ok(mut entry) = ListingIn::decode(input) else { return "undecodable".into() };
            entry.author = world.identity.public().to_wire();
            entry.signature = Fixed([0; 64]);
            let Ok(encoded) = codec::encode(&entry, LISTING_MAX_BYTES) else { return "too long".into() };
            entry.signature = world.identity.sign(Purpose::DirectoryEntry, &[&encoded[..encoded.len() - 64]]).to_wire();
            told(entry.verify(Timestamp(1)))
        },
        seeds: listings,
    },
    Target {
        name: "Record, signed",
        run: |world, input| {
            let Ok(mut record) = RecordIn::decode(input) else { return "undecodable".into() };
            // As a hostile owner would: whatever it says, the signature is right.
            record.identity = world.identity.public().to_wire();
            record.signature = Fixed([0; 64]);
            let Ok(encoded) = codec::encode(&record, RECORD_MAX_BYTES) else { return "too long".into() };
            record.signature = world.identity.sign(Purpose::Record, &[&encoded[..encoded.len() - 64]]).to_wire();
            told(record.verify())
        },
        seeds: |world| vec![world.record.encoded().to_vec()],
    },
    Target {
        name: "IdentityIn",
        run: |_, input| {
            let decoded = codec::decode::<IdentityIn>(input, 256).map_err(|error| format!("{error:?}"));
            said(decoded.and_then(|identity| identity.verify().map_err(|error| format!("{error:?}"))))
        },
        seeds: |world| vec![codec::encode(&world.identity.public().to_wire(), 256).unwrap()],
    },
    Target {
        name: "MailboxDescriptorIn",
        run: |world, input| {
            let decoded = codec::decode::<MailboxDescriptorIn>(input, RECORD_MAX_BYTES).map_err(|e| format!("{e:?}"));
            said(decoded.and_then(|it| it.verify(world.identity.public()).map_err(|error| format!("{error:?}"))))
        },
        seeds: |world| vec![codec::encode(world.descriptor.to_wire(), RECORD_MAX_BYTES).unwrap()],
    },
    Target { name: "sealed::open", run: |world, input| told(sealed::open(&world.mailbox, input)), seeds: envelopes },
    Target {
        name: "sealed::verify_open",
        run: |_, input| {
            let mut padded = input.to_vec();
            padded.resize(96, 0);
            let (key, rest) = padded.split_first_chunk::<32>().unwrap();
            let signature = Fixed(*rest.first_chunk::<64>().unwrap());
            told(sealed::verify_open(&Fixed(*key), b"node", b"alice", &[1; 32], &signature))
        },
        seeds: |world| {
            let signature = world.mailbox.sign_open(b"node", b"alice", &[1; 32]);
            vec![[world.mailbox.auth_key().0.as_slice(), &signature.0].concat()]
        },
    },
    Target {
        name: "Invite",
        run: |_, input| {
            let parsed = Invite::parse(&String::from_utf8_lossy(input));
            if let Ok(invite) = &parsed {
                assert_eq!(Invite::parse(&invite.to_link()).as_ref(), Ok(invite));
            }
            told(parsed)
        },
        seeds: |world| vec![invite(world).to_link().into_bytes(), invite(world).to_qr_text().into_bytes()],
    },
    Target {
        name: "VaultHeader",
        run: |_, input| canonical(input, VaultHeader::parse(input), |header| Ok::<_, ()>(header.to_bytes())),
        seeds: |_| vec![VaultHeader::create("password", Argon2Params::LEAST, &mut rng()).unwrap().0.to_bytes()],
    },
    Target {
        name: "VaultHeader, summed",
        run: |_, input| {
            // As somebody would who manipulates the header: the checksum is right.
            let body = &input[..input.len().min(VaultHeader::BYTES - 16)];
            let sum = kdf::hash_fields("vault/header", &[body]);
            let bytes = [body, &sum[..16]].concat();
            canonical(&bytes, VaultHeader::parse(&bytes), |header| Ok::<_, ()>(header.to_bytes()))
        },
        seeds: |_| vec![VaultHeader::create("password", Argon2Params::LEAST, &mut rng()).unwrap().0.to_bytes()],
    },
    Target {
        name: "TableKey::open",
        run: |world, input| told(world.table.open(b"key", 1, input)),
        seeds: |world| vec![world.table.seal(b"key", 1, b"plaintext", &mut rng())],
    },
    Target {
        name: "RotatingTableKey::open",
        run: |world, input| format!("{}{}", told(world.daily.open(b"key", 1, input)), world.daily.is_current(input)),
        seeds: |world| vec![world.daily.seal(b"key", 1, b"plaintext", &mut rng())],
    },
    Target {
        name: "KeySlots",
        run: |world, input| outcome(&KeySlots::decode(&world.master, input)),
        seeds: |world| vec![world.slots.encode(&world.master, &mut rng())],
    },
    Target {
        name: "MailboxKeys",
        run: |_, input| {
            let decoded = MailboxKeys::from_secret_bytes(input);
            if let Ok(keys) = &decoded {
                assert_eq!(keys.to_secret_bytes().expose(), input, "the decoder is not canonical");
            }
            told(decoded)
        },
        seeds: |world| vec![world.mailbox.to_secret_bytes().expose().to_vec()],
    },
    Target {
        name: "IdentityKeyPair",
        run: |_, input| told(IdentityKeyPair::from_secret_bytes(input)),
        seeds: |world| vec![world.identity.to_secret_bytes().expose().to_vec()],
    },
    Target {
        name: "BundleIn",
        run: |_, input| {
            let encode = |bundle: &BundleIn| codec::encode(bundle, BUNDLE_MAX_BYTES);
            let decoded = codec::decode::<BundleIn>(input, BUNDLE_MAX_BYTES);
            let verdict = decoded.as_ref().ok().map(|bundle| bundle.verify(Timestamp(DAY_MS), None).map(|_| "ok"));
            canonical(input, decoded, encode) + &format!("{verdict:?}")
        },
        seeds: |world| vec![codec::encode(&world.bob.bundle, BUNDLE_MAX_BYTES).unwrap()],
    },
    Target {
        name: "SessionSet, first",
        run: |world, input| world.bob.decrypt(&world.bob.unmet, input),
        seeds: |world| vec![world.bob.first.clone()],
    },
    Target {
        name: "SessionSet, later",
        run: |world, input| world.bob.decrypt(&world.bob.met, input),
        seeds: |world| world.bob.later.iter().chain([&world.bob.first]).cloned().collect(),
    },
    Target {
        name: "peek_initial",
        run: |_, input| told(session::peek_initial(input)),
        seeds: |world| vec![world.bob.first.clone(), world.bob.later[0].clone()],
    },
    Target {
        name: "SessionSet",
        run: |_, input| told(SessionSet::from_secret_bytes(input)),
        seeds: |world| vec![world.bob.met.expose().to_vec(), world.bob.unmet.expose().to_vec()],
    },
    Target {
        name: "PreKeys",
        run: |_, input| told(PreKeys::from_secret_bytes(input)),
        seeds: |world| vec![world.bob.prekeys.expose().to_vec()],
    },
    Target {
        name: "padding",
        run: |_, input| {
            let unpadded = padding::unpad(input);
            if let Ok(plaintext) = unpadded {
                assert_eq!(padding::pad(plaintext), input, "the padding is not canonical");
            }
            told(unpadded)
        },
        seeds: |_| vec![padding::pad(b"text"), padding::pad(&[0x80; 5_000])],
    },
    Target { name: "validate", run: validated, seeds: |_| texts() },
];

fn validated(_: &World, input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    for shown in [validate::escape_for_terminal(&text), validate::escape_lines_for_terminal(&text)] {
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "a control character got through");
    }
    let _ = validate::skeleton(&text);
    [
        told(Username::parse(&text)),
        told(validate::check_text(&text)),
        told(validate::check_greeting(&text)),
        told(validate::check_reaction(&text)),
        told(validate::check_address(&text)),
        told(validate::check_home(&text)),
    ]
    .concat()
}

fn texts() -> Vec<Vec<u8>> {
    let texts = [
        "Alice_1",
        "hello\nworld",
        "👩‍👩‍👧",
        "1️⃣",
        "🏴\u{e0067}\u{e007f}",
        "a\u{202e}b\u{1b}[31m",
        "می\u{200c}خواهم",
        HOME,
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn envelope(world: &World) -> EnvelopeIn {
    EnvelopeIn { from: world.identity.account_id(), messages: vec![Bytes(vec![1; 60]), Bytes(vec![2; 300])] }
}

fn envelopes(world: &World) -> Vec<Vec<u8>> {
    let inner = envelope(world).encode().unwrap();
    vec![sealed::seal(&world.descriptor, &inner, &mut rng()).unwrap()]
}

fn invite(world: &World) -> Invite {
    let fields = InviteFields {
        name: Username::parse("Alice").unwrap(),
        peers: vec![[7; 32]],
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".into()],
        homes: vec![HOME.into()],
        mailbox: Some(world.descriptor.mailbox_id()),
        expires: Some(Timestamp(1_000)),
    };
    Invite::create(&world.identity, fields, &mut rng()).unwrap()
}

fn profile(world: &World) -> Profile {
    Profile { record: Bytes(world.record.encoded().to_vec()), addresses: vec!["/memory/1".into()], tokens: None }
}

fn contents(world: &World) -> Vec<MessageIn> {
    let (id, author) = (MessageId([3; 16]), AccountId([4; 32]));
    let target = MessageRef { author, id };
    let bodies = [
        Content::Text { text: "hello".into(), reply_to: Some(target) },
        Content::Edit { target: id, text: "hallo".into() },
        Content::Delete { target: id },
        Content::Reaction { target, emoji: "👍".into() },
        Content::Receipt { kind: ReceiptKind::Read, ids: vec![id; 3] },
        Content::Typing { active: true },
        Content::GroupTyping { group: GroupId([1; 32]) },
        Content::Request { greeting: "hi".into(), profile: profile(world), invite: Some(Fixed([2; 16])) },
        Content::Accepted { profile: profile(world) },
        Content::Declined,
        Content::FloorRaised,
        Content::SessionReset,
        Content::Group { group: GroupId([5; 32]), payload: Bytes(vec![6; 9]) },
        Content::File { payload: Bytes(vec![7; 9]) },
    ];
    let message = |body| MessageIn {
        version: MESSAGE_VERSION,
        id,
        seq: 300,
        floor: 299,
        sent: Timestamp(1 << 40),
        record_seq: 1,
        body,
    };
    bodies.into_iter().map(message).collect()
}

fn hello(world: &World) -> Hello {
    Hello {
        record: Bytes(world.record.encoded().to_vec()),
        addresses: vec!["/memory/1".into()],
        status: Some(PresenceStatus::Online),
    }
}

fn peer_requests(world: &World) -> Vec<PeerRequest> {
    let messages = vec![Bytes(vec![1; 60]), Bytes(vec![2; 300])];
    let heads = vec![OperationId([2; 32])];
    let fetch = GroupFetch {
        group: GroupId([1; 32]),
        heads,
        places: vec![(ChainId([3; 16]), 7)],
        newest: vec![MessageHash([4; 32])],
        named: vec![MessageHash([5; 32])],
    };
    vec![
        PeerRequest::Hello(hello(world)),
        PeerRequest::Deliver { messages },
        PeerRequest::Bundle,
        PeerRequest::GroupFetch(fetch),
    ]
}

fn peer_responses(world: &World) -> Vec<PeerResponse> {
    let statuses = vec![DeliveryStatus::Stored, DeliveryStatus::SlowDown { retry_after_ms: 1_000 }];
    vec![
        PeerResponse::Hello(hello(world)),
        PeerResponse::Delivered { statuses },
        PeerResponse::Bundle { bundle: Bytes(vec![1; 60]) },
        PeerResponse::GroupMissing(GroupMissing {
            operations: vec![Bytes(vec![1; 60])],
            messages: vec![Bytes(vec![2; 60])],
            named: vec![Bytes(vec![3; 60])],
            yours: vec![(ChainId([3; 16]), 7)],
            more: true,
        }),
    ]
}

fn requests(world: &World) -> Vec<Request> {
    let account = world.identity.account_id();
    vec![
        Request::Info,
        Request::Register { record: Bytes(world.record.encoded().to_vec()) },
        Request::Announce { addresses: vec!["/memory/1".into()] },
        Request::Lookup(Who::Name("Alice".into())),
        Request::Lookup(Who::Accounts(vec![account; 2])),
        Request::Online { after: Some(account), limit: 100 },
        Request::SetPresence(PresenceStatus::Away),
        Request::Watch { accounts: vec![account; 3] },
        Request::PublishPreKeys { signed: Bytes(vec![1; 40]), kits: vec![Bytes(vec![2; 40]); 2], replace: true },
        Request::OpenMailbox { auth_key: Fixed([1; 32]), signature: Fixed([2; 64]) },
        Request::AddTokens { hashes: vec![Fixed([3; 32]); 2] },
        Request::Fetch { after: 70_000, max_bytes: 1 << 20 },
        Request::Acknowledge { up_to: 300 },
        Request::Deposit {
            mailbox: MailboxId([4; 32]),
            payment: Payment::Work { hour: 480_000, nonce: 1 << 33 },
            id: EnvelopeId([5; 16]),
            sealed: Bytes(vec![6; 300]),
        },
        Request::Directory(DirectoryRequest::Publish { listing: Bytes(listing(world)) }),
        Request::Directory(DirectoryRequest::Withdraw { group: GroupId([7; 32]) }),
        Request::Directory(DirectoryRequest::Search {
            query: "rust fans".into(),
            after: Some(Bytes(vec![8; 9])),
            limit: 50,
        }),
        Request::GroupLog(GroupLogRequest::Append {
            write_key: Fixed([1; 32]),
            read_hash: Fixed([2; 32]),
            id: EnvelopeId([3; 16]),
            sealed: Bytes(vec![4; 300]),
            signature: Fixed([5; 64]),
            stamp: Some(LogStamp { hour: 480_000, nonce: 1 << 33 }),
        }),
        Request::GroupLog(GroupLogRequest::Read {
            log: LogId([1; 32]),
            read_token: Fixed([2; 32]),
            after: 70_000,
            max_bytes: 1 << 20,
        }),
    ]
    .into_iter()
    .chain(blob_requests())
    .collect()
}

fn blob_requests() -> Vec<Request> {
    let (blob, token) = (BlobId([1; 32]), Fixed([2; 32]));
    let charges = [BlobCharge::Account, BlobCharge::Mailbox { mailbox: MailboxId([3; 32]), token }];
    let create = charges.map(|charge| BlobRequest::Create {
        owner_hash: token,
        read_hash: token,
        chunk_bytes: 262_160,
        chunks: 200,
        expires_hours: 168,
        charge,
    });
    let others = [
        BlobRequest::Put { blob, owner_token: token, index: 199, sealed: Bytes(vec![4; 300]) },
        BlobRequest::Get { blob, read_token: token, index: 300 },
        BlobRequest::Stat { blob, token },
        BlobRequest::Delete { blob, owner_token: token },
        BlobRequest::CountDownload { blob, read_token: token, receipt: EnvelopeId([5; 16]) },
    ];
    create.into_iter().chain(others).map(Request::Blob).collect()
}

fn listing(world: &World) -> Vec<u8> {
    listing_at(world, &[])
}

/// With an admin who is nowhere, and with one who has rendezvous nodes.
fn listings(world: &World) -> Vec<Vec<u8>> {
    vec![listing(world), listing_at(world, &[HOME])]
}

fn listing_at(world: &World, homes: &[&str]) -> Vec<u8> {
    let homes: Vec<String> = homes.iter().map(|home| (*home).to_owned()).collect();
    let fields = ListingFields {
        group: GroupId([7; 32]),
        name: GroupName::parse("Rust Fans").expect("a name"),
        description: "Ferris and friends".into(),
        join: ListedJoin::Open,
        members: 300,
        admins: vec![ListedAdmin { account: world.identity.account_id(), homes }],
        seq: 1,
        lifetime_ms: LISTING_LIFETIME_MAX_MS,
    };
    Listing::create(&world.identity, fields, Timestamp(0)).expect("an entry").encoded().to_vec()
}

fn presence() -> Presence {
    Presence { account: AccountId([1; 32]), status: PresenceStatus::Offline, last_seen: Some(Timestamp(1 << 40)) }
}

fn responses(_: &World) -> Vec<Response> {
    let stored = StoredEnvelope { seq: 1, id: EnvelopeId([5; 16]), sealed: Bytes(vec![6; 300]) };
    let entry = LogEntry { position: 1, id: EnvelopeId([5; 16]), sealed: Bytes(vec![6; 300]) };
    let state = BlobState {
        chunk_bytes: 262_160,
        chunks: 200,
        present: Bytes(vec![0xff; 25]),
        downloads: 3,
        expires_hours: 168,
    };
    let info = NodeInfo { version: "0.1.0".into(), now: Timestamp(1 << 40), envelope_max_bytes: 65_536, work_bits: 16 };
    vec![
        Response::Done,
        Response::Info(info),
        Response::Registered { new: true, kits_left: 3 },
        Response::Presence(vec![presence(); 2]),
        Response::Challenge(Fixed([1; 32])),
        Response::Mail { envelopes: vec![stored; 2], more: true },
        Response::Refused(Refusal::SlowDown { retry_after_ms: 1_000 }),
        Response::Listings { listings: vec![Bytes(vec![1; 200]); 2], next: Some(Bytes(vec![2; 9])) },
        Response::Appended { position: 300 },
        Response::Log { entries: vec![entry; 2], more: true },
        Response::Blob(state),
        Response::Chunk { sealed: Bytes(vec![6; 300]) },
    ]
}

fn chunk_cipher() -> ChunkCipher {
    ChunkCipher::new(FileKey::from_bytes([5; 32]), FileId([4; 32]), Geometry::for_size(5).unwrap())
}

fn chunk_leaves() -> Leaves {
    let cipher = chunk_cipher();
    let mut pass = FirstPass::new(&cipher);
    pass.take(&mut b"hello".to_vec()).unwrap();
    pass.finish().unwrap().leaves
}

fn file_controls() -> Vec<FileControl> {
    let (file, leaves) = (FileId([4; 32]), chunk_leaves());
    let manifest = Manifest {
        file,
        key: ManifestKey::of(&FileKey::from_bytes([5; 32])),
        name: "hello.txt".into(),
        mime: "text/plain".into(),
        size: 5,
        chunk_bytes: chunk_cipher().geometry().chunk_bytes(),
        root: Fixed(leaves.root()),
        leaves: Bytes(leaves.to_bytes()),
        sha256: Fixed([1; 32]),
        caption: "look".into(),
        preview: Some(Preview { width: 3, height: 2, jpeg: Bytes(vec![1, 2, 3]) }),
        expires: Some(Timestamp(1_700_000_000_000)),
    };
    let place = StoredAt { home: "/memory/1".into(), blob: BlobId([1; 32]), read_token: Fixed([2; 32]) };
    vec![
        FileControl::Shared(Box::new(manifest)),
        FileControl::Deleted { file },
        FileControl::Downloaded { file },
        FileControl::Stored { file, places: vec![place] },
    ]
}
