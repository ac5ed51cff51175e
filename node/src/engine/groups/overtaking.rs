//! Edits, deletions and reactions that overtake their message: what is published finds
//! its own way. They are kept until the message comes, so many of each member, for as
//! long as messages are kept.

use secure_chat_protocol::id::{AccountId, GroupId};
use secure_chat_protocol::limits::DAY_MS;
use secure_chat_protocol::wire::codec::{self, Bytes};
use secure_chat_protocol::wire::content::{Content, MessageIn, MessageRef};

use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::messaging::limits::{
    GROUP_KEEP_DAYS, GROUP_OVERTAKING_OF_ONE_EACH_MAX, GROUP_OVERTAKING_OF_ONE_MAX, ROW_MAX_BYTES,
};
use crate::store::Table;

/// Names what waits for a message.
fn overtaking_key(group: GroupId, target: MessageRef) -> Vec<u8> {
    [group.as_ref(), b"o", target.author.as_ref(), &target.id.0].concat()
}

/// What waits for one message: who said what, in the order in which it came.
type Waiting = Vec<(AccountId, Bytes)>;

/// What a message is about, if it is about another.
fn target(author: AccountId, body: &Content) -> Option<MessageRef> {
    match body {
        Content::Edit { target, .. } | Content::Delete { target } => Some(MessageRef { author, id: *target }),
        Content::Reaction { target, .. } => Some(*target),
        _ => None,
    }
}

/// Lets what somebody said of a message wait for it. Of one member the oldest goes, and
/// nobody keeps out the author of the message.
fn admit(waiting: &mut Waiting, target: MessageRef, author: AccountId, said: Bytes) {
    let theirs = || waiting.iter().enumerate().filter(|(_, (who, _))| *who == author);
    if theirs().count() >= GROUP_OVERTAKING_OF_ONE_EACH_MAX
        && let Some((oldest, _)) = theirs().next()
    {
        waiting.remove(oldest);
    }
    if author == target.author || waiting.len() < GROUP_OVERTAKING_OF_ONE_MAX {
        waiting.push((author, said));
    }
}

impl Open {
    /// Keeps what was said of a message that is not here (yet). Says whether it is not.
    pub(super) fn overtakes(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        author: AccountId,
        said: &MessageIn,
    ) -> bool {
        let Some(target) = target(author, &said.body) else { return false };
        if self.load(step, target).is_ok_and(|found| found.is_some()) {
            return false;
        }
        let Some(held) = self.groups.get_mut(&group) else { return true };
        let Ok(gone) = held.row.note_overtaking(author, target) else { return true };
        if let Some(gone) = gone {
            self.change_waiting(step, group, gone, |waiting| waiting.retain(|(who, _)| *who != author));
        }
        if let Ok(encoded) = said.encode() {
            self.change_waiting(step, group, target, |waiting| {
                admit(waiting, target, author, Bytes(encoded));
            });
        }
        step.groups.insert(group);
        true
    }

    /// A message came: what was said of it before is applied.
    pub(super) fn apply_overtaking(&mut self, step: &mut Step<'_>, group: GroupId, message: MessageRef) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        let before = held.row.overtaking.len();
        held.row.overtaking.retain(|(_, target)| *target != message);
        if held.row.overtaking.len() == before {
            return;
        }
        step.groups.insert(group);
        let mut ready = Waiting::new();
        self.change_waiting(step, group, message, |waiting| ready = std::mem::take(waiting));
        for (author, said) in ready {
            let Ok(said) = MessageIn::decode(&said.0) else { continue };
            if let Err(error) = self.apply_group(step, group, author, said) {
                tracing::debug!(%error, "what overtook a message was not applied");
            }
        }
    }

    fn change_waiting(
        &self,
        step: &mut Step<'_>,
        group: GroupId,
        target: MessageRef,
        change: impl FnOnce(&mut Waiting),
    ) {
        let key = overtaking_key(group, target);
        let row = step.txn.get(Table::GroupLog, &key).ok().flatten();
        let mut waiting =
            row.and_then(|row| codec::decode_own::<Waiting>(&row, ROW_MAX_BYTES).ok()).unwrap_or_default();
        change(&mut waiting);
        let day = u32::try_from(step.now.0 / DAY_MS).unwrap_or(u32::MAX).saturating_add(GROUP_KEEP_DAYS);
        match codec::encode(&waiting, ROW_MAX_BYTES) {
            Ok(row) if !waiting.is_empty() => step.txn.put_until(Table::GroupLog, &key, day, &row),
            _ => step.txn.delete(Table::GroupLog, &key),
        }
    }

    /// Those whose message never came are over.
    pub(super) fn expire_overtaking(&mut self, step: &mut Step<'_>) {
        for held in self.groups.values_mut() {
            let (group, before) = (held.row.group, held.row.overtaking.len());
            let here = |target: MessageRef| {
                step.txn.get(Table::GroupLog, &overtaking_key(group, target)).is_ok_and(|row| row.is_some())
            };
            held.row.overtaking.retain(|(_, target)| here(*target));
            if held.row.overtaking.len() != before {
                step.groups.insert(group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secure_chat_protocol::id::MessageId;

    use super::*;

    #[test]
    fn nobody_keeps_a_deletion_from_waiting_for_its_message() {
        let (author, mallory) = (AccountId([1; 32]), AccountId([2; 32]));
        let target = MessageRef { author, id: MessageId([3; 16]) };
        let mut waiting = Waiting::new();
        for number in 0..200 {
            admit(&mut waiting, target, mallory, Bytes(vec![number]));
        }
        let hers: Vec<u8> = waiting.iter().map(|(_, said)| said.0[0]).collect();
        assert_eq!(hers, [196, 197, 198, 199], "what she said last");
        // Many of one mind fill it.
        for member in 3..=100 {
            admit(&mut waiting, target, AccountId([member; 32]), Bytes(vec![member]));
        }
        assert_eq!(waiting.len(), GROUP_OVERTAKING_OF_ONE_MAX);
        for number in 0..10 {
            admit(&mut waiting, target, author, Bytes(vec![number]));
        }
        assert_eq!(waiting.last(), Some(&(author, Bytes(vec![9]))));
        assert_eq!(waiting.len(), GROUP_OVERTAKING_OF_ONE_MAX + GROUP_OVERTAKING_OF_ONE_EACH_MAX);
    }
}
