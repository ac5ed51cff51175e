//! Who is in a group, who wants in, and what can be done about them.

use egui::{Popup, RichText, ScrollArea, Ui};
use lucide_icons::Icon;
use secure_chat_node::api::Status;

use super::Cx;
use crate::ask::groups::{Ask, Member};
use crate::state::{Confirm, Intent, Overlay, State};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, medium};
use crate::widgets::{Dot, PushButton, avatar, icon_button, lines, menu_item, muted, section, tailed};

/// Members shown at once.
const SHOWN_MAX: usize = 1_000;

/// Shows the panel.
pub(super) fn members(ui: &mut Ui, group_id: &str, state: &mut State, cx: &mut Cx) {
    let mut close = false;
    tailed(
        ui,
        |ui| ui.heading((tr().member_count)(state.groups.members.len() as u64)),
        |ui| close = icon_button(ui, Icon::X, tr().close_members).clicked(),
    );
    if close {
        state.groups.members_open = false;
    }
    let Some(group) = state.groups.get(group_id) else { return };
    let role = group.role.clone().unwrap_or_default();
    let leads = group.leads();
    if !group.description.is_empty() {
        muted(ui, text::displayed(&group.description).into_owned());
    }
    if leads {
        ui.horizontal_wrapped(|ui| {
            if ui.add(PushButton::new(tr().group_invite).primary().icon(Icon::UserPlus)).clicked() {
                cx.say(Intent::Show(Overlay::InviteToGroup(group_id.to_owned())));
            }
            if ui.add(PushButton::new(tr().group_settings).icon(Icon::Settings)).clicked() {
                cx.say(Intent::Show(Overlay::EditGroup(Some(group_id.to_owned()))));
            }
        });
    }
    let me = state.opened().map(|opened| opened.account.account_id.clone()).unwrap_or_default();
    ScrollArea::vertical().id_salt("members").auto_shrink(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        if !state.groups.requests.is_empty() {
            section(ui, tr().group_requests);
            for request in &state.groups.requests {
                request_row(ui, group_id, request, cx);
            }
            ui.add_space(6.0);
            section(ui, tr().members_section);
        }
        for member in state.groups.members.iter().take(SHOWN_MAX) {
            member_row(ui, group_id, member, &role, member.account_id == me, state, cx);
        }
        if leads && !state.groups.banned.is_empty() {
            ui.add_space(6.0);
            section(ui, tr().banned);
            for member in state.groups.banned.iter().take(SHOWN_MAX) {
                banned_row(ui, group_id, member, cx);
            }
        }
    });
}

fn who(ui: &mut Ui, member: &Member, mine: bool, line: &str) {
    let p = Palette::of(ui);
    let status = if member.online || mine { Status::Online } else { Status::Offline };
    avatar(ui, &member.username, &member.account_id, 16.0, Some(Dot { status, ground: p.side }));
    lines(ui, |ui| {
        let name = if mine { format!("{} ({})", member.username, tr().you) } else { member.username.clone() };
        ui.add(egui::Label::new(RichText::new(text::displayed(&name)).family(medium())).truncate());
        ui.add(egui::Label::new(RichText::new(line).size(SMALL_PT).color(p.muted)).truncate());
    });
}

fn request_row(ui: &mut Ui, group_id: &str, member: &Member, cx: &mut Cx) {
    let about = |method| {
        let user = if member.account_id.is_empty() { &member.username } else { &member.account_id };
        Ask::ToMember { group_id: group_id.to_owned(), user: user.clone(), method }
    };
    tailed(
        ui,
        |ui| who(ui, member, false, &member.fingerprint),
        |ui| {
            let name = |words: &str| format!("{words}: {}", member.username);
            let reject = icon_button(ui, Icon::X, tr().group_reject);
            if reject.accessible_name(name(tr().group_reject)).clicked() {
                cx.say(about("groups.reject"));
            }
            let approve = icon_button(ui, Icon::Check, tr().group_approve);
            if approve.accessible_name(name(tr().group_approve)).clicked() {
                cx.say(about("groups.approve"));
            }
        },
    );
}

fn banned_row(ui: &mut Ui, group_id: &str, member: &Member, cx: &mut Cx) {
    let head = |ui: &mut Ui| {
        avatar(ui, &member.username, &member.account_id, 16.0, None);
        ui.add(egui::Label::new(RichText::new(text::displayed(&member.username)).family(medium())).truncate());
    };
    tailed(ui, head, |ui| {
        let unban = icon_button(ui, Icon::Undo2, tr().unban);
        if unban.accessible_name(format!("{}: {}", tr().unban, member.username)).clicked() {
            let user = if member.account_id.is_empty() { &member.username } else { &member.account_id };
            let (group_id, user) = (group_id.to_owned(), user.clone());
            cx.say(Ask::ToMember { group_id, user, method: "groups.unban" });
        }
    });
}

fn member_row(ui: &mut Ui, group_id: &str, member: &Member, role: &str, mine: bool, state: &State, cx: &mut Cx) {
    tailed(
        ui,
        |ui| who(ui, member, mine, (tr().role)(&member.role)),
        |ui| {
            if mine {
                return;
            }
            let button = icon_button(ui, Icon::EllipsisVertical, tr().more);
            let button = button.accessible_name(format!("{}: {}", tr().more, member.username));
            Popup::menu(&button).show(|ui| {
                ui.set_min_width(220.0);
                ui.spacing_mut().item_spacing.y = 2.0;
                menu(ui, group_id, member, role, state, cx);
            });
        },
    );
}

fn menu(ui: &mut Ui, group_id: &str, member: &Member, role: &str, state: &State, cx: &mut Cx) {
    let group = || group_id.to_owned();
    let user = || if member.account_id.is_empty() { member.username.clone() } else { member.account_id.clone() };
    if state.people.contact(&member.username).is_some() {
        if menu_item(ui, Icon::MessageCircle, tr().open_chat, false).clicked() {
            cx.say(Intent::OpenConversation(member.username.clone()));
        }
    } else if menu_item(ui, Icon::UserPlus, tr().send_request, false).clicked() {
        cx.say(Intent::Show(Overlay::NewChat { to: member.username.clone() }));
    }
    if menu_item(ui, Icon::Copy, tr().copy_fingerprint, false).clicked() {
        cx.say(Intent::Copy { text: member.fingerprint.clone(), said: tr().copied });
    }
    let owner = role == "owner";
    if owner && member.role == "member" && menu_item(ui, Icon::ShieldPlus, tr().make_admin, false).clicked() {
        cx.say(Ask::SetRole { group_id: group(), user: user(), role: "admin" });
    }
    if owner && member.role == "admin" && menu_item(ui, Icon::ShieldMinus, tr().make_member, false).clicked() {
        cx.say(Ask::SetRole { group_id: group(), user: user(), role: "member" });
    }
    if owner && menu_item(ui, Icon::Crown, tr().make_owner, true).clicked() {
        cx.say(Intent::Show(Overlay::Confirm(Confirm::TransferGroup { group_id: group(), user: user() })));
    }
    if matches!(role, "owner" | "admin") && member.role != "owner" && (owner || member.role == "member") {
        if menu_item(ui, Icon::UserMinus, tr().remove_member, true).clicked() {
            cx.say(Intent::Show(Overlay::Confirm(Confirm::RemoveMember { group_id: group(), user: user() })));
        }
        if menu_item(ui, Icon::Ban, tr().ban_member, true).clicked() {
            cx.say(Intent::Show(Overlay::Confirm(Confirm::BanMember { group_id: group(), user: user() })));
        }
    }
}
