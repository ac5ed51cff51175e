//! The capabilities of a blob: who may write and delete it, who may read it. The node stores
//! hashes only, so that a stolen database opens nothing, and the blob's name is the hash of both
//! hashes: nobody can take a name that is not theirs. Floor 4.

use std::fmt;

use rand_core::CryptoRng;

use crate::crypto::kdf;
use crate::crypto::secret::Secret;
use crate::id::BlobId;
use crate::wire::codec::Fixed;

/// What the tokens of a blob are derived from. Whoever has the owner's seed may write and delete;
/// readers get the read token alone, inside an encrypted message.
pub struct BlobKeys(Secret<32>);

impl BlobKeys {
    /// New ones, for a new blob.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    /// From the seed that [`Self::expose`] gave.
    #[must_use]
    pub const fn from_seed(seed: Secret<32>) -> Self {
        Self(seed)
    }

    /// The seed, for the vault.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Shown to write, to delete, and to ask what is there.
    #[must_use]
    pub fn owner_token(&self) -> Fixed<32> {
        Fixed(*kdf::hmac_sha256(self.0.expose(), &[&kdf::label("blob-owner")]).expose())
    }

    /// Shown to read.
    #[must_use]
    pub fn read_token(&self) -> Fixed<32> {
        Fixed(*kdf::hmac_sha256(self.0.expose(), &[&kdf::label("blob-read")]).expose())
    }

    /// What the node stores of the owner's token.
    #[must_use]
    pub fn owner_hash(&self) -> Fixed<32> {
        owner_hash(&self.owner_token())
    }

    /// What the node stores of the read token.
    #[must_use]
    pub fn read_hash(&self) -> Fixed<32> {
        read_hash(&self.read_token())
    }

    /// The blob's name.
    #[must_use]
    pub fn blob_id(&self) -> BlobId {
        blob_id(&self.owner_hash(), &self.read_hash())
    }
}

impl fmt::Debug for BlobKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobKeys")
    }
}

/// What a node stores of the token that may write and delete.
#[must_use]
pub fn owner_hash(token: &Fixed<32>) -> Fixed<32> {
    Fixed(kdf::hash_fields("blob-owner-hash", &[&token.0]))
}

/// What a node stores of the token that may read.
#[must_use]
pub fn read_hash(token: &Fixed<32>) -> Fixed<32> {
    Fixed(kdf::hash_fields("blob-read-hash", &[&token.0]))
}

/// The name of the blob with these capabilities.
#[must_use]
pub fn blob_id(owner_hash: &Fixed<32>, read_hash: &Fixed<32>) -> BlobId {
    BlobId(kdf::hash_fields("blob", &[&owner_hash.0, &read_hash.0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_can_neither_write_nor_be_told_from_the_hash() {
        let keys = BlobKeys::from_seed(Secret::from_bytes([7; 32]));
        let same = BlobKeys::from_seed(Secret::from_bytes(*keys.expose()));
        assert_eq!((keys.blob_id(), keys.read_token()), (same.blob_id(), same.read_token()));
        assert_ne!(keys.owner_token(), keys.read_token());
        assert_ne!(owner_hash(&keys.read_token()), keys.owner_hash());
        assert_ne!(read_hash(&keys.owner_token()), keys.read_hash());
        assert_ne!(keys.read_hash(), keys.read_token());
        assert_eq!(blob_id(&owner_hash(&keys.owner_token()), &read_hash(&keys.read_token())), keys.blob_id());
        assert_ne!(blob_id(&keys.read_hash(), &keys.owner_hash()), keys.blob_id());
        assert_eq!(format!("{keys:?}"), "BlobKeys");
    }
}
