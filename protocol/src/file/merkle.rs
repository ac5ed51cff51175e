//! The hashes of a file's encrypted chunks, and the root of the tree over them
//! (the shape of RFC 9162, section 2.1: SHA-256, with the prefix 00 before a leaf
//! and 01 before a node).
//!
//! Whoever holds the leaves whose root is in the manifest knows of each chunk, as
//! it comes and before it is decrypted, whether it is the right one.

use super::Geometry;
use crate::crypto::sha256::sha256_parts;

/// Bytes of a hash.
pub const LEAF_BYTES: usize = 32;

type Hash = [u8; LEAF_BYTES];

/// The hash of an encrypted chunk.
#[must_use]
pub fn leaf(sealed: &[u8]) -> Hash {
    sha256_parts(&[&[0], sealed])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256_parts(&[&[1], left, right])
}

/// These are not the hashes that the manifest promises. Whoever handed them over is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list of hashes is not the one of this file")]
pub struct LeavesError;

/// The hashes of all chunks of one file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaves(Vec<Hash>);

impl Leaves {
    /// Of chunks that were just encrypted; nothing when their number is another one.
    #[must_use]
    pub fn new(leaves: Vec<Hash>, geometry: &Geometry) -> Option<Self> {
        (u32::try_from(leaves.len()) == Ok(geometry.count())).then_some(Self(leaves))
    }

    /// Out of somebody's bytes: accepted if `root` stands over them.
    ///
    /// # Errors
    /// [`LeavesError`]
    pub fn verify(bytes: &[u8], geometry: &Geometry, root: &Hash) -> Result<Self, LeavesError> {
        let (leaves, rest) = bytes.as_chunks::<LEAF_BYTES>();
        if !rest.is_empty() {
            return Err(LeavesError);
        }
        let leaves = Self::new(leaves.to_vec(), geometry).ok_or(LeavesError)?;
        if leaves.root() == *root { Ok(leaves) } else { Err(LeavesError) }
    }

    /// The root of the tree over them.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut level = self.0.clone();
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    // The odd one goes up as it is: the same tree as RFC 9162's.
                    other => other.first().copied().unwrap_or_default(),
                })
                .collect();
        }
        level.first().copied().unwrap_or_default()
    }

    /// Whether these bytes are the encrypted chunk of this place.
    #[must_use]
    pub fn fits(&self, index: u32, sealed: &[u8]) -> bool {
        let known = usize::try_from(index).ok().and_then(|index| self.0.get(index));
        known.is_some_and(|known| *known == leaf(sealed))
    }

    /// One after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: every file has a chunk.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9162's definition, to the letter.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [one] => *one,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    fn leaves(count: u8) -> (Leaves, Geometry) {
        let geometry = Geometry::for_size(u64::from(count) * 262_144).unwrap();
        let hashes = (0..count).map(|index| leaf(&[index])).collect();
        (Leaves::new(hashes, &geometry).unwrap(), geometry)
    }

    #[test]
    fn the_root_is_the_one_of_rfc_9162() {
        for count in 1..40 {
            let (leaves, _) = leaves(count);
            assert_eq!(leaves.root(), mth(&leaves.0));
        }
        // A node can't pose as a leaf: the hash of RFC 9162 of one empty leaf.
        assert_eq!(leaf(b"")[..4], [0x6e, 0x34, 0x0b, 0x9c]);
    }

    #[test]
    fn a_list_that_was_cut_swapped_doubled_or_forged_is_refused() {
        let (list, geometry) = leaves(5);
        let (root, bytes) = (list.root(), list.to_bytes());
        assert_eq!(Leaves::verify(&bytes, &geometry, &root), Ok(list.clone()));
        let mut swapped = list.0.clone();
        swapped.swap(0, 1);
        let mut doubled = list.0.clone();
        doubled[4] = doubled[3];
        let mut forged = bytes.clone();
        forged[40] ^= 1;
        let more = [bytes.as_slice(), &[0; 32]].concat();
        for wrong in [&bytes[..128], &bytes[..159], &more, &swapped.concat(), &doubled.concat(), &forged, &[]] {
            assert_eq!(Leaves::verify(wrong, &geometry, &root), Err(LeavesError));
        }
        // The nodes of a level are no list of leaves of a shorter file.
        let above = [node(&list.0[0], &list.0[1]), node(&list.0[2], &list.0[3]), list.0[4]].concat();
        assert!(Leaves::verify(&above, &geometry, &root).is_err());
    }

    #[test]
    fn a_chunk_fits_only_its_own_place() {
        let (list, _) = leaves(3);
        assert!(list.fits(1, &[1]));
        assert!(!list.fits(0, &[1]) && !list.fits(1, &[1, 1]) && !list.fits(3, &[3]));
    }
}
