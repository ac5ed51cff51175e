//! Keys that work everywhere.

use egui::{Context, Key, Modifiers, RichText, Ui};

use super::Cx;
use crate::state::{Intent, Overlay, State, Tab};
use crate::strings::tr;
use crate::theme::Palette;

/// Reads the keys that work everywhere.
pub(crate) fn keys(ctx: &Context, state: &State, cx: &mut Cx) {
    if state.opened().is_none_or(|opened| opened.onboarding.is_some()) {
        return;
    }
    let pressed = |key| ctx.input_mut(|input| input.consume_key(Modifiers::COMMAND, key));
    let numbers = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6];
    for (tab, key) in Tab::shown().zip(numbers) {
        if pressed(key) {
            cx.say(Intent::Go(tab));
        }
    }
    if pressed(Key::K) {
        let open = state.overlay == Some(Overlay::Palette);
        cx.say(if open { Intent::CloseOverlay } else { Intent::Show(Overlay::Palette) });
    }
    if pressed(Key::L) {
        cx.say(Intent::Lock);
    }
    if pressed(Key::N) {
        cx.say(Intent::Show(Overlay::NewChat { to: String::new() }));
    }
    if pressed(Key::F) {
        // What is open is searched; without that, the list beside it or the page.
        match state.tab {
            Tab::Chat | Tab::Groups if state.chat.conversation().is_some() => cx.say(Intent::ToggleSearch),
            _ => cx.focus_search = true,
        }
    }
}

/// The table of keys.
pub(super) fn table(ui: &mut Ui) {
    let p = Palette::of(ui);
    for (keys, what) in tr().shortcut_table {
        ui.horizontal(|ui| {
            let room = (ui.available_width() - 150.0).max(60.0);
            ui.scope(|ui| {
                ui.set_width(room);
                ui.add(egui::Label::new(*what).wrap());
            });
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                ui.label(RichText::new(*keys).monospace().color(p.accent));
            });
        });
    }
}
