//! Dialogs about groups: making one, finding one, inviting to one.

use egui::{RichText, ScrollArea, Ui};
use lucide_icons::Icon;

use super::Cx;
use crate::ask::groups::{Ask, Draft, FoundGroup};
use crate::state::{Intent, State};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, medium};
use crate::widgets::{
    Field, PushButton, avatar, error_text, icon_button, lines, muted, qr_code, section, sign, switch, tailed,
};

/// Open links shown.
const LINKS_SHOWN_MAX: usize = 50;
/// Ways to get in, in the node's words.
const JOINS: [&str; 3] = ["open", "approval", "invite"];

/// What is being filled in.
#[derive(Default)]
pub(super) struct GroupDialog {
    name: String,
    description: String,
    public: bool,
    join: usize,
    query: String,
    link: String,
    user: String,
}

impl GroupDialog {
    /// The dialog opens with the group as it is.
    pub(super) fn begin(&mut self, group_id: Option<&str>, state: &State) {
        *self = Self { join: 2, ..Self::default() };
        if let Some(group) = group_id.and_then(|id| state.groups.get(id)) {
            self.name.clone_from(&group.name);
            self.description.clone_from(&group.description);
            let join = group.join.as_deref().unwrap_or_default();
            self.join = JOINS.iter().position(|known| *known == join).unwrap_or(2);
        }
    }

    /// A new group, or the settings of one.
    pub(super) fn edit(&mut self, ui: &mut Ui, group_id: Option<&str>, state: &State, first: bool, cx: &mut Cx) {
        let busy = matches!(state.groups.asking, Some(Ok(())));
        if group_id.is_none() {
            muted(ui, tr().group_new_text);
            ui.add_space(4.0);
        }
        let name = Field::new(tr().group_name).hint(tr().group_name_hint).show(ui, &mut self.name);
        if first {
            name.request_focus();
        }
        let enter = name.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        Field::new(tr().group_description).hint(tr().group_description_hint).show(ui, &mut self.description);
        section(ui, tr().group_join);
        ui.horizontal_wrapped(|ui| {
            for (index, join) in JOINS.into_iter().enumerate() {
                if ui.selectable_label(self.join == index, (tr().join_kind)(join)).clicked() {
                    self.join = index;
                }
            }
        });
        if group_id.is_none() && switch(ui, self.public, tr().group_public, tr().group_public_text) {
            self.public = !self.public;
        }
        refused(ui, state);
        let ready = !self.name.trim().is_empty();
        let label = if group_id.is_some() { tr().save } else { tr().group_create };
        let button = PushButton::new(label).primary().icon(Icon::Check).wide().busy(busy).enabled(ready);
        if ui.add(button).clicked() || (enter && ready && !busy) {
            let draft = Draft {
                name: self.name.trim().to_owned(),
                description: self.description.trim().to_owned(),
                public: self.public,
                join: JOINS.get(self.join).copied().unwrap_or(JOINS[2]),
            };
            cx.say(Intent::AskGroup(match group_id {
                Some(id) => Ask::Update { group_id: id.to_owned(), draft },
                None => Ask::Create(draft),
            }));
        }
    }

    /// Public groups, and an invite to any.
    pub(super) fn find(&mut self, ui: &mut Ui, state: &State, first: bool, cx: &mut Cx) {
        let query = Field::new(tr().group_search).hint(tr().group_search_hint).bare().show(ui, &mut self.query);
        if first {
            query.request_focus();
        }
        if query.changed() {
            cx.say(Intent::SearchGroups(self.query.trim().to_owned()));
        }
        ScrollArea::vertical().id_salt("found groups").max_height(220.0).auto_shrink([false, true]).show(ui, |ui| {
            if state.groups.found.is_empty() {
                muted(ui, if state.groups.searching { tr().searching } else { tr().group_found_none });
            }
            for group in state.groups.found.iter().take(100) {
                found_row(ui, group, state, cx);
            }
        });
        ui.separator();
        let mut join = false;
        let ready = !self.link.trim().is_empty() && !matches!(state.groups.asking, Some(Ok(())));
        tailed(
            ui,
            |ui| Field::new(tr().group_invite_link).hint(tr().group_invite_link_hint).bare().show(ui, &mut self.link),
            |ui| join = ui.add(PushButton::new(tr().group_join_now).enabled(ready)).clicked(),
        );
        refused(ui, state);
        if join {
            let invite = Some(self.link.trim().to_owned());
            cx.say(Intent::AskGroup(Ask::Join { group_id: None, invite }));
        }
    }

    /// People by name, or a link for anybody.
    pub(super) fn invite(&mut self, ui: &mut Ui, group_id: &str, state: &State, first: bool, cx: &mut Cx) {
        let busy = matches!(state.groups.asking, Some(Ok(())));
        let mut pressed = false;
        let ready = !self.user.trim().is_empty() && !busy;
        tailed(
            ui,
            |ui| {
                let user = Field::new(tr().group_invite_whom).hint(tr().group_invite_whom_hint).bare();
                let user = user.show(ui, &mut self.user);
                if first {
                    user.request_focus();
                }
            },
            |ui| pressed = ui.add(PushButton::new(tr().group_invite).primary().enabled(ready)).clicked(),
        );
        let ask = |user| Intent::AskGroup(Ask::Invite { group_id: group_id.to_owned(), user });
        if pressed {
            cx.say(ask(Some(std::mem::take(&mut self.user).trim().to_owned())));
        }
        let known = |name: &str| state.groups.members.iter().any(|member| member.username == name);
        ui.horizontal_wrapped(|ui| {
            for contact in state.people.contacts().iter().filter(|contact| !known(&contact.username)).take(12) {
                if ui.add(PushButton::new(&contact.username).icon(Icon::UserPlus)).clicked() && !busy {
                    cx.say(ask(Some(contact.username.clone())));
                }
            }
        });
        refused(ui, state);
        ui.separator();
        match &state.groups.invite {
            Some(invite) => {
                ui.vertical_centered(|ui| qr_code(ui, invite, tr().group_invite_qr, 180.0));
                let words = egui::Label::new(RichText::new(invite).monospace().size(13.0)).truncate();
                tailed(
                    ui,
                    |ui| ui.add(words),
                    |ui| {
                        if icon_button(ui, Icon::Copy, tr().invite_copy).clicked() {
                            cx.say(crate::state::copied(invite.as_str()));
                        }
                    },
                );
            }
            None => {
                let button = PushButton::new(tr().group_make_link).icon(Icon::Link).wide().busy(busy);
                if ui.add(button).clicked() {
                    cx.say(ask(None));
                }
            }
        }
        links(ui, group_id, state, cx);
    }
}

/// The links that let somebody in, and the way to end each.
fn links(ui: &mut Ui, group_id: &str, state: &State, cx: &mut Cx) {
    if state.groups.links.is_empty() {
        return;
    }
    ui.add_space(4.0);
    section(ui, tr().group_links);
    for link in state.groups.links.iter().take(LINKS_SHOWN_MAX) {
        let p = Palette::of(ui);
        let short: String = link.invite_id.chars().take(8).collect();
        let ends = match link.expires {
            Some(at) => (tr().link_ends)(&text::duration(at.0.0.saturating_sub(cx.clock.now_ms))),
            None => tr().link_for_good.to_owned(),
        };
        tailed(
            ui,
            |ui| {
                sign(ui, Icon::Link, 15.0, p.accent);
                lines(ui, |ui| {
                    ui.label(RichText::new(&short).monospace().size(13.0));
                    let line = format!("{} · {ends}", (tr().link_by)(&link.by));
                    ui.add(egui::Label::new(RichText::new(line).size(SMALL_PT).color(p.muted)).truncate());
                });
            },
            |ui| {
                let revoke = icon_button(ui, Icon::Trash2, tr().link_revoke);
                if revoke.accessible_name(format!("{}: {short}", tr().link_revoke)).clicked() {
                    let (group_id, invite_id) = (group_id.to_owned(), link.invite_id.clone());
                    cx.say(Ask::Revoke { group_id, invite_id });
                }
                if let Some(invite) = &link.invite {
                    let copy = icon_button(ui, Icon::Copy, tr().invite_copy);
                    if copy.accessible_name(format!("{}: {short}", tr().invite_copy)).clicked() {
                        cx.say(crate::state::copied(invite.as_str()));
                    }
                }
            },
        );
    }
}

fn refused(ui: &mut Ui, state: &State) {
    if let Some(Err(error)) = &state.groups.asking {
        error_text(ui, error);
    }
}

fn found_row(ui: &mut Ui, group: &FoundGroup, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    tailed(
        ui,
        |ui| {
            avatar(ui, &group.name, &group.group_id, 17.0, None);
            lines(ui, |ui| {
                ui.add(egui::Label::new(RichText::new(text::displayed(&group.name)).family(medium())).truncate());
                let line = format!("{} · {}", (tr().member_count)(group.members), text::displayed(&group.description));
                ui.add(egui::Label::new(RichText::new(line).size(SMALL_PT).color(p.muted)).truncate());
            });
        },
        |ui| {
            if state.groups.get(&group.group_id).is_some() {
                ui.label(RichText::new(tr().group_joined_already).color(p.muted));
                return;
            }
            let label = if group.join == "approval" { tr().group_ask_to_join } else { tr().group_join_now };
            let button = ui.add(PushButton::new(label));
            if button.accessible_name(format!("{label}: {}", group.name)).clicked() {
                cx.say(Intent::AskGroup(Ask::Join { group_id: Some(group.group_id.clone()), invite: None }));
            }
        },
    );
}
