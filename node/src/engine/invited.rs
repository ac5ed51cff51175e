//! Invites that were made here: whoever shows one may ask for a chat where
//! only people with an invite may (`who_may_request`).

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::DAY_MS;
use secure_chat_protocol::wire::codec::{self, Fixed};

use super::step::Step;
use crate::store::Table;

const INVITES_ROW: &[u8] = b"invites";
/// Invites that are remembered: the oldest goes first.
const INVITES_MAX: usize = 256;
const INVITES_MAX_BYTES: usize = INVITES_MAX * 32 + 64;
/// An invite is good for this long after it was made.
pub(super) const INVITE_LIFETIME_MS: u64 = 30 * DAY_MS;

type Made = Vec<(Fixed<16>, Timestamp)>;

fn made(step: &Step<'_>) -> Made {
    let row = step.txn.get(Table::Meta, INVITES_ROW).ok().flatten();
    row.and_then(|bytes| codec::decode_own(&bytes, INVITES_MAX_BYTES).ok()).unwrap_or_default()
}

/// Remembers an invite that is handed out.
pub(super) fn remember(step: &mut Step<'_>, nonce: [u8; 16]) {
    let mut made = made(step);
    made.retain(|(_, at)| step.now.since_ms(*at) <= INVITE_LIFETIME_MS);
    made.push((Fixed(nonce), step.now));
    let over = made.len().saturating_sub(INVITES_MAX);
    made.drain(..over);
    match codec::encode(&made, INVITES_MAX_BYTES) {
        Ok(bytes) => step.txn.put(Table::Meta, INVITES_ROW, &bytes),
        Err(error) => tracing::error!(%error, "an invite can't be remembered"),
    }
}

/// Whether an invite was made here, and is not over.
pub(super) fn knows(step: &Step<'_>, nonce: &Fixed<16>) -> bool {
    made(step).iter().any(|(known, at)| known == nonce && step.now.since_ms(*at) <= INVITE_LIFETIME_MS)
}
