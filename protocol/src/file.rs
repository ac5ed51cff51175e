//! Shared files: how one is cut into chunks, how each is encrypted, and the tree
//! of hashes by which a chunk is known to be the right one, whoever hands it
//! over. Floor 6. `docs/protocol.md`, section "Files".

mod chunk;
mod geometry;
mod merkle;

pub use chunk::{ChunkCipher, ChunkError, FileKey};
pub use geometry::{Geometry, GeometryError};
pub use merkle::{LEAF_BYTES, Leaves, LeavesError, leaf};

use crate::crypto::sha256::RunningSha256;

/// What is known of a file once it was read and encrypted from its beginning to its end.
pub struct Digests {
    /// The hashes of its encrypted chunks.
    pub leaves: Leaves,
    /// SHA-256 of the plaintext.
    pub sha256: [u8; 32],
}

/// Encrypts a file chunk by chunk, in order, and keeps nothing but hashes: the
/// first pass over a file that is to be shared.
pub struct FirstPass<'c> {
    cipher: &'c ChunkCipher,
    leaves: Vec<[u8; LEAF_BYTES]>,
    plaintext: RunningSha256,
}

impl<'c> FirstPass<'c> {
    /// Of a file with this key and geometry.
    #[must_use]
    pub fn new(cipher: &'c ChunkCipher) -> Self {
        Self { cipher, leaves: Vec::new(), plaintext: RunningSha256::default() }
    }

    /// The next chunk's plaintext; `chunk` holds its ciphertext afterwards.
    ///
    /// # Errors
    /// [`ChunkError`] when there are more chunks than the file has, or this one has
    /// not its length: the file changed while it was read.
    pub fn take(&mut self, chunk: &mut Vec<u8>) -> Result<(), ChunkError> {
        let index = u32::try_from(self.leaves.len()).map_err(|_| ChunkError::OutOfRange)?;
        self.plaintext.update(chunk);
        self.cipher.seal(index, chunk)?;
        self.leaves.push(leaf(chunk));
        Ok(())
    }

    /// The hashes, once all chunks were taken.
    ///
    /// # Errors
    /// [`ChunkError::OutOfRange`] when some are missing.
    pub fn finish(self) -> Result<Digests, ChunkError> {
        let leaves = Leaves::new(self.leaves, self.cipher.geometry()).ok_or(ChunkError::OutOfRange)?;
        Ok(Digests { leaves, sha256: self.plaintext.finish() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FileId;

    #[test]
    fn a_file_that_shrinks_or_grows_while_it_is_read_is_noticed() {
        let geometry = Geometry::for_size(300_000).unwrap();
        let cipher = ChunkCipher::new(FileKey::from_bytes([1; 32]), FileId([2; 32]), geometry);
        let mut pass = FirstPass::new(&cipher);
        assert_eq!(pass.take(&mut vec![0; 262_143]), Err(ChunkError::WrongLength));
        pass = FirstPass::new(&cipher);
        pass.take(&mut vec![0; 262_144]).unwrap();
        assert!(FirstPass::new(&cipher).finish().is_err(), "chunks are missing");
        pass.take(&mut vec![0; 37_856]).unwrap();
        assert_eq!(pass.take(&mut vec![]), Err(ChunkError::OutOfRange));
        let digests = pass.finish().unwrap();
        assert_eq!(digests.sha256, crate::crypto::kdf::sha256(&vec![0; 300_000]));
    }
}
