//! The security tab: what happened, what looks suspicious, and how it stands
//! with keys and storage.

use egui::{Align2, ComboBox, FontId, RichText, ScrollArea, Sense, Ui, pos2, vec2};
use lucide_icons::Icon;
use secure_chat_node::api::At;
use secure_chat_protocol::id::Timestamp;
use serde_json::Value;

use super::paths::path_field;
use super::{Cx, page_heading, security_activity, security_people};
use crate::ask::desktop::Pick;
use crate::ask::security::{self, Alert, Entry, Filter};
use crate::state::{Intent, State};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, card, font, icons, medium};
use crate::widgets::{
    Field, PushButton, error_text, figure_row, icon_button, lines, muted, paint_elided, sign, tailed, title,
};

/// The height of a row of the log, in points.
const ROW_PT: f32 = 34.0;
/// The height of the log on the page, in points.
const LOG_PT: f32 = 360.0;
/// Rows before the end of what is loaded at which more are read.
const AHEAD_ROWS: usize = 60;
/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// What the tab remembers beside the state.
#[derive(Default)]
pub(super) struct SecurityTab {
    path: String,
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Format {
    #[default]
    Html,
    Csv,
    Json,
}

impl Format {
    const ALL: [Self; 3] = [Self::Html, Self::Csv, Self::Json];

    fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

impl SecurityTab {
    /// Shows the tab.
    pub(super) fn ui(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        page_heading(ui, tr().tab_security, tr().security_text);
        facts(ui, state);
        ui.add_space(6.0);
        card(ui).show(ui, |ui| alerts(ui, state, cx));
        ui.add_space(6.0);
        card(ui).show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            log(ui, state, cx);
        });
        ui.add_space(6.0);
        card(ui).show(ui, |ui| security_activity::activity(ui, state.security.activity.as_ref(), cx));
        ui.add_space(6.0);
        card(ui).show(ui, |ui| security_people::set_aside(ui, state, cx));
        ui.add_space(6.0);
        card(ui).show(ui, |ui| security_people::sessions(ui, state, cx));
        details(ui, state);
        ui.add_space(6.0);
        card(ui).show(ui, |ui| self.export(ui, state, cx));
    }

    fn export(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        if let Some((_, path)) = state.desktop.picked.take_if(|(pick, _)| *pick == Pick::Log) {
            self.path = path;
        }
        let state = &*state;
        ui.set_min_width(ui.available_width());
        title(ui, tr().export_title, tr().export_text);
        ui.horizontal(|ui| {
            for format in Format::ALL {
                let name = format.name().to_uppercase();
                if ui.selectable_label(self.format == format, name).clicked() {
                    self.format = format;
                    self.path.clear();
                }
            }
        });
        if self.path.is_empty() {
            self.path = super::paths::in_documents(&format!("secure-chat-log.{}", self.format.name()));
        }
        let ready = !self.path.trim().is_empty() && !state.security.exporting;
        let mut pressed = false;
        tailed(
            ui,
            |ui| path_field(ui, Field::new(tr().log_path), &mut self.path, Pick::Log, state, cx),
            |ui| {
                let busy = state.security.exporting;
                let export = PushButton::new(tr().export).primary().icon(Icon::Download).busy(busy).enabled(ready);
                pressed = ui.add(export).clicked();
            },
        );
        if pressed {
            cx.say(Intent::ExportLog { path: self.path.trim().to_owned(), format: self.format.name() });
        }
        match &state.security.exported {
            Some(Ok((path, entries))) => written(ui, path, *entries, cx),
            Some(Err(error)) => error_text(ui, error),
            None => {}
        }
        ui.separator();
        tailed(
            ui,
            |ui| muted(ui, tr().clear_log_text),
            |ui| {
                if ui.add(PushButton::new(tr().clear_log).danger().icon(Icon::Trash2)).clicked() {
                    cx.say(Intent::ConfirmClearLog);
                }
            },
        );
    }
}

fn written(ui: &mut Ui, path: &str, entries: u64, cx: &mut Cx) {
    let p = Palette::of(ui);
    tailed(
        ui,
        |ui| {
            sign(ui, Icon::CircleCheck, 15.0, p.ok);
            ui.add(egui::Label::new((tr().exported)(entries, path)).truncate());
        },
        |ui| {
            if icon_button(ui, Icon::Copy, tr().copy_path).clicked() {
                cx.say(crate::state::copied(path));
            }
        },
    );
}

/// The figures that matter at a glance; the rest of what the node tells below.
fn facts(ui: &mut Ui, state: &State) {
    let facts = &state.security.facts;
    let count = |name: &str| match facts.get(name) {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::Array(list)) => list.len().to_string(),
        Some(Value::Object(map)) if map.contains_key("verified") => {
            let part = |name: &str| map.get(name).map_or_else(String::new, shown);
            (tr().of)(&part("verified"), &part("contacts"))
        }
        Some(Value::Object(map)) => map.get("total").or_else(|| map.get("count")).map_or("–".to_owned(), shown),
        Some(value) => shown(value),
    };
    let chain = match state.security.chain_ok {
        Some(true) => tr().chain_whole,
        Some(false) => tr().chain_broken,
        None => "–",
    };
    figure_row(
        ui,
        &[
            (Icon::KeyRound, tr().fact_sessions, count("sessions")),
            (Icon::Package, tr().fact_prekeys, count("prekeys_left")),
            (Icon::ShieldCheck, tr().fact_verified, count("verified")),
            (Icon::Link, tr().fact_chain, chain.to_owned()),
        ],
    );
}

/// The rest of what the node tells of keys and vault.
fn details(ui: &mut Ui, state: &State) {
    let facts = &state.security.facts;
    let mut more = Vec::new();
    for (name, value) in facts {
        if !matches!(name.as_str(), "sessions" | "prekeys_left" | "verified") {
            flatten(name, value, &mut more);
        }
    }
    if more.is_empty() {
        return;
    }
    ui.add_space(6.0);
    card(ui).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        title(ui, tr().keys_and_vault, tr().keys_and_vault_text);
        ui.spacing_mut().interact_size.y = 18.0;
        let muted = Palette::of(ui).muted;
        egui::Grid::new("facts").num_columns(2).spacing([24.0, 6.0]).show(ui, |ui| {
            for (name, value) in more.iter().take(24) {
                ui.label(RichText::new((tr().fact)(name)).size(13.0).color(muted));
                ui.add(egui::Label::new(RichText::new(value).size(13.0)).truncate());
                ui.end_row();
            }
        });
    });
}

/// A value in words.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => match secure_chat_node::api::At::parse(text) {
            Some(at) => text::long_date_time(at),
            None => text.clone(),
        },
        Value::Bool(on) => if *on { tr().yes } else { tr().no }.to_owned(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

/// Names and values of nested facts, one line each.
fn flatten(name: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (part, value) in map {
                flatten(&format!("{name} · {part}"), value, into);
            }
        }
        Value::Array(list) => into.push((words(name), list.len().to_string())),
        Value::Number(number) if name.ends_with("bytes") => {
            into.push((words(name.trim_end_matches("bytes")), text::bytes(number.as_u64().unwrap_or_default())));
        }
        value => into.push((words(name), shown(value))),
    }
}

/// `signed_prekey_age` as words.
fn words(name: &str) -> String {
    let mut words = name.replace('_', " ").trim().trim_end_matches(" ·").to_owned();
    if let Some(first) = words.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    words
}

fn alerts(ui: &mut Ui, state: &State, cx: &mut Cx) {
    ui.set_min_width(ui.available_width());
    title(ui, tr().suspicious, tr().suspicious_text);
    if state.security.alerts.is_empty() {
        let ok = Palette::of(ui).ok;
        ui.horizontal(|ui| {
            sign(ui, Icon::ShieldCheck, 18.0, ok);
            ui.label(tr().suspicious_none);
        });
    }
    for alert in state.security.alerts.iter().take(50) {
        alert_row(ui, alert, cx);
    }
}

fn alert_row(ui: &mut Ui, alert: &Alert, cx: &mut Cx) {
    let p = Palette::of(ui);
    let (icon, color) = severity(&alert.severity, p);
    let when = text::when(alert.at.0.0, cx.clock);
    tailed(
        ui,
        |ui| {
            sign(ui, icon, 18.0, color);
            lines(ui, |ui| {
                ui.add(egui::Label::new(text::displayed(&alert.detail)).wrap());
                let about = alert.username.as_deref().or(alert.subject.as_deref());
                let about = about.map_or_else(String::new, |about| format!(" · {about}"));
                let times = if alert.count > 1 { (tr().times)(alert.count) } else { String::new() };
                let line = format!("{when}{about}{times}");
                ui.label(RichText::new(line).size(SMALL_PT).color(p.muted));
            });
        },
        |ui| {
            if icon_button(ui, Icon::Check, tr().alert_dismiss).clicked() {
                cx.say(security::Ask::Dismiss(alert.alert_id.clone()));
            }
        },
    );
    ui.separator();
}

/// The sign of a severity; each has a shape of its own.
fn severity(severity: &str, p: &Palette) -> (Icon, egui::Color32) {
    match severity {
        "critical" => (Icon::ShieldAlert, p.danger),
        "warning" => (Icon::TriangleAlert, p.warn),
        _ => (Icon::Info, p.accent),
    }
}

fn log(ui: &mut Ui, state: &mut State, cx: &mut Cx) {
    title(ui, tr().log_title, tr().log_text);
    if filters(ui, &mut state.security.filter, cx) {
        cx.say(Intent::FilterLog);
    }
    let security = &state.security;
    if let Some(error) = &security.error {
        error_text(ui, error);
    }
    if security.chain_ok == Some(false) {
        error_text(ui, tr().chain_broken_text);
    }
    if security.entries.is_empty() && security.more {
        // What the filter wants may come later in the log.
        cx.say(Intent::ReadLogOn);
    }
    if security.entries.is_empty() {
        muted(ui, if security.loaded { tr().log_none } else { tr().log_waits });
        return;
    }
    table(ui, &security.entries, security.more, cx);
}

/// What of the log is shown; says whether that was changed.
fn filters(ui: &mut Ui, filter: &mut Filter, cx: &mut Cx) -> bool {
    let now_ms = cx.clock.now_ms;
    let mut typed = false;
    let mut chosen = false;
    let (query, severity, since) = (&mut filter.query, &mut filter.severity, &mut filter.since);
    tailed(
        ui,
        |ui| {
            let field = Field::new(tr().log_search).hint(tr().log_search).bare().show(ui, query);
            if std::mem::take(&mut cx.focus_search) {
                field.request_focus();
                field.scroll_to_me(None);
            }
            typed = field.changed();
        },
        |ui| {
            let name = (tr().severity)(*severity);
            let choice = ComboBox::from_id_salt("severity").selected_text(name).width(130.0).show_ui(ui, |ui| {
                for other in [None, Some("info"), Some("warning"), Some("critical")] {
                    if ui.selectable_label(*severity == other, (tr().severity)(other)).clicked() {
                        *severity = other;
                        chosen = true;
                    }
                }
            });
            choice.response.accessible_name(format!("{}: {name}", tr().severity_filter));
            let days = since.map(|(days, _)| days);
            let name = (tr().log_days)(days);
            let choice = ComboBox::from_id_salt("days").selected_text(&name).width(130.0).show_ui(ui, |ui| {
                for other in [None, Some(1), Some(7), Some(30)] {
                    if ui.selectable_label(days == other, (tr().log_days)(other)).clicked() {
                        let at = |days| At(Timestamp(now_ms.saturating_sub(u64::from(days) * DAY_MS)));
                        *since = other.map(|days| (days, at(days)));
                        chosen = true;
                    }
                }
            });
            choice.response.accessible_name(format!("{}: {name}", tr().log_time));
        },
    );
    typed || chosen
}

fn table(ui: &mut Ui, entries: &[Entry], more: bool, cx: &mut Cx) {
    let height = LOG_PT.min(entries.len() as f32 * ROW_PT);
    let ground = Palette::of(ui).chat;
    egui::Frame::new().fill(ground).corner_radius(10).inner_margin(4).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        let area = ScrollArea::vertical().id_salt("log").max_height(height).auto_shrink([false, true]);
        area.show_rows(ui, ROW_PT, entries.len(), |ui, range| {
            if more && range.end + AHEAD_ROWS > entries.len() {
                cx.say(Intent::ReadLogOn);
            }
            for entry in entries.get(range).unwrap_or_default() {
                log_row(ui, entry);
            }
        });
    });
}

fn log_row(ui: &mut Ui, entry: &Entry) {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_PT), Sense::hover());
    let at = text::long_date_time(entry.at);
    response.widget_info(|| {
        let words = format!("{at}, {}, {}: {}", entry.severity, entry.kind, entry.detail);
        egui::WidgetInfo::labeled(egui::Role::Row, true, words)
    });
    if response.hovered() {
        ui.painter().rect_filled(rect, 6.0, p.surface);
    }
    let (icon, color) = severity(&entry.severity, p);
    let y = rect.center().y;
    let painter = ui.painter();
    let sign = FontId::new(15.0, icons());
    painter.text(pos2(rect.left() + 16.0, y), Align2::CENTER_CENTER, char::from(icon), sign, color);
    let wide = rect.width() > 620.0;
    let time = if wide { text::date_time(entry.at) } else { text::time_of_day(entry.at.0.0) };
    let time_room = if wide { 140.0 } else { 46.0 };
    paint_elided(painter, pos2(rect.left() + 34.0, y), &time, font(12.5), p.muted, time_room);
    let mut x = rect.left() + 40.0 + time_room;
    if wide {
        let kind = FontId::new(12.5, medium());
        paint_elided(painter, pos2(x, y), &entry.kind, kind, p.text, 150.0);
        x += 160.0;
    }
    paint_elided(painter, pos2(x, y), &entry.detail, font(13.0), p.text, rect.right() - x - 8.0);
    response.on_hover_text(format!("{at}\n{}\n{}", entry.kind, text::displayed(&entry.detail)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_of_any_shape_are_lines_of_words() {
        let mut lines = Vec::new();
        flatten("vault", &json!({"bytes": 2048, "messages": 7, "sealed": true}), &mut lines);
        flatten("key_ages", &json!([1, 2]), &mut lines);
        assert_eq!(lines[0], ("Vault".to_owned(), "2.0 KB".to_owned()));
        assert_eq!(lines[1], ("Vault · messages".to_owned(), "7".to_owned()));
        assert_eq!(lines[2], ("Vault · sealed".to_owned(), "yes".to_owned()));
        assert_eq!(lines[3], ("Key ages".to_owned(), "2".to_owned()));
    }
}
