//! Figures and headings of cards.

use egui::{FontId, RichText, Ui};
use lucide_icons::Icon;

use super::{muted, sign};
use crate::theme::{Palette, SMALL_PT, card, semibold};

/// The heading of a card and the sentence below it.
pub(crate) fn title(ui: &mut Ui, title: &str, text: &str) {
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.label(RichText::new(title).font(FontId::new(16.0, semibold())));
        muted(ui, text);
    });
    ui.add_space(4.0);
}

/// Figures beside each other, in two rows where there is little room.
pub(crate) fn figure_row(ui: &mut Ui, figures: &[(Icon, &str, String)]) {
    let columns = if ui.available_width() > 620.0 { 4 } else { 2 };
    for row in figures.chunks(columns) {
        ui.columns(columns, |columns| {
            for (ui, (icon, name, value)) in columns.iter_mut().zip(row) {
                figure(ui, *icon, name, value);
            }
        });
    }
}

fn figure(ui: &mut Ui, icon: Icon, name: &str, value: &str) {
    let p = Palette::of(ui);
    card(ui).inner_margin(14).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.spacing_mut().interact_size.y = 16.0;
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            sign(ui, icon, 14.0, p.accent);
            ui.add(egui::Label::new(RichText::new(name).size(SMALL_PT).color(p.muted)).truncate());
        });
        ui.add(egui::Label::new(RichText::new(value).font(FontId::new(18.0, semibold()))).truncate());
    });
}
