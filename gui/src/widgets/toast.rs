//! What is said in passing, in the lower right corner.

use egui::{Align2, Area, Context, FontId, Frame, Id, Margin, Order, RichText, Role, Sense, Stroke, WidgetInfo, vec2};
use lucide_icons::Icon;

use super::icon_button;
use crate::state::{Notices, Tone};
use crate::strings::tr;
use crate::theme::{Palette, icons};

/// Shows the toasts of now; returns the one that was dismissed.
pub(crate) fn toasts(ctx: &Context, notices: &mut Notices, now_ms: u64) -> Option<u64> {
    let mut dismissed = None;
    let shown: Vec<_> = notices.toasts(now_ms).cloned().collect();
    if shown.is_empty() {
        return None;
    }
    let area = Area::new(Id::unique("toasts")).order(Order::Tooltip).anchor(Align2::RIGHT_BOTTOM, vec2(-20.0, -92.0));
    area.show(ctx, |ui| {
        for toast in &shown {
            let p = Palette::of(ui);
            let (icon, color) = match toast.tone {
                Tone::Good => (Icon::CircleCheck, p.ok),
                Tone::Plain => (Icon::Info, p.accent),
                Tone::Warning => (Icon::TriangleAlert, p.warn),
                Tone::Bad => (Icon::CircleX, p.danger),
            };
            let frame = Frame::new()
                .fill(p.surface)
                .stroke(Stroke::new(1.0, p.line))
                .corner_radius(12)
                .shadow(ui.visuals().popup_shadow)
                .inner_margin(Margin { left: 14, right: 6, top: 6, bottom: 6 });
            frame.show(ui, |ui| {
                ui.set_width(320.0_f32.min(ctx.content_rect().width() - 60.0));
                ui.horizontal(|ui| {
                    let (rect, sign) = ui.allocate_exact_size(vec2(20.0, 36.0), Sense::hover());
                    sign.widget_info(|| WidgetInfo::labeled(Role::Status, true, &toast.text));
                    let font = FontId::new(18.0, icons());
                    ui.painter().text(rect.center(), Align2::CENTER_CENTER, char::from(icon), font, color);
                    let room = (ui.available_width() - 44.0).max(40.0);
                    ui.scope(|ui| {
                        ui.set_width(room);
                        ui.add(egui::Label::new(RichText::new(&toast.text).size(13.5)).wrap());
                    });
                    if icon_button(ui, Icon::X, tr().dismiss).clicked() {
                        dismissed = Some(toast.serial);
                    }
                });
            });
            ui.add_space(6.0);
        }
    });
    dismissed
}
