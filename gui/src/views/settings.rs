//! Settings, on the profile tab. Each takes effect at once.

use std::path::Path;

use egui::{ComboBox, FontId, RichText, Ui};
use lucide_icons::Icon;
use serde_json::Value;

use super::Cx;
use super::paths::path_field;
use crate::ask::desktop::Pick;
use crate::notify::Detail;
use crate::state::{Intent, Key, Look, SCALES, State};
use crate::strings::tr;
use crate::text;
use crate::theme::{card, semibold};
use crate::widgets::{Field, PushButton, error_text, muted, switch, tailed};

/// The longest files that are left at rendezvous nodes, to choose from, in bytes; 0 for none.
const UPLOADS_BYTES: [u64; 5] = [0, 5_000_000, 10_000_000, 25_000_000, 50_000_000];

/// What is being typed.
#[derive(Default)]
pub(super) struct Typed {
    /// The folder for received files, once it is another than the one that is set.
    folder: Option<String>,
}

/// Shows the settings that the node knows, and those of the window.
pub(super) fn settings(ui: &mut Ui, typed: &mut Typed, state: &mut State, cx: &mut Cx) {
    if let Some((_, path)) = state.desktop.picked.take_if(|(pick, _)| *pick == Pick::Downloads) {
        typed.folder = Some(path);
    }
    let state = &*state;
    card(ui).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.label(RichText::new(tr().settings).font(FontId::new(16.0, semibold())));
        ui.add_space(2.0);
        window(ui, state, cx);
        ui.separator();
        privacy(ui, state, cx);
        ui.separator();
        files(ui, typed, state, cx);
    });
}

fn window(ui: &mut Ui, state: &State, cx: &mut Cx) {
    let preferences = &state.preferences;
    let looks = [
        (Look::Dark, "dark", tr().look_dark),
        (Look::Light, "light", tr().look_light),
        (Look::System, "system", tr().look_system),
    ];
    let current = looks.iter().find(|(look, ..)| *look == preferences.look()).map_or(tr().look_dark, |look| look.2);
    choice(ui, tr().look, "", current, |ui| {
        for (look, value, name) in looks {
            if ui.selectable_label(preferences.look() == look, name).clicked() {
                cx.say(Intent::Set { key: Key::Theme, value: Value::from(value) });
            }
        }
    });
    let percent = |scale: f32| format!("{:.0} %", scale * 100.0);
    choice(ui, tr().scale, "", &percent(preferences.scale()), |ui| {
        for scale in SCALES {
            let on = (preferences.scale() - scale).abs() < 0.01;
            if ui.selectable_label(on, percent(scale)).clicked() {
                cx.say(Intent::Set { key: Key::Scale, value: Value::from(f64::from((scale * 100.0).round()) / 100.0) });
            }
        }
    });
    let reduced = preferences.reduced_motion();
    if switch(ui, reduced, tr().reduced_motion, tr().reduced_motion_text) {
        cx.say(Intent::Set { key: Key::ReducedMotion, value: Value::from(!reduced) });
    }
    let details =
        [(Detail::Off, tr().notify_off), (Detail::Hidden, tr().notify_hidden), (Detail::Content, tr().notify_content)];
    let now = preferences.notifications();
    let current = details.iter().find(|(detail, _)| *detail == now).map_or(tr().notify_hidden, |detail| detail.1);
    choice(ui, tr().notifications, tr().notifications_text, current, |ui| {
        for (detail, name) in details {
            if ui.selectable_label(now == detail, name).clicked() {
                cx.say(Intent::Set { key: Key::Notifications, value: Value::from(detail != Detail::Off) });
                cx.say(Intent::Set { key: Key::NotificationContent, value: Value::from(detail == Detail::Content) });
            }
        }
    });
}

fn privacy(ui: &mut Ui, state: &State, cx: &mut Cx) {
    let preferences = &state.preferences;
    for (key, name, text) in [
        (Key::ReadReceipts, tr().receipts, tr().receipts_text),
        (Key::Typing, tr().typing_setting, tr().typing_setting_text),
        (Key::SharePresence, tr().presence_setting, tr().presence_setting_text),
        (Key::ShareAddresses, tr().addresses_setting, tr().addresses_setting_text),
    ] {
        // A setting that the node doesn't know is not shown.
        let Some(on) = preferences.switch(key) else { continue };
        if switch(ui, on, name, text) {
            cx.say(Intent::Set { key, value: Value::from(!on) });
        }
    }
    who_and_when(ui, state, cx);
}

/// Which files go and come, and where they lie.
fn files(ui: &mut Ui, typed: &mut Typed, state: &State, cx: &mut Cx) {
    let preferences = &state.preferences;
    if let Some(on) = preferences.switch(Key::EncryptReceived)
        && switch(ui, on, tr().encrypt_received, tr().encrypt_received_text)
    {
        cx.say(Intent::Set { key: Key::EncryptReceived, value: Value::from(!on) });
    }
    if let Some(policy) = preferences.word(Key::FilePolicy) {
        let all = [("known", tr().file_types_known), ("all", tr().file_types_all)];
        let current = all.iter().find(|(value, _)| *value == policy).map_or(policy, |(_, name)| *name);
        choice(ui, tr().file_types, tr().file_types_text, current, |ui| {
            for (value, name) in all {
                if ui.selectable_label(policy == value, name).clicked() {
                    cx.say(Intent::Set { key: Key::FilePolicy, value: Value::from(value) });
                }
            }
        });
    }
    if let Some(bytes) = preferences.number(Key::UploadMaxBytes) {
        let words = |bytes: u64| {
            match bytes {
                0 => tr().upload_none.to_owned(),
                // As the choices are, and the peer's own.
                whole if whole % 1_000_000 == 0 => (tr().upload_up_to)(&format!("{} MB", whole / 1_000_000)),
                other => (tr().upload_up_to)(&text::bytes(other)),
            }
        };
        choice(ui, tr().upload_limit, tr().upload_limit_text, &words(bytes), |ui| {
            for choice in UPLOADS_BYTES {
                if ui.selectable_label(bytes == choice, words(choice)).clicked() {
                    cx.say(Intent::Set { key: Key::UploadMaxBytes, value: Value::from(choice) });
                }
            }
        });
    }
    folder(ui, typed, state, cx);
}

/// Where received files go unless the person says so for one of them.
fn folder(ui: &mut Ui, typed: &mut Typed, state: &State, cx: &mut Cx) {
    let current = state.preferences.word(Key::DownloadFolder).unwrap_or_default();
    let mut path = typed.folder.clone().unwrap_or_else(|| current.to_owned());
    let wanted = path.trim().to_owned();
    let whole = wanted.is_empty() || Path::new(&wanted).is_absolute();
    ui.add_space(4.0);
    ui.label(tr().download_folder);
    muted(ui, tr().download_folder_text);
    let mut pressed = false;
    tailed(
        ui,
        |ui| {
            let field = Field::new(tr().download_folder).hint(tr().download_folder_hint);
            path_field(ui, field, &mut path, Pick::Downloads, state, cx)
        },
        |ui| {
            let ready = whole && wanted != current;
            pressed = ui.add(PushButton::new(tr().download_folder_set).icon(Icon::Check).enabled(ready)).clicked();
        },
    );
    if !whole {
        error_text(ui, tr().download_folder_part);
    }
    if pressed {
        let value = Some(wanted).filter(|path| !path.is_empty()).map_or(Value::Null, Value::from);
        cx.say(Intent::Set { key: Key::DownloadFolder, value });
        typed.folder = None;
    } else {
        typed.folder = Some(path).filter(|path| path != current);
    }
}

fn who_and_when(ui: &mut Ui, state: &State, cx: &mut Cx) {
    let preferences = &state.preferences;
    if let Some(who) = preferences.word(Key::WhoMayRequest) {
        let all = [
            ("everyone", tr().requests_everyone),
            ("invited", tr().requests_invited),
            ("nobody", tr().requests_nobody),
        ];
        let current = all.iter().find(|(value, _)| *value == who).map_or(who, |(_, name)| *name);
        choice(ui, tr().who_may_request, tr().who_may_request_text, current, |ui| {
            for (value, name) in all {
                if ui.selectable_label(who == value, name).clicked() {
                    cx.say(Intent::Set { key: Key::WhoMayRequest, value: Value::from(value) });
                }
            }
        });
    }
    if let Some(minutes) = preferences.number(Key::AutoLockMinutes) {
        let words = |minutes: u64| if minutes == 0 { tr().never.to_owned() } else { (tr().minutes)(minutes) };
        choice(ui, tr().auto_lock, tr().auto_lock_text, &words(minutes), |ui| {
            for choice in [0, 1, 5, 15, 30, 60, 240] {
                if ui.selectable_label(minutes == choice, words(choice)).clicked() {
                    cx.say(Intent::Set { key: Key::AutoLockMinutes, value: Value::from(choice) });
                }
            }
        });
    }
}

/// A row with words on the left and a choice on the right.
fn choice(ui: &mut Ui, name: &str, text: &str, current: &str, content: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        let room = (ui.available_width() - 190.0).max(60.0);
        ui.vertical(|ui| {
            ui.set_width(room);
            ui.spacing_mut().item_spacing.y = 2.0;
            if text.is_empty() {
                ui.add_space(7.0);
            }
            ui.label(name);
            if !text.is_empty() {
                ui.scope(|ui| {
                    ui.style_mut().override_font_id = Some(crate::theme::font(12.0));
                    muted(ui, text);
                });
            }
        });
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let choice = ComboBox::from_id_salt(name).selected_text(current).width(160.0).show_ui(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                content(ui);
            });
            choice.response.accessible_name(format!("{name}: {current}"));
        });
    });
}
