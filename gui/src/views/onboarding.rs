//! The second and third step of a new account: the own invite, and a rendezvous node.

use egui::{CentralPanel, Frame, ScrollArea, Ui};
use lucide_icons::Icon;

use super::Cx;
use super::welcome::{form, heading, steps};
use crate::state::{Intent, Opened, Reach, State, Step};
use crate::strings::tr;
use crate::theme::{Palette, card};
use crate::widgets::{Field, PushButton, error_text, icon_button, muted, qr_code, tailed};

/// What is being typed.
#[derive(Default)]
pub(super) struct Onboarding {
    address: String,
}

impl Onboarding {
    /// Shows the step at which getting started stands.
    pub(super) fn ui(&mut self, ui: &mut Ui, state: &State, cx: &mut Cx) {
        let Some(opened) = state.opened() else { return };
        CentralPanel::default().frame(Frame::new().fill(Palette::of(ui).chat)).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| match opened.onboarding {
                Some(Step::Invite) => form(ui, 520.0, |ui| invite_step(ui, opened, cx)),
                Some(Step::Rendezvous) => form(ui, 430.0, |ui| self.rendezvous_step(ui, state, cx)),
                None => {}
            });
        });
    }

    fn rendezvous_step(&mut self, ui: &mut Ui, state: &State, cx: &mut Cx) {
        let network = &state.network;
        steps(ui, 2);
        heading(ui, tr().onboard_rendezvous_title, tr().onboard_rendezvous_text);
        if network.reach() == Reach::Registered {
            let banner = crate::widgets::Banner {
                tone: crate::state::Tone::Good,
                icon: Icon::CircleCheck,
                title: tr().onboard_connected,
                text: tr().onboard_connected_text,
            };
            banner.show(ui, |_| {});
        }
        let error = network.add_error.as_deref();
        let field = Field::new(tr().rendezvous_address).hint(tr().rendezvous_hint).error(error);
        let response = field.show(ui, &mut self.address);
        let enter = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let ready = !self.address.trim().is_empty() && !network.adding;
        let add = PushButton::new(tr().rendezvous_add).icon(Icon::Plus).wide().busy(network.adding).enabled(ready);
        if (ui.add(add).clicked() || enter) && ready {
            cx.say(Intent::AddRendezvous(self.address.trim().to_owned()));
        }
        let hosted = network.hosted.is_some();
        let label = if hosted { tr().hosting_here } else { tr().host_here };
        let host = PushButton::new(label).icon(Icon::Server).wide().busy(network.host_starting).enabled(!hosted);
        if ui.add(host).on_hover_text(tr().host_here_detail).clicked() {
            cx.say(Intent::Host);
        }
        if let Some(error) = &network.host_error {
            error_text(ui, error);
        }
        let none = network.status.as_ref().is_none_or(|status| status.rendezvous.is_empty());
        let label = if none { tr().go_on_without } else { tr().start_chatting };
        let go = ui.add(PushButton::new(label).primary().icon(Icon::ArrowRight).wide());
        takes_enter(ui, &go);
        if go.clicked() {
            cx.say(Intent::Onboard(None));
        }
        if none {
            muted(ui, tr().go_on_without_text);
        }
    }
}

/// The way on is what Enter does, as long as nothing else has the keyboard.
fn takes_enter(ui: &Ui, button: &egui::Response) {
    if ui.memory(|memory| memory.focused().is_none()) {
        button.request_focus();
    }
}

fn invite_step(ui: &mut Ui, opened: &Opened, cx: &mut Cx) {
    steps(ui, 1);
    heading(ui, &(tr().onboard_invite_title)(&opened.account.username), tr().onboard_invite_text);
    invite(ui, opened, 230.0, "", cx);
    let next = ui.add(PushButton::new(tr().next).primary().icon(Icon::ArrowRight).wide());
    takes_enter(ui, &next);
    if next.clicked() {
        cx.say(Intent::Onboard(Some(Step::Rendezvous)));
    }
}

/// The own invite as a code and as text, and words about it.
pub(super) fn invite(ui: &mut Ui, opened: &Opened, side: f32, words: &str, cx: &mut Cx) {
    match &opened.invite {
        None => {
            muted(ui, tr().invite_waits);
        }
        Some(Err(sentence)) => error_text(ui, sentence),
        Some(Ok(invite)) => {
            card(ui).show(ui, |ui| {
                ui.vertical_centered(|ui| qr_code(ui, invite, tr().invite_qr, side));
                ui.add_space(8.0);
                let text = egui::Label::new(egui::RichText::new(invite).monospace().size(13.0)).truncate();
                tailed(
                    ui,
                    |ui| ui.add(text).on_hover_text(tr().invite),
                    |ui| {
                        if icon_button(ui, Icon::Copy, tr().invite_copy).clicked() {
                            cx.say(Intent::Copy { text: invite.clone(), said: tr().invite_copied });
                        }
                    },
                );
                if !words.is_empty() {
                    muted(ui, words);
                }
            });
        }
    }
}
