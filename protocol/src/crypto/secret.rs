//! Secrets that wipe themselves, compare in constant time and can't be printed,
//! cloned or encoded by accident. Floor 2.
//!
//! Rust may leave copies behind when a value moves; what lives long (chain
//! keys, identity keys) therefore stays where it is and is overwritten in place.

use std::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes: a key, a seed or a shared secret.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// A random one.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::filled(|bytes| rng.fill_bytes(bytes))
    }

    /// Takes over `bytes`. The caller's own copy is the caller's to wipe.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Copies `bytes`, when there are exactly `N` of them.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Written in place by `fill`, which gets `N` zeros: leaves no copy elsewhere.
    pub fn filled(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self([0; N]);
        fill(&mut secret.0);
        secret
    }

    /// The bytes. Whoever copies them must wipe the copy.
    #[must_use]
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy, on purpose: for a ratchet step that may yet be thrown away.
    #[must_use]
    pub const fn duplicate(&self) -> Self {
        Self(self.0)
    }

    /// Parts `self` after the first `A` bytes.
    ///
    /// `A + B` must be `N`; anything else does not compile.
    #[must_use]
    pub fn split<const A: usize, const B: usize>(&self) -> (Secret<A>, Secret<B>) {
        const { assert!(A + B == N, "the parts must make up the whole") };
        let (first, second) = self.0.split_at(A);
        (Secret::filled(|out| out.copy_from_slice(first)), Secret::filled(|out| out.copy_from_slice(second)))
    }
}

/// Whether two texts are the same, in a time that tells nothing but their lengths.
#[must_use]
pub fn equal_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>")
    }
}

/// Secret bytes of any length, such as the encoding of a private state.
///
/// When it grows past its capacity, the old buffer is wiped before it is freed.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Empty, with room for `capacity_bytes`.
    #[must_use]
    pub fn with_capacity(capacity_bytes: usize) -> Self {
        Self(Vec::with_capacity(capacity_bytes))
    }

    /// Takes over `bytes`.
    #[must_use]
    pub const fn from_vec(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Appends `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut grown = Vec::with_capacity(needed.max(self.0.capacity().saturating_mul(2)));
            grown.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
    }

    /// The bytes. Whoever copies them must wipe the copy.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be changed in place.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_size_and_nothing_else() {
        assert_eq!(format!("{:?}", Secret::from_bytes([0xab; 32])), "Secret<32>");
        assert_eq!(format!("{:?}", SecretBytes::from_vec(vec![0xab; 3])), "SecretBytes(3)");
    }

    #[test]
    fn a_secret_is_wiped_on_request_and_parts_in_two() {
        let mut secret = Secret::from_bytes([7_u8; 8]);
        let (first, second) = secret.split::<3, 5>();
        assert_eq!((first.expose().as_slice(), second.expose().as_slice()), ([7; 3].as_slice(), [7; 5].as_slice()));
        secret.zeroize();
        assert_eq!(secret.expose(), &[0; 8]);
        assert!(first == Secret::from_bytes([7; 3]) && first != Secret::from_bytes([6; 3]));
    }

    #[test]
    fn secret_bytes_grow_without_losing_any() {
        let mut bytes = SecretBytes::with_capacity(1);
        for byte in 0..200_u8 {
            bytes.extend(&[byte]);
        }
        assert_eq!(bytes.expose(), (0..200).collect::<Vec<u8>>());
        assert_eq!(bytes.len(), 200);
    }

    #[test]
    fn only_the_exact_length_makes_a_secret() {
        assert!(Secret::<4>::from_slice(&[0; 4]).is_some());
        assert!(Secret::<4>::from_slice(&[0; 3]).is_none() && Secret::<4>::from_slice(&[0; 5]).is_none());
    }
}
