//! SHA-256 of long and of foreign bytes, without labels: what is hashed here has
//! prefixes or a place of its own. Floor 2.

use sha2::{Digest, Sha256};

/// A SHA-256 that grows piece by piece.
#[derive(Clone, Default)]
pub struct RunningSha256(Sha256);

impl RunningSha256 {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all that was added.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = RunningSha256::default();
    parts.iter().for_each(|part| hash.update(part));
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_as_the_whole() {
        let mut running = RunningSha256::default();
        running.update(b"ab");
        running.update(b"c");
        // FIPS 180-2, appendix B.1.
        let abc = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];
        assert_eq!(running.finish()[..8], abc);
        assert_eq!(sha256_parts(&[b"a", b"", b"bc"])[..8], abc);
    }
}
