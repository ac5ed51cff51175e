//! Dialogs about files: what is shared with whom, and where one is saved.

use egui::{ComboBox, Ui};
use lucide_icons::Icon;
use secure_chat_node::api::ContactState;

use super::Cx;
use super::paths::{in_downloads, path_field};
use crate::ask::desktop::Pick;
use crate::ask::files::{File, Share};
use crate::state::{Intent, Key, Recipient, State, is_risky, is_very_long};
use crate::strings::tr;
use crate::text;
use crate::widgets::{Field, PushButton, error_text, muted, section};

/// What is being filled in.
#[derive(Default)]
pub(super) struct ShareDialog {
    path: String,
    to: Recipient,
    caption: String,
    expires: usize,
    save_to: String,
}

/// How long others can fetch it: the node's words, and whether it is the default.
const EXPIRIES: [&str; 3] = ["never", "24h", "1w"];

impl ShareDialog {
    /// The dialog opens with this.
    pub(super) fn begin(&mut self, path: &str, to: &Recipient) {
        *self = Self { path: path.to_owned(), to: to.clone(), ..Self::default() };
    }

    /// A file was chosen.
    pub(super) fn set_path(&mut self, path: String) {
        self.path = path;
    }

    /// A place to save to was chosen.
    pub(super) fn set_save_to(&mut self, path: String) {
        self.save_to = path;
    }

    /// The question where to save opens with this.
    pub(super) fn begin_save(&mut self, name: &str, state: &State) {
        self.save_to = in_downloads(state.preferences.word(Key::DownloadFolder), name);
    }

    /// What to share with whom.
    pub(super) fn share(&mut self, ui: &mut Ui, state: &State, first: bool, cx: &mut Cx) {
        let busy = matches!(state.files.sharing, Some(Ok(())));
        muted(ui, tr().share_text);
        ui.add_space(4.0);
        let field = Field::new(tr().file_path).hint(tr().share_path_hint);
        let field = path_field(ui, field, &mut self.path, Pick::Share, state, cx);
        if first {
            field.request_focus();
        }
        if is_risky(self.path.trim()) {
            error_text(ui, tr().risky_to_share);
        }
        self.recipient(ui, state);
        Field::new(tr().caption).hint(tr().caption_hint).show(ui, &mut self.caption);
        ui.horizontal(|ui| {
            ui.label(tr().expires);
            for (index, expires) in EXPIRIES.into_iter().enumerate() {
                if ui.selectable_label(self.expires == index, (tr().expiry)(expires)).clicked() {
                    self.expires = index;
                }
            }
        });
        if let Some(Err(error)) = &state.files.sharing {
            error_text(ui, error);
        }
        // Of this file, and no other that was chosen since.
        let unconfirmed = state.files.unconfirmed.as_deref() == Some(self.path.trim());
        if unconfirmed {
            error_text(ui, tr().very_long_to_share);
        }
        let ready = !busy && !self.path.trim().is_empty() && self.to != Recipient::Nobody;
        ui.add_space(4.0);
        let label = if unconfirmed { tr().share_anyway } else { tr().share_now };
        let button = PushButton::new(label).primary().icon(Icon::Share2).wide().busy(busy).enabled(ready);
        if ui.add(button).clicked() {
            let (to, group_id) = match &self.to {
                Recipient::Person(name) => (Some(name.clone()), None),
                Recipient::Group(id) => (None, Some(id.clone())),
                Recipient::Nobody => (None, None),
            };
            let expires = EXPIRIES.get(self.expires).copied().unwrap_or(EXPIRIES[0]);
            let (path, caption) = (self.path.trim().to_owned(), self.caption.trim().to_owned());
            let confirm = is_risky(&path) || unconfirmed;
            cx.say(Intent::Share(Share { path, to, group_id, expires, caption, confirm }));
        }
    }

    fn recipient(&mut self, ui: &mut Ui, state: &State) {
        let name = match &self.to {
            Recipient::Nobody => tr().choose_recipient.to_owned(),
            Recipient::Person(name) => name.clone(),
            Recipient::Group(id) => {
                state.groups.get(id).map_or_else(|| tr().a_group.to_owned(), |group| group.name.clone())
            }
        };
        ui.horizontal(|ui| {
            ui.label(tr().share_with);
            let choice = ComboBox::from_id_salt("recipient").selected_text(&name).width(240.0).show_ui(ui, |ui| {
                for contact in state.people.contacts() {
                    if contact.state == ContactState::Accepted {
                        let to = Recipient::Person(contact.username.clone());
                        if ui.selectable_label(self.to == to, &contact.username).clicked() {
                            self.to = to;
                        }
                    }
                }
                for group in &state.groups.list {
                    let to = Recipient::Group(group.group_id.clone());
                    if ui.selectable_label(self.to == to, (tr().group_named)(&group.name)).clicked() {
                        self.to = to;
                    }
                }
            });
            choice.response.accessible_name(format!("{}: {name}", tr().share_with));
        });
    }

    /// Where to save a file, with a warning about one that can run something.
    pub(super) fn save(&mut self, ui: &mut Ui, state: &State, file: (&str, bool), first: bool, cx: &mut Cx) {
        let (file_id, risky) = file;
        if risky {
            error_text(ui, tr().risky_to_open);
        }
        let file = state.files.get(file_id);
        let kept = file.is_some_and(File::is_kept);
        let long = file.map(|file| file.size).filter(|bytes| !kept && is_very_long(*bytes));
        if let Some(bytes) = long {
            error_text(ui, &(tr().very_long_to_save)(&text::bytes(bytes)));
        }
        // Whoever reads this and goes on has confirmed it.
        let confirm = risky || long.is_some();
        // One of two ways to save it is the one that is meant to be taken.
        let keeps = !kept && state.preferences.switch(Key::EncryptReceived) == Some(true);
        if kept {
            muted(ui, tr().save_copy_text);
        } else if keeps {
            muted(ui, tr().keep_encrypted_text);
            let keep = PushButton::new(tr().keep_encrypted).primary().icon(Icon::LockKeyhole).wide();
            let keep = ui.add(keep);
            if first {
                keep.request_focus();
            }
            if keep.clicked() {
                cx.say(Intent::Download { file_id: file_id.to_owned(), path: None, confirm });
            }
            ui.add_space(6.0);
            section(ui, tr().or_save_copy);
        }
        let field = Field::new(tr().file_path);
        let field = path_field(ui, field, &mut self.save_to, Pick::Save, state, cx);
        if first && !keeps {
            field.request_focus();
        }
        let enter = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let ready = !self.save_to.trim().is_empty();
        let label = if risky { tr().save_anyway } else { tr().save };
        let button = PushButton::new(label).icon(Icon::Download).wide().enabled(ready);
        let button = match (risky, keeps) {
            (true, _) => button.danger(),
            (false, true) => button,
            (false, false) => button.primary(),
        };
        if (ui.add(button).clicked() || (enter && !risky)) && ready {
            let path = Some(self.save_to.trim().to_owned());
            cx.say(Intent::Download { file_id: file_id.to_owned(), path, confirm });
        }
    }
}
