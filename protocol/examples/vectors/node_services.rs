//! Frozen vectors of what groups and files leave at a rendezvous node:
//! `protocol/vectors/node_services.json`, which `protocol/vectors/check_services.py` reads.

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::blob::BlobKeys;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::group_log::{LogKeys, log_as_mailbox, work as subject};
use secure_chat_protocol::id::{EnvelopeId, GroupId, Timestamp};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::limits::{DAY_MS, HOUR_MS};
use secure_chat_protocol::listing::{ListedAdmin, ListedJoin, Listing, ListingFields};
use secure_chat_protocol::validate::GroupName;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{
    BlobCharge, BlobRequest, BlobState, DirectoryRequest, GroupLogRequest, LogEntry, LogStamp, Request, Response,
};
use secure_chat_protocol::work;
use serde_json::{Value, json};

const HOME: &str = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
const NODE: &[u8] = b"node";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn listing() -> Value {
    let mut rng = ChaCha20Rng::seed_from_u64(30_000);
    let identity = IdentityKeyPair::generate(&mut rng, Timestamp(1_700_000_000_000));
    let fields = ListingFields {
        group: GroupId([7; 32]),
        name: GroupName::parse("Rust Fans").unwrap(),
        description: "Ferris and friends".into(),
        join: ListedJoin::Approval,
        members: 300,
        admins: vec![ListedAdmin { account: identity.account_id(), homes: vec![HOME.into()] }],
        seq: 3,
        lifetime_ms: 7 * DAY_MS,
    };
    let entry = Listing::create(&identity, fields, Timestamp(1_700_000_000_001)).unwrap();
    let publish = Request::Directory(DirectoryRequest::Publish { listing: Bytes(entry.encoded().to_vec()) });
    json!({ "author": hex(identity.account_id()), "publish": hex(publish.encode().unwrap()) })
}

fn log() -> Value {
    let secret = [3; 32];
    let keys = LogKeys::derive(&Secret::from_bytes(secret));
    let (id, sealed) = (EnvelopeId([9; 16]), vec![5; 300]);
    let mailbox = log_as_mailbox(keys.log_id());
    let bits = 12;
    let stamp =
        work::solve(&subject(NODE, &mailbox, &id, &sealed), Timestamp(470_000 * HOUR_MS), bits, u64::MAX).unwrap();
    let append = Request::GroupLog(GroupLogRequest::Append {
        write_key: keys.write_key(),
        read_hash: keys.read_hash(),
        id,
        signature: keys.sign_append(NODE, &id, &sealed),
        sealed: Bytes(sealed.clone()),
        stamp: Some(LogStamp { hour: stamp.hour, nonce: stamp.nonce }),
    });
    let read = Request::GroupLog(GroupLogRequest::Read {
        log: keys.log_id(),
        read_token: keys.read_token(),
        after: 70_000,
        max_bytes: 1 << 20,
    });
    let entries = vec![LogEntry { position: 1 << 24, id, sealed: Bytes(sealed) }];
    let answer = Response::Log { entries, more: true };
    json!({
        "group_secret": hex(secret), "node_peer": hex(NODE), "log_id": hex(keys.log_id()), "bits": bits,
        "append": hex(append.encode().unwrap()), "read": hex(read.encode().unwrap()),
        "answer": hex(answer.encode().unwrap()),
    })
}

fn blob() -> Value {
    let seed = [4; 32];
    let keys = BlobKeys::from_seed(Secret::from_bytes(seed));
    let create = Request::Blob(BlobRequest::Create {
        owner_hash: keys.owner_hash(),
        read_hash: keys.read_hash(),
        chunk_bytes: 262_160,
        chunks: 20,
        expires_hours: 168,
        charge: BlobCharge::Account,
    });
    let blob = keys.blob_id();
    let put = BlobRequest::Put { blob, owner_token: keys.owner_token(), index: 19, sealed: Bytes(vec![6; 40]) };
    let get = BlobRequest::Get { blob, read_token: keys.read_token(), index: 19 };
    let state = BlobState {
        chunk_bytes: 262_160,
        chunks: 20,
        present: Bytes(vec![0b1001, 0, 0b1000]),
        downloads: 2,
        expires_hours: 100,
    };
    let there: Vec<u32> = (0..20).filter(|index| state.has(*index)).collect();
    json!({
        "seed": hex(seed), "blob_id": hex(blob),
        "create": hex(create.encode().unwrap()),
        "put": hex(Request::Blob(put).encode().unwrap()),
        "get": hex(Request::Blob(get).encode().unwrap()),
        "state": hex(Response::Blob(state).encode().unwrap()),
        "there": there,
    })
}

pub(crate) fn vectors() -> Value {
    json!({ "listing": listing(), "log": log(), "blob": blob() })
}
