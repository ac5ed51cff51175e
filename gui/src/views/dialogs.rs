//! What lies above everything else: dialogs, questions, what stays to be seen.

use egui::{Frame, Margin, RichText, Ui};
use lucide_icons::Icon;
use secure_chat_node::api::{ContactState, User};

use super::care::CareDialog;
use super::finder::Finder;
use super::group_dialogs::GroupDialog;
use super::share::ShareDialog;
use super::{Cx, shortcuts};
use crate::ask::desktop::Pick;
use crate::ask::files::File;
use crate::ask::{contacts, files, groups, messages, network, security};
use crate::state::{Confirm, Intent, Overlay, State, Tone};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, medium};
use crate::widgets::{
    EmojiPicker, Field, PushButton, avatar, busy_dots, dialog, error_text, lines, muted, qr_code, sign, tailed,
};

/// What the dialogs remember.
#[derive(Default)]
pub(super) struct Dialogs {
    finder: Finder,
    to: String,
    greeting: String,
    online_query: String,
    share: ShareDialog,
    care: CareDialog,
    group: GroupDialog,
    emoji: EmojiPicker,
    open: Option<Overlay>,
}

impl Dialogs {
    /// Shows the dialog that is open, if one is.
    pub(super) fn ui(&mut self, ui: &Ui, state: &mut State, cx: &mut Cx) {
        let Some(overlay) = state.overlay.clone() else {
            self.open = None;
            return;
        };
        let first = self.open.as_ref() != Some(&overlay);
        if first {
            // A dialog opens empty, whatever was typed the last time.
            *self = Self { open: Some(overlay.clone()), ..Self::default() };
            if let Overlay::NewChat { to } = &overlay {
                self.to.clone_from(to);
            }
            match &overlay {
                Overlay::Share { path, to } => self.share.begin(path, to),
                Overlay::SaveFile { name, .. } => self.share.begin_save(name, state),
                Overlay::EditGroup(group_id) => self.group.begin(group_id.as_deref(), state),
                _ => {}
            }
        }
        self.take_picked(&overlay, state);
        let ctx = ui.ctx().clone();
        let closed = match &overlay {
            Overlay::Palette => self.finder.ui(&ctx, state, cx, first),
            Overlay::NewChat { .. } => dialog(&ctx, tr().new_chat, 460.0, |ui| self.new_chat(ui, state, first, cx)),
            Overlay::Online => dialog(&ctx, tr().online_users, 440.0, |ui| self.online(ui, state, cx)),
            Overlay::SafetyNumber(user) => dialog(&ctx, tr().safety_number, 460.0, |ui| safety(ui, user, state, cx)),
            Overlay::Link(link) => dialog(&ctx, tr().link_title, 480.0, |ui| link_question(ui, link, cx)),
            Overlay::Notices => dialog(&ctx, tr().notices, 460.0, |ui| notices(ui, state, cx)),
            Overlay::Diagnostics(text) => dialog(&ctx, tr().diagnostics, 620.0, |ui| diagnostics(ui, text, cx)),
            Overlay::React(message_id) => {
                dialog(&ctx, tr().react, EmojiPicker::WIDTH_PT, |ui| react(ui, &mut self.emoji, message_id, cx))
            }
            Overlay::Shortcuts => dialog(&ctx, tr().shortcuts, 420.0, shortcuts::table),
            Overlay::Confirm(confirm) => {
                dialog(&ctx, confirm_title(confirm), 440.0, |ui| question(ui, confirm, first, cx))
            }
            other => self.more(&ctx, other, state, first, cx),
        };
        if closed {
            cx.say(Intent::CloseOverlay);
        }
    }

    /// What was chosen with the desktop's chooser goes into the field it was chosen for.
    fn take_picked(&mut self, overlay: &Overlay, state: &mut State) {
        let wanted = match overlay {
            Overlay::Share { .. } => Pick::Share,
            Overlay::SaveFile { .. } => Pick::Save,
            Overlay::ExportBackup => Pick::BackupTo,
            Overlay::ImportBackup => Pick::BackupFrom,
            _ => return,
        };
        if let Some((_, path)) = state.desktop.picked.take_if(|(pick, _)| *pick == wanted) {
            match wanted {
                Pick::Share => self.share.set_path(path),
                Pick::Save => self.share.set_save_to(path),
                _ => self.care.set_path(path),
            }
        }
    }

    /// Dialogs of files, groups and the account.
    fn more(&mut self, ctx: &egui::Context, overlay: &Overlay, state: &State, first: bool, cx: &mut Cx) -> bool {
        let (share, group, care) = (&mut self.share, &mut self.group, &mut self.care);
        match overlay {
            Overlay::Share { .. } => dialog(ctx, tr().share_file, 480.0, |ui| share.share(ui, state, first, cx)),
            Overlay::SaveFile { file_id, risky, .. } => {
                let kept = state.files.get(file_id).is_some_and(File::is_kept);
                let title = if kept { tr().save_copy } else { tr().save_as };
                dialog(ctx, title, 480.0, |ui| share.save(ui, state, (file_id, *risky), first, cx))
            }
            Overlay::EditGroup(id) => {
                let title = if id.is_some() { tr().group_settings } else { tr().group_new };
                dialog(ctx, title, 480.0, |ui| group.edit(ui, id.as_deref(), state, first, cx))
            }
            Overlay::FindGroup => dialog(ctx, tr().group_find, 520.0, |ui| group.find(ui, state, first, cx)),
            Overlay::InviteToGroup(id) => {
                dialog(ctx, tr().group_invite, 460.0, |ui| group.invite(ui, id, state, first, cx))
            }
            Overlay::ChangePassword => {
                dialog(ctx, tr().change_password, 440.0, |ui| care.change_password(ui, state, first, cx))
            }
            Overlay::Rekey => dialog(ctx, tr().rekey, 440.0, |ui| care.rekey(ui, state, first, cx)),
            Overlay::ExportBackup => dialog(ctx, tr().export_backup, 460.0, |ui| care.export(ui, state, first, cx)),
            Overlay::ImportBackup => dialog(ctx, tr().import_backup, 460.0, |ui| care.import(ui, state, first, cx)),
            Overlay::Wipe => dialog(ctx, tr().wipe, 460.0, |ui| care.wipe(ui, state, first, cx)),
            _ => false,
        }
    }

    fn new_chat(&mut self, ui: &mut Ui, state: &State, first: bool, cx: &mut Cx) {
        let busy = matches!(state.requesting, Some(Ok(())));
        let error = state.requesting.as_ref().and_then(|result| result.as_ref().err()).map(String::as_str);
        muted(ui, tr().new_chat_text);
        ui.add_space(4.0);
        let to = Field::new(tr().new_chat_to).hint(tr().new_chat_to_hint).error(error).show(ui, &mut self.to);
        if first {
            to.request_focus();
        }
        let greeting = Field::new(tr().greeting).hint(tr().greeting_hint).show(ui, &mut self.greeting);
        let enter = (to.lost_focus() || greeting.lost_focus()) && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let ready = !self.to.trim().is_empty() && !busy;
        ui.add_space(4.0);
        let send = PushButton::new(tr().send_request).primary().icon(Icon::Send).wide().busy(busy).enabled(ready);
        if (ui.add(send).clicked() || enter) && ready {
            let (to, greeting) = (self.to.trim().to_owned(), self.greeting.trim().to_owned());
            cx.say(Intent::Request { to, greeting });
        }
        if ui.add(PushButton::new(tr().online_users).icon(Icon::Users).wide()).clicked() {
            cx.say(Intent::Show(Overlay::Online));
        }
    }

    fn online(&mut self, ui: &mut Ui, state: &State, cx: &mut Cx) {
        let people = &state.people;
        Field::new(tr().search).hint(tr().search_people).bare().show(ui, &mut self.online_query);
        let query = self.online_query.trim().to_lowercase();
        let me = state.opened().map_or("", |opened| &opened.account.account_id);
        let found: Vec<&User> = people
            .online
            .iter()
            .filter(|user| user.account_id != me && user.username.to_lowercase().contains(&query))
            .take(200)
            .collect();
        if found.is_empty() {
            ui.add_space(8.0);
            muted(ui, if query.is_empty() { tr().nobody_online } else { tr().nothing_found });
        }
        if let Some(Err(error)) = &state.requesting {
            error_text(ui, error);
        }
        for user in found {
            online_row(ui, user, state, cx);
        }
    }
}

/// A reaction that is none of the usual ones.
fn react(ui: &mut Ui, picker: &mut EmojiPicker, message_id: &str, cx: &mut Cx) {
    if let Some(emoji) = picker.show(ui) {
        cx.say(messages::Ask::React { message_id: message_id.to_owned(), emoji: emoji.to_owned() });
        cx.focus_composer = true;
    }
}

fn online_row(ui: &mut Ui, user: &User, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let head = |ui: &mut Ui| {
        avatar(ui, &user.username, &user.account_id, 18.0, None);
        lines(ui, |ui| {
            ui.add(egui::Label::new(RichText::new(text::displayed(&user.username)).family(medium())).truncate());
            ui.add(egui::Label::new(RichText::new(&user.fingerprint).size(SMALL_PT).color(p.muted)).truncate());
        });
    };
    tailed(ui, head, |ui| {
        let contact = state.people.contacts().iter().find(|contact| contact.account_id == user.account_id);
        if contact.is_some_and(|contact| contact.state == ContactState::Requested) {
            ui.label(RichText::new(tr().requested_short).color(p.muted));
            return;
        }
        let button = match contact {
            Some(_) => PushButton::new(tr().chat).icon(Icon::MessageCircle),
            None => PushButton::new(tr().chat).primary().icon(Icon::UserPlus),
        };
        if ui.add(button).accessible_name((tr().chat_with)(&user.username)).clicked() {
            cx.say(match contact {
                Some(contact) => Intent::OpenConversation(contact.username.clone()),
                None => Intent::Show(Overlay::NewChat { to: user.username.clone() }),
            });
        }
    });
}

fn safety(ui: &mut Ui, user: &str, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let verified = state.people.contact(user).is_some_and(|contact| contact.verified);
    muted(ui, (tr().safety_text)(user));
    match &state.safety {
        None => {
            let (rect, _) = ui.allocate_exact_size(egui::vec2(ui.available_width(), 120.0), egui::Sense::hover());
            busy_dots(ui, rect.center(), p.accent);
            return;
        }
        Some(Err(error)) => {
            error_text(ui, error);
            return;
        }
        Some(Ok(safety)) => {
            ui.vertical_centered(|ui| {
                qr_code(ui, &safety.qr, tr().safety_qr, 190.0);
                ui.add_space(6.0);
                for line in safety.number.split_whitespace().collect::<Vec<_>>().chunks(4) {
                    ui.label(RichText::new(line.join("  ")).monospace().size(17.0));
                }
            });
            ui.add_space(6.0);
            if ui.add(PushButton::new(tr().safety_copy).icon(Icon::Copy).wide()).clicked() {
                cx.say(Intent::Copy { text: safety.number.clone(), said: tr().copied });
            }
        }
    }
    let user = user.to_owned();
    if verified {
        ui.horizontal(|ui| {
            sign(ui, Icon::ShieldCheck, 16.0, p.ok);
            ui.label(RichText::new(tr().verified).color(p.ok));
        });
        if ui.add(PushButton::new(tr().unverify).wide()).clicked() {
            cx.say(contacts::Ask::Verify { user, verified: false });
        }
    } else if ui.add(PushButton::new(tr().verify).primary().icon(Icon::ShieldCheck).wide()).clicked() {
        cx.say(contacts::Ask::Verify { user, verified: true });
    }
}

fn link_question(ui: &mut Ui, link: &str, cx: &mut Cx) {
    muted(ui, tr().link_text);
    well(ui, |ui| {
        ui.add(egui::Label::new(RichText::new(text::displayed(link)).monospace()).wrap());
    });
    if !link.is_ascii() {
        error_text(ui, tr().link_odd);
    }
    buttons(ui, |ui| {
        let open = ui.add(PushButton::new(tr().link_open).primary().icon(Icon::ExternalLink));
        if open.clicked() {
            cx.say(Intent::OpenLink(link.to_owned()));
        }
        if ui.add(PushButton::new(tr().link_copy).icon(Icon::Copy)).clicked() {
            cx.say(crate::state::copied(link));
            cx.say(Intent::CloseOverlay);
        }
    });
}

fn notices(ui: &mut Ui, state: &mut State, cx: &mut Cx) {
    let p = Palette::of(ui);
    if state.notices.kept().len() == 0 {
        ui.add_space(8.0);
        muted(ui, tr().notices_none);
        return;
    }
    for notice in state.notices.kept() {
        let (icon, color) = match notice.tone {
            Tone::Good => (Icon::CircleCheck, p.ok),
            Tone::Plain => (Icon::Info, p.accent),
            Tone::Warning => (Icon::TriangleAlert, p.warn),
            Tone::Bad => (Icon::ShieldAlert, p.danger),
        };
        ui.horizontal_top(|ui| {
            sign(ui, icon, 17.0, color);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 1.0;
                ui.add(egui::Label::new(text::displayed(&notice.text)).wrap());
                let when = text::when(notice.at_ms, cx.clock);
                ui.label(RichText::new(when).size(SMALL_PT).color(p.muted));
                let known = notice.conversation.as_ref().filter(|name| state.people.contact(name).is_some());
                if let Some(name) = known
                    && ui.add(PushButton::new(tr().open_chat).quiet()).clicked()
                {
                    cx.say(Intent::OpenConversation(name.clone()));
                }
            });
        });
        ui.separator();
    }
    if ui.add(PushButton::new(tr().notices_clear).icon(Icon::Trash2)).clicked() {
        state.notices.clear();
    }
}

fn diagnostics(ui: &mut Ui, report: &str, cx: &mut Cx) {
    muted(ui, tr().diagnostics_text);
    well(ui, |ui| {
        ui.add(egui::Label::new(RichText::new(report).monospace().size(12.0)).wrap());
    });
    if ui.add(PushButton::new(tr().diagnostics_copy).primary().icon(Icon::Copy)).clicked() {
        cx.say(crate::state::copied(report));
    }
}

fn confirm_title(confirm: &Confirm) -> &'static str {
    match confirm {
        Confirm::Block(_) => tr().confirm_block_title,
        Confirm::Remove(_) => tr().confirm_remove_title,
        Confirm::Delete { .. } => tr().confirm_delete_title,
        Confirm::RemoveRendezvous(_) => tr().confirm_rendezvous_title,
        Confirm::AcceptKey { .. } => tr().confirm_key_title,
        Confirm::ClearLog => tr().confirm_clear_title,
        Confirm::DeleteFile { .. } => tr().confirm_file_title,
        Confirm::LeaveGroup { .. } => tr().confirm_leave_title,
        Confirm::RemoveMember { .. } => tr().confirm_member_title,
        Confirm::TransferGroup { .. } => tr().confirm_transfer_title,
        Confirm::BanMember { .. } => tr().confirm_ban_title,
        Confirm::ResetSession(_) => tr().confirm_reset_title,
    }
}

fn question(ui: &mut Ui, confirm: &Confirm, first: bool, cx: &mut Cx) {
    let words = match confirm {
        Confirm::Block(user) => (tr().confirm_block)(user),
        Confirm::Remove(user) => (tr().confirm_remove)(user),
        Confirm::Delete { mine: true, .. } => tr().confirm_delete_own.to_owned(),
        Confirm::Delete { mine: false, .. } => tr().confirm_delete.to_owned(),
        Confirm::RemoveRendezvous(_) => tr().confirm_rendezvous.to_owned(),
        Confirm::AcceptKey { user, .. } => (tr().confirm_key)(user),
        Confirm::ClearLog => tr().confirm_clear.to_owned(),
        Confirm::DeleteFile { name, .. } => (tr().confirm_file)(name),
        Confirm::LeaveGroup { name, .. } => (tr().confirm_leave)(name),
        Confirm::RemoveMember { .. } => tr().confirm_member.to_owned(),
        Confirm::TransferGroup { .. } => tr().confirm_transfer.to_owned(),
        Confirm::BanMember { .. } => tr().confirm_ban.to_owned(),
        Confirm::ResetSession(user) => (tr().confirm_reset)(user),
    };
    muted(ui, words);
    if let Confirm::RemoveRendezvous(shown) | Confirm::AcceptKey { fingerprint: shown, .. } = confirm {
        well(ui, |ui| {
            ui.add(egui::Label::new(RichText::new(shown).monospace().size(12.5)).wrap());
        });
    }
    buttons(ui, |ui| {
        let mut chosen: Option<Intent> = None;
        for (name, danger, intent) in answers(confirm) {
            let button = PushButton::new(name);
            let button = if danger { button.danger() } else { button.primary() };
            if ui.add(button).clicked() {
                chosen = Some(intent);
            }
        }
        let cancel = ui.add(PushButton::new(tr().cancel));
        if first {
            // The harmless answer is the one that Enter gives.
            cancel.request_focus();
        }
        if cancel.clicked() || chosen.is_some() {
            cx.say(Intent::CloseOverlay);
        }
        cx.intents.extend(chosen);
    });
}

fn answers(confirm: &Confirm) -> Vec<(&'static str, bool, Intent)> {
    match confirm.clone() {
        Confirm::Block(user) => vec![(tr().block, true, contacts::Ask::Block(user).into())],
        Confirm::Remove(user) => vec![(tr().remove_contact, true, contacts::Ask::Remove(user).into())],
        Confirm::Delete { message_id, mine } => {
            let ask = |for_everyone| messages::Ask::Delete { message_id: message_id.clone(), for_everyone }.into();
            let mut answers = vec![(tr().delete_here, true, ask(false))];
            if mine {
                answers.insert(0, (tr().delete_everywhere, true, ask(true)));
            }
            answers
        }
        Confirm::RemoveRendezvous(address) => {
            vec![(tr().rendezvous_remove, true, network::Ask::RemoveRendezvous(address).into())]
        }
        Confirm::ClearLog => vec![(tr().clear_log, true, security::Ask::Clear.into())],
        Confirm::DeleteFile { file_id, .. } => {
            let deed = files::Deed::Delete;
            vec![(tr().file_delete, true, files::Ask::Do { file_id, deed }.into())]
        }
        Confirm::LeaveGroup { group_id, .. } => vec![(tr().group_leave, true, groups::Ask::Leave(group_id).into())],
        Confirm::RemoveMember { group_id, user } => {
            let method = "groups.remove_member";
            vec![(tr().remove_member, true, groups::Ask::ToMember { group_id, user, method }.into())]
        }
        Confirm::TransferGroup { group_id, user } => {
            let method = "groups.transfer";
            vec![(tr().make_owner, true, groups::Ask::ToMember { group_id, user, method }.into())]
        }
        Confirm::BanMember { group_id, user } => {
            let method = "groups.ban";
            vec![(tr().ban_member, true, groups::Ask::ToMember { group_id, user, method }.into())]
        }
        Confirm::ResetSession(user) => {
            vec![(tr().reset_session, true, security::Ask::ResetSession(user).into())]
        }
        Confirm::AcceptKey { user, fingerprint } => {
            vec![(tr().accept_key, true, contacts::Ask::AcceptKeyChange { user, fingerprint }.into())]
        }
    }
}

fn buttons(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    ui.add_space(8.0);
    ui.horizontal_wrapped(content);
}

/// A recess that something to read stands in.
fn well(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    let ground = Palette::of(ui).side;
    Frame::new().fill(ground).corner_radius(10).inner_margin(Margin::same(12)).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        content(ui);
    });
}
