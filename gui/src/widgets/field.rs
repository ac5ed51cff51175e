//! Fields that text is typed into, with their name above and what is wrong with it below.

use egui::text::CharIndex;
use egui::{Frame, Id, Margin, Response, RichText, Stroke, TextBuffer, TextEdit, Ui, text_edit::TextEditState};
use zeroize::Zeroizing;

use super::error_text;
use crate::theme::{Palette, font, medium};

/// A password while it is typed: wiped when it goes, and never shown.
#[derive(Default)]
pub(crate) struct SecretText(Zeroizing<String>);

/// Room for any password from the start: a text that grows leaves copies behind.
const SECRET_BYTES: usize = 1_024;

impl SecretText {
    /// The text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Hands the password over and leaves nothing.
    pub(crate) fn take(&mut self) -> secure_chat_node::api::Password {
        secure_chat_node::api::Password::new(std::mem::take(&mut *self.0))
    }
}

impl TextBuffer for SecretText {
    fn is_mutable(&self) -> bool {
        true
    }

    fn as_str(&self) -> &str {
        &self.0
    }

    fn insert_text(&mut self, text: &str, char_index: CharIndex) -> usize {
        if self.0.capacity() < SECRET_BYTES {
            let mut roomy = Zeroizing::new(String::with_capacity(SECRET_BYTES));
            roomy.push_str(&self.0);
            self.0 = roomy;
        }
        // Never longer than the room: it would move, and leave a copy behind.
        if self.0.len() + text.len() > SECRET_BYTES {
            return 0;
        }
        self.0.insert_text(text, char_index)
    }

    fn delete_char_range(&mut self, char_range: std::ops::Range<CharIndex>) {
        self.0.delete_char_range(char_range);
    }

    fn type_id(&self) -> std::any::TypeId {
        std::any::TypeId::of::<Self>()
    }
}

/// A field of one line.
#[must_use]
pub(crate) struct Field<'a> {
    name: &'a str,
    hint: &'a str,
    error: Option<&'a str>,
    secret: bool,
    bare: bool,
}

impl<'a> Field<'a> {
    /// A field of this name.
    pub(crate) fn new(name: &'a str) -> Self {
        Self { name, hint: "", error: None, secret: false, bare: false }
    }

    /// What could be typed.
    pub(crate) fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// What is wrong with what was typed.
    pub(crate) fn error(mut self, error: Option<&'a str>) -> Self {
        self.error = error;
        self
    }

    /// Shows dots, and keeps no history of what was typed.
    pub(crate) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Without its name above: the hint says it all.
    pub(crate) fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Shows the field.
    pub(crate) fn show(self, ui: &mut Ui, text: &mut dyn TextBuffer) -> Response {
        let p = Palette::of(ui);
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            if !self.bare {
                ui.label(RichText::new(self.name).family(medium()).size(13.0).color(p.muted));
            }
            let id = ui.make_persistent_id(("field", self.name));
            let stroke = if self.error.is_some() { Stroke::new(1.0, p.danger) } else { Stroke::new(1.0, p.line) };
            let focused = ui.memory(|memory| memory.has_focus(id));
            let stroke = if focused { Stroke::new(1.5, p.accent) } else { stroke };
            let ground = ui.visuals().extreme_bg_color;
            let frame =
                Frame::new().fill(ground).stroke(stroke).corner_radius(9).inner_margin(Margin::symmetric(12, 9));
            let response = TextEdit::singleline(text)
                .id(id)
                .hint_text(RichText::new(self.hint).color(p.muted))
                .password(self.secret)
                .font(font(14.5))
                .frame(frame)
                .desired_width(f32::INFINITY)
                .show(ui)
                .response
                .response
                .accessible_name(self.name);
            if self.secret {
                forget_history(ui, id);
            }
            if let Some(error) = self.error {
                error_text(ui, error);
            }
            response
        })
        .inner
    }
}

/// A text field remembers what stood in it, to undo; a password's must not.
fn forget_history(ui: &Ui, id: Id) {
    if let Some(mut state) = TextEditState::load(ui.ctx(), id) {
        state.clear_undoer();
        state.store(ui.ctx(), id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_moves_in_memory() {
        let mut secret = SecretText::default();
        secret.insert_text("a", CharIndex(0));
        let at = secret.expose().as_ptr();
        for i in 1..2_000 {
            secret.insert_text("x", CharIndex(i.min(secret.expose().len())));
        }
        assert_eq!(secret.expose().as_ptr(), at);
        assert_eq!(secret.expose().len(), SECRET_BYTES);
    }

    #[test]
    fn a_secret_is_handed_over_once() {
        let mut secret = SecretText::default();
        secret.insert_text("correct horse", CharIndex(0));
        assert_eq!(secret.take().expose(), "correct horse");
        assert_eq!(secret.expose(), "");
    }
}
