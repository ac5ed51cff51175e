//! One sealed row: `version ‖ nonce (24) ‖ XChaCha20-Poly1305(padded plaintext) ‖ tag`.

use rand_core::CryptoRng;
use zeroize::Zeroize;

use crate::crypto::aead::{self, TAG_BYTES, XNONCE_BYTES};
use crate::crypto::secret::{Secret, SecretBytes};
use crate::padding;

/// The layout that this code writes and reads.
const VERSION: u8 = 1;
/// Rows are padded to at least this step.
const STEP_MIN_BYTES: usize = 64;
/// The store allocates large values in powers of two and needs some bytes of
/// each for itself: a row ends this much before a step, so that it does not
/// take twice the space for the sake of its padding.
const STEP_MARGIN_BYTES: usize = 136;

/// What sealing adds to a row at least: version, nonce, padding and tag.
pub const ROW_OVERHEAD_BYTES: usize = 1 + XNONCE_BYTES + 1 + TAG_BYTES;

/// A row does not open (the environment's fault: a damaged or manipulated store).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Changed, moved to another place, or sealed with another key or schema.
    #[error("a record of the vault was changed or moved")]
    Damaged,
    /// Sealed in a layout of another version of the program.
    #[error("a record of the vault has version {0}, which is not known here")]
    UnsupportedVersion(u8),
    /// Sealed under a daily key that is gone: the row is older than it may be.
    #[error("a record of the vault is from an older state of it")]
    Stale,
}

/// How long a row of `sealed_bytes` becomes: steps of a sixteenth of its size, rounded up to a power of two.
fn padded_len(sealed_bytes: usize) -> usize {
    let reach = sealed_bytes.saturating_add(STEP_MARGIN_BYTES);
    let step = (reach.checked_next_power_of_two().unwrap_or(usize::MAX) / 16).max(STEP_MIN_BYTES);
    reach.checked_next_multiple_of(step).unwrap_or(reach).saturating_sub(STEP_MARGIN_BYTES)
}

fn associated(table: &str, record_key: &[u8], schema: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + table.len() + record_key.len());
    out.extend_from_slice(&[VERSION, schema]);
    for field in [table.as_bytes(), record_key] {
        // Tables and record keys are a few bytes long.
        out.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(field);
    }
    out
}

/// Seals a row, behind `prefix` in the clear.
pub(super) fn seal<R: CryptoRng + ?Sized>(
    key: &Secret<32>,
    prefix: &[u8],
    table: &str,
    record_key: &[u8],
    schema: u8,
    plaintext: &[u8],
    rng: &mut R,
) -> Vec<u8> {
    let whole = padded_len(prefix.len() + ROW_OVERHEAD_BYTES + plaintext.len());
    let mut out = Vec::with_capacity(whole);
    out.extend_from_slice(prefix);
    out.push(VERSION);
    let mut nonce = [0; XNONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    out.extend_from_slice(&nonce);
    let start = out.len();
    // Never grows past its capacity: no copy of the plaintext stays behind.
    padding::pad_up_to(plaintext, whole.saturating_sub(start + TAG_BYTES), &mut out);
    let (_, body) = out.split_at_mut(start);
    let tag = aead::xseal_in_place(key, &nonce, &associated(table, record_key, schema), body);
    out.extend_from_slice(&tag);
    out
}

/// Opens what [`seal`] made, its prefix taken off.
pub(super) fn open(
    key: &Secret<32>,
    table: &str,
    record_key: &[u8],
    schema: u8,
    sealed: &[u8],
) -> Result<SecretBytes, RowError> {
    match sealed.first() {
        Some(&VERSION) => {}
        Some(version) => return Err(RowError::UnsupportedVersion(*version)),
        None => return Err(RowError::Damaged),
    }
    let (nonce, rest) = sealed.get(1..).and_then(|rest| rest.split_first_chunk()).ok_or(RowError::Damaged)?;
    let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(RowError::Damaged)?;
    let mut plaintext = body.to_vec();
    aead::xopen_in_place(key, nonce, &associated(table, record_key, schema), &mut plaintext, tag)
        .map_err(|_| RowError::Damaged)?;
    let Ok(length) = padding::marked_length(&plaintext) else {
        plaintext.zeroize();
        return Err(RowError::Damaged);
    };
    // What is cut off is padding.
    plaintext.truncate(length);
    Ok(SecretBytes::from_vec(plaintext))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::super::{MasterKey, TableKey};
    use super::*;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(7)
    }

    fn table(name: &'static str) -> TableKey {
        MasterKey::generate(&mut rng()).table_key(name)
    }

    #[test]
    fn a_row_opens_only_where_it_was_put() {
        let sealed = table("body").seal(b"key", 1, b"plaintext", &mut rng());
        assert_eq!(table("body").open(b"key", 1, &sealed).unwrap().expose(), b"plaintext");
        assert_eq!(table("body").open(b"kez", 1, &sealed), Err(RowError::Damaged), "swapped with another row");
        assert_eq!(table("audit").open(b"key", 1, &sealed), Err(RowError::Damaged), "moved to another table");
        assert_eq!(table("body").open(b"key", 2, &sealed), Err(RowError::Damaged), "read as another schema");
        let other = MasterKey::generate(&mut ChaCha20Rng::seed_from_u64(8)).table_key("body");
        assert_eq!(other.open(b"key", 1, &sealed), Err(RowError::Damaged), "another vault");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let key = table("body");
        let sealed = key.seal(b"key", 1, b"plaintext", &mut rng());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(b"key", 1, &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(key.open(b"key", 1, &sealed[..length]).is_err(), "length {length}");
        }
        assert!(key.open(b"key", 1, &[sealed.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn sizes_show_steps_only() {
        let key = table("body");
        let size = |length: usize| key.seal(b"k", 1, &vec![1; length], &mut rng()).len();
        assert_eq!(size(20), size(60));
        assert_eq!(size(300), size(310));
        let mut sizes: Vec<usize> = (0..4096).map(size).collect();
        sizes.dedup();
        assert!(sizes.len() < 64, "{} sizes", sizes.len());
        assert!(size(1_000) < 1_000 * 9 / 8 + 64, "the padding stays small");
        assert!(size(64 * 1024 - 200) <= 65_400, "64 KiB pages are not doubled");
    }

    #[test]
    fn no_two_rows_share_a_nonce() {
        let (key, mut rng) = (table("body"), rng());
        assert_ne!(key.seal(b"k", 1, b"same", &mut rng), key.seal(b"k", 1, b"same", &mut rng));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plaintext in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0x80)], 0..700), schema: u8) {
            let key = table("body");
            let sealed = key.seal(b"key", schema, &plaintext, &mut rng());
            let opened = key.open(b"key", schema, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), plaintext);
        }

        #[test]
        fn noise_never_opens(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(table("body").open(b"key", 1, &noise).is_err());
        }
    }
}
