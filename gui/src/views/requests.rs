//! A chat request that waits for an answer: from somebody, or to somebody.

use egui::{Align, FontId, Layout, RichText, ScrollArea, Ui};
use lucide_icons::Icon;
use secure_chat_node::api::{ChatRequest, RequestState};

use super::Cx;
use crate::ask::contacts;
use crate::state::{Intent, State};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, card, semibold};
use crate::widgets::{PushButton, avatar, icon_button, muted, section, tailed};

/// Shows the request.
pub(super) fn page(ui: &mut Ui, id: &str, state: &State, cx: &mut Cx) {
    let Some(request) = state.people.request(id) else {
        cx.say(Intent::CloseSelection);
        return;
    };
    let incoming = state.people.incoming.iter().any(|known| known.request_id == id);
    let busy = state.answering.contains(id);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            ui.add_space((ui.available_height() * 0.5 - 250.0).max(28.0));
            ui.set_max_width(480.0_f32.min(ui.available_width() - 48.0));
            avatar(ui, &request.username, &request.account_id, 36.0, None);
            ui.add_space(4.0);
            let title = if incoming { tr().request_title } else { tr().request_own_title };
            let words = RichText::new(title(&request.username)).font(FontId::new(20.0, semibold()));
            ui.add(egui::Label::new(words).wrap().halign(Align::Center));
            ui.label(RichText::new(text::long_date_time(request.at)).size(SMALL_PT).color(Palette::of(ui).muted));
            ui.add_space(8.0);
            ui.with_layout(Layout::top_down(Align::Min), |ui| details(ui, request, cx));
            ui.add_space(8.0);
            if incoming {
                answers(ui, request, busy, cx);
            } else {
                own(ui, request, busy, cx);
            }
        });
    });
}

fn details(ui: &mut Ui, request: &ChatRequest, cx: &mut Cx) {
    if !request.greeting.is_empty() {
        card(ui).show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.add(egui::Label::new(text::displayed(&request.greeting)).wrap());
        });
        ui.add_space(6.0);
    }
    card(ui).show(ui, |ui| {
        section(ui, tr().fingerprint);
        let fingerprint = egui::Label::new(RichText::new(&request.fingerprint).monospace()).wrap();
        tailed(
            ui,
            |ui| ui.add(fingerprint),
            |ui| {
                if icon_button(ui, Icon::Copy, tr().copy_fingerprint).clicked() {
                    cx.say(Intent::Copy { text: request.fingerprint.clone(), said: tr().copied });
                }
            },
        );
        muted(ui, tr().fingerprint_advice);
    });
}

fn answers(ui: &mut Ui, request: &ChatRequest, busy: bool, cx: &mut Cx) {
    let request_id = || request.request_id.clone();
    let mut answer = |ask| cx.say(Intent::Answer { request_id: request_id(), ask });
    ui.scope(|ui| {
        let accept = PushButton::new(tr().accept).primary().icon(Icon::Check).wide().busy(busy);
        if ui.add(accept).clicked() {
            answer(contacts::Ask::Accept(request_id()));
        }
        ui.horizontal(|ui| {
            let half = (ui.available_width() - 8.0) / 2.0;
            ui.allocate_ui(egui::vec2(half, 36.0), |ui| {
                if ui.add(PushButton::new(tr().decline).icon(Icon::X).wide().enabled(!busy)).clicked() {
                    answer(contacts::Ask::Decline(request_id()));
                }
            });
            ui.allocate_ui(egui::vec2(half, 36.0), |ui| {
                if ui.add(PushButton::new(tr().block).danger().icon(Icon::Ban).wide().enabled(!busy)).clicked() {
                    let user = request.account_id.clone();
                    answer(contacts::Ask::DeclineAndBlock { request_id: request_id(), user });
                }
            });
        });
        let advice = RichText::new(tr().request_advice).size(13.0).color(Palette::of(ui).muted);
        ui.add(egui::Label::new(advice).wrap().halign(Align::Center));
    });
}

fn own(ui: &mut Ui, request: &ChatRequest, busy: bool, cx: &mut Cx) {
    let words = match request.state {
        RequestState::Expired => tr().request_expired,
        RequestState::Failed => tr().request_failed,
        _ => tr().request_waits,
    };
    muted(ui, words);
    let request_id = request.request_id.clone();
    if request.state != RequestState::Pending {
        let again = PushButton::new(tr().request_again).primary().icon(Icon::RotateCw);
        if ui.add(again).clicked() {
            cx.say(Intent::Request { to: request.account_id.clone(), greeting: request.greeting.clone() });
        }
    }
    let cancel = PushButton::new(tr().request_cancel).icon(Icon::X).busy(busy);
    if ui.add(cancel).clicked() {
        cx.say(Intent::Answer { request_id: request_id.clone(), ask: contacts::Ask::Cancel(request_id) });
    }
}
