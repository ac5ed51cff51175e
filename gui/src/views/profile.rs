//! The profile tab: who one is to others, and how the window behaves.

use egui::{FontId, RichText, Ui};
use lucide_icons::Icon;

use super::{Cx, onboarding, page_heading, settings};
use crate::ask::by_name;
use crate::state::{Intent, Opened, Overlay, Reach, Recipient, State, Tab};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, card, semibold};
use crate::widgets::{PushButton, avatar, icon_button, muted, section, sign, tailed};

/// What is being typed.
#[derive(Default)]
pub(super) struct ProfileTab {
    settings: settings::Typed,
}

impl ProfileTab {
    /// Shows the tab.
    pub(super) fn ui(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        top(ui, state, cx);
        ui.add_space(10.0);
        settings::settings(ui, &mut self.settings, state, cx);
        care(ui, cx);
        ui.add_space(10.0);
        about(ui, cx);
    }
}

/// Who one is, and the ways from here.
fn top(ui: &mut Ui, state: &State, cx: &mut Cx) {
    let Some(opened) = state.opened() else { return };
    page_heading(ui, tr().tab_profile, tr().profile_text);
    if ui.available_width() > 680.0 {
        ui.columns(2, |columns| {
            let [left, right] = columns else { return };
            // Columns justify their text, which tears a sentence apart.
            let straight = egui::Layout::top_down(egui::Align::Min);
            left.with_layout(straight, |ui| {
                who(ui, opened, state, cx);
                ui.add_space(6.0);
                actions(ui, cx);
            });
            right.with_layout(straight, |ui| share(ui, opened, cx));
        });
    } else {
        who(ui, opened, state, cx);
        ui.add_space(6.0);
        share(ui, opened, cx);
        ui.add_space(6.0);
        actions(ui, cx);
    }
}

/// What is done about the account as a whole, as far as the node can.
fn care(ui: &mut Ui, cx: &mut Cx) {
    let all = [
        ("account.change_password", tr().change_password, Icon::KeyRound, Overlay::ChangePassword),
        ("account.rekey", tr().rekey, Icon::RefreshCw, Overlay::Rekey),
        ("account.export", tr().export_backup, Icon::Download, Overlay::ExportBackup),
        ("account.wipe", tr().wipe, Icon::Trash2, Overlay::Wipe),
    ];
    let known = all.into_iter().filter(|(method, ..)| by_name::knows(method));
    ui.add_space(10.0);
    card(ui).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        section(ui, tr().account);
        ui.horizontal_wrapped(|ui| {
            if ui.add(PushButton::new(tr().log_out).icon(Icon::LogOut)).clicked() {
                cx.say(Intent::LogOut);
            }
            for (_, name, icon, overlay) in known {
                let button = PushButton::new(name).icon(icon);
                let button = if overlay == Overlay::Wipe { button.danger() } else { button };
                if ui.add(button).clicked() {
                    cx.say(Intent::Show(overlay));
                }
            }
        });
    });
}

fn who(ui: &mut Ui, opened: &Opened, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let account = &opened.account;
    card(ui).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.horizontal(|ui| {
            avatar(ui, &account.username, &account.account_id, 30.0, None);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.add_space(6.0);
                let name = RichText::new(&account.username).font(FontId::new(20.0, semibold()));
                ui.add(egui::Label::new(name).truncate());
                ui.spacing_mut().interact_size.y = 16.0;
                ui.horizontal(|ui| {
                    ui.spacing_mut().item_spacing.x = 6.0;
                    let (icon, color, words) = match state.network.reach() {
                        Reach::Registered => (Icon::Wifi, p.ok, tr().reach_registered_long),
                        Reach::PeersOnly => (Icon::Wifi, p.ok, tr().reach_peers_long),
                        Reach::Connecting | Reach::Unknown => (Icon::Wifi, p.warn, tr().reach_connecting_long),
                        Reach::Alone => (Icon::WifiOff, p.muted, tr().reach_alone_long),
                    };
                    sign(ui, icon, 14.0, color);
                    ui.add(egui::Label::new(RichText::new(words).size(13.0).color(p.muted)).truncate());
                });
            });
        });
        ui.add_space(6.0);
        section(ui, tr().fingerprint);
        let fingerprint = egui::Label::new(RichText::new(&account.fingerprint).monospace()).wrap();
        tailed(
            ui,
            |ui| ui.add(fingerprint),
            |ui| {
                if icon_button(ui, Icon::Copy, tr().copy_fingerprint).clicked() {
                    cx.say(Intent::Copy { text: account.fingerprint.clone(), said: tr().copied });
                }
            },
        );
        section(ui, tr().session);
        let since = secure_chat_node::api::At(secure_chat_protocol::id::Timestamp(opened.since_ms));
        let length = text::duration(cx.clock.now_ms.saturating_sub(opened.since_ms));
        muted(ui, (tr().session_since)(&text::long_date_time(since), &length));
        if let Some(locks_at) = opened.locks_at_ms.filter(|at| *at > cx.clock.now_ms) {
            muted(ui, (tr().locks_in)(&text::duration(locks_at - cx.clock.now_ms)));
        }
    });
}

fn share(ui: &mut Ui, opened: &Opened, cx: &mut Cx) {
    onboarding::invite(ui, opened, 288.0, tr().invite_text, cx);
}

fn actions(ui: &mut Ui, cx: &mut Cx) {
    let tab = |tab: Tab| (super::rail::look(tab).1, super::rail::look(tab).0, Intent::Go(tab));
    let file = Overlay::Share { path: String::new(), to: Recipient::Nobody };
    let rows = [
        [
            (tr().new_chat, Icon::UserPlus, Intent::Show(Overlay::NewChat { to: String::new() })),
            (tr().group_new, Icon::Plus, Intent::Show(Overlay::EditGroup(None))),
            (tr().share_file, Icon::Share2, Intent::Show(file)),
        ],
        [tab(Tab::Chat), tab(Tab::Groups), tab(Tab::Files)],
        [tab(Tab::Security), tab(Tab::Network), (tr().lock, Icon::Lock, Intent::Lock)],
    ];
    card(ui).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        section(ui, tr().quick_actions);
        for row in rows {
            ui.columns(row.len(), |columns| {
                for (ui, (name, icon, intent)) in columns.iter_mut().zip(row) {
                    let button = PushButton::new(name).icon(icon).wide();
                    let first = name == tr().new_chat;
                    if ui.add(if first { button.primary() } else { button }).clicked() {
                        cx.say(intent);
                    }
                }
            });
        }
    });
}

fn about(ui: &mut Ui, cx: &mut Cx) {
    if ui.add(PushButton::new(tr().shortcuts).icon(Icon::Keyboard)).clicked() {
        cx.say(Intent::Show(Overlay::Shortcuts));
    }
    ui.add_space(2.0);
    let color = Palette::of(ui).muted;
    let version = (tr().about_version)(env!("CARGO_PKG_VERSION"));
    for line in [version.as_str(), tr().about_artwork] {
        ui.add(egui::Label::new(RichText::new(line).size(SMALL_PT).color(color)).wrap());
    }
}
