//! Searching in the open conversation: one hit after the other.

use egui::{Key, Modifiers, Ui};
use lucide_icons::Icon;

use crate::state::{Intent, State};
use crate::strings::tr;
use crate::theme::Palette;
use crate::views::Cx;
use crate::widgets::{Field, error_text, icon_button};

/// Shows the bar.
pub(super) fn search_bar(ui: &mut Ui, name: &str, state: &mut State, cx: &mut Cx) {
    let search = &mut state.chat.search;
    let (enter, back) = ui.input(|input| (input.key_pressed(Key::Enter), input.modifiers.shift));
    ui.horizontal(|ui| {
        let room = (ui.available_width() - 210.0).max(80.0);
        let response = ui
            .scope(|ui| {
                ui.set_width(room);
                Field::new(tr().search_in_chat).hint(tr().search_in_chat).bare().show(ui, &mut search.query)
            })
            .inner;
        if search.serial == 0 && ui.memory(|memory| !memory.has_focus(response.id)) {
            response.request_focus();
        }
        if response.changed() {
            let mut asks = Vec::new();
            search.ask(Some(name), &mut asks);
            asks.into_iter().for_each(|ask| cx.say(ask));
        }
        if response.lost_focus() && enter {
            cx.say(Intent::NextHit { back });
            response.request_focus();
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            let escape = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
            if icon_button(ui, Icon::X, tr().close_search).clicked() || escape {
                cx.say(Intent::ToggleSearch);
            }
            ui.add_enabled_ui(!search.hits.is_empty(), |ui| {
                if icon_button(ui, Icon::ChevronDown, tr().newer_hit).clicked() {
                    cx.say(Intent::NextHit { back: true });
                }
                if icon_button(ui, Icon::ChevronUp, tr().older_hit).clicked() {
                    cx.say(Intent::NextHit { back: false });
                }
            });
            let words = match (search.query.trim().is_empty(), search.waiting, search.hits.len()) {
                (true, ..) => String::new(),
                (_, true, _) => tr().searching.to_owned(),
                (_, _, 0) => tr().nothing_found.to_owned(),
                (_, _, hits) => (tr().hit_of)(search.at + 1, hits, search.more),
            };
            let color = Palette::of(ui).muted;
            ui.add(egui::Label::new(egui::RichText::new(words).color(color)).extend());
        });
    });
    if let Some(error) = &search.error {
        error_text(ui, error);
    }
}
