//! Single lines and short texts.

use std::sync::Arc;

use egui::text::{LayoutJob, TextWrapping};
use egui::{Align, Color32, FontId, Galley, Layout, Painter, Pos2, Response, RichText, Ui, pos2};

use crate::text;
use crate::theme::{Palette, SMALL_PT, icons, semibold};

/// A text of others on one line: nothing in it deceives, breaks the line, or
/// runs the wrong way.
pub(crate) fn one_line(text: &str) -> String {
    /// More would never be seen.
    const SHOWN_CHARS: usize = 240;
    let text: String =
        text::displayed(text).chars().take(SHOWN_CHARS).map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).collect();
    if text::has_right_to_left(&text) { text::visual_lines(&text, f32::INFINITY, |_| 0.0).0 } else { text }
}

/// Lays a text of others out on one line, cut with an ellipsis at `width` points.
pub(crate) fn elided(painter: &Painter, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(one_line(text), font, color);
    job.wrap = TextWrapping::truncate_at_width(width.max(1.0));
    painter.layout_job(job)
}

/// Paints such a line, its left edge and middle at `at`.
pub(crate) fn paint_elided(painter: &Painter, at: Pos2, text: &str, font: FontId, color: Color32, width: f32) {
    let galley = elided(painter, text, font, color, width);
    painter.galley(pos2(at.x, at.y - galley.size().y / 2.0), galley, color);
}

/// A row whose `tail` stands at its right end; `head` takes the room that is left.
pub(crate) fn tailed<T>(ui: &mut Ui, head: impl FnOnce(&mut Ui) -> T, tail: impl FnOnce(&mut Ui)) -> T {
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            tail(ui);
            ui.add_space(4.0);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = 8.0;
                head(ui)
            })
            .inner
        })
        .inner
    })
    .inner
}

/// Lines below each other, no wider than there is room.
pub(crate) fn lines(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    ui.vertical(|ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 1.0;
        content(ui);
    });
}

/// A sentence of less weight.
pub(crate) fn muted(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = Palette::of(ui).muted;
    ui.add(egui::Label::new(RichText::new(text).color(color)).wrap())
}

/// What went wrong, beside its cause, with a sign so that it isn't told by colour alone.
pub(crate) fn error_text(ui: &mut Ui, sentence: &str) {
    let color = Palette::of(ui).danger;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let sign = char::from(lucide_icons::Icon::CircleAlert);
        let (rect, _) = ui.allocate_exact_size(egui::vec2(15.0, 18.0), egui::Sense::hover());
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, sign, FontId::new(14.0, icons()), color);
        ui.add(egui::Label::new(RichText::new(text::displayed(sentence)).color(color).size(13.0)).wrap());
    });
}

/// The small heading of a part of a page.
pub(crate) fn section(ui: &mut Ui, title: &str) {
    let color = Palette::of(ui).muted;
    ui.label(RichText::new(title).font(FontId::new(SMALL_PT, semibold())).color(color));
}
