//! The parts of the security tab that are about people: encrypted sessions
//! with contacts, and chat requests that were set aside.

use egui::{RichText, Ui};
use lucide_icons::Icon;

use super::Cx;
use crate::ask::security::{Ask, SessionFact, SetAside};
use crate::state::{Confirm, Intent, Overlay, State};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, medium};
use crate::widgets::{avatar, icon_button, lines, muted, sign, tailed, title};

/// Rows shown of each kind.
const SHOWN_MAX: usize = 100;

/// Chat requests that were set aside, to be shown or deleted.
pub(super) fn set_aside(ui: &mut Ui, state: &State, cx: &mut Cx) {
    ui.set_min_width(ui.available_width());
    title(ui, tr().set_aside, tr().set_aside_text);
    if state.security.set_aside.is_empty() {
        let ok = Palette::of(ui).ok;
        ui.horizontal(|ui| {
            sign(ui, Icon::CircleCheck, 18.0, ok);
            ui.label(tr().set_aside_none);
        });
    }
    for request in state.security.set_aside.iter().take(SHOWN_MAX) {
        request_row(ui, request, cx);
    }
}

fn request_row(ui: &mut Ui, request: &SetAside, cx: &mut Cx) {
    let p = Palette::of(ui);
    let reasons: Vec<&str> = request.reasons.iter().map(|reason| (tr().set_aside_reason)(reason)).collect();
    let head = |ui: &mut Ui| {
        avatar(ui, &request.username, &request.account_id, 17.0, None);
        lines(ui, |ui| {
            ui.add(egui::Label::new(RichText::new(text::displayed(&request.username)).family(medium())).truncate());
            let words = text::displayed(&request.text).chars().take(200).collect::<String>();
            ui.add(egui::Label::new(words.replace('\n', " ")).truncate()).on_hover_text(&request.fingerprint);
            let line = format!("{} · {}", text::when(request.at.0.0, cx.clock), reasons.join(", "));
            ui.add(egui::Label::new(RichText::new(line).size(SMALL_PT).color(p.muted)).truncate());
        });
    };
    let mut asks = Vec::new();
    tailed(ui, head, |ui| {
        let tool = |ui: &mut Ui, icon, words: &str| {
            icon_button(ui, icon, words).accessible_name(format!("{words}: {}", request.username)).clicked()
        };
        if tool(ui, Icon::Trash2, tr().discard) {
            asks.push(Ask::Discard(request.message_id.clone()));
        }
        if tool(ui, Icon::Eye, tr().release) {
            asks.push(Ask::Release(request.message_id.clone()));
        }
    });
    asks.into_iter().for_each(|ask| cx.say(ask));
}

/// The encrypted session with each contact.
pub(super) fn sessions(ui: &mut Ui, state: &State, cx: &mut Cx) {
    ui.set_min_width(ui.available_width());
    title(ui, tr().sessions_title, tr().sessions_text);
    if state.security.sessions.is_empty() {
        muted(ui, tr().sessions_none);
    }
    for session in state.security.sessions.iter().take(SHOWN_MAX) {
        session_row(ui, session, cx);
    }
}

fn session_row(ui: &mut Ui, session: &SessionFact, cx: &mut Cx) {
    let p = Palette::of(ui);
    let when = |at: Option<secure_chat_node::api::At>| at.map_or("–".to_owned(), |at| text::when(at.0.0, cx.clock));
    let line = if session.active {
        (tr().session_of)(&when(session.since), &when(session.last_used))
    } else {
        tr().session_none.to_owned()
    };
    let mut reset = false;
    let mut compare = false;
    tailed(
        ui,
        |ui| {
            avatar(ui, &session.username, &session.account_id, 17.0, None);
            lines(ui, |ui| {
                ui.spacing_mut().interact_size.y = 18.0;
                ui.horizontal(|ui| {
                    ui.spacing_mut().item_spacing.x = 5.0;
                    if session.verified {
                        sign(ui, Icon::ShieldCheck, 14.0, p.ok);
                    }
                    let name = RichText::new(text::displayed(&session.username)).family(medium());
                    ui.add(egui::Label::new(name).truncate());
                });
                ui.add(egui::Label::new(RichText::new(line).size(SMALL_PT).color(p.muted)).truncate());
            });
        },
        |ui| {
            let tool = |ui: &mut Ui, icon, words: &str| {
                icon_button(ui, icon, words).accessible_name(format!("{words}: {}", session.username)).clicked()
            };
            reset = tool(ui, Icon::RefreshCw, tr().reset_session);
            compare = tool(ui, Icon::Shield, tr().safety_number);
        },
    );
    if reset {
        cx.say(Intent::Show(Overlay::Confirm(Confirm::ResetSession(session.username.clone()))));
    }
    if compare {
        cx.say(Intent::Show(Overlay::SafetyNumber(session.username.clone())));
    }
}
