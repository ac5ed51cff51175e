//! The vault's own rows: its counters, and the list of index segments.

use super::error::{DATABASE, StoreError};

/// The layout that this code writes and reads.
pub(super) const SCHEMA: u32 = 1;

const DAMAGED: StoreError = StoreError::Damaged { what: DATABASE };

/// Counters, written with every commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// Grows with every commit: which of two copies is the newer one.
    pub(super) epoch: u64,
    /// The number that the next message gets.
    pub(super) next_arrival: u64,
    /// Messages below this number are in segments of the index, or dirty.
    pub(super) indexed_upto: u64,
    /// The number that the next segment gets.
    pub(super) next_segment: u32,
    /// The vault was found to be older than it was known to be.
    pub(super) rolled_back: bool,
}

impl State {
    pub(super) const fn new() -> Self {
        Self { epoch: 1, next_arrival: 1, indexed_upto: 1, next_segment: 0, rolled_back: false }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = SCHEMA.to_le_bytes().to_vec();
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.next_arrival.to_le_bytes());
        out.extend_from_slice(&self.indexed_upto.to_le_bytes());
        out.extend_from_slice(&self.next_segment.to_le_bytes());
        out.push(u8::from(self.rolled_back));
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(bytes);
        let schema = u32::from_le_bytes(fields.take()?);
        if schema != SCHEMA {
            return Err(StoreError::UnsupportedVersion { found: schema });
        }
        let state = Self {
            epoch: u64::from_le_bytes(fields.take()?),
            next_arrival: u64::from_le_bytes(fields.take()?),
            indexed_upto: u64::from_le_bytes(fields.take()?),
            next_segment: u32::from_le_bytes(fields.take()?),
            rolled_back: fields.take()? == [1],
        };
        fields.end().map(|()| state)
    }
}

/// An immutable part of the search index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u32,
    /// It is about messages from this number …
    pub(super) first: u64,
    /// … up to this one.
    pub(super) last: u64,
    /// It is about some of them only, whose text was changed.
    pub(super) patch: bool,
}

impl Segment {
    pub(super) fn encode_all(segments: &[Self]) -> Vec<u8> {
        let mut out = Vec::with_capacity(segments.len().saturating_mul(21));
        for segment in segments {
            out.extend_from_slice(&segment.number.to_le_bytes());
            out.extend_from_slice(&segment.first.to_le_bytes());
            out.extend_from_slice(&segment.last.to_le_bytes());
            out.push(u8::from(segment.patch));
        }
        out
    }

    pub(super) fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, StoreError> {
        let mut fields = Fields(bytes);
        let mut segments = Vec::new();
        while !fields.is_empty() {
            segments.push(Self {
                number: u32::from_le_bytes(fields.take()?),
                first: u64::from_le_bytes(fields.take()?),
                last: u64::from_le_bytes(fields.take()?),
                patch: fields.take()? == [1],
            });
        }
        Ok(segments)
    }
}

/// Reads fields of fixed size off the front of a row.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn take_slice(&mut self, bytes: usize) -> Result<&'a [u8], StoreError> {
        let (field, rest) = self.0.split_at_checked(bytes).ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(field)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn end(&self) -> Result<(), StoreError> {
        if self.is_empty() { Ok(()) } else { Err(DAMAGED) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_segments_read_back_and_a_newer_schema_is_named() {
        let state = State { epoch: 9, next_arrival: 8, indexed_upto: 7, next_segment: 6, rolled_back: true };
        let mut bytes = state.encode();
        assert_eq!(State::decode(&bytes).unwrap(), state);
        assert!(State::decode(&bytes[1..]).is_err());
        bytes[0] = 2;
        assert!(matches!(State::decode(&bytes), Err(StoreError::UnsupportedVersion { found: 2 })));
        let segments = [
            Segment { number: 0, first: 1, last: 4, patch: false },
            Segment { number: 1, first: 2, last: 3, patch: true },
        ];
        assert_eq!(Segment::decode_all(&Segment::encode_all(&segments)).unwrap(), segments);
        assert!(Segment::decode_all(&[0; 20]).is_err());
    }
}
