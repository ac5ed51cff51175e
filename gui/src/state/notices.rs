//! What the window says by itself: toasts for what passes, and a list for
//! what stays until it was seen.

use std::collections::VecDeque;

/// Toasts on the screen at once.
const TOASTS_MAX: usize = 4;
/// How long a toast stays, in milliseconds.
const TOAST_FOR_MS: u64 = 4_500;
/// Notices kept.
const NOTICES_MAX: usize = 200;

/// How it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Plain,
    Warning,
    Bad,
}

/// What is said in passing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toast {
    pub(crate) serial: u64,
    pub(crate) tone: Tone,
    pub(crate) text: String,
    pub(crate) until_ms: u64,
}

/// What stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) tone: Tone,
    pub(crate) text: String,
    pub(crate) at_ms: u64,
    /// The conversation that it is about.
    pub(crate) conversation: Option<String>,
    pub(crate) seen: bool,
}

/// Toasts and notices.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    toasts: VecDeque<Toast>,
    kept: VecDeque<Notice>,
    serial: u64,
}

impl Notices {
    /// Says something in passing.
    pub(crate) fn toast(&mut self, tone: Tone, text: impl Into<String>, now_ms: u64) {
        let text = text.into();
        self.serial += 1;
        // The same words twice are one toast that stays longer.
        self.toasts.retain(|toast| toast.text != text);
        let until_ms = now_ms.saturating_add(TOAST_FOR_MS);
        self.toasts.push_back(Toast { serial: self.serial, tone, text, until_ms });
        while self.toasts.len() > TOASTS_MAX {
            self.toasts.pop_front();
        }
    }

    /// Toasts of now, oldest first; those whose time is over go.
    pub(crate) fn toasts(&mut self, now_ms: u64) -> impl Iterator<Item = &Toast> {
        self.toasts.retain(|toast| toast.until_ms > now_ms);
        self.toasts.iter()
    }

    /// When the next toast goes, in milliseconds from now.
    pub(crate) fn toast_ends_in_ms(&self, now_ms: u64) -> Option<u64> {
        self.toasts.iter().map(|toast| toast.until_ms.saturating_sub(now_ms)).min()
    }

    /// Takes a toast away.
    pub(crate) fn dismiss(&mut self, serial: u64) {
        self.toasts.retain(|toast| toast.serial != serial);
    }

    /// Keeps something until it was seen.
    pub(crate) fn keep(&mut self, tone: Tone, text: impl Into<String>, conversation: Option<String>, now_ms: u64) {
        self.kept.push_front(Notice { tone, text: text.into(), at_ms: now_ms, conversation, seen: false });
        self.kept.truncate(NOTICES_MAX);
    }

    /// Notices, newest first.
    pub(crate) fn kept(&self) -> impl ExactSizeIterator<Item = &Notice> {
        self.kept.iter()
    }

    /// How many were not seen yet.
    pub(crate) fn unseen(&self) -> usize {
        self.kept.iter().filter(|notice| !notice.seen).count()
    }

    /// All were seen.
    pub(crate) fn see_all(&mut self) {
        self.kept.iter_mut().for_each(|notice| notice.seen = true);
    }

    /// None is kept any longer.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toasts_pass_and_notices_stay() {
        let mut notices = Notices::default();
        notices.toast(Tone::Plain, "copied", 0);
        notices.keep(Tone::Bad, "keys changed", None, 0);
        assert_eq!(notices.toasts(TOAST_FOR_MS - 1).count(), 1);
        assert_eq!(notices.toasts(TOAST_FOR_MS).count(), 0);
        assert_eq!((notices.kept().len(), notices.unseen()), (1, 1));
        notices.see_all();
        assert_eq!((notices.kept().len(), notices.unseen()), (1, 0));
    }

    #[test]
    fn a_flood_is_bounded_and_a_repetition_is_one() {
        let mut notices = Notices::default();
        for i in 0..1_000 {
            notices.toast(Tone::Plain, format!("{i}"), 0);
            notices.toast(Tone::Plain, "again", 0);
            notices.keep(Tone::Plain, "x", None, 0);
        }
        assert_eq!(notices.toasts(0).count(), TOASTS_MAX);
        assert_eq!(notices.toasts(0).filter(|toast| toast.text == "again").count(), 1);
        assert_eq!(notices.kept().len(), NOTICES_MAX);
    }
}
