//! Private state to bytes and back, for the vault: into memory that wipes itself,
//! with no encoder between that would leave copies. Little-endian, lengths as
//! `u32`. Only for bytes that this device wrote and authenticated. Floor 2.

use super::ed25519::SigningKey;
use super::kem::DecapsulationKey;
use super::secret::{Secret, SecretBytes};
use super::x25519::{PublicKey, SecretKey};
use crate::id::Timestamp;

/// Stored bytes are not a state of this version (the environment's fault: a damaged vault).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored state is damaged or from another version")]
pub struct StateError;

/// Writes a state.
#[derive(Debug, Default)]
pub struct StateWriter(SecretBytes);

impl StateWriter {
    /// Empty, with room for `capacity_bytes`.
    #[must_use]
    pub fn with_capacity(capacity_bytes: usize) -> Self {
        Self(SecretBytes::with_capacity(capacity_bytes))
    }

    /// Bytes as they are.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.fixed(&[value])
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.fixed(&value.to_le_bytes())
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.fixed(&value.to_le_bytes())
    }

    /// A point in time.
    pub fn time(&mut self, value: Timestamp) -> &mut Self {
        self.u64(value.0)
    }

    /// The number of the elements that follow.
    pub fn count(&mut self, elements: usize) -> &mut Self {
        // Every collection of the house is bounded far below 2^32.
        self.u32(u32::try_from(elements).unwrap_or(u32::MAX))
    }

    /// A length and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).fixed(bytes)
    }

    /// An X25519 key: secret, then public.
    pub fn x25519(&mut self, key: &SecretKey) -> &mut Self {
        self.fixed(key.expose()).fixed(key.public().as_bytes())
    }

    /// An Ed25519 signing key: its seed.
    pub fn ed25519(&mut self, key: &SigningKey) -> &mut Self {
        self.fixed(key.expose())
    }

    /// An ML-KEM key: its seed.
    pub fn kem(&mut self, key: &DecapsulationKey) -> &mut Self {
        self.fixed(key.expose())
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> SecretBytes {
        self.0
    }
}

/// Reads a state in the order in which it was written.
#[derive(Debug)]
pub struct StateReader<'a>(&'a [u8]);

impl<'a> StateReader<'a> {
    /// Reads from `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], StateError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(StateError)?;
        self.0 = rest;
        Ok(taken)
    }

    /// `N` public bytes.
    ///
    /// # Errors
    /// [`StateError`] when there are fewer; so for all that follow.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(StateError)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// `N` secret bytes.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn secret<const N: usize>(&mut self) -> Result<Secret<N>, StateError> {
        Secret::from_slice(self.take(N)?).ok_or(StateError)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn u8(&mut self) -> Result<u8, StateError> {
        self.fixed().map(|[byte]| byte)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn u32(&mut self) -> Result<u32, StateError> {
        self.fixed().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn u64(&mut self) -> Result<u64, StateError> {
        self.fixed().map(u64::from_le_bytes)
    }

    /// A point in time.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn time(&mut self) -> Result<Timestamp, StateError> {
        self.u64().map(Timestamp)
    }

    /// The number of the elements that follow, at most `limit`.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn count(&mut self, limit: usize) -> Result<usize, StateError> {
        usize::try_from(self.u32()?).ok().filter(|count| *count <= limit).ok_or(StateError)
    }

    /// A length, at most `limit_bytes`, and the bytes.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn bytes(&mut self, limit_bytes: usize) -> Result<&'a [u8], StateError> {
        let length = self.count(limit_bytes)?;
        self.take(length)
    }

    /// An X25519 key.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn x25519(&mut self) -> Result<SecretKey, StateError> {
        let secret = self.secret()?;
        Ok(SecretKey::from_stored(&secret, PublicKey::from_bytes(self.fixed()?)))
    }

    /// An Ed25519 signing key.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn ed25519(&mut self) -> Result<SigningKey, StateError> {
        self.secret().map(|seed| SigningKey::from_seed(&seed))
    }

    /// An ML-KEM key.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn kem(&mut self) -> Result<DecapsulationKey, StateError> {
        self.secret().map(DecapsulationKey::from_seed)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`StateError`] when bytes are left over.
    pub const fn finish(self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_in_the_order_it_was_written() {
        let mut writer = StateWriter::default();
        writer.u8(1).u32(2).u64(3).bytes(b"four").fixed(&[5; 5]);
        let bytes = writer.finish();
        let mut reader = StateReader::new(bytes.expose());
        assert_eq!((reader.u8(), reader.u32(), reader.u64()), (Ok(1), Ok(2), Ok(3)));
        assert_eq!(reader.bytes(4), Ok(b"four".as_slice()));
        assert_eq!(reader.fixed::<5>(), Ok([5; 5]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        assert_eq!(StateReader::new(&[1, 2, 3]).u32(), Err(StateError));
        assert_eq!(StateReader::new(&[5, 0, 0, 0, 1]).bytes(9), Err(StateError));
        assert_eq!(StateReader::new(&[5, 0, 0, 0, 1, 1, 1, 1, 1]).bytes(4), Err(StateError));
        assert_eq!(StateReader::new(&[1]).finish(), Err(StateError));
    }
}
