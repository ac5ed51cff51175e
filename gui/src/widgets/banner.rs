//! What stays in sight until it is dealt with, and what stands where there is nothing yet.

use egui::{Align, Align2, Color32, FontId, Frame, Layout, Margin, RichText, Sense, Ui, vec2};
use lucide_icons::Icon;

use crate::state::Tone;
use crate::theme::{Palette, icons, semibold};

/// A banner across the content.
#[must_use]
pub(crate) struct Banner<'a> {
    pub(crate) tone: Tone,
    pub(crate) icon: Icon,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
}

impl Banner<'_> {
    /// Shows it, with its buttons in a row below the words.
    pub(crate) fn show(self, ui: &mut Ui, buttons: impl FnOnce(&mut Ui)) {
        let p = Palette::of(ui);
        let (ground, sign) = match self.tone {
            Tone::Bad => (p.danger_ground, p.danger),
            Tone::Warning => (p.warn_ground, p.warn),
            Tone::Good => (p.side, p.ok),
            Tone::Plain => (p.side, p.accent),
        };
        Frame::new().fill(ground).corner_radius(12).inner_margin(Margin::symmetric(16, 12)).show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.horizontal_top(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(26.0, 22.0), Sense::hover());
                paint_icon(ui, rect.center(), self.icon, 20.0, sign);
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 4.0;
                    ui.add(
                        egui::Label::new(RichText::new(self.title).font(FontId::new(14.5, semibold())).color(p.text))
                            .wrap(),
                    );
                    if !self.text.is_empty() {
                        ui.add(egui::Label::new(RichText::new(self.text).size(13.0).color(p.text)).wrap());
                    }
                    ui.add_space(2.0);
                    // A row without a button takes no room.
                    ui.spacing_mut().interact_size.y = 0.0;
                    ui.horizontal_wrapped(buttons);
                });
            });
        });
    }
}

fn paint_icon(ui: &Ui, at: egui::Pos2, icon: Icon, size: f32, color: Color32) {
    ui.painter().text(at, Align2::CENTER_CENTER, char::from(icon), FontId::new(size, icons()), color);
}

/// An icon, a heading and a sentence in the middle of an empty place, with what there is to do below.
pub(crate) fn empty_state(ui: &mut Ui, icon: Icon, title: &str, text: &str, actions: impl FnOnce(&mut Ui)) {
    let p = Palette::of(ui);
    ui.with_layout(Layout::top_down(Align::Center), |ui| {
        ui.add_space((ui.available_height() * 0.5 - 130.0).max(16.0));
        let (rect, _) = ui.allocate_exact_size(vec2(76.0, 76.0), Sense::hover());
        ui.painter().circle_filled(rect.center(), 38.0, p.side);
        paint_icon(ui, rect.center(), icon, 32.0, p.accent);
        ui.add_space(6.0);
        ui.label(RichText::new(title).heading().color(p.text));
        ui.scope(|ui| {
            ui.set_max_width(380.0_f32.min(ui.available_width() - 32.0));
            ui.add(egui::Label::new(RichText::new(text).color(p.muted)).wrap().halign(Align::Center));
        });
        ui.add_space(8.0);
        ui.scope(|ui| {
            ui.set_max_width(190.0);
            actions(ui);
        });
    });
}
