//! A window above everything else that wants an answer first.

use egui::{Context, Frame, Id, Margin, Modal, RichText, ScrollArea, Stroke, Ui};
use lucide_icons::Icon;

use super::icon_button;
use crate::strings::tr;
use crate::theme::Palette;

/// Shows a dialog no wider than `width` points; says whether it wants to be
/// closed: by its button, by Escape, or by a click beside it.
pub(crate) fn dialog(ctx: &Context, title: &str, width: f32, content: impl FnOnce(&mut Ui)) -> bool {
    let dark = ctx.theme() == egui::Theme::Dark;
    let p = Palette::for_dark_mode(dark);
    let room = ctx.content_rect().size();
    let width = width.min(room.x - 64.0);
    let frame = Frame::new()
        .fill(p.chat)
        .stroke(Stroke::new(1.0, p.line))
        .corner_radius(16)
        .inner_margin(Margin::same(22))
        .shadow(ctx.global_style().visuals.window_shadow);
    let modal = Modal::new(Id::unique(("dialog", title)))
        .frame(frame)
        .backdrop_color(egui::Color32::from_black_alpha(if dark { 150 } else { 90 }));
    let mut closed = false;
    let response = modal.show(ctx, |ui| {
        ui.set_width(width);
        ui.horizontal(|ui| {
            let words = ui.add(egui::Label::new(RichText::new(title).heading()).truncate());
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                closed |= icon_button(ui, Icon::X, tr().close).clicked();
            });
            words
        });
        ui.add_space(6.0);
        let height = room.y - 124.0;
        let height = height.max(120.0);
        // Without a least height it would never grow when what it shows does.
        let area = ScrollArea::vertical().max_height(height).min_scrolled_height(height);
        area.auto_shrink([false, true]).show(ui, content);
    });
    closed || response.should_close()
}
