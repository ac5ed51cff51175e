//! The master key and the keys that come from it.

use std::fmt;

use rand_core::CryptoRng;

use super::row::{self, RowError};
use crate::crypto::kdf;
use crate::crypto::secret::{Secret, SecretBytes};

/// The key to everything in a vault. It never leaves memory unwrapped.
pub struct MasterKey(Secret<32>);

impl MasterKey {
    /// A new one: for a new vault, or to seal a vault anew.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    pub(super) const fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    pub(super) const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The key of a table. Derive it once and keep it: every row needs it.
    #[must_use]
    pub fn table_key(&self, name: &'static str) -> TableKey {
        TableKey::derive(&[], &self.0, name)
    }

    /// A key for anything that is no table, such as a lock file or an export.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Secret<32> {
        kdf::hkdf(&[], &[self.expose()], &[&kdf::label("vault/"), purpose.as_bytes()])
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// The keys of one table: one seals its rows, one hides what they are indexed by.
pub struct TableKey {
    name: &'static str,
    rows: Secret<32>,
    indexes: Secret<32>,
}

impl TableKey {
    /// `HKDF(salt, key, L(db/) ‖ name)`; the daily keys of ratchet rows come with the master key as salt.
    pub(super) fn derive(salt: &[u8], key: &Secret<32>, name: &'static str) -> Self {
        let keys: Secret<64> = kdf::hkdf(salt, &[key.expose()], &[&kdf::label("db/"), name.as_bytes()]);
        let (rows, indexes) = keys.split();
        Self { name, rows, indexes }
    }

    /// The key of [`Self::index`], for a copy of the vault whose rows keep their names.
    #[must_use]
    pub const fn index_key(&self) -> &[u8; 32] {
        self.indexes.expose()
    }

    /// Names rows as the vault did that this one is a copy of; they are sealed under a key of their own.
    pub fn use_index_key(&mut self, key: &[u8; 32]) {
        self.indexes = Secret::filled(|out| out.copy_from_slice(key));
    }

    /// What stands for `id` as a record key: equal ids give equal keys, and nothing can be read from one.
    #[must_use]
    pub fn index(&self, id: &[u8]) -> [u8; 16] {
        let tag = kdf::hmac_sha256(self.indexes.expose(), &[id]);
        let (first, _) = tag.split::<16, 16>();
        *first.expose()
    }

    /// Seals a row. `record_key` is where it stands and `schema` how `plaintext`
    /// is laid out: it opens with the same two only. The size of the result shows
    /// the plaintext's size in steps of about a tenth.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(&self, record_key: &[u8], schema: u8, plaintext: &[u8], rng: &mut R) -> Vec<u8> {
        row::seal(&self.rows, &[], self.name, record_key, schema, plaintext, rng)
    }

    pub(super) fn seal_behind<R: CryptoRng + ?Sized>(
        &self,
        prefix: &[u8],
        record_key: &[u8],
        schema: u8,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Vec<u8> {
        row::seal(&self.rows, prefix, self.name, record_key, schema, plaintext, rng)
    }

    /// Opens a row.
    ///
    /// # Errors
    /// [`RowError`] when it was changed, moved, or sealed with another key or schema.
    pub fn open(&self, record_key: &[u8], schema: u8, sealed: &[u8]) -> Result<SecretBytes, RowError> {
        row::open(&self.rows, self.name, record_key, schema, sealed)
    }
}

impl fmt::Debug for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableKey({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn master() -> MasterKey {
        MasterKey::generate(&mut ChaCha20Rng::seed_from_u64(1))
    }

    #[test]
    fn an_index_is_stable_and_tells_nothing_across_tables() {
        let (body, again) = (master().table_key("body"), master().table_key("body"));
        assert_eq!(body.index(b"alice"), again.index(b"alice"));
        assert_ne!(body.index(b"alice"), body.index(b"bob"));
        assert_ne!(body.index(b"alice"), master().table_key("contacts").index(b"alice"));
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let master = master();
        assert!(master.derive("export") != master.derive("lock"));
        assert!(master.derive("export") == master.derive("export"));
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?} {:?}", master(), master().table_key("body")), "MasterKey TableKey(body)");
    }
}
