//! What is said about files: inside sessions, as the payload of
//! [`crate::wire::content::Content::File`]; and between a holder of a file and
//! whoever fetches it, on a stream of their own (protocol `/secure-chat/files/1`).

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::crypto::aead::TAG_BYTES;
use crate::file::{FileKey, Geometry, GeometryError, LEAF_BYTES, Leaves, LeavesError};
use crate::id::{BlobId, FileId, Timestamp};
use crate::limits::{
    ADDRESS_MAX_BYTES, CAPTION_MAX_BYTES, CHUNK_MAX_BYTES, FETCH_MAX_CHUNKS, FETCH_REQUEST_MAX_BYTES, FILE_CHUNKS_MAX,
    FILE_NAME_MAX_BYTES, HOMES_MAX, MANIFEST_LEAVES_MAX, MIME_MAX_BYTES, PLAINTEXT_MAX_BYTES, PREVIEW_MAX_BYTES,
    PREVIEW_MAX_PIXELS,
};
use crate::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};

/// The libp2p protocol name of streams on which files are fetched.
pub const FILES_PROTOCOL: &str = "/secure-chat/files/1";
/// The version of [`FileControl`] that this code writes and understands.
pub const FILE_CONTROL_VERSION: u8 = 1;

/// A message about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileControlIn {
    /// [`FILE_CONTROL_VERSION`].
    pub version: u8,
    /// What is said.
    pub body: FileControl,
}

/// What is said about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileControl {
    /// The author shares a file.
    Shared(Box<Manifest>),
    /// The author takes a file of theirs back.
    Deleted {
        /// Which.
        file: FileId,
    },
    /// The author has the whole file of the recipient.
    Downloaded {
        /// Which.
        file: FileId,
    },
    /// The author's file waits at rendezvous nodes as well.
    Stored {
        /// Which.
        file: FileId,
        /// At most [`HOMES_MAX`].
        places: Vec<StoredAt>,
    },
}

/// All that a recipient needs: what the file is, its key, and how its chunks are known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Chosen at random by whoever shares it.
    pub file: FileId,
    /// The key of its chunks.
    pub key: ManifestKey,
    /// Its name, at most [`FILE_NAME_MAX_BYTES`]. To be made safe by the recipient.
    pub name: String,
    /// Its media type, at most [`MIME_MAX_BYTES`].
    pub mime: String,
    /// Bytes.
    pub size: u64,
    /// Bytes of each chunk but the last.
    pub chunk_bytes: u32,
    /// The root of the tree over its encrypted chunks.
    pub root: Fixed<32>,
    /// The leaves of that tree, for files with at most [`MANIFEST_LEAVES_MAX`] chunks; else empty.
    pub leaves: Bytes,
    /// SHA-256 of the plaintext.
    pub sha256: Fixed<32>,
    /// What its sharer says about it, at most [`CAPTION_MAX_BYTES`].
    pub caption: String,
    /// How an image looks.
    pub preview: Option<Preview>,
    /// It is gone from then on.
    pub expires: Option<Timestamp>,
}

/// The key in a manifest: wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestKey(Fixed<32>);

impl ManifestKey {
    /// As it stands in the manifest.
    #[must_use]
    pub fn of(key: &FileKey) -> Self {
        Self(Fixed(*key.expose()))
    }

    /// For use.
    #[must_use]
    pub fn to_key(&self) -> FileKey {
        FileKey::from_bytes(self.0.0)
    }
}

impl Drop for ManifestKey {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

impl fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManifestKey(…)")
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({:?}, {} bytes)", self.file, self.size)
    }
}

/// A small picture of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// JPEG, at most [`PREVIEW_MAX_BYTES`]. To be decoded with limits.
    pub jpeg: Bytes,
}

/// A file's chunks at a rendezvous node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAt {
    /// The node's address, with its peer id.
    pub home: String,
    /// The blob there.
    pub blob: BlobId,
    /// What must be shown to read it.
    pub read_token: Fixed<32>,
}

/// Why what is said about a file is refused. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Not an encoding.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Written by a newer version.
    #[error("the message about a file has version {0}, which is not known here")]
    Version(u8),
    /// A part of it is longer than its limit.
    #[error("a part of the message about a file is longer than allowed")]
    TooLong,
    /// Its size and chunks don't fit together.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Its hashes don't belong to its root.
    #[error(transparent)]
    Leaves(#[from] LeavesError),
}

impl FileControl {
    /// Its encoding.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] over [`PLAINTEXT_MAX_BYTES`].
    pub fn encode(self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(&FileControlIn { version: FILE_CONTROL_VERSION, body: self }, PLAINTEXT_MAX_BYTES)
    }

    /// Decodes and checks every bound.
    ///
    /// # Errors
    /// [`TransferError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, TransferError> {
        let control: FileControlIn = codec::decode(bytes, PLAINTEXT_MAX_BYTES)?;
        if control.version != FILE_CONTROL_VERSION {
            return Err(TransferError::Version(control.version));
        }
        match &control.body {
            Self::Shared(manifest) => manifest.check()?,
            Self::Stored { places, .. } => {
                let long = |place: &StoredAt| place.home.len() > ADDRESS_MAX_BYTES;
                if places.len() > HOMES_MAX || places.iter().any(long) {
                    return Err(TransferError::TooLong);
                }
            }
            Self::Deleted { .. } | Self::Downloaded { .. } => {}
        }
        Ok(control.body)
    }
}

impl Manifest {
    fn check(&self) -> Result<(), TransferError> {
        let preview = self.preview.as_ref().is_none_or(|preview| {
            preview.jpeg.0.len() <= PREVIEW_MAX_BYTES
                && preview.width <= PREVIEW_MAX_PIXELS
                && preview.height <= PREVIEW_MAX_PIXELS
        });
        let short = self.name.len() <= FILE_NAME_MAX_BYTES
            && self.mime.len() <= MIME_MAX_BYTES
            && self.caption.len() <= CAPTION_MAX_BYTES;
        if !preview || !short {
            return Err(TransferError::TooLong);
        }
        let geometry = self.geometry()?;
        if self.leaves.0.is_empty() != (geometry.count() > MANIFEST_LEAVES_MAX) {
            return Err(TransferError::Leaves(LeavesError));
        }
        self.leaves()?;
        Ok(())
    }

    /// How the file is cut.
    ///
    /// # Errors
    /// [`GeometryError`]
    pub fn geometry(&self) -> Result<Geometry, GeometryError> {
        Geometry::new(self.size, self.chunk_bytes)
    }

    /// The hashes of its chunks, when the manifest carries them.
    ///
    /// # Errors
    /// [`TransferError`] when they are not those of the root.
    pub fn leaves(&self) -> Result<Option<Leaves>, TransferError> {
        if self.leaves.0.is_empty() {
            return Ok(None);
        }
        Ok(Some(Leaves::verify(&self.leaves.0, &self.geometry()?, &self.root.0)?))
    }
}

/// What somebody asks a holder of a file, on a stream of [`FILES_PROTOCOL`]: one
/// after the other, each as its length (16 bits, little-endian) and its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchRequest {
    /// The hashes of all chunks. Answered by [`AnswerHeader::Leaves`].
    Leaves {
        /// Of which file.
        file: FileId,
    },
    /// Chunks in a row. Answered by one [`AnswerHeader::Chunk`] for each, in order.
    Chunks {
        /// Of which file.
        file: FileId,
        /// The first.
        first: u32,
        /// How many, at most [`FETCH_MAX_CHUNKS`].
        count: u16,
    },
}

impl FetchRequest {
    /// Its encoding.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, FETCH_REQUEST_MAX_BYTES)
    }

    /// Decodes one.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request: Self = codec::decode(bytes, FETCH_REQUEST_MAX_BYTES)?;
        match request {
            Self::Chunks { count, .. } if count == 0 || count > FETCH_MAX_CHUNKS => Err(DecodeError::Malformed),
            _ => Ok(request),
        }
    }
}

/// Why a holder does not hand over what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefusal {
    /// There is no such file here, or not for whoever asks.
    #[error("the file is not to be had there")]
    NotHere,
    /// The source was changed since it was shared: it is another file now.
    #[error("the file was changed after it was shared")]
    Changed,
    /// The source can't be read now.
    #[error("the file can't be read there now")]
    Unreadable,
    /// Too many transfers: try again later.
    #[error("there are too many transfers there now")]
    Busy,
}

/// What stands before each part of a holder's answer: nine bytes, then
/// `length` bytes of ciphertext or hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerHeader {
    /// An encrypted chunk.
    Chunk {
        /// Which.
        index: u32,
        /// Bytes that follow.
        length: u32,
    },
    /// The hashes of all chunks.
    Leaves {
        /// Bytes that follow.
        length: u32,
    },
    /// Nothing follows, and nothing more of what this request asked for.
    Refused(FetchRefusal),
}

/// Bytes of an [`AnswerHeader`].
pub const ANSWER_HEADER_BYTES: usize = 9;

impl AnswerHeader {
    /// `kind 1 ‖ number 4 ‖ length 4`, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ANSWER_HEADER_BYTES] {
        let (kind, number, length) = match self {
            Self::Chunk { index, length } => (0, index, length),
            Self::Leaves { length } => (1, 0, length),
            Self::Refused(refusal) => (2, refusal as u32, 0),
        };
        let mut bytes = [0; ANSWER_HEADER_BYTES];
        let (first, rest) = bytes.split_at_mut(1);
        let (middle, last) = rest.split_at_mut(4);
        first.copy_from_slice(&[kind]);
        middle.copy_from_slice(&u32::to_le_bytes(number));
        last.copy_from_slice(&u32::to_le_bytes(length));
        bytes
    }

    /// Reads one, and holds its length against what there can be.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`]
    pub fn from_bytes(bytes: [u8; ANSWER_HEADER_BYTES]) -> Result<Self, DecodeError> {
        let [kind, a, b, c, d, e, f, g, h] = bytes;
        let (number, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let chunk_max = u64::from(CHUNK_MAX_BYTES).saturating_add(TAG_BYTES as u64);
        let leaves_max = u64::from(FILE_CHUNKS_MAX).saturating_mul(LEAF_BYTES as u64);
        let refusals = [FetchRefusal::NotHere, FetchRefusal::Changed, FetchRefusal::Unreadable, FetchRefusal::Busy];
        match (kind, length) {
            (0, _) if u64::from(length) <= chunk_max => Ok(Self::Chunk { index: number, length }),
            (1, _) if number == 0 && u64::from(length) <= leaves_max => Ok(Self::Leaves { length }),
            (2, 0) => {
                let refusal = refusals.into_iter().find(|refusal| *refusal as u32 == number);
                refusal.map(Self::Refused).ok_or(DecodeError::Malformed)
            }
            _ => Err(DecodeError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{ChunkCipher, FirstPass};
    use proptest::prelude::*;

    fn manifest() -> Manifest {
        let (key, file) = (FileKey::from_bytes([1; 32]), FileId([2; 32]));
        let geometry = Geometry::for_size(10).unwrap();
        let cipher = ChunkCipher::new(FileKey::from_bytes([1; 32]), file, geometry);
        let mut pass = FirstPass::new(&cipher);
        pass.take(&mut vec![3; 10]).unwrap();
        let digests = pass.finish().unwrap();
        Manifest {
            file,
            key: ManifestKey::of(&key),
            name: "a.txt".into(),
            mime: "text/plain".into(),
            size: 10,
            chunk_bytes: geometry.chunk_bytes(),
            root: Fixed(digests.leaves.root()),
            leaves: Bytes(digests.leaves.to_bytes()),
            sha256: Fixed(digests.sha256),
            caption: String::new(),
            preview: None,
            expires: None,
        }
    }

    fn decoded(manifest: Manifest) -> Result<FileControl, TransferError> {
        FileControl::decode(&FileControl::Shared(Box::new(manifest)).encode().unwrap())
    }

    #[test]
    fn a_manifest_reads_back_and_never_shows_its_key_or_name() {
        assert_eq!(decoded(manifest()), Ok(FileControl::Shared(Box::new(manifest()))));
        let shown = format!("{:?}", FileControl::Shared(Box::new(manifest())));
        assert!(!shown.contains("a.txt") && !shown.contains("1, 1"), "{shown}");
    }

    #[test]
    fn what_does_not_fit_together_is_refused_when_it_arrives() {
        let wrong = |change: fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            decoded(manifest).unwrap_err()
        };
        assert_eq!(wrong(|it| it.name = "x".repeat(256)), TransferError::TooLong);
        assert_eq!(wrong(|it| it.caption = "x".repeat(CAPTION_MAX_BYTES + 1)), TransferError::TooLong);
        assert_eq!(
            wrong(|it| it.preview = Some(Preview { width: 321, height: 1, jpeg: Bytes::default() })),
            TransferError::TooLong
        );
        assert!(matches!(wrong(|it| it.size = u64::MAX), TransferError::Geometry(_)));
        assert!(matches!(wrong(|it| it.chunk_bytes = 3), TransferError::Geometry(_)));
        assert!(matches!(wrong(|it| it.root = Fixed([0; 32])), TransferError::Leaves(_)));
        assert!(matches!(wrong(|it| it.leaves = Bytes::default()), TransferError::Leaves(_)));
        assert!(matches!(wrong(|it| it.size = 1 << 20), TransferError::Leaves(_)), "more chunks than hashes");
    }

    #[test]
    fn the_largest_manifest_fits_into_a_message() {
        let mut largest = manifest();
        largest.size = u64::from(MANIFEST_LEAVES_MAX) * 262_144;
        largest.leaves = Bytes(vec![0; MANIFEST_LEAVES_MAX as usize * LEAF_BYTES]);
        largest.name = "n".repeat(FILE_NAME_MAX_BYTES);
        largest.mime = "m".repeat(MIME_MAX_BYTES);
        largest.caption = "c".repeat(CAPTION_MAX_BYTES);
        largest.preview = Some(Preview { width: 1, height: 1, jpeg: Bytes(vec![0; PREVIEW_MAX_BYTES]) });
        let bytes = FileControl::Shared(Box::new(largest)).encode().unwrap();
        assert!(bytes.len() + 1_024 < PLAINTEXT_MAX_BYTES, "{}", bytes.len());
    }

    proptest! {
        #[test]
        fn a_header_that_is_read_writes_the_same_bytes(bytes in any::<[u8; 9]>()) {
            if let Ok(header) = AnswerHeader::from_bytes(bytes) {
                prop_assert_eq!(header.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn every_header_reads_back() {
        for header in [
            AnswerHeader::Chunk { index: 9, length: 4 * 1024 * 1024 + 16 },
            AnswerHeader::Leaves { length: 2 * 1024 * 1024 },
            AnswerHeader::Refused(FetchRefusal::Busy),
        ] {
            assert_eq!(AnswerHeader::from_bytes(header.to_bytes()), Ok(header));
        }
        let long = AnswerHeader::Chunk { index: 0, length: 4 * 1024 * 1024 + 17 };
        assert!(AnswerHeader::from_bytes(long.to_bytes()).is_err());
    }
}
