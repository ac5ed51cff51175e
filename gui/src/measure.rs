//! A conversation of any length without a node behind it, for benchmarks:
//! what a frame of the window costs, and nothing else.

use egui::Ui;
use secure_chat_node::api::{Account, At, Contact, ContactState, Message, MessageState, Status};
use secure_chat_protocol::id::Timestamp;

use crate::app::Window;
use crate::state::{Opened, Row, ScrollTo, Selection, Session, Timeline};
use crate::text::Clock;

/// The words of made-up messages.
const WORDS: [&str; 16] = [
    "the", "key", "exchange", "is", "done", "and", "your", "message", "arrived", "over", "a", "direct", "link",
    "tonight", "maybe", "later",
];
/// Made-up messages are this far apart, in milliseconds.
const EVERY_MS: u64 = 40_000;

/// The chat tab with one conversation open.
pub struct Conversation {
    window: Window,
}

impl Conversation {
    /// With this many messages of all lengths, each the same in every run.
    #[must_use]
    pub fn new(messages: usize) -> Self {
        let now_ms = Clock::system().now_ms;
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let rows: Vec<Row> = (0..messages)
            .map(|i| {
                let age_ms = (messages - i) as u64 * EVERY_MS;
                Row::new(&message(i, &mut next, now_ms.saturating_sub(age_ms)), "me")
            })
            .collect();
        let mut timeline = Timeline::new("bob");
        timeline.replace(rows, false, false);
        let mut window = Window::default();
        let state = &mut window.state;
        state.session = Session::Open(Box::new(Opened::new(account(), now_ms, false)));
        state.people.set_contacts(vec![contact()]);
        state.chat.selection = Selection::Conversation("bob".to_owned());
        state.chat.timeline = Some(timeline);
        Self { window }
    }

    /// Shows one frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        // What is asked goes nowhere: there is no node.
        self.window.show(ui, Clock::system(), true, &mut Vec::new());
    }

    /// Moves the list to a place, in points from its top, with the next frame.
    pub fn scroll_to(&mut self, offset: f64) {
        self.window.views.chat.scroll_by_hand(offset);
    }

    /// Moves the list to a message, by its number.
    pub fn jump_to(&mut self, index: usize) {
        if let Some(timeline) = &mut self.window.state.chat.timeline {
            timeline.scroll_to = Some(ScrollTo::Message(format!("m{index}")));
        }
    }

    /// The height of all messages as far as it is known, in points.
    #[must_use]
    pub fn height(&self) -> f64 {
        self.window.state.chat.timeline.as_ref().map_or(0.0, |timeline| timeline.heights.total())
    }

    /// How far from the top of the view a message was painted in the last frame, in points.
    #[must_use]
    pub fn place_of(&self, index: usize) -> Option<f64> {
        let timeline = self.window.state.chat.timeline.as_ref()?;
        let row = timeline.place(&format!("m{index}"))?;
        Some(timeline.heights.above(row) - timeline.heights.offset)
    }

    /// Puts a message in at the end, as if it had just come in.
    pub fn receive(&mut self, index: usize) {
        let mut next = || index as u64;
        let row = Row::new(&message(index, &mut next, Clock::system().now_ms), "me");
        if let Some(timeline) = &mut self.window.state.chat.timeline {
            timeline.receive(row);
        }
    }
}

fn account() -> Account {
    Account {
        username: "alice".to_owned(),
        account_id: "me".to_owned(),
        peer_id: String::new(),
        fingerprint: "0000 1111".to_owned(),
    }
}

fn contact() -> Contact {
    Contact {
        username: "bob".to_owned(),
        account_id: "account of bob".to_owned(),
        peer_id: String::new(),
        fingerprint: "2222 3333".to_owned(),
        state: ContactState::Accepted,
        verified: true,
        online: true,
        status: Status::Online,
        last_seen: None,
        unread: 0,
        muted_until: None,
        last_message: None,
        new_fingerprint: None,
    }
}

fn message(index: usize, next: &mut impl FnMut() -> u64, at_ms: u64) -> Message {
    let words = match next() % 10 {
        0..=5 => 3 + next() % 10,
        6..=8 => 12 + next() % 30,
        _ => 40 + next() % 90,
    };
    let mut text = format!("#{index}");
    for _ in 0..words {
        text.push(' ');
        text.push_str(WORDS[usize::try_from(next()).unwrap_or_default() % WORDS.len()]);
    }
    let mine = next() % 5 < 2;
    Message {
        message_id: format!("m{index}"),
        conversation: "bob".to_owned(),
        conversation_id: "account of bob".to_owned(),
        from: if mine { "alice" } else { "bob" }.to_owned(),
        account_id: String::new(),
        mine,
        text,
        at: At(Timestamp(at_ms)),
        state: if mine { MessageState::Read } else { MessageState::Received },
        reason: None,
        reply_to: None,
        edited: None,
        deleted: false,
        reactions: Default::default(),
        file: None,
    }
}
