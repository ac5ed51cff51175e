//! Padding, so that sizes say little: one byte `80`, then zeros, up to a multiple
//! of a step (ISO/IEC 7816-4). Floor 2.
//!
//! It is canonical: exactly one padded form belongs to each plaintext.

use crate::limits::{PADDING_LARGE_STEP_BYTES, PADDING_SMALL_STEP_BYTES, PADDING_SMALL_UP_TO_BYTES};

/// What was decrypted is not in padded form: the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is not padded as it must be")]
pub struct BadPadding;

/// How long `length` bytes are when padded.
#[must_use]
pub const fn padded_length(length: usize) -> usize {
    let with_mark = length.saturating_add(1);
    let step = if with_mark <= PADDING_SMALL_UP_TO_BYTES { PADDING_SMALL_STEP_BYTES } else { PADDING_LARGE_STEP_BYTES };
    with_mark.div_ceil(step).saturating_mul(step)
}

/// Appends `plaintext` in padded form to `out`.
pub fn pad_into(plaintext: &[u8], out: &mut Vec<u8>) {
    pad_up_to(plaintext, padded_length(plaintext.len()), out);
}

/// Appends `plaintext`, the mark and zeros, `padded` bytes in all, to `out`: for
/// what has steps of its own. `padded` is more than the plaintext has.
pub(crate) fn pad_up_to(plaintext: &[u8], padded: usize, out: &mut Vec<u8>) {
    let end = out.len().saturating_add(padded);
    out.extend_from_slice(plaintext);
    out.push(0x80);
    out.resize(end, 0);
}

/// How many bytes stand before the mark.
pub(crate) fn marked_length(padded: &[u8]) -> Result<usize, BadPadding> {
    // Most of the padding goes in strides, which compile to a few wide comparisons.
    let mut end = padded;
    while let Some((before, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])) = end.split_last_chunk::<16>() {
        end = before;
    }
    let mark = end.iter().rposition(|byte| *byte != 0).ok_or(BadPadding)?;
    if padded.get(mark) == Some(&0x80) { Ok(mark) } else { Err(BadPadding) }
}

/// `plaintext` in padded form.
#[must_use]
pub fn pad(plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(padded_length(plaintext.len()));
    pad_into(plaintext, &mut out);
    out
}

/// The plaintext inside `padded`.
///
/// # Errors
/// [`BadPadding`] when it is not the one padded form of a plaintext.
pub fn unpad(padded: &[u8]) -> Result<&[u8], BadPadding> {
    let plaintext = padded.get(..marked_length(padded)?).ok_or(BadPadding)?;
    if padded_length(plaintext.len()) != padded.len() {
        return Err(BadPadding);
    }
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back_and_lands_on_a_step() {
        for length in (0..9_000).chain([40 * 1024]) {
            let plaintext = vec![0x80; length];
            let padded = pad(&plaintext);
            assert_eq!(unpad(&padded), Ok(plaintext.as_slice()));
            let step = if padded.len() <= 4096 { 256 } else { 4096 };
            assert_eq!((padded.len() % step, padded.len() > length), (0, true));
        }
        assert_eq!((padded_length(0), padded_length(255), padded_length(256)), (256, 256, 512));
        assert_eq!((padded_length(4095), padded_length(4096)), (4096, 8192));
    }

    #[test]
    fn no_other_form_is_accepted() {
        let mut longer = pad(b"hello");
        longer.extend_from_slice(&[0; 256]);
        assert_eq!(unpad(&longer), Err(BadPadding), "more padding than needed");
        assert_eq!(unpad(&pad(b"hello")[..255]), Err(BadPadding), "less padding than needed");
        assert_eq!(unpad(&[0; 256]), Err(BadPadding), "no mark");
        assert_eq!(unpad(&[]), Err(BadPadding));
        let mut wrong_mark = pad(b"hello");
        wrong_mark[5] = 0x81;
        assert_eq!(unpad(&wrong_mark), Err(BadPadding));
    }
}
