//! Desktop notifications. They come from the node's events and not from the
//! window's painting, because a minimised window doesn't paint; and they say
//! nothing of who wrote what unless the person asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use secure_chat_node::api::{Event, Message};

use crate::strings::tr;
use crate::text::Clock;

/// No more than one notification in this time: a flood of messages is one event for a person.
const QUIET_FOR: Duration = Duration::from_secs(3);
/// How long one stays.
const SHOWN_FOR: Duration = Duration::from_secs(8);
/// Characters of a message that a notification shows, where it may.
const CONTENT_CHARS: usize = 120;

/// How much a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum Detail {
    /// None is shown.
    Off = 0,
    /// "New message".
    #[default]
    Hidden = 1,
    /// Who wrote what.
    Content = 2,
}

/// What the notifications have to know about the window and the person's wishes.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    focused: AtomicBool,
    detail: AtomicU8,
    /// Until when each makes no noise, in milliseconds.
    muted: std::sync::RwLock<std::collections::HashMap<String, u64>>,
}

impl Attention {
    /// Whether the person looks at the window.
    pub(crate) fn set_focused(&self, focused: bool) {
        self.focused.store(focused, Ordering::Relaxed);
    }

    /// How much a notification may tell.
    pub(crate) fn set_detail(&self, detail: Detail) {
        self.detail.store(detail as u8, Ordering::Relaxed);
    }

    /// The conversations that make no noise, and until when.
    pub(crate) fn set_muted(&self, muted: impl Iterator<Item = (String, u64)>) {
        if let Ok(mut old) = self.muted.write() {
            old.clear();
            old.extend(muted);
        }
    }

    fn is_muted(&self, conversation: &str) -> bool {
        let now_ms = Clock::system().now_ms;
        self.muted.read().is_ok_and(|muted| muted.get(conversation).is_some_and(|until| *until > now_ms))
    }

    fn detail(&self) -> Detail {
        match self.detail.load(Ordering::Relaxed) {
            0 => Detail::Off,
            2 => Detail::Content,
            _ => Detail::Hidden,
        }
    }
}

/// Shows notifications on the desktop.
pub(crate) struct Desktop {
    attention: Arc<Attention>,
    last: Option<Instant>,
}

impl Desktop {
    pub(crate) fn new(attention: Arc<Attention>) -> Self {
        attention.set_detail(Detail::Hidden);
        Self { attention, last: None }
    }

    /// Tells the desktop, where the event is worth it.
    pub(crate) fn notify(&mut self, event: &Event) {
        if self.attention.focused.load(Ordering::Relaxed) {
            return;
        }
        let Some((title, body)) = self.words(event) else { return };
        if self.last.is_some_and(|last| last.elapsed() < QUIET_FOR) {
            return;
        }
        self.last = Some(Instant::now());
        // Nobody waits for it: what it says is in the window, too.
        drop(show(title, body));
    }

    fn words(&self, event: &Event) -> Option<(String, String)> {
        let detail = self.attention.detail();
        if detail == Detail::Off {
            return None;
        }
        match event {
            Event::MessageReceived(message) | Event::GroupMessage(message)
                if !message.mine && !self.attention.is_muted(&message.conversation) =>
            {
                Some(of_message(message, detail))
            }
            Event::ContactRequest(_) => Some((tr().app_name.to_owned(), tr().notify_request.to_owned())),
            Event::ContactKeyChanged { .. } | Event::SecurityAlert { .. } => {
                Some((tr().app_name.to_owned(), tr().notify_security.to_owned()))
            }
            _ => None,
        }
    }
}

fn of_message(message: &Message, detail: Detail) -> (String, String) {
    match detail {
        Detail::Content => {
            (message.from.clone(), crate::text::displayed(&message.text).chars().take(CONTENT_CHARS).collect())
        }
        Detail::Hidden | Detail::Off => (tr().app_name.to_owned(), tr().notify_message.to_owned()),
    }
}

/// Whether it was shown: the desktop's service may answer late, or not be there at all.
fn show(title: String, body: String) -> tokio::task::JoinHandle<bool> {
    tokio::task::spawn_blocking(move || {
        let shown = notify_rust::Notification::new()
            .appname(tr().app_name)
            .summary(&title)
            .body(&escaped(&body))
            .timeout(SHOWN_FOR)
            .show();
        if shown.is_err() {
            tracing::debug!("no desktop notification service");
        }
        shown.is_ok()
    })
}

/// Notification services read simple markup in the body.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_node::api::{At, MessageState};

    fn message() -> Event {
        Event::MessageReceived(Box::new(Message {
            message_id: "1".into(),
            conversation: "bob".into(),
            conversation_id: String::new(),
            from: "bob".into(),
            account_id: String::new(),
            mine: false,
            text: "meet me at eight".into(),
            at: At::default(),
            state: MessageState::Received,
            reason: None,
            reply_to: None,
            edited: None,
            deleted: false,
            reactions: Default::default(),
            file: None,
        }))
    }

    #[test]
    fn content_and_sender_are_hidden_unless_asked_for() {
        let desktop = Desktop::new(Arc::default());
        let (title, body) = desktop.words(&message()).unwrap();
        assert!(!title.contains("bob") && !body.contains("eight"));
        desktop.attention.set_detail(Detail::Content);
        assert!(desktop.words(&message()).unwrap().1.contains("eight"));
    }

    /// Set for the process in which there is no notification service.
    const ALONE: &str = "SECURE_CHAT_TEST_WITHOUT_BUS";

    #[test]
    #[cfg(target_os = "linux")]
    fn without_a_notification_service_nothing_is_shown_and_nothing_fails() {
        if std::env::var_os(ALONE).is_some() {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let shown = runtime.block_on(async { show("Secure Chat".into(), "New message".into()).await });
            assert!(!shown.unwrap(), "there is no service that could show it");
            return;
        }
        // In a process of its own, since the bus is found by the environment.
        let test = "notify::tests::without_a_notification_service_nothing_is_shown_and_nothing_fails";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env(ALONE, "1");
        let output = child.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the test was found");
    }

    #[test]
    fn a_muted_contact_makes_no_noise_until_the_time_is_over() {
        let desktop = Desktop::new(Arc::default());
        let now_ms = Clock::system().now_ms;
        desktop.attention.set_muted([("bob".to_owned(), now_ms + 60_000)].into_iter());
        assert_eq!(desktop.words(&message()), None);
        desktop.attention.set_muted([("bob".to_owned(), now_ms - 60_000)].into_iter());
        assert!(desktop.words(&message()).is_some());
    }

    #[test]
    fn markup_in_a_message_stays_text() {
        assert_eq!(escaped("<b>&"), "&lt;b&gt;&amp;");
    }
}
