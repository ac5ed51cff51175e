//! Gaps: what a member had seen when they wrote, and we have not. Published messages
//! overtake each other, so that most gaps close by themselves in a moment; what is
//! still missing then is asked for. Who asks at once asks for everything twice.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use secure_chat_protocol::id::{AccountId, GroupId, MessageHash, ViewId};
use secure_chat_protocol::limits::GROUP_NAMED_MAX;
use secure_chat_protocol::sender_key::GroupMessageIn;

use super::Group;
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::messaging::limits::{GROUP_GAP_ASKS_MAX, GROUP_GAP_GRACE_MS, GROUP_GAPS_MAX, GROUP_RECENT_MAX};

/// A message that somebody had seen and we have not.
struct Missing {
    /// Who named it.
    by: AccountId,
    /// How often it was asked for.
    asked: u8,
    /// When it is asked for next: each has its own time to come by itself.
    at: Instant,
}

/// What is missing in one group, and what came last. In memory only.
#[derive(Default)]
pub(super) struct Gaps {
    missing: BTreeMap<MessageHash, Missing>,
    /// Who named a membership that is not ours, and when they are asked.
    view: Option<(AccountId, ViewId, Instant)>,
    recent: HashSet<MessageHash>,
    order: VecDeque<MessageHash>,
}

impl Gaps {
    /// A message is here.
    pub(super) fn saw(&mut self, hash: MessageHash) {
        self.missing.remove(&hash);
        if self.recent.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > GROUP_RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    /// Whether it came lately; of others the vault knows.
    pub(super) fn has_seen(&self, hash: &MessageHash) -> bool {
        self.recent.contains(hash)
    }

    fn note(&mut self, hash: MessageHash, by: AccountId, now: Instant) {
        if self.missing.len() < GROUP_GAPS_MAX {
            let at = now + Duration::from_millis(GROUP_GAP_GRACE_MS);
            self.missing.entry(hash).or_insert(Missing { by, asked: 0, at });
        }
    }

    /// When somebody is to be asked next.
    fn due(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.at).chain(self.view.map(|(.., at)| at)).min()
    }

    /// What did not come by itself: asked for by name.
    pub(super) fn named(&self) -> Vec<MessageHash> {
        let late = self.missing.iter().filter(|(_, missing)| missing.asked > 0);
        late.map(|(hash, _)| *hash).take(GROUP_NAMED_MAX).collect()
    }

    /// Whom to ask now, if something has been missing for long: whoever named it, and if
    /// that was of no use, anybody.
    fn ask(&mut self, now: Instant, view: Option<ViewId>) -> Option<Option<AccountId>> {
        let other = self.view.take_if(|(.., at)| *at <= now).filter(|(_, theirs, _)| Some(*theirs) != view);
        let mut named = None;
        self.missing.retain(|_, missing| {
            if missing.at <= now {
                missing.asked = missing.asked.saturating_add(1);
                missing.at = now + Duration::from_millis(GROUP_GAP_GRACE_MS.saturating_mul(2));
                if missing.asked <= GROUP_GAP_ASKS_MAX {
                    named = named.or(Some((missing.asked <= 1).then_some(missing.by)));
                }
            }
            missing.asked <= GROUP_GAP_ASKS_MAX
        });
        named.or(other.map(|(author, ..)| Some(author)))
    }
}

impl Open {
    /// Whoever wrote this has seen more than we have, or another membership.
    pub(super) fn note_gaps(
        &mut self,
        step: &Step<'_>,
        group: GroupId,
        message: &GroupMessageIn,
        from: Option<AccountId>,
    ) {
        if from.is_some() {
            return;
        }
        self.note_lacking(step, group, &message.heads, message.author);
        let other = self.groups.get(&group).and_then(Group::view).is_some_and(|view| view.id != message.view);
        let now = Instant::now();
        if let Some(held) = self.groups.get_mut(&group).filter(|held| other && held.gaps.view.is_none()) {
            let due = now + Duration::from_millis(GROUP_GAP_GRACE_MS);
            held.gaps.view = Some((message.author, message.view, due));
            self.wake_at(due);
        }
    }

    /// Somebody has seen these messages: what is not here is asked for, if it does not come by itself.
    pub(super) fn note_lacking(&mut self, step: &Step<'_>, group: GroupId, seen: &[MessageHash], who: AccountId) {
        let lacking = seen.iter().filter(|hash| !self.has_seen(step, group, hash));
        let lacking: Vec<MessageHash> = lacking.copied().collect();
        let Some(held) = self.groups.get_mut(&group).filter(|_| !lacking.is_empty()) else { return };
        let now = Instant::now();
        for hash in lacking {
            held.gaps.note(hash, who, now);
        }
        if let Some(due) = held.gaps.due() {
            self.wake_at(due);
        }
    }

    /// Asks for what did not come by itself.
    pub(super) fn ask_for_gaps(&mut self, step: &mut Step<'_>) {
        let now = Instant::now();
        let mut asks = Vec::new();
        for held in self.groups.values_mut().filter(|held| held.is_joined()) {
            let view = held.view().map(|view| view.id);
            asks.extend(held.gaps.ask(now, view).map(|whom| (held.row.group, whom)));
        }
        for (group, whom) in asks {
            self.ask_members(step, group, whom);
        }
        if let Some(next) = self.groups.values().filter_map(|held| held.gaps.due()).min() {
            self.wake_at(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: AccountId = AccountId([1; 32]);
    const HASH: MessageHash = MessageHash([2; 32]);

    #[test]
    fn a_gap_that_closes_by_itself_is_not_asked_for_and_another_not_for_ever() {
        let (mut gaps, now) = (Gaps::default(), Instant::now());
        let grace = Duration::from_millis(GROUP_GAP_GRACE_MS);
        gaps.note(HASH, BOB, now);
        gaps.note(MessageHash([3; 32]), BOB, now + grace / 2);
        gaps.saw(HASH);
        assert_eq!(gaps.ask(now + grace, None), None, "the other has not been missing for long");
        let mut asked = 0;
        while let Some(due) = gaps.due() {
            asked += u8::from(gaps.ask(due, None).is_some());
        }
        assert_eq!((asked, gaps.missing.len()), (GROUP_GAP_ASKS_MAX, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut gaps, now) = (Gaps::default(), Instant::now());
        for number in 0..GROUP_RECENT_MAX + 10 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            gaps.saw(MessageHash(hash));
            gaps.note(MessageHash([hash[0]; 32]), BOB, now);
        }
        assert!(gaps.order.len() == GROUP_RECENT_MAX && gaps.recent.len() == GROUP_RECENT_MAX);
        assert!(gaps.missing.len() <= GROUP_GAPS_MAX);
    }
}
