//! Dialogs about the account as a whole: its password, backups, its end.

use egui::{TextBuffer as _, Ui};
use lucide_icons::Icon;
use secure_chat_node::api::Password;

use super::{Cx, paths};
use crate::ask::account;
use crate::ask::desktop::Pick;
use crate::state::{Intent, State};
use crate::strings::tr;
use crate::widgets::{Field, PushButton, SecretText, error_text, muted};

/// What is being typed.
#[derive(Default)]
pub(super) struct CareDialog {
    old: SecretText,
    new: SecretText,
    again: SecretText,
    path: String,
    typed: String,
}

/// A copy of what was typed, for a question that may be refused and asked again.
fn copy(secret: &SecretText) -> Password {
    Password::new(secret.expose())
}

impl CareDialog {
    /// A path was chosen.
    pub(super) fn set_path(&mut self, path: String) {
        self.path = path;
    }

    fn busy(state: &State) -> bool {
        matches!(state.caring, Some(Ok(())))
    }

    /// The new password twice; whether both are the same and there is something.
    fn twice(&mut self, ui: &mut Ui, name: &str, again: &str) -> bool {
        Field::new(name).secret().show(ui, &mut self.new);
        let differs = !self.again.expose().is_empty() && self.again.expose() != self.new.expose();
        Field::new(again).secret().error(differs.then_some(tr().passwords_differ)).show(ui, &mut self.again);
        !self.new.expose().is_empty() && self.new.expose() == self.again.expose()
    }

    fn refused(ui: &mut Ui, state: &State) {
        if let Some(Err(error)) = &state.caring {
            error_text(ui, error);
        }
    }

    /// Another password for the same vault.
    pub(super) fn change_password(&mut self, ui: &mut Ui, state: &State, first: bool, cx: &mut Cx) {
        muted(ui, tr().change_password_text);
        ui.add_space(4.0);
        let old = Field::new(tr().old_password).secret().show(ui, &mut self.old);
        if first {
            old.request_focus();
        }
        let ready = self.twice(ui, tr().new_password, tr().new_password_again) && !self.old.expose().is_empty();
        Self::refused(ui, state);
        let busy = Self::busy(state);
        let button = PushButton::new(tr().change_password).primary().icon(Icon::KeyRound).wide();
        if ui.add(button.busy(busy).enabled(ready)).clicked() {
            cx.say(Intent::Care(account::Ask::ChangePassword { old: copy(&self.old), new: copy(&self.new) }));
        }
    }

    /// Fresh keys for the vault.
    pub(super) fn rekey(&mut self, ui: &mut Ui, state: &State, first: bool, cx: &mut Cx) {
        muted(ui, tr().rekey_text);
        ui.add_space(4.0);
        let password = Field::new(tr().password).secret().show(ui, &mut self.old);
        if first {
            password.request_focus();
        }
        Self::refused(ui, state);
        let button = PushButton::new(tr().rekey).primary().icon(Icon::RefreshCw).wide();
        if ui.add(button.busy(Self::busy(state)).enabled(!self.old.expose().is_empty())).clicked() {
            cx.say(Intent::Care(account::Ask::Rekey { password: copy(&self.old) }));
        }
    }

    /// A sealed copy of the account in one file.
    pub(super) fn export(&mut self, ui: &mut Ui, state: &State, first: bool, cx: &mut Cx) {
        muted(ui, tr().export_backup_text);
        ui.add_space(4.0);
        if self.path.is_empty() && first {
            self.path = paths::in_documents("secure-chat-backup.scb");
        }
        let path = paths::path_field(ui, Field::new(tr().file_path), &mut self.path, Pick::BackupTo, state, cx);
        if first {
            path.request_focus();
        }
        let ready = self.twice(ui, tr().passphrase, tr().passphrase_again) && !self.path.trim().is_empty();
        Self::refused(ui, state);
        let button = PushButton::new(tr().export_backup).primary().icon(Icon::Download).wide();
        if ui.add(button.busy(Self::busy(state)).enabled(ready)).clicked() {
            let path = self.path.trim().to_owned();
            cx.say(Intent::Care(account::Ask::Export { path, passphrase: copy(&self.new) }));
        }
    }

    /// An account from its backup.
    pub(super) fn import(&mut self, ui: &mut Ui, state: &State, first: bool, cx: &mut Cx) {
        muted(ui, tr().import_backup_text);
        ui.add_space(4.0);
        let field = Field::new(tr().file_path).hint(tr().backup_path_hint);
        let path = paths::path_field(ui, field, &mut self.path, Pick::BackupFrom, state, cx);
        if first {
            path.request_focus();
        }
        Field::new(tr().passphrase).secret().show(ui, &mut self.old);
        let ready = self.twice(ui, tr().new_password, tr().new_password_again)
            && !self.path.trim().is_empty()
            && !self.old.expose().is_empty();
        Self::refused(ui, state);
        let button = PushButton::new(tr().import_backup).primary().icon(Icon::Upload).wide();
        if ui.add(button.busy(Self::busy(state)).enabled(ready)).clicked() {
            let (path, passphrase, password) = (self.path.trim().to_owned(), copy(&self.old), copy(&self.new));
            cx.say(Intent::Care(account::Ask::Import { path, passphrase, password }));
        }
    }

    /// The end of the account on this machine, after its name was typed.
    pub(super) fn wipe(&mut self, ui: &mut Ui, state: &State, first: bool, cx: &mut Cx) {
        let Some(opened) = state.opened() else { return };
        let name = &opened.account.username;
        error_text(ui, tr().wipe_text);
        let typed = Field::new(&(tr().wipe_type)(name)).show(ui, &mut self.typed);
        if first {
            typed.request_focus();
        }
        Field::new(tr().password).secret().show(ui, &mut self.old);
        Self::refused(ui, state);
        let ready = self.typed.trim() == name && !self.old.as_str().is_empty();
        let button = PushButton::new(tr().wipe_now).danger().icon(Icon::Trash2).wide();
        if ui.add(button.busy(Self::busy(state)).enabled(ready)).clicked() {
            cx.say(Intent::Care(account::Ask::Wipe { password: copy(&self.old) }));
        }
    }
}
