//! Frozen vectors of shared files: chunks, hashes, what is said about them, and how they are
//! fetched: `protocol/vectors/shared_files.json`, which `protocol/vectors/check_files.py` reads.

use secure_chat_protocol::file::{ChunkCipher, FileKey, FirstPass, Geometry, leaf};
use secure_chat_protocol::id::{AccountId, BlobId, FileId, Timestamp};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::transfer::{
    AnswerHeader, FetchRefusal, FetchRequest, FileControl, Manifest, ManifestKey, Preview, StoredAt,
};
use serde_json::{Value, json};

const HOME: &str = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
const FILE: FileId = FileId([0x11; 32]);
const KEY: [u8; 32] = [0x22; 32];

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Byte `i` of every file here is `i mod 251`.
fn plaintext(geometry: &Geometry, index: u32) -> Vec<u8> {
    let bytes = geometry.plain_bytes(index) as u64;
    (0..bytes).map(|at| u8::try_from((geometry.offset(index) + at) % 251).unwrap()).collect()
}

fn file(size: u64) -> Value {
    let geometry = Geometry::for_size(size).unwrap();
    let cipher = ChunkCipher::new(FileKey::from_bytes(KEY), FILE, geometry);
    let mut pass = FirstPass::new(&cipher);
    let mut chunks = Vec::new();
    for index in 0..geometry.count() {
        let mut chunk = plaintext(&geometry, index);
        pass.take(&mut chunk).unwrap();
        chunks.push(json!({ "bytes": chunk.len(), "leaf": hex(leaf(&chunk)), "tag": hex(&chunk[chunk.len() - 16..]) }));
    }
    let digests = pass.finish().unwrap();
    let preview = Preview { width: 320, height: 9, jpeg: Bytes(vec![0xff, 0xd8]) };
    let manifest = Manifest {
        file: FILE,
        key: ManifestKey::of(&FileKey::from_bytes(KEY)),
        name: "Brief über Öl.pdf".into(),
        mime: "application/pdf".into(),
        size,
        chunk_bytes: geometry.chunk_bytes(),
        root: Fixed(digests.leaves.root()),
        leaves: Bytes(digests.leaves.to_bytes()),
        sha256: Fixed(digests.sha256),
        caption: "for Sunday".into(),
        preview: (size > 0).then_some(preview),
        expires: (size > 0).then_some(Timestamp(1_700_000_000_000)),
    };
    json!({
        "size": size, "chunks": chunks, "root": hex(digests.leaves.root()), "sha256": hex(digests.sha256),
        "shared": hex(FileControl::Shared(Box::new(manifest)).encode().unwrap()),
    })
}

fn said() -> Value {
    let places = vec![StoredAt { home: HOME.into(), blob: BlobId([5; 32]), read_token: Fixed([6; 32]) }];
    json!({
        "deleted": hex(FileControl::Deleted { file: FILE }.encode().unwrap()),
        "downloaded": hex(FileControl::Downloaded { file: FILE }.encode().unwrap()),
        "stored": hex(FileControl::Stored { file: FILE, places }.encode().unwrap()),
    })
}

fn fetched() -> Value {
    json!({
        "leaves": hex(FetchRequest::Leaves { file: FILE }.encode().unwrap()),
        "chunks": hex(FetchRequest::Chunks { file: FILE, first: 70_000, count: 64 }.encode().unwrap()),
        "a_chunk": hex(AnswerHeader::Chunk { index: 7, length: 262_160 }.to_bytes()),
        "all_leaves": hex(AnswerHeader::Leaves { length: 96 }.to_bytes()),
        "changed": hex(AnswerHeader::Refused(FetchRefusal::Changed).to_bytes()),
    })
}

pub(crate) fn vectors() -> Value {
    let receipt = FileKey::from_bytes(KEY).download_receipt(&BlobId([5; 32]), &AccountId([7; 32]));
    json!({
        "file_id": hex(FILE), "key": hex(KEY), "home": HOME,
        "files": [file(0), file(16_385), file(600_000), file(1_400_000)],
        "said": said(), "fetched": fetched(),
        "receipt": { "blob": hex(BlobId([5; 32])), "reader": hex(AccountId([7; 32])), "receipt": hex(receipt) },
    })
}
