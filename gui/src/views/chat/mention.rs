//! Names that complete what is typed after an `@` in a group.

use egui::text::{CCursor, CCursorRange, CharIndex};
use egui::text_edit::TextEditState;
use egui::{FontId, Frame, Id, Key, Margin, Modifiers, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use crate::ask::groups::Member;
use crate::state::State;
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, medium};
use crate::widgets::{focus_ring, paint_avatar, paint_elided};

/// Names offered at once.
const OFFERED_MAX: usize = 6;
/// The height of a name, in points.
const ROW_PT: f32 = 36.0;

/// What the completion remembers.
#[derive(Default)]
pub(super) struct Completion {
    /// The name that the arrow keys are on.
    at: usize,
    /// What it was offered for.
    begun: String,
    /// What was refused with Escape.
    refused: Option<String>,
}

impl Completion {
    /// Offers names above the composer `id` of a group; the one that is chosen is put into the draft.
    pub(super) fn ui(&mut self, ui: &mut Ui, id: Id, group_id: &str, state: &mut State) -> bool {
        let Some((start, begun)) = begun(ui, id, state.chat.draft(group_id)) else {
            self.refused = None;
            return false;
        };
        if self.begun != begun {
            (self.at, self.begun) = (0, begun.clone());
        }
        if self.refused.as_ref() == Some(&begun) {
            return false;
        }
        let me = state.opened().map(|opened| opened.account.account_id.clone()).unwrap_or_default();
        let lower = begun.to_lowercase();
        let fits = |member: &&Member| {
            let name = member.username.to_lowercase();
            member.account_id != me && name.starts_with(&lower) && name != lower
        };
        let offered: Vec<(String, String)> = state
            .groups
            .members
            .iter()
            .filter(fits)
            .take(OFFERED_MAX)
            .map(|member| (member.username.clone(), member.account_id.clone()))
            .collect();
        if offered.is_empty() {
            return false;
        }
        let mut chosen = self.keys(ui, offered.len(), &begun);
        let p = Palette::of(ui);
        let frame = Frame::new().fill(p.surface).stroke(Stroke::new(1.0, p.line)).corner_radius(12);
        frame.inner_margin(Margin::same(6)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for (index, (name, account)) in offered.iter().enumerate() {
                if row(ui, name, account, index == self.at) {
                    chosen = Some(index);
                }
            }
        });
        let Some((name, _)) = chosen.and_then(|index| offered.get(index)) else { return false };
        complete(ui, id, state.chat.draft_mut(group_id), start, &begun, name);
        true
    }

    /// Arrows move, Enter and Tab choose, Escape refuses: the composer sees none of them.
    fn keys(&mut self, ui: &Ui, offered: usize, begun: &str) -> Option<usize> {
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::ArrowDown) {
            self.at += 1;
        }
        if pressed(Key::ArrowUp) {
            self.at += offered - 1;
        }
        self.at %= offered;
        if pressed(Key::Escape) {
            self.refused = Some(begun.to_owned());
        }
        pressed(Key::Enter).then_some(self.at)
    }
}

/// What is being typed after an `@`, if the keyboard is there.
fn begun(ui: &Ui, id: Id, draft: &str) -> Option<(usize, String)> {
    if !ui.memory(|memory| memory.has_focus(id)) {
        return None;
    }
    let cursor = TextEditState::load(ui.ctx(), id)?.cursor.char_range()?;
    (cursor.primary == cursor.secondary).then_some(())?;
    text::begun_mention(draft, cursor.primary.index.0)
}

/// Puts the whole name in place of what was begun.
fn complete(ui: &Ui, id: Id, draft: &mut String, start: usize, begun: &str, name: &str) {
    let end = start + 1 + begun.chars().count();
    let before: String = draft.chars().take(start).collect();
    let after: String = draft.chars().skip(end).collect();
    let space = if after.starts_with(' ') { "" } else { " " };
    *draft = format!("{before}@{name}{space}{after}");
    if let Some(mut state) = TextEditState::load(ui.ctx(), id) {
        let cursor = CCursor::new(CharIndex(start + 2 + name.chars().count()));
        state.cursor.set_char_range(Some(CCursorRange::one(cursor)));
        state.store(ui.ctx(), id);
    }
}

fn row(ui: &mut Ui, name: &str, account: &str, on: bool) -> bool {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_PT), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, on, (tr().mention)(name)));
    if on || response.hovered() {
        ui.painter().rect_filled(rect, 8.0, p.hover);
    }
    focus_ring(ui, &response, rect, 8);
    paint_avatar(ui, pos2(rect.left() + 22.0, rect.center().y), name, account, 12.0, None);
    let at = pos2(rect.left() + 44.0, rect.center().y);
    paint_elided(ui.painter(), at, name, FontId::new(14.0, medium()), p.text, rect.width() - 56.0);
    response.clicked()
}
