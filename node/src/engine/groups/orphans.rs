//! Operations that wait for those before them. Nothing of them is verified until those
//! have come, so that they cost no more than their room; nobody takes that of another.

use std::collections::VecDeque;

use secure_chat_protocol::id::{AccountId, OperationId};

use crate::messaging::limits::{GROUP_ORPHANS_EACH_MAX, GROUP_ORPHANS_MAX};

struct Orphan {
    /// Who told it; not who is said to have done it.
    from: AccountId,
    missing: Vec<OperationId>,
    encoded: Vec<u8>,
}

/// What waits in one group, in memory only: what is dropped is asked for again.
#[derive(Default)]
pub(super) struct Orphans {
    waiting: VecDeque<Orphan>,
}

impl Orphans {
    /// Keeps an operation until those it follows are known. Of one teller the oldest
    /// goes for it; where there is no room at all, it is not kept.
    pub(super) fn keep(&mut self, from: AccountId, missing: Vec<OperationId>, encoded: Vec<u8>) {
        if self.waiting.iter().any(|orphan| orphan.encoded == encoded) {
            return;
        }
        let theirs = || self.waiting.iter().enumerate().filter(|(_, orphan)| orphan.from == from);
        if theirs().count() >= GROUP_ORPHANS_EACH_MAX
            && let Some((oldest, _)) = theirs().next()
        {
            self.waiting.remove(oldest);
        }
        if self.waiting.len() < GROUP_ORPHANS_MAX {
            self.waiting.push_back(Orphan { from, missing, encoded });
        }
    }

    /// Takes out those of which nothing is missing any more, with their tellers.
    pub(super) fn take_ready(&mut self, knows: impl Fn(&OperationId) -> bool) -> Vec<(AccountId, Vec<u8>)> {
        let mut ready = Vec::new();
        self.waiting.retain_mut(|orphan| {
            let lacks = orphan.missing.iter().any(|parent| !knows(parent));
            if !lacks {
                ready.push((orphan.from, std::mem::take(&mut orphan.encoded)));
            }
            lacks
        });
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> OperationId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_le_bytes());
        OperationId(id)
    }

    #[test]
    fn an_operation_is_looked_at_again_only_once_nothing_before_it_is_missing() {
        let mut orphans = Orphans::default();
        let (alice, bob) = (AccountId([1; 32]), AccountId([2; 32]));
        orphans.keep(alice, vec![id(1), id(2)], vec![1]);
        orphans.keep(bob, vec![id(2)], vec![2]);
        orphans.keep(bob, vec![id(1), id(2)], vec![1]);
        assert!(orphans.take_ready(|parent| *parent == id(1)).is_empty());
        assert_eq!(orphans.take_ready(|parent| *parent == id(2)), [(bob, vec![2])]);
        assert_eq!(orphans.take_ready(|_| true), [(alice, vec![1])], "once, though it was told twice");
        assert!(orphans.take_ready(|_| true).is_empty());
    }

    #[test]
    fn nobody_who_tells_of_what_is_missing_takes_the_room_of_another() {
        let mut orphans = Orphans::default();
        let (honest, mallory) = (AccountId([1; 32]), AccountId([2; 32]));
        orphans.keep(honest, vec![id(0)], vec![0]);
        for number in 1..=2 * GROUP_ORPHANS_MAX {
            orphans.keep(mallory, vec![id(number)], number.to_le_bytes().to_vec());
        }
        assert_eq!(orphans.waiting.len(), 1 + GROUP_ORPHANS_EACH_MAX);
        for number in 3..=255 {
            for operation in 0..GROUP_ORPHANS_EACH_MAX {
                orphans.keep(
                    AccountId([number; 32]),
                    vec![id(1)],
                    [number, 1].iter().copied().chain(operation.to_le_bytes()).collect(),
                );
            }
        }
        assert_eq!(orphans.waiting.len(), GROUP_ORPHANS_MAX);
        assert_eq!(orphans.take_ready(|parent| *parent == id(0)), [(honest, vec![0])]);
    }
}
