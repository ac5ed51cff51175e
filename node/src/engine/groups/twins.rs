//! Split views: a member signs two different messages for one place of their chain,
//! and tells each to somebody else. Nobody can read both, since a key opens once; but
//! members name the messages that they have seen, ask each other for those that they
//! lack by their hashes, and pass on both halves to whoever comes later. Whoever holds
//! both has the proof: only the owner of the chain can have signed either.

use secure_chat_protocol::id::{AccountId, ChainId, GroupId, MessageId};
use secure_chat_protocol::limits::DAY_MS;
use secure_chat_protocol::membership::View;
use secure_chat_protocol::sender_key::GroupMessageIn;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::content::MessageRef;
use secure_chat_protocol::wire::group::GroupFetch;

use super::Group;
use super::chat::{hash_key, place_key};
use super::exchange::counted_end;
use crate::api::{ApiError, Event};
use crate::engine::audit::Severity;
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::messaging::limits::{GROUP_KEEP_DAYS, GROUP_TWINS_MAX};
use crate::store::Table;

/// The row of a message's hash: chain (16), number (4), name (16; zeros where it has none).
const HASH_ROW_BYTES: usize = 36;

/// Where a message that is known by its hash stands, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) chain: ChainId,
    pub(super) number: u32,
    pub(super) id: MessageId,
}

impl Known {
    pub(super) fn encode(&self) -> Vec<u8> {
        [self.chain.as_ref(), &self.number.to_be_bytes(), &self.id.0].concat()
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let row: &[u8; HASH_ROW_BYTES] = row.try_into().ok()?;
        let (chain, rest) = row.split_first_chunk::<16>()?;
        let (number, id) = rest.split_first_chunk::<4>()?;
        let id = MessageId(id.try_into().ok()?);
        Some(Self { chain: ChainId(*chain), number: u32::from_be_bytes(*number), id })
    }
}

/// Names the other half of a split by its place.
fn twin_key(group: GroupId, chain: ChainId, number: u32) -> Vec<u8> {
    [group.as_ref(), b"t", chain.as_ref(), &number.to_be_bytes()].concat()
}

/// The other half of a split, for somebody who is sent the first.
pub(super) fn twin(step: &Step<'_>, held: &Group, chain: ChainId, number: u32) -> Option<Vec<u8>> {
    if !held.row.twins.contains(&(chain, number)) {
        return None;
    }
    step.txn.get(Table::GroupLog, &twin_key(held.row.group, chain, number)).ok().flatten()
}

/// The messages that a member asks for by their hashes, unless they come with all that
/// they lack anyway; as far as there is `room` for them.
pub(super) fn named(
    step: &Step<'_>,
    held: &Group,
    view: &View,
    fetch: &GroupFetch,
    from: AccountId,
    room: &mut usize,
) -> Vec<Bytes> {
    let mut found = Vec::new();
    for hash in &fetch.named {
        let row = step.txn.get(Table::GroupLog, &hash_key(fetch.group, hash)).ok().flatten();
        let Some(known) = row.as_deref().and_then(Known::decode) else { continue };
        let Some(progress) = held.row.places.get(&known.chain) else { continue };
        let place = place_key(fetch.group, known.chain, known.number);
        let row = step.txn.get(Table::GroupLog, &place).ok().flatten();
        let first = row.as_deref().and_then(|row| row.split_first_chunk::<8>()).map(|(_, encoded)| encoded.to_vec());
        let first = first.filter(|encoded| GroupMessageIn::hash(encoded) == *hash);
        let from_on = fetch.places.iter().find(|(chain, _)| *chain == known.chain).map_or(0, |(_, next)| *next);
        let comes_anyway = first.is_some() && progress.author != from && known.number >= from_on;
        if comes_anyway || known.number >= counted_end(view, known.chain, progress) {
            continue;
        }
        let encoded = first.or_else(|| twin(step, held, known.chain, known.number));
        let Some(encoded) = encoded.filter(|encoded| GroupMessageIn::hash(encoded) == *hash) else { continue };
        let Some(left) = room.checked_sub(encoded.len().saturating_add(8)) else { break };
        *room = left;
        found.push(Bytes(encoded));
    }
    found
}

impl Open {
    /// A message that was asked for by its hash. Of a chain that is not known here it
    /// says nothing: once that is handed over, all that is missing of it is asked for.
    pub(super) fn named_message(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        encoded: &[u8],
        from: AccountId,
    ) -> bool {
        let Ok(message) = GroupMessageIn::decode(encoded) else { return false };
        let known = self.groups.get(&group).and_then(|held| held.row.places.get(&message.chain));
        let known = known.is_some_and(|progress| progress.known && progress.author == message.author);
        let new = known && self.group_message(step, group, encoded, Some(from));
        // Whatever it was, it is not to be asked for again.
        if let Some(held) = self.groups.get_mut(&group).filter(|_| known) {
            held.gaps.saw(GroupMessageIn::hash(encoded));
        }
        new
    }

    /// A message that its author signed for a place whose key is used up. If another
    /// stands there, the author told others something else. Says whether they did.
    pub(super) fn split_seen(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        message: &GroupMessageIn,
        encoded: &[u8],
    ) -> bool {
        let (chain, number, author) = (message.chain, message.number, message.author);
        let place = step.txn.get(Table::GroupLog, &place_key(group, chain, number)).ok().flatten();
        let Some((_, ours)) = place.as_deref().and_then(|row| row.split_first_chunk::<8>()) else { return false };
        let Some(held) = self.groups.get_mut(&group).filter(|_| ours != encoded) else { return false };
        let hash = GroupMessageIn::hash(encoded);
        held.gaps.saw(hash);
        // It is kept and shown already: a third half costs nothing more.
        if held.row.twins.contains(&(chain, number)) {
            return true;
        }
        let day = u32::try_from(step.now.0 / DAY_MS).unwrap_or(u32::MAX).saturating_add(GROUP_KEEP_DAYS);
        // One more half is enough to convince whoever comes later.
        if held.row.twins.len() < GROUP_TWINS_MAX && held.row.twins.insert((chain, number)) {
            let known = Known { chain, number, id: MessageId([0; 16]) };
            step.txn.put_until(Table::GroupLog, &twin_key(group, chain, number), day, encoded);
            step.txn.put_until(Table::GroupLog, &hash_key(group, &hash), day, &known.encode());
            step.groups.insert(group);
        }
        let ours = hash_key(group, &GroupMessageIn::hash(ours));
        let ours = step.txn.get(Table::GroupLog, &ours).ok().flatten().as_deref().and_then(Known::decode);
        if let Some(ours) = ours
            && let Err(error) = self.mark_split(step, MessageRef { author, id: ours.id })
        {
            tracing::error!(%error, "a message can't be marked");
        }
        let text = "A member of a group told others something else than you: they signed two different messages as \
                    the same one. Ask the others what they were told.";
        self.alert(step, "group.split_message", Severity::Critical, Some(author.to_string()), text);
        true
    }

    /// The conversation shows that others were told something else.
    fn mark_split(&self, step: &mut Step<'_>, message: MessageRef) -> Result<(), ApiError> {
        let Some((entry, mut stored)) = self.load(step, message)? else { return Ok(()) };
        let reason = Some("Its author told others something else.".to_owned());
        if stored.reason == reason {
            return Ok(());
        }
        stored.reason = reason;
        self.store_message(step, entry.arrival, &stored)?;
        step.tell(Event::MessageEdited(Box::new(self.view(&entry, &stored))));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_a_hash_reads_back() {
        let known = Known { chain: ChainId([1; 16]), number: 7, id: MessageId([2; 16]) };
        assert_eq!(Known::decode(&known.encode()), Some(known));
        assert_eq!(Known::decode(b""), None);
    }
}
