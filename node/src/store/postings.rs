//! One bucket of an index segment: which messages have which token.
//!
//! `(tag 4 ‖ length ‖ postings)*` in the order of tags; postings are arrival
//! numbers, each as its distance from the one before (the first from the
//! segment's first message); lengths and distances are LEB128.

use super::error::{DATABASE, StoreError};

const DAMAGED: StoreError = StoreError::Damaged { what: DATABASE };

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

fn take_number(bytes: &mut &[u8]) -> Result<u64, StoreError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(DAMAGED)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(DAMAGED)
}

/// Writes a bucket. `pairs` are tags and arrival numbers, in order and without doubles.
pub(super) fn encode(first: u64, pairs: &[(u32, u64)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pairs.len().saturating_mul(3));
    let mut list = Vec::new();
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        let mut before = first;
        list.clear();
        for (_, arrival) in group {
            push_number(&mut list, arrival.saturating_sub(before));
            before = *arrival;
        }
        out.extend_from_slice(&group.first().map_or(0, |pair| pair.0).to_le_bytes());
        push_number(&mut out, list.len() as u64);
        out.extend_from_slice(&list);
    }
    out
}

/// The messages that have a token, in order of arrival.
pub(super) fn find(first: u64, mut bucket: &[u8], tag: u32) -> Result<Vec<u64>, StoreError> {
    while let Some((found, rest)) = bucket.split_first_chunk() {
        bucket = rest;
        let length = usize::try_from(take_number(&mut bucket)?).map_err(|_| DAMAGED)?;
        let (mut list, rest) = bucket.split_at_checked(length).ok_or(DAMAGED)?;
        bucket = rest;
        if u32::from_le_bytes(*found) != tag {
            continue;
        }
        let (mut arrivals, mut before) = (Vec::with_capacity(length), first);
        while !list.is_empty() {
            before = before.checked_add(take_number(&mut list)?).ok_or(DAMAGED)?;
            arrivals.push(before);
        }
        return Ok(arrivals);
    }
    Ok(Vec::new())
}

/// What both have; both in order.
pub(super) fn intersect(a: &[u64], b: &[u64]) -> Vec<u64> {
    let (mut out, mut b) = (Vec::with_capacity(a.len().min(b.len())), b.iter().peekable());
    for arrival in a {
        while b.next_if(|other| *other < arrival).is_some() {}
        if b.next_if_eq(&arrival).is_some() {
            out.push(*arrival);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_gives_back_what_was_put_in(first in 0..1_u64 << 40, pairs in proptest::collection::btree_set((0..5_u32, 0..1_u64 << 40), 0..50)) {
            let pairs: Vec<_> = pairs.into_iter().map(|(tag, distance)| (tag, first + distance)).collect();
            let bucket = encode(first, &pairs);
            for tag in 0..6 {
                let expected: Vec<u64> = pairs.iter().filter(|pair| pair.0 == tag).map(|pair| pair.1).collect();
                prop_assert_eq!(find(first, &bucket, tag).unwrap(), expected);
            }
        }

        #[test]
        fn noise_is_refused_or_read_but_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..60), tag in any::<u32>()) {
            let _ = find(u64::MAX - 3, &noise, tag);
        }

        #[test]
        fn an_intersection_is_one(a in proptest::collection::btree_set(0..40_u64, 0..20), b in proptest::collection::btree_set(0..40_u64, 0..20)) {
            let expected: Vec<u64> = a.intersection(&b).copied().collect();
            let list = |set: BTreeSet<u64>| set.into_iter().collect::<Vec<_>>();
            prop_assert_eq!(intersect(&list(a), &list(b)), expected);
        }
    }
}
