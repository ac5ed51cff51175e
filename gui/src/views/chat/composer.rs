//! Where a message is written.

use egui::text::{CCursor, CCursorRange, CharIndex};
use egui::text_edit::TextEditState;
use egui::{
    Frame, Key, KeyboardShortcut, Margin, Modifiers, Popup, PopupCloseBehavior, RichText, ScrollArea, Sense, Stroke,
    TextEdit, Ui, vec2,
};
use lucide_icons::Icon;
use secure_chat_node::api::ContactState;
use secure_chat_protocol::limits::TEXT_MAX_BYTES;

use super::mention::Completion;
use crate::state::{Composing, Intent, State};
use crate::strings::tr;
use crate::theme::{Palette, font, medium};
use crate::views::Cx;
use crate::widgets::{EmojiPicker, error_text, icon_button, one_line, sign};

/// The composer grows up to this height, in points.
const HEIGHT_MAX_PT: f32 = 150.0;
/// The room that is left is told when it is less than this, in bytes.
const TELL_BELOW_BYTES: usize = 512;

/// What the composer remembers.
#[derive(Default)]
pub(super) struct Composer {
    picker: EmojiPicker,
    completion: Completion,
}

impl Composer {
    /// Shows the composer of the conversation with `name`.
    pub(super) fn ui(&mut self, ui: &mut Ui, name: &str, state: &mut State, cx: &mut Cx) {
        ui.spacing_mut().item_spacing.y = 6.0;
        let group = state.group().filter(|group| group.group_id == name);
        let contact = state.people.contact(name);
        let accepts = match group {
            Some(group) => group.is_in(),
            None => contact.is_some_and(|contact| contact.state == ContactState::Accepted),
        };
        if !accepts {
            let hint = match contact.map(|contact| contact.state) {
                _ if group.is_some() => tr().group_cannot_write,
                Some(ContactState::KeyChanged) => tr().cannot_write_key,
                Some(ContactState::Blocked) => tr().cannot_write_blocked,
                Some(ContactState::Requested) => tr().cannot_write_requested,
                Some(ContactState::Accepted) | None => tr().cannot_write,
            };
            closed(ui, hint);
            return;
        }
        if let Some(error) = &state.chat.error {
            error_text(ui, error);
        }
        above(ui, state, cx);
        if state.group().is_some() {
            let id = composer_id(name);
            cx.focus_composer |= self.completion.ui(ui, id, name, state);
        }
        let p = Palette::of(ui);
        Frame::new().fill(p.surface).corner_radius(14).inner_margin(Margin::symmetric(8, 4)).show(ui, |ui| {
            ui.horizontal(|ui| self.row(ui, name, state, cx));
        });
        let length = state.chat.draft(name).len();
        if length + TELL_BELOW_BYTES > TEXT_MAX_BYTES {
            let (words, color) = if length > TEXT_MAX_BYTES {
                ((tr().too_long)(length - TEXT_MAX_BYTES), p.danger)
            } else {
                ((tr().room_left)(TEXT_MAX_BYTES - length), p.muted)
            };
            ui.label(RichText::new(words).size(12.0).color(color));
        }
    }

    fn row(&mut self, ui: &mut Ui, name: &str, state: &mut State, cx: &mut Cx) {
        let id = composer_id(name);
        let emoji = icon_button(ui, Icon::Smile, tr().emoji);
        let chosen = Popup::from_toggle_button_response(&emoji)
            .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
            .align(egui::RectAlign::TOP_START)
            .gap(10.0)
            .show(|ui| self.picker.show(ui))
            .and_then(|shown| shown.inner);
        if let Some(emoji) = chosen {
            insert(ui, id, state.chat.draft_mut(name), emoji);
            cx.focus_composer = true;
        }
        let keys = keys(ui, id);
        let draft = state.chat.draft_mut(name);
        let room = (ui.available_width() - 44.0).max(60.0);
        // In a layout of its own: a row would center the field in all the height it could have.
        let response = ui
            .vertical(|ui| {
                let area = ScrollArea::vertical().max_height(HEIGHT_MAX_PT).max_width(room).auto_shrink([false, true]);
                // Otherwise it would never be higher than the panel was in the last frame.
                area.min_scrolled_height(HEIGHT_MAX_PT).show(ui, |ui| field(ui, id, draft, room)).inner
            })
            .inner
            .accessible_name(tr().write_message);
        let (empty, length) = (draft.trim().is_empty(), draft.len());
        if cx.focus_composer {
            cx.focus_composer = false;
            response.request_focus();
        }
        if response.changed() {
            let mut asks = Vec::new();
            state.chat.typed(name, cx.clock.now_ms, &mut asks);
            asks.into_iter().for_each(|ask| cx.say(ask));
        }
        let ready = !empty && length <= TEXT_MAX_BYTES;
        let send = ui.add_enabled_ui(ready, |ui| icon_button(ui, Icon::SendHorizontal, tr().send)).inner;
        if ready && (send.clicked() || keys.enter) {
            cx.say(Intent::Send);
        } else if keys.escape && state.chat.composing != Composing::New {
            cx.say(Intent::CancelComposing);
        } else if keys.up && empty && state.chat.composing == Composing::New {
            cx.say(Intent::EditLast);
        }
    }
}

/// Names the field wherever it stands: what is above it comes and goes.
fn composer_id(name: &str) -> egui::Id {
    egui::Id::unique(("composer", name))
}

fn field(ui: &mut Ui, id: egui::Id, draft: &mut String, room: f32) -> egui::Response {
    TextEdit::multiline(draft)
        .id(id)
        .hint_text(RichText::new(tr().write_message).color(Palette::of(ui).muted))
        .font(font(14.5))
        .desired_rows(1)
        .min_size(vec2(0.0, 36.0))
        .align(egui::Align2::LEFT_CENTER)
        .desired_width(room)
        .frame(Frame::new().inner_margin(Margin::symmetric(6, 9)))
        // Enter sends: a line is broken by Shift+Enter.
        .return_key(KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter))
        .show(ui)
        .response
        .response
}

struct Keys {
    enter: bool,
    escape: bool,
    up: bool,
}

/// The keys that mean something else here than in other text fields.
fn keys(ui: &Ui, id: egui::Id) -> Keys {
    let (has_focus, had_focus) = ui.memory(|memory| (memory.has_focus(id), memory.had_focus_last_frame(id)));
    ui.input(|input| Keys {
        enter: has_focus && input.key_pressed(Key::Enter) && !input.modifiers.any(),
        // Escape takes the keyboard away before anybody sees it.
        escape: (has_focus || had_focus) && input.key_pressed(Key::Escape),
        up: has_focus && input.key_pressed(Key::ArrowUp),
    })
}

/// Puts an emoji where the cursor is.
fn insert(ui: &Ui, id: egui::Id, draft: &mut String, emoji: &str) {
    let mut state = TextEditState::load(ui.ctx(), id).unwrap_or_default();
    let end = draft.chars().count();
    let at = state.cursor.char_range().map_or(end, |range| range.primary.index.0.min(end));
    let byte = draft.char_indices().nth(at).map_or(draft.len(), |(byte, _)| byte);
    draft.insert_str(byte, emoji);
    let after = CCursor::new(CharIndex(at + emoji.chars().count()));
    state.cursor.set_char_range(Some(CCursorRange::one(after)));
    state.store(ui.ctx(), id);
}

/// What the composer is about to do, where it is not simply a new message.
fn above(ui: &mut Ui, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let (icon, title, id) = match &state.chat.composing {
        Composing::New => return,
        Composing::Reply(id) => (Icon::Reply, tr().replying, id),
        Composing::Edit { message_id, .. } => (Icon::Pencil, tr().editing, message_id),
    };
    let quote = state.chat.timeline.as_ref().and_then(|timeline| timeline.quote(id));
    let words = quote.map_or_else(String::new, |quote| one_line(&quote.text));
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(3.0, 34.0), Sense::hover());
        ui.painter().rect(rect, 1.5, p.accent, Stroke::NONE, egui::StrokeKind::Inside);
        sign(ui, icon, 16.0, p.accent);
        let room = (ui.available_width() - 48.0).max(40.0);
        ui.vertical(|ui| {
            ui.set_width(room);
            ui.spacing_mut().item_spacing.y = 1.0;
            ui.label(RichText::new(title).family(medium()).size(12.5).color(p.accent));
            ui.add(egui::Label::new(RichText::new(words).size(12.5).color(p.muted)).truncate());
        });
        if icon_button(ui, Icon::X, tr().cancel).clicked() {
            cx.say(Intent::CancelComposing);
        }
    });
}

/// In place of the composer, where nothing can be written: the reason.
fn closed(ui: &mut Ui, why: &str) {
    let p = Palette::of(ui);
    Frame::new().fill(p.side).corner_radius(14).inner_margin(Margin::symmetric(16, 12)).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.set_min_width(ui.available_width());
            sign(ui, Icon::Lock, 15.0, p.muted);
            ui.add(egui::Label::new(RichText::new(why).color(p.muted)).wrap());
        });
    });
}
