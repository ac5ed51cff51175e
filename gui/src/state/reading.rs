//! What the person has read, and when the node is told.

use super::{State, Tab};
use crate::ask::{Ask, messages};

/// The node is told no more often what was read, in milliseconds.
const MARK_EVERY_MS: u64 = 400;

impl State {
    /// Tells the node what was read: the end of the open conversation, while it
    /// is looked at. Returns when to come back, in milliseconds: in a flood, not
    /// every frame is worth a commit and a receipt.
    pub(super) fn mark_read(&mut self, now_ms: u64, focused: bool, asks: &mut Vec<Ask>) -> Option<u64> {
        if !focused {
            self.mark_seen(now_ms, asks);
        }
        if !focused
            || !matches!(self.tab, Tab::Chat | Tab::Groups)
            || self.opened().is_some_and(|opened| opened.onboarding.is_some())
        {
            return None;
        }
        let timeline = self.chat.timeline.as_mut()?;
        if timeline.unseen > 0 || !timeline.at_end || !timeline.loaded {
            return None;
        }
        let newest = timeline.newest_received()?;
        if timeline.read_up_to.as_deref() == Some(newest) {
            return None;
        }
        let newest = newest.to_owned();
        let waited = now_ms.saturating_sub(self.marked_at_ms);
        if waited < MARK_EVERY_MS {
            timeline.seen_up_to = Some(newest);
            return Some(MARK_EVERY_MS - waited);
        }
        self.mark_up_to(newest, now_ms, asks);
        None
    }

    /// Tells the node at once what was seen a moment ago: the person looks at something else from now on.
    pub(crate) fn mark_seen(&mut self, now_ms: u64, asks: &mut Vec<Ask>) {
        if let Some(seen) = self.chat.timeline.as_mut().and_then(|timeline| timeline.seen_up_to.take()) {
            self.mark_up_to(seen, now_ms, asks);
        }
    }

    fn mark_up_to(&mut self, up_to: String, now_ms: u64, asks: &mut Vec<Ask>) {
        let Some(timeline) = &mut self.chat.timeline else { return };
        self.marked_at_ms = now_ms;
        timeline.seen_up_to = None;
        timeline.read_up_to = Some(up_to.clone());
        let conversation = timeline.conversation.clone();
        if self.is_group(&conversation) {
            self.mark_group_read(&conversation, up_to, asks);
        } else {
            self.people.set_unread(&conversation, 0);
            asks.push(messages::Ask::MarkRead { conversation, up_to }.into());
        }
    }
}
