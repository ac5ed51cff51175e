//! How a file lies on the disk: as it is, or as the encrypted chunks that travel, one after the
//! other. The key of those is in the vault alone: a copy that lies so is no readable file.

use secure_chat_protocol::file::{ChunkCipher, Geometry};

/// How a file lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// As its encrypted chunks.
    Sealed,
}

impl Form {
    /// Where a chunk begins, in bytes.
    pub(crate) fn offset(self, geometry: &Geometry, index: u32) -> u64 {
        match self {
            Self::Plain => geometry.offset(index),
            // All but the last have the length of the first.
            Self::Sealed => u64::from(index).saturating_mul(geometry.sealed_bytes(0) as u64),
        }
    }

    /// Bytes of a chunk.
    pub(crate) fn bytes(self, geometry: &Geometry, index: u32) -> usize {
        if self == Self::Sealed { geometry.sealed_bytes(index) } else { geometry.plain_bytes(index) }
    }

    /// Bytes of the whole.
    pub(crate) fn size(self, geometry: &Geometry) -> u64 {
        let last = geometry.count().saturating_sub(1);
        self.offset(geometry, last).saturating_add(self.bytes(geometry, last) as u64)
    }

    /// Makes what was read the encrypted chunk that travels. Whether it is the right one is
    /// for the caller to look.
    pub(crate) fn to_sealed(self, cipher: &ChunkCipher, index: u32, chunk: &mut Vec<u8>) -> bool {
        self == Self::Sealed || cipher.seal(index, chunk).is_ok()
    }

    /// Makes what was read the plaintext.
    pub(crate) fn to_plain(self, cipher: &ChunkCipher, index: u32, chunk: &mut Vec<u8>) -> bool {
        self == Self::Plain || cipher.open(index, chunk).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_one_another_without_a_gap() {
        for size in [0, 1, 262_144, 262_145, 1_000_000] {
            let geometry = Geometry::for_size(size).unwrap();
            for form in [Form::Plain, Form::Sealed] {
                let mut at = 0;
                for index in 0..geometry.count() {
                    assert_eq!(form.offset(&geometry, index), at);
                    at += form.bytes(&geometry, index) as u64;
                }
                assert_eq!(form.size(&geometry), at);
            }
            assert_eq!(Form::Plain.size(&geometry), size);
        }
    }
}
