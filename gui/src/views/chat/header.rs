//! The head of a conversation: with whom, how safe, and what can be done about it.

use egui::{Align, FontId, Layout, Popup, RichText, Ui};
use lucide_icons::Icon;
use secure_chat_node::api::{At, Contact, ContactState, Status};
use secure_chat_protocol::id::Timestamp;

use crate::ask::contacts;
use crate::state::{Confirm, Intent, Overlay, Recipient, State, Tab, is_muted};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, semibold};
use crate::views::Cx;
use crate::widgets::{Dot, avatar, icon_button, menu_item, sign};

/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;
/// Below this width the line under the name is short, in points.
const NARROW_PT: f32 = 220.0;

/// Shows the head.
pub(super) fn header(ui: &mut Ui, name: &str, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let contact = state.people.contact(name);
    ui.horizontal_centered(|ui| {
        let account = contact.map_or("", |contact| &contact.account_id);
        let dot = contact.map(|contact| Dot { status: contact.status, ground: p.chat });
        avatar(ui, name, account, 19.0, dot);
        let room = (ui.available_width() - 160.0).max(60.0);
        ui.vertical(|ui| {
            ui.set_width(room);
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.add_space(3.0);
            let title = RichText::new(text::displayed(name)).font(FontId::new(15.5, semibold())).color(p.text);
            ui.add(egui::Label::new(title).truncate());
            if let Some(contact) = contact {
                status_line(ui, contact, state, cx);
            }
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            if let Some(contact) = contact {
                more(ui, contact, cx);
                if contact.state != ContactState::Requested
                    && icon_button(ui, Icon::Shield, tr().safety_number).clicked()
                {
                    cx.say(Intent::Show(Overlay::SafetyNumber(name.to_owned())));
                }
            }
            let accepts = contact.is_some_and(|contact| contact.state == ContactState::Accepted);
            if accepts && Tab::Files.is_here() && icon_button(ui, Icon::Paperclip, tr().share_file).clicked() {
                let to = Recipient::Person(name.to_owned());
                cx.say(Intent::Show(Overlay::Share { path: String::new(), to }));
            }
            if icon_button(ui, Icon::Search, tr().search_in_chat).clicked() {
                cx.say(Intent::ToggleSearch);
            }
        });
    });
}

fn status_line(ui: &mut Ui, contact: &Contact, state: &State, cx: &Cx) {
    let p = Palette::of(ui);
    // Before the row begins: it is as high as something to click otherwise.
    ui.spacing_mut().interact_size.y = 14.0;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        let (icon, color, word) = match contact.state {
            ContactState::KeyChanged => (Icon::TriangleAlert, p.danger, tr().key_changed_short),
            ContactState::Blocked => (Icon::Ban, p.muted, tr().blocked_short),
            ContactState::Requested => (Icon::Clock3, p.muted, tr().requested_short),
            ContactState::Accepted if contact.verified => (Icon::ShieldCheck, p.ok, tr().verified),
            ContactState::Accepted if ui.available_width() < NARROW_PT => (Icon::Lock, p.muted, tr().encrypted_short),
            ContactState::Accepted => (Icon::Lock, p.muted, tr().encrypted),
        };
        sign(ui, icon, 13.0, color);
        let presence = presence(contact, state, cx);
        let (words, color) = match presence {
            Some((words, true)) => (words, p.accent),
            Some((words, false)) => (format!("{word} · {words}"), p.muted),
            None => (word.to_owned(), p.muted),
        };
        ui.add(egui::Label::new(RichText::new(words).size(12.0).color(color)).truncate());
    });
}

/// Presence in words, and whether the contact is writing.
fn presence(contact: &Contact, state: &State, cx: &Cx) -> Option<(String, bool)> {
    if state.people.is_typing(&contact.username, cx.clock.now_ms) {
        return Some((tr().typing.to_owned(), true));
    }
    match contact.status {
        Status::Online => Some((tr().online.to_owned(), false)),
        Status::Away => Some((tr().away.to_owned(), false)),
        Status::Invisible | Status::Offline => {
            let seen = contact.last_seen?;
            Some(((tr().last_seen)(&text::when(seen.0.0, cx.clock)), false))
        }
    }
}

fn more(ui: &mut Ui, contact: &Contact, cx: &mut Cx) {
    let user = || contact.username.clone();
    let button = icon_button(ui, Icon::EllipsisVertical, tr().more);
    Popup::menu(&button).show(|ui| {
        ui.set_min_width(220.0);
        ui.spacing_mut().item_spacing.y = 2.0;
        if menu_item(ui, Icon::Copy, tr().copy_fingerprint, false).clicked() {
            cx.say(Intent::Copy { text: contact.fingerprint.clone(), said: tr().copied });
        }
        if is_muted(contact.muted_until, cx.clock.now_ms) {
            if menu_item(ui, Icon::Bell, tr().unmute, false).clicked() {
                cx.say(contacts::Ask::Mute { user: user(), until: Some(At::default()) });
            }
        } else {
            for (hours, name) in [(Some(8), tr().mute_8_hours), (None, tr().mute_for_good)] {
                if menu_item(ui, Icon::BellOff, name, false).clicked() {
                    let until = hours.map(|hours: u64| At(Timestamp(cx.clock.now_ms + hours * HOUR_MS)));
                    cx.say(contacts::Ask::Mute { user: user(), until });
                }
            }
        }
        if contact.state == ContactState::Accepted
            && menu_item(ui, Icon::RefreshCw, tr().reset_session, false).clicked()
        {
            cx.say(Intent::Show(Overlay::Confirm(Confirm::ResetSession(user()))));
        }
        if contact.state == ContactState::Blocked {
            if menu_item(ui, Icon::CircleCheck, tr().unblock, false).clicked() {
                cx.say(contacts::Ask::Unblock(user()));
            }
        } else if menu_item(ui, Icon::Ban, tr().block, true).clicked() {
            cx.say(Intent::Show(Overlay::Confirm(Confirm::Block(user()))));
        }
        if menu_item(ui, Icon::UserMinus, tr().remove_contact, true).clicked() {
            cx.say(Intent::Show(Overlay::Confirm(Confirm::Remove(user()))));
        }
    });
}
