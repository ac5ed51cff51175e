//! Emoji to choose from, found by name.

use egui::{Align2, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use super::{Field, focus_ring, muted};
use crate::strings::tr;
use crate::text::EMOJI;
use crate::theme::{Palette, TARGET_PT, font};

/// The picker's memory: what was searched.
#[derive(Debug, Default)]
pub(crate) struct EmojiPicker {
    query: String,
    /// The pass in which it was shown last: after a gap it has been opened anew.
    shown_in: u64,
}

impl EmojiPicker {
    const COLUMNS: usize = 8;
    /// What it needs, in points.
    pub(crate) const WIDTH_PT: f32 = Self::COLUMNS as f32 * (TARGET_PT + 2.0) + 12.0;

    /// Shows the picker; returns what was chosen.
    pub(crate) fn show(&mut self, ui: &mut Ui) -> Option<&'static str> {
        let mut chosen = None;
        ui.set_width(Self::WIDTH_PT);
        let search = Field::new(tr().emoji_search).hint(tr().emoji_search).bare().show(ui, &mut self.query);
        // Enter takes the keyboard away from the field: asked for before it is given back.
        let entered = search.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        // Opened by the keyboard, that is still on the button.
        let pass = ui.ctx().cumulative_pass_nr();
        let opened = std::mem::replace(&mut self.shown_in, pass) + 1 < pass;
        if opened || ui.memory(|memory| memory.focused().is_none()) {
            search.request_focus();
        }
        let query = self.query.trim().to_lowercase();
        let found: Vec<_> = EMOJI.iter().filter(|(_, name)| name.to_lowercase().contains(&query)).collect();
        if found.is_empty() {
            muted(ui, tr().emoji_none);
        }
        // Enter takes the first that was found.
        if entered && !query.is_empty() {
            chosen = found.first().map(|(emoji, _)| *emoji);
        }
        ScrollArea::vertical().max_height(248.0).auto_shrink([false, true]).show(ui, |ui| {
            ui.spacing_mut().item_spacing = Vec2::splat(2.0);
            for row in found.chunks(Self::COLUMNS) {
                ui.horizontal(|ui| {
                    for (emoji, name) in row {
                        if emoji_button(ui, emoji, name, TARGET_PT).clicked() {
                            chosen = Some(*emoji);
                        }
                    }
                });
            }
        });
        if chosen.is_some() {
            self.query.clear();
            ui.close();
        }
        chosen
    }
}

/// One emoji to press.
pub(crate) fn emoji_button(ui: &mut Ui, emoji: &str, name: &str, side: f32) -> egui::Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name));
    if ui.is_rect_visible(rect) {
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, 8.0, Palette::of(ui).hover);
        }
        focus_ring(ui, &response, rect, 8);
        let color = Palette::of(ui).text;
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, emoji, font(side * 0.56), color);
    }
    response.on_hover_text(name)
}
