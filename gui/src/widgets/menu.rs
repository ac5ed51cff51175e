//! Rows of a menu.

use egui::{Align2, FontId, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use lucide_icons::Icon;

use super::focus_ring;
use crate::theme::{Palette, TARGET_PT, font, icons};

/// One row of a menu, as wide as the menu.
pub(crate) fn menu_item(ui: &mut Ui, icon: Icon, name: &str, danger: bool) -> Response {
    let p = Palette::of(ui);
    let color = if danger { p.danger } else { p.text };
    let words = ui.painter().layout_no_wrap(name.to_owned(), font(14.0), color);
    let width = (words.size().x + 56.0).max(ui.available_width()).max(190.0);
    // Known by its name: what comes in above it meanwhile does not put another row in its place.
    let (_, rect) = ui.allocate_space(vec2(width, TARGET_PT));
    let response = ui.interact(rect, ui.scope_id().with(name), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::MenuItem, true, name));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 7.0, p.hover);
    }
    focus_ring(ui, &response, rect, 7);
    let sign = if danger { p.danger } else { p.muted };
    let at = pos2(rect.left() + 20.0, rect.center().y);
    ui.painter().text(at, Align2::CENTER_CENTER, char::from(icon), FontId::new(16.0, icons()), sign);
    ui.painter().galley(pos2(rect.left() + 40.0, rect.center().y - words.size().y / 2.0), words, color);
    if response.clicked() {
        ui.close();
    }
    response.on_hover_cursor(egui::CursorIcon::PointingHand)
}
