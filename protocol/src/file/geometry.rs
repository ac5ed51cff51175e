//! Where the chunks of a file begin and end.

use crate::crypto::aead::TAG_BYTES;
use crate::limits::{CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, FILE_CHUNKS_MAX, LAST_CHUNK_STEP_BYTES};

/// Why a size and a chunk size don't fit together. Whoever wrote them is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// The chunk size is not a power of two within its bounds.
    #[error("{0} bytes are no size of chunks")]
    ChunkBytes(u32),
    /// The file has more chunks than are allowed.
    #[error("the file is too long: {size} bytes")]
    TooLong {
        /// Its size in bytes.
        size: u64,
    },
}

/// A file's size, and the size of its chunks, which fit together.
///
/// All chunks but the last hold `chunk_bytes`. The last is padded with zeros to a
/// multiple of [`LAST_CHUNK_STEP_BYTES`] (at most `chunk_bytes`), so that what is
/// stored or carried does not tell the size. An empty file has one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    size: u64,
    chunk_bytes: u32,
    count: u32,
}

impl Geometry {
    /// Of a file of `size` bytes: the smallest chunks of which there are not too many.
    ///
    /// # Errors
    /// [`GeometryError::TooLong`]
    pub fn for_size(size: u64) -> Result<Self, GeometryError> {
        let mut chunk_bytes = CHUNK_MIN_BYTES;
        while chunk_bytes < CHUNK_MAX_BYTES && size.div_ceil(u64::from(chunk_bytes)) > u64::from(FILE_CHUNKS_MAX) {
            chunk_bytes = chunk_bytes.saturating_mul(2);
        }
        Self::new(size, chunk_bytes)
    }

    /// As somebody says.
    ///
    /// # Errors
    /// [`GeometryError`]
    pub fn new(size: u64, chunk_bytes: u32) -> Result<Self, GeometryError> {
        if !chunk_bytes.is_power_of_two() || !(CHUNK_MIN_BYTES..=CHUNK_MAX_BYTES).contains(&chunk_bytes) {
            return Err(GeometryError::ChunkBytes(chunk_bytes));
        }
        let count = size.div_ceil(u64::from(chunk_bytes)).max(1);
        match u32::try_from(count) {
            Ok(count) if count <= FILE_CHUNKS_MAX => Ok(Self { size, chunk_bytes, count }),
            _ => Err(GeometryError::TooLong { size }),
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of each chunk but the last.
    #[must_use]
    pub const fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes
    }

    /// How many chunks there are, at least one.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether this is the last chunk.
    #[must_use]
    pub const fn is_last(&self, index: u32) -> bool {
        index.saturating_add(1) == self.count
    }

    /// Where a chunk begins in the file, in bytes.
    #[must_use]
    pub const fn offset(&self, index: u32) -> u64 {
        (index as u64).saturating_mul(self.chunk_bytes as u64)
    }

    /// Bytes of the file in a chunk; 0 for one that there is not.
    #[must_use]
    pub fn plain_bytes(&self, index: u32) -> usize {
        let left = self.size.saturating_sub(self.offset(index)).min(u64::from(self.chunk_bytes));
        usize::try_from(left).unwrap_or(0)
    }

    /// Bytes of a chunk with its padding.
    #[must_use]
    pub fn padded_bytes(&self, index: u32) -> usize {
        let plain = self.plain_bytes(index);
        // At least one step, so that an empty file is not told from a small one.
        plain.max(1).div_ceil(LAST_CHUNK_STEP_BYTES).saturating_mul(LAST_CHUNK_STEP_BYTES)
    }

    /// Bytes of an encrypted chunk.
    #[must_use]
    pub fn sealed_bytes(&self, index: u32) -> usize {
        self.padded_bytes(index).saturating_add(TAG_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_file_exactly_once() {
        for size in [0, 1, 262_143, 262_144, 262_145, 1 << 20, (1 << 34) + 1, (1 << 34) + (1 << 19)] {
            let geometry = Geometry::for_size(size).unwrap();
            let total: u64 = (0..geometry.count()).map(|index| geometry.plain_bytes(index) as u64).sum();
            assert_eq!(total, size);
            let last = geometry.count() - 1;
            assert!(geometry.is_last(last) && !geometry.is_last(last.wrapping_sub(1)));
            assert_eq!(geometry.offset(last) + geometry.plain_bytes(last) as u64, size);
            assert_eq!(geometry.padded_bytes(last) % LAST_CHUNK_STEP_BYTES, 0);
            assert!(geometry.padded_bytes(last) > 0 && geometry.padded_bytes(last) <= geometry.chunk_bytes() as usize);
            assert_eq!(geometry.plain_bytes(geometry.count()), 0);
        }
    }

    #[test]
    fn sizes_of_one_step_are_not_told_apart() {
        let sealed = |size| Geometry::for_size(size).unwrap().sealed_bytes(0);
        assert_eq!(sealed(0), sealed(16 * 1024));
        assert_ne!(sealed(0), sealed(16 * 1024 + 1));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert_eq!(Geometry::new(1, 1000), Err(GeometryError::ChunkBytes(1000)));
        assert_eq!(Geometry::new(1, 1 << 17), Err(GeometryError::ChunkBytes(1 << 17)));
        assert_eq!(Geometry::new(1, 1 << 23), Err(GeometryError::ChunkBytes(1 << 23)));
        assert_eq!(Geometry::for_size(u64::MAX), Err(GeometryError::TooLong { size: u64::MAX }));
        assert_eq!(Geometry::for_size(1 << 38).unwrap().count(), FILE_CHUNKS_MAX);
        assert!(Geometry::for_size((1 << 38) + 1).is_err());
    }
}
