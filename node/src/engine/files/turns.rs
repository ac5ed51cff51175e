//! Whose turn it is: files of several sharers are fetched in turns, so that one who is slow, or
//! shares much, keeps nobody else waiting.

use std::collections::{BTreeMap, HashMap};

use secure_chat_protocol::id::{AccountId, FileId, Timestamp};

/// A file that waits: since when, which, and who shared it.
pub(super) type Waiting = (Timestamp, FileId, AccountId);

/// The order in which they are to start: of each sharer the oldest first, and those first of whom the
/// fewest are `running` or come before.
pub(super) fn in_turn(mut waiting: Vec<Waiting>, running: &HashMap<AccountId, usize>) -> Vec<Waiting> {
    waiting.sort_unstable();
    let mut before: BTreeMap<AccountId, usize> = running.iter().map(|(account, count)| (*account, *count)).collect();
    let mut turns: Vec<(usize, Waiting)> = waiting
        .into_iter()
        .map(|file| {
            let turn = before.entry(file.2).or_default();
            let mine = *turn;
            *turn = turn.saturating_add(1);
            (mine, file)
        })
        .collect();
    turns.sort_unstable();
    turns.into_iter().map(|(_, file)| file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountId = AccountId([1; 32]);
    const CAROL: AccountId = AccountId([2; 32]);

    fn file(number: u8, sharer: AccountId) -> Waiting {
        (Timestamp(u64::from(number)), FileId([number; 32]), sharer)
    }

    fn order(waiting: Vec<Waiting>, running: &[(AccountId, usize)]) -> Vec<u8> {
        let running = running.iter().copied().collect();
        in_turn(waiting, &running).into_iter().map(|(_, file, _)| file.0[0]).collect()
    }

    #[test]
    fn one_who_shares_much_keeps_nobody_waiting() {
        let much = || (0..5).map(|number| file(number, ALICE)).chain([file(7, CAROL), file(6, CAROL)]).collect();
        assert_eq!(order(much(), &[]), [0, 6, 1, 7, 2, 3, 4]);
        assert_eq!(order(much(), &[(ALICE, 2)]), [6, 7, 0, 1, 2, 3, 4]);
        assert_eq!(order(much(), &[(ALICE, 1), (CAROL, 1)]), [0, 6, 1, 7, 2, 3, 4]);
    }

    #[test]
    fn of_one_sharer_the_oldest_comes_first() {
        assert_eq!(order(vec![file(3, ALICE), file(1, ALICE), file(2, ALICE)], &[(CAROL, 4)]), [1, 2, 3]);
    }
}
