//! The groups tab: the list of groups, a conversation beside it, and its members.

use egui::{Align2, CentralPanel, FontId, Frame, Margin, Panel, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};
use lucide_icons::Icon;

use super::chat::ChatTab;
use super::group_members;
use super::{Cx, rail, side_panel};
use crate::ask::groups::{Ask, Group};
use crate::state::{Intent, Overlay, Selection, State, is_muted, text_with};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, RADIUS_PT, font, icons, medium};
use crate::widgets::{
    Field, PushButton, empty_state, error_text, focus_ring, icon_button, muted, paint_avatar, paint_elided,
};

/// The height of a row, in points.
const ROW_PT: f32 = 62.0;
/// The members have room beside the conversation from this width on, in points.
const BESIDE_FROM_PT: f32 = 760.0;

/// Shows the tab; conversations are shown by that of the chat tab.
pub(super) fn groups(ui: &mut Ui, state: &mut State, chat: &mut ChatTab, cx: &mut Cx) {
    let p = Palette::of(ui);
    side_panel(ui).show(ui, |ui| list(ui, state, cx));
    let open = match &state.chat.selection {
        Selection::Group(id) => Some(id.clone()),
        _ => None,
    };
    let Some(id) = open else {
        CentralPanel::default().frame(Frame::new().fill(p.chat)).show(ui, |ui| nothing_open(ui, state, cx));
        return;
    };
    if let Some(group) = state.groups.get(&id).filter(|group| matches!(group.state.as_str(), "invited" | "pending")) {
        let frame = Frame::new().fill(p.chat);
        CentralPanel::default().frame(frame).show(ui, |ui| outside(ui, group, state, cx));
        return;
    }
    let beside = ui.available_width() > BESIDE_FROM_PT;
    let members = Frame::new().fill(p.side).inner_margin(Margin::same(14));
    if state.groups.members_open && beside {
        Panel::right("members").exact_size(280.0).resizable(false).frame(members).show(ui, |ui| {
            group_members::members(ui, &id, state, cx);
        });
    } else if state.groups.members_open {
        CentralPanel::default().frame(members).show(ui, |ui| group_members::members(ui, &id, state, cx));
        return;
    }
    CentralPanel::default().frame(Frame::new().fill(p.chat)).show(ui, |ui| chat.conversation(ui, &id, state, cx));
}

fn list(ui: &mut Ui, state: &mut State, cx: &mut Cx) {
    ui.spacing_mut().item_spacing.y = 8.0;
    ui.horizontal(|ui| {
        ui.add_space(4.0);
        ui.heading(tr().tab_groups);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            if icon_button(ui, Icon::Plus, tr().group_new).clicked() {
                cx.say(Intent::Show(Overlay::EditGroup(None)));
            }
            if icon_button(ui, Icon::Search, tr().group_find).clicked() {
                cx.say(Intent::Show(Overlay::FindGroup));
            }
        });
    });
    if !state.groups.list.is_empty() {
        let field = Field::new(tr().group_list_search).hint(tr().group_list_search).bare();
        let field = field.show(ui, &mut state.groups.query);
        if std::mem::take(&mut cx.focus_search) {
            field.request_focus();
        }
    }
    let state = &*state;
    ui.spacing_mut().item_spacing.y = 2.0;
    if state.groups.loaded && state.groups.list.is_empty() {
        ui.add_space(18.0);
        ui.vertical_centered(|ui| muted(ui, tr().groups_none));
    }
    let query = state.groups.query.trim().to_lowercase();
    let fits = |group: &&Group| query.is_empty() || group.name.to_lowercase().contains(&query);
    let mut groups: Vec<(&Group, u64)> =
        state.groups.list.iter().filter(fits).map(|group| (group, last_at(group, state))).collect();
    if groups.is_empty() && !query.is_empty() {
        ui.add_space(14.0);
        ui.vertical_centered(|ui| muted(ui, tr().nothing_found));
    }
    groups.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.name.to_lowercase().cmp(&b.0.name.to_lowercase())));
    ScrollArea::vertical().id_salt("group list").auto_shrink(false).show_rows(ui, ROW_PT, groups.len(), |ui, range| {
        for (group, at) in groups.get(range).unwrap_or_default() {
            row(ui, group, *at, state, cx);
        }
    });
}

fn last_at(group: &Group, state: &State) -> u64 {
    let told = state.groups.last.get(&group.group_id).map_or(0, |last| last.1);
    told.max(group.last_message.as_ref().map_or(0, |last| last.at.0.0))
}

/// The second line: what came last, else what the group is for.
fn line(group: &Group, state: &State) -> String {
    match group.state.as_str() {
        "invited" => return (tr().group_invited_by)(group.invited_by.as_deref()),
        "pending" => return tr().group_waits.to_owned(),
        "left" => return tr().group_was_left.to_owned(),
        _ => {}
    }
    let draft = state.chat.draft(&group.group_id);
    if !draft.trim().is_empty() && state.chat.conversation() != Some(&group.group_id) {
        return (tr().draft)(draft);
    }
    let listed = group.last_message.as_ref().map_or(0, |last| last.at.0.0);
    if let Some((line, _)) = state.groups.last.get(&group.group_id).filter(|last| last.1 > listed) {
        return line.clone();
    }
    match &group.last_message {
        Some(last) => {
            let text = text_with(last.file.as_ref().map(|file| (file.name.as_str(), file.size)), &last.text);
            if last.mine { (tr().you_said)(&text) } else { format!("{}: {text}", last.from) }
        }
        None if !group.description.is_empty() => group.description.clone(),
        None => (tr().member_count)(group.members),
    }
}

fn row(ui: &mut Ui, group: &Group, at: u64, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let on = state.chat.selection == Selection::Group(group.group_id.clone());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_PT), Sense::click());
    let mut spoken =
        if group.unread > 0 { (tr().spoken_unread)(&group.name, group.unread) } else { group.name.clone() };
    let want_in = (group.leads() && group.requests > 0).then(|| (tr().group_want_in)(group.requests));
    if let Some(words) = &want_in {
        spoken = format!("{spoken}, {words}");
    }
    if is_muted(group.muted_until, cx.clock.now_ms) {
        spoken = (tr().spoken_muted)(&spoken);
    }
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, on, &spoken));
    if on || response.hovered() {
        ui.painter().rect_filled(rect, RADIUS_PT, if on { p.surface } else { p.chat });
    }
    focus_ring(ui, &response, rect, RADIUS_PT);
    paint_avatar(ui, pos2(rect.left() + 31.0, rect.center().y), &group.name, &group.group_id, 20.0, None);
    let painter = ui.painter();
    let when = if at == 0 { String::new() } else { text::when(at, cx.clock) };
    let time = painter.layout_no_wrap(when, font(11.5), p.muted);
    let (left, right) = (rect.left() + 62.0, rect.right() - 10.0);
    let top = rect.top() + 22.0;
    let mut room = right - left - time.size().x - 8.0;
    if is_muted(group.muted_until, cx.clock.now_ms) {
        let sign = FontId::new(12.5, icons());
        let x = right - time.size().x - 12.0;
        painter.text(pos2(x, top), Align2::CENTER_CENTER, char::from(Icon::BellOff), sign, p.muted);
        room -= 16.0;
    }
    paint_elided(painter, pos2(left, top), &group.name, FontId::new(14.5, medium()), p.text, room);
    painter.galley(pos2(right - time.size().x, top - time.size().y / 2.0), time, p.muted);
    let named = group.mentions > 0;
    let room = right - left - if group.unread > 0 { 34.0 } else { 0.0 } - if named { 20.0 } else { 0.0 };
    let (words, color) = match state.people.typing(&group.group_id, cx.clock.now_ms).as_slice() {
        [] => want_in.map_or_else(|| (line(group, state), p.muted), |words| (words, p.accent)),
        who => ((tr().group_typing)(who), p.accent),
    };
    paint_elided(painter, pos2(left, rect.top() + 42.0), &words, font(12.5), color, room);
    if group.unread > 0 {
        rail::badge(ui, pos2(right - 10.0, rect.top() + 43.0), group.unread);
    }
    if named {
        // Somebody asks for this account by its name.
        let at = pos2(right - 32.0, rect.top() + 43.0);
        painter.text(at, Align2::CENTER_CENTER, char::from(Icon::AtSign), FontId::new(14.0, icons()), p.accent);
    }
    if response.clicked() {
        cx.say(Intent::OpenGroup(group.group_id.clone()));
    }
}

/// A group that this account is not in yet: it was invited, or waits for an answer.
fn outside(ui: &mut Ui, group: &Group, state: &State, cx: &mut Cx) {
    let invited = group.state == "invited";
    let words =
        if invited { (tr().group_invited_by)(group.invited_by.as_deref()) } else { tr().group_waits.to_owned() };
    let words = if group.description.is_empty() { words } else { format!("{words}\n{}", group.description) };
    empty_state(ui, Icon::Users, &text::displayed(&group.name), &text::displayed(&words), |ui| {
        let busy = matches!(state.groups.asking, Some(Ok(())));
        if invited
            && ui.add(PushButton::new(tr().group_join_now).primary().icon(Icon::Check).wide().busy(busy)).clicked()
        {
            let group_id = Some(group.group_id.clone());
            cx.say(Intent::AskGroup(Ask::Join { group_id, invite: None }));
        }
        let name = if invited { tr().decline } else { tr().request_cancel };
        if ui.add(PushButton::new(name).icon(Icon::X).wide()).clicked() {
            cx.say(Ask::DeleteLocal(group.group_id.clone()));
        }
        if let Some(Err(error)) = &state.groups.asking {
            error_text(ui, error);
        }
    });
}

fn nothing_open(ui: &mut Ui, state: &State, cx: &mut Cx) {
    if !state.groups.loaded {
        return;
    }
    let none = state.groups.list.is_empty();
    let (title, words) = if none {
        (tr().groups_none_title, tr().groups_none_text)
    } else {
        (tr().groups_choose_title, tr().groups_choose_text)
    };
    empty_state(ui, Icon::Users, title, words, |ui| {
        if ui.add(PushButton::new(tr().group_new).primary().icon(Icon::Plus).wide()).clicked() {
            cx.say(Intent::Show(Overlay::EditGroup(None)));
        }
        if ui.add(PushButton::new(tr().group_find).icon(Icon::Search).wide()).clicked() {
            cx.say(Intent::Show(Overlay::FindGroup));
        }
    });
}
