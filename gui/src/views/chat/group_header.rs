//! The head of a group's conversation: which group, who is in it, and what can be done about it.

use egui::{Align, FontId, Layout, Popup, RichText, Ui, vec2};
use lucide_icons::Icon;
use secure_chat_node::api::At;
use secure_chat_protocol::id::Timestamp;

use crate::ask::groups::{Ask, Group};
use crate::state::{Confirm, Intent, Overlay, Recipient, State, Tab, is_muted};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, semibold};
use crate::views::Cx;
use crate::widgets::{avatar, icon_button, menu_item, sign};

/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;

/// Shows the head.
pub(super) fn group_header(ui: &mut Ui, group_id: &str, state: &mut State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let Some(group) = state.groups.get(group_id).cloned() else { return };
    let online = state.groups.members.iter().filter(|member| member.online).count() as u64;
    let mut toggled = false;
    ui.horizontal_centered(|ui| {
        avatar(ui, &group.name, &group.group_id, 19.0, None);
        let room = (ui.available_width() - 160.0).max(60.0);
        ui.vertical(|ui| {
            ui.set_width(room);
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.add_space(3.0);
            let title = RichText::new(text::displayed(&group.name)).font(FontId::new(15.5, semibold())).color(p.text);
            ui.add(egui::Label::new(title).truncate());
            ui.spacing_mut().interact_size.y = 14.0;
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 5.0;
                sign(ui, Icon::Lock, 13.0, p.muted);
                let members = (state.groups.members.len() as u64).max(group.members);
                let (words, color) = match state.people.typing(group_id, cx.clock.now_ms).as_slice() {
                    [] => ((tr().group_status)(members, online), p.muted),
                    who => ((tr().group_typing)(who), p.accent),
                };
                ui.add(egui::Label::new(RichText::new(text::displayed(&words)).size(12.0).color(color)).truncate());
            });
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            more(ui, &group, cx);
            toggled = members_button(ui, &group);
            if Tab::Files.is_here() && icon_button(ui, Icon::Paperclip, tr().share_file).clicked() {
                let to = Recipient::Group(group.group_id.clone());
                cx.say(Intent::Show(Overlay::Share { path: String::new(), to }));
            }
            if icon_button(ui, Icon::Search, tr().search_in_chat).clicked() {
                cx.say(Intent::ToggleSearch);
            }
        });
    });
    state.groups.members_open ^= toggled;
}

/// Opens the list of members; a dot says that somebody waits to get in.
fn members_button(ui: &mut Ui, group: &Group) -> bool {
    let button = icon_button(ui, Icon::Users, tr().members);
    if !group.leads() || group.requests == 0 {
        return button.clicked();
    }
    let at = button.rect.right_top() + vec2(-8.0, 8.0);
    ui.painter().circle_filled(at, 4.5, Palette::of(ui).accent);
    let name = format!("{}, {}", tr().members, (tr().group_want_in)(group.requests));
    button.accessible_name(name).clicked()
}

fn more(ui: &mut Ui, group: &Group, cx: &mut Cx) {
    let group_id = || group.group_id.clone();
    let button = icon_button(ui, Icon::EllipsisVertical, tr().more);
    Popup::menu(&button).show(|ui| {
        ui.set_min_width(220.0);
        ui.spacing_mut().item_spacing.y = 2.0;
        if group.leads() {
            if menu_item(ui, Icon::UserPlus, tr().group_invite, false).clicked() {
                cx.say(Intent::Show(Overlay::InviteToGroup(group_id())));
            }
            if menu_item(ui, Icon::Settings, tr().group_settings, false).clicked() {
                cx.say(Intent::Show(Overlay::EditGroup(Some(group_id()))));
            }
        }
        if is_muted(group.muted_until, cx.clock.now_ms) {
            if menu_item(ui, Icon::Bell, tr().unmute, false).clicked() {
                cx.say(Ask::Mute { group_id: group_id(), until: Some(At::default()) });
            }
        } else {
            for (hours, name) in [(Some(8), tr().mute_8_hours), (None, tr().mute_for_good)] {
                if menu_item(ui, Icon::BellOff, name, false).clicked() {
                    let until = hours.map(|hours: u64| At(Timestamp(cx.clock.now_ms + hours * HOUR_MS)));
                    cx.say(Ask::Mute { group_id: group_id(), until });
                }
            }
        }
        if !group.is_in() {
            if menu_item(ui, Icon::Trash2, tr().group_delete_here, true).clicked() {
                cx.say(Ask::DeleteLocal(group_id()));
            }
        } else if menu_item(ui, Icon::LogOut, tr().group_leave, true).clicked() {
            let confirm = Confirm::LeaveGroup { group_id: group_id(), name: group.name.clone() };
            cx.say(Intent::Show(Overlay::Confirm(confirm)));
        }
    });
}
