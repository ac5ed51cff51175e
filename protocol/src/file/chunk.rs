//! The encryption of a chunk: ChaCha20-Poly1305 under the file's own key, with a
//! nonce that its place gives.
//!
//! A key and a nonce meet again whenever a chunk is encrypted again. That is safe
//! only for the same bytes: what is encrypted a second time must be compared with
//! the hash of the first ([`super::leaf`]) before it leaves.

use rand_core::CryptoRng;

use super::Geometry;
use crate::crypto::aead::{self, NONCE_BYTES, TAG_BYTES};
use crate::crypto::kdf;
use crate::crypto::secret::Secret;
use crate::id::{AccountId, BlobId, EnvelopeId, FileId};

/// Why a chunk is not one of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// There is no chunk with this number.
    #[error("the file has no chunk of this number")]
    OutOfRange,
    /// The chunk has not the length that its place gives.
    #[error("the chunk has not the length that it must have")]
    WrongLength,
    /// It was changed, or is not the chunk of this place and file.
    #[error("the chunk is not the one that was asked for")]
    Forged,
}

/// The key of one file. It is in the manifest, and nowhere else.
pub struct FileKey(Secret<32>);

impl FileKey {
    /// A fresh one.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::filled(|bytes| rng.fill_bytes(bytes)))
    }

    /// From a manifest or the vault.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// What a reader shows to the node where the file waits, to have its download counted: the same
    /// whenever it asks again. Made with this key, it tells the node nothing.
    #[must_use]
    pub fn download_receipt(&self, blob: &BlobId, reader: &AccountId) -> EnvelopeId {
        let label = kdf::label("blob-receipt");
        let hash = kdf::hmac_sha256(self.0.expose(), &[&label, blob.as_bytes(), reader.as_bytes()]);
        let mut receipt = [0; 16];
        receipt.iter_mut().zip(hash.expose()).for_each(|(to, from)| *to = *from);
        EnvelopeId(receipt)
    }

    /// Its bytes. Whoever copies them must wipe the copy.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// Encrypts and decrypts the chunks of one file.
pub struct ChunkCipher {
    key: FileKey,
    file: FileId,
    geometry: Geometry,
}

impl ChunkCipher {
    /// For the chunks of this file.
    #[must_use]
    pub const fn new(key: FileKey, file: FileId, geometry: Geometry) -> Self {
        Self { key, file, geometry }
    }

    /// A second copy of the key, on purpose: for another thread.
    #[must_use]
    pub const fn key(&self) -> FileKey {
        FileKey(self.key.0.duplicate())
    }

    /// Which file.
    #[must_use]
    pub const fn file(&self) -> FileId {
        self.file
    }

    /// How the file is cut.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// `index u64 ‖ last u32`, little-endian.
    fn nonce(&self, index: u32) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        let (place, last) = nonce.split_at_mut(8);
        place.copy_from_slice(&u64::from(index).to_le_bytes());
        last.copy_from_slice(&u32::from(self.geometry.is_last(index)).to_le_bytes());
        nonce
    }

    /// `file id ‖ index u32 ‖ count u32 ‖ size u64`, little-endian.
    fn associated(&self, index: u32) -> [u8; 48] {
        let mut bytes = [0; 48];
        let (file, rest) = bytes.split_at_mut(32);
        let (place, rest) = rest.split_at_mut(4);
        let (count, size) = rest.split_at_mut(4);
        file.copy_from_slice(self.file.as_bytes());
        place.copy_from_slice(&index.to_le_bytes());
        count.copy_from_slice(&self.geometry.count().to_le_bytes());
        size.copy_from_slice(&self.geometry.size().to_le_bytes());
        bytes
    }

    /// Turns the plaintext of a chunk into its ciphertext, padding and tag included.
    ///
    /// # Errors
    /// [`ChunkError::OutOfRange`], or [`ChunkError::WrongLength`] when `chunk` is
    /// not as long as the chunk of this place.
    pub fn seal(&self, index: u32, chunk: &mut Vec<u8>) -> Result<(), ChunkError> {
        if index >= self.geometry.count() {
            return Err(ChunkError::OutOfRange);
        }
        if chunk.len() != self.geometry.plain_bytes(index) {
            return Err(ChunkError::WrongLength);
        }
        chunk.reserve_exact(self.geometry.sealed_bytes(index).saturating_sub(chunk.len()));
        chunk.resize(self.geometry.padded_bytes(index), 0);
        let tag = aead::seal_in_place(&self.key.0, &self.nonce(index), &self.associated(index), chunk);
        chunk.extend_from_slice(&tag);
        Ok(())
    }

    /// Turns the ciphertext of a chunk into its plaintext.
    ///
    /// # Errors
    /// [`ChunkError`]
    pub fn open(&self, index: u32, chunk: &mut Vec<u8>) -> Result<(), ChunkError> {
        if index >= self.geometry.count() {
            return Err(ChunkError::OutOfRange);
        }
        if chunk.len() != self.geometry.sealed_bytes(index) {
            return Err(ChunkError::WrongLength);
        }
        let (body, tag) = chunk.split_last_chunk_mut::<TAG_BYTES>().ok_or(ChunkError::WrongLength)?;
        aead::open_in_place(&self.key.0, &self.nonce(index), &self.associated(index), body, tag)
            .map_err(|_| ChunkError::Forged)?;
        let plain = self.geometry.plain_bytes(index);
        // What would hide behind the end of the file was put there on purpose.
        if body.get(plain..).is_none_or(|padding| padding.iter().any(|byte| *byte != 0)) {
            return Err(ChunkError::Forged);
        }
        chunk.truncate(plain);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: u64 = 3 * 262_144 + 1_000;

    fn cipher(file: u8, size: u64) -> ChunkCipher {
        ChunkCipher::new(FileKey::from_bytes([7; 32]), FileId([file; 32]), Geometry::for_size(size).unwrap())
    }

    fn sealed(cipher: &ChunkCipher, index: u32) -> Vec<u8> {
        let mut chunk = vec![index.to_le_bytes()[0]; cipher.geometry().plain_bytes(index)];
        cipher.seal(index, &mut chunk).unwrap();
        chunk
    }

    #[test]
    fn every_chunk_comes_back() {
        let cipher = cipher(1, SIZE);
        for index in 0..cipher.geometry().count() {
            let mut chunk = sealed(&cipher, index);
            assert_eq!(chunk.len(), cipher.geometry().sealed_bytes(index));
            cipher.open(index, &mut chunk).unwrap();
            assert_eq!(chunk, vec![index.to_le_bytes()[0]; cipher.geometry().plain_bytes(index)]);
        }
    }

    #[test]
    fn a_chunk_of_another_place_or_file_or_length_is_refused() {
        let own = cipher(1, SIZE);
        let two = sealed(&own, 1);
        assert_eq!(own.open(0, &mut two.clone()), Err(ChunkError::Forged), "swapped");
        assert_eq!(own.open(9, &mut two.clone()), Err(ChunkError::OutOfRange));
        assert_eq!(cipher(2, SIZE).open(1, &mut two.clone()), Err(ChunkError::Forged), "of another file");
        assert_eq!(own.open(1, &mut two[..two.len() - 1].to_vec()), Err(ChunkError::WrongLength), "truncated");
        assert_eq!(cipher(1, SIZE + 1).open(1, &mut two.clone()), Err(ChunkError::Forged), "the file was cut");
        assert_eq!(cipher(1, SIZE - 262_144).open(1, &mut two.clone()), Err(ChunkError::Forged), "it is not the last");
    }

    #[test]
    fn nothing_hides_in_the_padding() {
        let cipher = cipher(1, 10);
        let mut chunk = vec![1; 11];
        chunk.resize(cipher.geometry().padded_bytes(0), 0);
        let tag = aead::seal_in_place(&cipher.key.0, &cipher.nonce(0), &cipher.associated(0), &mut chunk);
        chunk.extend_from_slice(&tag);
        assert_eq!(cipher.open(0, &mut chunk), Err(ChunkError::Forged));
    }

    #[test]
    fn an_empty_file_has_one_chunk_which_is_authenticated() {
        let cipher = cipher(1, 0);
        let mut chunk = Vec::new();
        cipher.seal(0, &mut chunk).unwrap();
        assert_eq!(chunk.len(), 16 * 1024 + 16);
        cipher.open(0, &mut chunk).unwrap();
        assert!(chunk.is_empty());
    }

    #[test]
    fn a_reader_counts_once_for_each_blob_and_can_not_be_told_from_another() {
        let (key, other) = (FileKey::from_bytes([1; 32]), FileKey::from_bytes([2; 32]));
        let (blob, bob) = (BlobId([3; 32]), AccountId([4; 32]));
        let receipt = key.download_receipt(&blob, &bob);
        assert_eq!(receipt, FileKey::from_bytes([1; 32]).download_receipt(&blob, &bob));
        assert_ne!(receipt, key.download_receipt(&blob, &AccountId([5; 32])));
        assert_ne!(receipt, key.download_receipt(&BlobId([6; 32]), &bob));
        assert_ne!(receipt, other.download_receipt(&blob, &bob));
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_refused(at in 0..(16 * 1024 + 16_usize), bit in 0..8_u8) {
            let cipher = cipher(1, 100);
            let mut chunk = sealed(&cipher, 0);
            chunk[at] ^= 1 << bit;
            prop_assert_eq!(cipher.open(0, &mut chunk), Err(ChunkError::Forged));
        }
    }
}
