//! The settings that the window knows, out of those that the vault keeps.
//! What concerns the window alone is one setting of several parts.

use std::collections::BTreeMap;

use secure_chat_node::api::Status;
use serde_json::{Map, Value};

use crate::notify::Detail;

/// How the window looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Look {
    #[default]
    Dark,
    Light,
    /// As the desktop does.
    System,
}

/// Sizes of everything that can be chosen; 1 is as designed.
pub(crate) const SCALES: [f32; 6] = [0.85, 1.0, 1.15, 1.3, 1.5, 1.75];

/// A setting of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    AutoLockMinutes,
    ReadReceipts,
    Typing,
    SharePresence,
    /// What others see: online, away, or nothing.
    Presence,
    Notifications,
    NotificationContent,
    WhoMayRequest,
    /// Received files are kept encrypted in the data directory.
    EncryptReceived,
    /// Others are told where this machine can be reached directly.
    ShareAddresses,
    DownloadFolder,
    /// Which types of files may be shared and fetched.
    FilePolicy,
    /// The longest file that is left at rendezvous nodes for somebody who is away.
    UploadMaxBytes,
    /// Parts of the setting that belongs to the window.
    Theme,
    Scale,
    ReducedMotion,
    Tab,
    Size,
}

/// The setting that holds all of the window's.
const WINDOW: &str = "window";

impl Key {
    /// The name of the setting, or of the window's part.
    fn name(self) -> &'static str {
        match self {
            Self::AutoLockMinutes => "auto_lock_minutes",
            Self::ReadReceipts => "read_receipts",
            Self::Typing => "typing",
            Self::SharePresence => "share_presence",
            Self::Presence => "presence",
            Self::Notifications => "notifications",
            Self::NotificationContent => "notification_content",
            Self::WhoMayRequest => "who_may_request",
            Self::EncryptReceived => "encrypt_received_files",
            Self::ShareAddresses => "share_addresses",
            Self::DownloadFolder => "download_folder",
            Self::FilePolicy => "file_policy",
            Self::UploadMaxBytes => "upload_max_bytes",
            Self::Theme => "theme",
            Self::Scale => "scale",
            Self::ReducedMotion => "reduced_motion",
            Self::Tab => "tab",
            Self::Size => "size",
        }
    }

    fn is_of_window(self) -> bool {
        matches!(self, Self::Theme | Self::Scale | Self::ReducedMotion | Self::Tab | Self::Size)
    }
}

/// The settings of the open account.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Preferences {
    values: BTreeMap<String, Value>,
    /// What the window is to remember of itself, from before the node said what it remembered: all of that is one
    /// value, which would be written over.
    early: Vec<(Key, Value)>,
    read: bool,
}

impl Preferences {
    /// The settings as the node gave them.
    pub(crate) fn new(values: BTreeMap<String, Value>) -> Self {
        Self { values, early: Vec::new(), read: true }
    }

    /// Whether the node has said what they are.
    pub(crate) fn are_read(&self) -> bool {
        self.read
    }

    /// Puts off what the window is to remember until the node has said what it remembered. Says whether it did.
    pub(crate) fn put_off(&mut self, key: Key, value: &Value) -> bool {
        let early = !self.read && key.is_of_window();
        if early {
            self.early.push((key, value.clone()));
        }
        early
    }

    /// What was put off.
    pub(crate) fn take_early(&mut self) -> Vec<(Key, Value)> {
        std::mem::take(&mut self.early)
    }

    /// Takes over what one answer says.
    pub(crate) fn merge(&mut self, values: BTreeMap<String, Value>) {
        self.values.extend(values);
    }

    /// Changes a setting here; returns what the node has to be asked to keep.
    pub(crate) fn set(&mut self, key: Key, value: Value) -> (String, Value) {
        let (name, value) = if key.is_of_window() {
            let mut window = match self.values.get(WINDOW) {
                Some(Value::Object(window)) => window.clone(),
                _ => Map::new(),
            };
            window.insert(key.name().to_owned(), value);
            (WINDOW, Value::Object(window))
        } else {
            (key.name(), value)
        };
        self.values.insert(name.to_owned(), value.clone());
        (name.to_owned(), value)
    }

    fn value(&self, key: Key) -> Option<&Value> {
        if key.is_of_window() { self.values.get(WINDOW)?.get(key.name()) } else { self.values.get(key.name()) }
    }

    /// A setting that is on or off, where the node knows it.
    pub(crate) fn switch(&self, key: Key) -> Option<bool> {
        self.value(key)?.as_bool()
    }

    /// A number, where the node knows it.
    pub(crate) fn number(&self, key: Key) -> Option<u64> {
        self.value(key)?.as_u64()
    }

    /// A word, where the node knows it.
    pub(crate) fn word(&self, key: Key) -> Option<&str> {
        self.value(key)?.as_str()
    }

    /// Dark, light or as the desktop.
    pub(crate) fn look(&self) -> Look {
        match self.word(Key::Theme) {
            Some("light") => Look::Light,
            Some("system") => Look::System,
            _ => Look::Dark,
        }
    }

    /// What the account shows to others.
    pub(crate) fn presence(&self) -> Status {
        match self.word(Key::Presence) {
            Some("away") => Status::Away,
            Some("invisible") => Status::Invisible,
            _ => Status::Online,
        }
    }

    /// The node shows something else from now on, and keeps it itself.
    pub(crate) fn choose_presence(&mut self, status: Status) {
        if let Ok(word) = serde_json::to_value(status) {
            let _ = self.set(Key::Presence, word);
        }
    }

    /// How large everything is; 1 is as designed.
    pub(crate) fn scale(&self) -> f32 {
        let scale = self.value(Key::Scale).and_then(Value::as_f64).unwrap_or(1.0) as f32;
        let [smallest, .., largest] = SCALES;
        if scale.is_finite() { scale.clamp(smallest, largest) } else { 1.0 }
    }

    /// Nothing moves by itself.
    pub(crate) fn reduced_motion(&self) -> bool {
        self.switch(Key::ReducedMotion).unwrap_or(false)
    }

    /// How much a desktop notification tells.
    pub(crate) fn notifications(&self) -> Detail {
        match (self.switch(Key::Notifications), self.switch(Key::NotificationContent)) {
            (Some(false), _) => Detail::Off,
            (_, Some(true)) => Detail::Content,
            _ => Detail::Hidden,
        }
    }

    /// The tab that was open last.
    pub(crate) fn tab(&self) -> Option<super::Tab> {
        super::Tab::from_name(self.word(Key::Tab)?)
    }

    /// Width and height of the window, in points.
    pub(crate) fn size(&self) -> Option<[f32; 2]> {
        let sides = self.value(Key::Size)?.as_array()?;
        let side = |i: usize| sides.get(i).and_then(Value::as_f64).map(|side| side as f32);
        let (width, height) = (side(0)?, side(1)?);
        // A size that no screen has is a mistake, not a wish.
        ((200.0..=16_000.0).contains(&width) && (200.0..=16_000.0).contains(&height)).then_some([width, height])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(key: Key, value: Value) -> Preferences {
        let mut preferences = Preferences::default();
        preferences.set(key, value);
        preferences
    }

    #[test]
    fn odd_values_leave_a_window_that_can_be_used() {
        for odd in [json!(-3), json!(1e9), json!("big"), json!(null), json!([])] {
            let scale = with(Key::Scale, odd.clone()).scale();
            assert!((SCALES[0]..=SCALES[5]).contains(&scale), "{odd}");
            assert_eq!(with(Key::Size, odd).size(), None);
        }
        assert_eq!(with(Key::Size, json!([0, 5])).size(), None);
        assert_eq!(with(Key::Size, json!([1280, 800])).size(), Some([1280.0, 800.0]));
    }

    #[test]
    fn presence_is_read_as_the_node_writes_it() {
        let mut preferences = Preferences::default();
        for status in [Status::Invisible, Status::Away, Status::Online] {
            preferences.choose_presence(status);
            assert_eq!(preferences.presence(), status);
        }
        assert_eq!(with(Key::Presence, json!(3)).presence(), Status::Online);
    }

    #[test]
    fn notifications_hide_their_content_by_default() {
        assert_eq!(Preferences::default().notifications(), Detail::Hidden);
        let mut preferences = with(Key::NotificationContent, json!(true));
        assert_eq!(preferences.notifications(), Detail::Content);
        preferences.set(Key::Notifications, json!(false));
        assert_eq!(preferences.notifications(), Detail::Off);
    }

    #[test]
    fn one_part_of_the_windows_setting_leaves_the_others() {
        let mut preferences = with(Key::Theme, json!("light"));
        let (name, value) = preferences.set(Key::Scale, json!(1.3));
        assert_eq!((name.as_str(), value), ("window", json!({"theme": "light", "scale": 1.3})));
        assert_eq!(preferences.look(), Look::Light);
    }
}
