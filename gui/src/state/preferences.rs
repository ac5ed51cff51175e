//! The settings that the window knows, out of those that the vault keeps.

use std::collections::BTreeMap;

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

/// Smallest and largest scale of the window.
pub(crate) const SCALES: [f32; 6] = [0.85, 1.0, 1.15, 1.3, 1.5, 1.75];

/// The settings of the open account.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Preferences {
    values: BTreeMap<String, serde_json::Value>,
}

/// Names of settings.
pub(crate) mod key {
    pub(crate) const LOOK: &str = "window.theme";
    pub(crate) const SCALE: &str = "window.scale";
    pub(crate) const REDUCED_MOTION: &str = "window.reduced_motion";
    pub(crate) const TAB: &str = "window.tab";
    pub(crate) const SIZE: &str = "window.size";
    pub(crate) const NOTIFICATIONS: &str = "notifications";
    pub(crate) const RECEIPTS: &str = "receipts";
    pub(crate) const TYPING: &str = "typing";
    pub(crate) const PRESENCE: &str = "presence";
    pub(crate) const AUTO_LOCK: &str = "auto_lock_minutes";
}

impl Preferences {
    /// The settings as the node gave them.
    pub(crate) fn new(values: BTreeMap<String, serde_json::Value>) -> Self {
        Self { values }
    }

    /// Takes over what one answer says.
    pub(crate) fn merge(&mut self, values: BTreeMap<String, serde_json::Value>) {
        self.values.extend(values);
    }

    /// A setting that is on or off, where the node knows it.
    pub(crate) fn switch(&self, key: &str) -> Option<bool> {
        self.values.get(key)?.as_bool()
    }

    /// A number, where the node knows it.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.values.get(key)?.as_u64()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }

    /// Dark, light or as the desktop.
    pub(crate) fn look(&self) -> Look {
        match self.text(key::LOOK) {
            Some("light") => Look::Light,
            Some("system") => Look::System,
            _ => Look::Dark,
        }
    }

    /// How large everything is; 1 is as designed.
    pub(crate) fn scale(&self) -> f32 {
        let scale = self.values.get(key::SCALE).and_then(serde_json::Value::as_f64).unwrap_or(1.0) as f32;
        let [smallest, .., largest] = SCALES;
        if scale.is_finite() { scale.clamp(smallest, largest) } else { 1.0 }
    }

    /// Nothing moves by itself.
    pub(crate) fn reduced_motion(&self) -> bool {
        self.switch(key::REDUCED_MOTION).unwrap_or(false)
    }

    /// How much a desktop notification tells.
    pub(crate) fn notifications(&self) -> Detail {
        match self.text(key::NOTIFICATIONS) {
            Some("off") => Detail::Off,
            Some("sender") => Detail::Sender,
            Some("content") => Detail::Content,
            _ => Detail::Hidden,
        }
    }

    /// The tab that was open last.
    pub(crate) fn tab(&self) -> Option<super::Tab> {
        super::Tab::from_name(self.text(key::TAB)?)
    }

    /// Width and height of the window, in points.
    pub(crate) fn size(&self) -> Option<[f32; 2]> {
        let sides = self.values.get(key::SIZE)?.as_array()?;
        let side = |i: usize| sides.get(i).and_then(serde_json::Value::as_f64).map(|side| side as f32);
        let (width, height) = (side(0)?, side(1)?);
        // A size that no screen has is a mistake, not a wish.
        ((200.0..=16_000.0).contains(&width) && (200.0..=16_000.0).contains(&height)).then_some([width, height])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(key: &str, value: serde_json::Value) -> Preferences {
        Preferences::new([(key.to_owned(), value)].into())
    }

    #[test]
    fn odd_values_leave_a_window_that_can_be_used() {
        for odd in [json!(-3), json!(1e9), json!("big"), json!(null), json!([])] {
            let scale = with(key::SCALE, odd.clone()).scale();
            assert!((SCALES[0]..=SCALES[5]).contains(&scale), "{odd}");
            assert_eq!(with(key::SIZE, odd).size(), None);
        }
        assert_eq!(with(key::SIZE, json!([0, 5])).size(), None);
        assert_eq!(with(key::SIZE, json!([1280, 800])).size(), Some([1280.0, 800.0]));
    }

    #[test]
    fn notifications_hide_their_content_by_default() {
        assert_eq!(Preferences::default().notifications(), Detail::Hidden);
        assert_eq!(with(key::NOTIFICATIONS, json!("content")).notifications(), Detail::Content);
    }
}
