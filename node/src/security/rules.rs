//! The alert rules: when something that may happen once means trouble when it
//! happens often. Pure: time comes with each signal. `docs/threat-model.md`
//! has the table for people.

use std::collections::{HashMap, VecDeque};

use secure_chat_protocol::id::{AccountId, Timestamp};
use secure_chat_protocol::limits::SECOND_MS;

use super::log::Severity;

/// Most rules look at this much of the past.
const WINDOW_MS: u64 = 10 * 60 * SECOND_MS;
/// Messages are counted over this time.
const MESSAGES_WINDOW_MS: u64 = 60 * SECOND_MS;
/// Chat requests within the window that are a flood.
pub const REQUESTS_FLOOD: u32 = 10;
/// Messages of one contact within a minute that are a flood.
pub const MESSAGES_FLOOD: u32 = 1_000;
/// Messages of one sender that did not open, within the window.
pub const DECRYPT_FAILURES: u32 = 5;
/// Times that the same bytes came again, within the window.
pub const REPLAYS: u32 = 5;
/// Wrong passwords since the account was last open.
pub const WRONG_PASSWORDS: u32 = 5;
/// Sessions that one contact started within the window.
pub const NEW_SESSIONS: u32 = 6;
/// Malformed frames of one peer within the window.
pub const MALFORMED_FRAMES: u32 = 3;
/// Envelopes in the mailbox that opened to nothing, within the window.
pub const MAILBOX_GARBAGE: u32 = 1;
/// Senders and messages that are watched at once: the one that was quiet longest goes first.
const WATCHED_MAX: usize = 4_096;

/// Something that a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Somebody new asks for a chat, shown or not.
    Request,
    /// More requests than may wait.
    RequestsFull,
    /// A contact's message was opened.
    Message(AccountId),
    /// A message did not open; of nobody in particular when it came out of a mailbox.
    DecryptFailed(Option<AccountId>),
    /// The same bytes came again; with their mark.
    Replay(AccountId, [u8; 8]),
    /// A first message whose session is gone came again.
    FirstMessageReplay(Option<AccountId>),
    /// So many wrong passwords were typed before the account was opened.
    WrongPasswords(u32),
    /// A contact started a session.
    SessionStarted(AccountId),
    /// A peer sent a frame that is none; whose, if it said so.
    Malformed {
        /// The peer's network key.
        peer: [u8; 32],
        /// Who it is.
        account: Option<AccountId>,
    },
    /// An envelope in the mailbox was not for us, or garbage.
    MailboxGarbage,
}

/// An alert that a rule wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// The rule.
    pub kind: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Whom it is about.
    pub subject: Option<AccountId>,
    /// A sentence.
    pub detail: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Watched {
    Requests,
    Messages(AccountId),
    Decrypts(Option<AccountId>),
    Replays(AccountId, [u8; 8]),
    Sessions(AccountId),
    Frames([u8; 32]),
    Mailbox,
}

/// Parts of a window that are counted apart.
const SLICES: u64 = 10;

/// A count that forgets. It looks back a whole window, and at most one slice more:
/// what comes within the window is never missed.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    slice: u64,
    now: u32,
    /// The slices before, the latest first.
    before: [u32; SLICES as usize],
}

impl Count {
    /// Counts one; says whether there were `limit` within the window. Starts over then.
    fn add(&mut self, now: Timestamp, window_ms: u64, limit: u32) -> bool {
        let slice = now.0 / window_ms.div_ceil(SLICES).max(1);
        // A clock that went back starts over.
        let passed = slice.checked_sub(self.slice).unwrap_or(SLICES + 1);
        for _ in 0..passed.min(SLICES + 1) {
            self.before.rotate_right(1);
            if let Some(latest) = self.before.first_mut() {
                *latest = self.now;
            }
            self.now = 0;
        }
        self.slice = slice;
        self.now = self.now.saturating_add(1);
        let reached = self.before.iter().fold(self.now, |sum, count| sum.saturating_add(*count)) >= limit;
        if reached {
            (self.before, self.now) = ([0; SLICES as usize], 0);
        }
        reached
    }
}

/// All rules, with what they remember. In memory only.
#[derive(Debug, Default)]
pub struct Rules {
    counts: HashMap<Watched, Count>,
    order: VecDeque<Watched>,
}

impl Rules {
    fn count(&mut self, watched: Watched, now: Timestamp, window_ms: u64, limit: u32) -> bool {
        if !self.counts.contains_key(&watched) {
            if self.order.len() >= WATCHED_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.counts.remove(&oldest);
            }
            self.order.push_back(watched);
        }
        self.counts.entry(watched).or_default().add(now, window_ms, limit)
    }

    /// Looks at something; says whether it is worth an alert.
    pub fn observe(&mut self, now: Timestamp, signal: &Signal) -> Option<Raised> {
        let (reached, kind, subject, detail) = match signal {
            Signal::Request => (
                self.count(Watched::Requests, now, WINDOW_MS, REQUESTS_FLOOD),
                "request.flood",
                None,
                "Many people ask for a chat in a short time. In the settings you can let nobody ask for a while.",
            ),
            Signal::RequestsFull => {
                (true, "request.flood", None, "More chat requests came than can wait for an answer.")
            }
            Signal::Message(from) => (
                self.count(Watched::Messages(*from), now, MESSAGES_WINDOW_MS, MESSAGES_FLOOD),
                "message.flood",
                Some(*from),
                "A contact sends more messages than a person can write.",
            ),
            Signal::DecryptFailed(from) => (
                self.count(Watched::Decrypts(*from), now, WINDOW_MS, DECRYPT_FAILURES),
                "decrypt.failures",
                *from,
                "Message after message can't be opened: somebody changes or makes them up, or a session is lost.",
            ),
            Signal::Replay(from, mark) => (
                self.count(Watched::Replays(*from, *mark), now, WINDOW_MS, REPLAYS),
                "message.replay",
                Some(*from),
                "The same message is sent again and again. It is shown once.",
            ),
            Signal::FirstMessageReplay(from) => {
                (true, "message.replay", *from, "A first message that was opened before came again, and was refused.")
            }
            Signal::WrongPasswords(wrong) => (
                *wrong >= WRONG_PASSWORDS,
                "account.brute_force",
                None,
                "Many wrong passwords were typed before the account was opened.",
            ),
            Signal::SessionStarted(with) => (
                self.count(Watched::Sessions(*with), now, WINDOW_MS, NEW_SESSIONS),
                "session.churn",
                Some(*with),
                "A contact starts one encrypted session after another.",
            ),
            Signal::Malformed { peer, account } => (
                self.count(Watched::Frames(*peer), now, WINDOW_MS, MALFORMED_FRAMES),
                "network.malformed",
                *account,
                "A peer sends garbage again and again.",
            ),
            Signal::MailboxGarbage => (
                self.count(Watched::Mailbox, now, WINDOW_MS, MAILBOX_GARBAGE),
                "mailbox.invalid_envelope",
                None,
                "An envelope in the mailbox could not be opened: it was changed under way, or somebody makes them up.",
            ),
        };
        reached.then_some(Raised { kind, severity: Severity::Warning, subject, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALLORY: AccountId = AccountId([3; 32]);

    fn alerts(rules: &mut Rules, times: u32, every_ms: u64, signal: impl Fn(u32) -> Signal) -> usize {
        (0..times).filter(|at| rules.observe(Timestamp(u64::from(*at) * every_ms), &signal(*at)).is_some()).count()
    }

    #[test]
    fn each_rule_speaks_at_its_bound_and_not_below_it() {
        let every: [(u32, fn() -> Signal); 7] = [
            (REQUESTS_FLOOD, || Signal::Request),
            (MESSAGES_FLOOD, || Signal::Message(MALLORY)),
            (DECRYPT_FAILURES, || Signal::DecryptFailed(Some(MALLORY))),
            (REPLAYS, || Signal::Replay(MALLORY, [0; 8])),
            (NEW_SESSIONS, || Signal::SessionStarted(MALLORY)),
            (MALFORMED_FRAMES, || Signal::Malformed { peer: [1; 32], account: None }),
            (MAILBOX_GARBAGE, || Signal::MailboxGarbage),
        ];
        for (bound, signal) in every {
            assert_eq!(alerts(&mut Rules::default(), bound - 1, 10, |_| signal()), 0, "{:?}", signal());
            assert_eq!(alerts(&mut Rules::default(), bound, 10, |_| signal()), 1, "{:?}", signal());
        }
    }

    #[test]
    fn what_is_spread_over_time_or_people_is_no_flood() {
        assert_eq!(alerts(&mut Rules::default(), 500, WINDOW_MS, |_| Signal::Request), 0);
        let from_many = |at: u32| Signal::DecryptFailed(Some(AccountId([u8::try_from(at % 200).unwrap(); 32])));
        assert_eq!(alerts(&mut Rules::default(), 800, 10, from_many), 0);
        // A delivery that is acknowledged late comes twice, each message once more.
        let each_twice = |at: u32| Signal::Replay(MALLORY, u64::from(at / 2).to_le_bytes());
        assert_eq!(alerts(&mut Rules::default(), 5_000, 1, each_twice), 0);
    }

    #[test]
    fn a_flood_of_senders_fills_no_memory() {
        let mut rules = Rules::default();
        for at in 0..3 * WATCHED_MAX as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&at.to_le_bytes());
            rules.observe(Timestamp(at), &Signal::Message(AccountId(id)));
        }
        assert!(rules.counts.len() <= WATCHED_MAX && rules.order.len() <= WATCHED_MAX);
    }
}
