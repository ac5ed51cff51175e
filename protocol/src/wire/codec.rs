//! The one place that knows how values become bytes: little-endian variable-length
//! integers in the `bincode` 2 layout, under a hard byte limit.
//!
//! Decoding is canonical: what decodes re-encodes to the same bytes. It is
//! bounded before it allocates, and refuses trailing bytes. The encoding
//! crate's maintainers have stopped (RUSTSEC-2025-0141), so that no other file
//! may know its name: `docs/protocol.md` describes the layout byte by byte.

use std::fmt;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::fixed::Fixed;

/// No encoded value is longer, whatever limit a caller names.
const HARD_LIMIT_BYTES: usize = 16 * 1024 * 1024;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_little_endian().with_variable_int_encoding().with_limit::<HARD_LIMIT_BYTES>()
}

/// Why a value could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The caller's fault: the value is longer than its limit.
    #[error("the value takes {bytes} bytes, the limit is {limit_bytes}")]
    TooLong {
        /// What it takes.
        bytes: usize,
        /// What is allowed.
        limit_bytes: usize,
    },
    /// The caller's fault: the value has no encoding.
    #[error("the value can't be encoded")]
    Unencodable,
}

/// Why bytes could not be decoded. Always the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than the limit of what is expected here.
    #[error("the message takes {bytes} bytes, the limit is {limit_bytes}")]
    TooLong {
        /// What came.
        bytes: usize,
        /// What is allowed.
        limit_bytes: usize,
    },
    /// Not an encoding of the expected type.
    #[error("the message is malformed")]
    Malformed,
    /// Decodes, but is not the one encoding of that value.
    #[error("the message is not in canonical form")]
    NotCanonical,
}

/// Encodes `value` in at most `limit_bytes`.
///
/// # Errors
/// [`EncodeError::TooLong`] when it takes more.
pub fn encode<T: Serialize>(value: &T, limit_bytes: usize) -> Result<Vec<u8>, EncodeError> {
    let bytes = bincode::serde::encode_to_vec(value, config()).map_err(|_| EncodeError::Unencodable)?;
    let limit_bytes = limit_bytes.min(HARD_LIMIT_BYTES);
    if bytes.len() > limit_bytes {
        return Err(EncodeError::TooLong { bytes: bytes.len(), limit_bytes });
    }
    Ok(bytes)
}

/// Decodes exactly one value from all of `bytes`.
///
/// # Errors
/// [`DecodeError`]: too long, malformed, trailing bytes, or not canonical.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<T, DecodeError> {
    let value = decode_unchecked(bytes, limit_bytes)?;
    let again = bincode::serde::encode_to_vec(&value, config()).map_err(|_| DecodeError::Malformed)?;
    if again != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

/// As [`decode`], without the check of the canonical form: for bytes that were
/// authenticated by a key that only this device holds (records of its own vault).
///
/// # Errors
/// [`DecodeError`]: too long, malformed or trailing bytes.
pub fn decode_own<T: DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<T, DecodeError> {
    decode_unchecked(bytes, limit_bytes)
}

fn decode_unchecked<T: DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<T, DecodeError> {
    let limit_bytes = limit_bytes.min(HARD_LIMIT_BYTES);
    if bytes.len() > limit_bytes {
        return Err(DecodeError::TooLong { bytes: bytes.len(), limit_bytes });
    }
    let (value, read) = bincode::serde::decode_from_slice(bytes, config()).map_err(|_| DecodeError::Malformed)?;
    if read != bytes.len() {
        return Err(DecodeError::Malformed);
    }
    Ok(value)
}

/// Decodes a list of at most `MAX` elements: one that claims or holds more is refused before they
/// are allocated, since an empty element takes up many times its size on the wire. For fields:
/// `#[serde(deserialize_with = "codec::bounded::<_, _, MAX>")]`.
///
/// # Errors
/// That of the deserializer.
pub fn bounded<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Elements<T, const MAX: usize>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Elements<T, MAX> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX} elements")
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let claimed = seq.size_hint().unwrap_or(0);
            if claimed > MAX {
                return Err(serde::de::Error::invalid_length(claimed, &self));
            }
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element()? {
                if elements.len() >= MAX {
                    return Err(serde::de::Error::invalid_length(elements.len().saturating_add(1), &self));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }
    deserializer.deserialize_seq(Elements::<T, MAX>(std::marker::PhantomData))
}

/// A byte string that is encoded in one piece (a plain `Vec<u8>` would go byte by byte).
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Nothing,
        Number(u64),
        Data { bytes: Bytes, list: Vec<u16>, fixed: Fixed<64>, text: Option<String> },
    }

    #[test]
    fn a_long_form_of_a_small_integer_is_not_canonical() {
        // 251 announces a u16: the value 1 must be the single byte 01.
        assert_eq!(decode::<u64>(&[251, 1, 0], 16), Err(DecodeError::NotCanonical));
        assert_eq!(decode::<u64>(&[1], 16), Ok(1));
    }

    #[test]
    fn a_length_that_is_not_there_is_refused_before_it_is_allocated() {
        // 253 announces a u64 length of 2^60 bytes.
        assert_eq!(decode::<Bytes>(&[253, 0, 0, 0, 0, 0, 0, 0, 16], 64), Err(DecodeError::Malformed));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(decode::<u8>(&[7, 0], 16), Err(DecodeError::Malformed));
    }

    #[test]
    fn the_limit_holds_both_ways() {
        assert_eq!(encode(&Bytes(vec![0; 10]), 10), Err(EncodeError::TooLong { bytes: 11, limit_bytes: 10 }));
        assert_eq!(decode::<Bytes>(&[0; 11], 10), Err(DecodeError::TooLong { bytes: 11, limit_bytes: 10 }));
    }

    proptest! {
        #[test]
        fn what_decodes_re_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = decode::<Sample>(&bytes, 200) {
                prop_assert_eq!(encode(&value, 200).unwrap(), bytes);
            }
        }

        #[test]
        fn what_is_encoded_decodes_to_the_same_value(data in any::<Vec<u8>>(), list in any::<Vec<u16>>(), text in any::<Option<String>>()) {
            let value = Sample::Data { bytes: Bytes(data), list, fixed: Fixed([7; 64]), text };
            let bytes = encode(&value, 1 << 20).unwrap();
            prop_assert_eq!(decode::<Sample>(&bytes, 1 << 20).unwrap(), value);
            prop_assert_eq!(encode(&Sample::Nothing, 9).unwrap(), vec![0]);
            prop_assert_eq!(encode(&Sample::Number(1), 9).unwrap(), vec![1, 1]);
        }
    }
}
