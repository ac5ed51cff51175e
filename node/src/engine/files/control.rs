//! What others say about files, and what they fetch.

use std::sync::Arc;

use secure_chat_protocol::id::{AccountId, FileId, GroupId};
use secure_chat_protocol::validate::safe_file_name;
use secure_chat_protocol::wire::content::{MessageIn, MessageRef};
use secure_chat_protocol::wire::transfer::{FileControl, Manifest};

use super::{FileWork, Gone};
use crate::api::{ApiError, Event, FileState, MessageState};
use crate::engine::audit::Severity;
use crate::engine::messages::plausible;
use crate::engine::state::Open;
use crate::engine::step::{Step, storage};
use crate::engine::work::Work;
use crate::files::kind;
use crate::files::row::{FileRow, is_over};
use crate::files::serve::serve;
use crate::messaging::stored::StoredMessage;
use crate::network::{PeerId, PeerStream};

/// A message that shares a file, or should have.
fn received(step: &Step<'_>, message: &MessageIn, text: String, file: Option<FileId>) -> StoredMessage {
    StoredMessage {
        sent: plausible(message.sent, step.now),
        text,
        reply_to: None,
        edited: None,
        deleted: false,
        reactions: Vec::new(),
        state: MessageState::Received,
        reason: None,
        seq: message.seq,
        file,
    }
}

/// What is shown of an offer whose file is not taken.
fn without_file(name: &str, caption: &str) -> String {
    let told = format!("[The file \u{201c}{name}\u{201d} could not be taken: its number is that of another file.]");
    if caption.is_empty() { told } else { format!("{told}\n{caption}") }
}

impl Open {
    /// What a contact says about a file.
    pub(in crate::engine) fn apply_file(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        message: &MessageIn,
        payload: &[u8],
        chats: bool,
    ) -> Result<(), ApiError> {
        match FileControl::decode(payload) {
            Ok(FileControl::Downloaded { file }) => self.downloaded_by(step, file, from),
            Ok(FileControl::Shared(manifest)) if chats => self.offered(step, from, message, *manifest, None)?,
            Ok(control) => self.changed_by(step, from, None, control),
            Err(error) => {
                let text = format!("A contact sent a message about a file that can't be understood: {error}.");
                self.alert(step, "file.malformed", Severity::Warning, Some(from.to_string()), &text);
            }
        }
        Ok(())
    }

    /// What a member says about a file in a group.
    pub(in crate::engine) fn apply_group_file(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        from: AccountId,
        message: &MessageIn,
        payload: &[u8],
    ) -> Result<(), ApiError> {
        match FileControl::decode(payload) {
            Ok(FileControl::Shared(manifest)) => self.offered(step, from, message, *manifest, Some(group))?,
            Ok(control) => self.changed_by(step, from, Some(group), control),
            Err(error) => {
                let text = format!("A member sent a message about a file that can't be understood: {error}.");
                self.alert(step, "file.malformed", Severity::Warning, Some(from.to_string()), &text);
            }
        }
        Ok(())
    }

    /// Whoever shared a file takes it back, or says where it waits.
    fn changed_by(&mut self, step: &mut Step<'_>, from: AccountId, group: Option<GroupId>, control: FileControl) {
        let theirs = |row: &FileRow| !row.mine && row.peer == from && row.group == group;
        match control {
            FileControl::Deleted { file } => {
                if self.files.rows.get(&file).is_some_and(theirs) {
                    self.forget_file(step, file, Gone::Deleted);
                }
            }
            FileControl::Stored { file, places } => {
                if let Some(row) = self.files.rows.get_mut(&file).filter(|row| theirs(row)) {
                    row.places = places;
                    step.files.insert(file);
                    self.files.look_again();
                }
            }
            FileControl::Shared(_) | FileControl::Downloaded { .. } => {}
        }
    }

    fn offered(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        message: &MessageIn,
        mut manifest: Manifest,
        group: Option<GroupId>,
    ) -> Result<(), ApiError> {
        let (id, name) = (manifest.file, MessageRef { author: from, id: message.id });
        let taken = self.is_of_another(step, id, from, group);
        let known = !taken && (self.files.rows.contains_key(&id) || self.why_gone(step, id).is_some());
        let over = is_over(manifest.expires, step.now, self.clock.is_doubtful());
        if known || over || manifest.caption.contains('\0') || self.load(step, name)?.is_some() {
            return Ok(());
        }
        if taken {
            return self.offered_in_vain(step, from, message, &manifest, group);
        }
        if self.files.rows.len() >= self.config.bounds.files_max {
            let text = "A contact shares a file, but there are too many in the list. Delete some.";
            self.alert(step, "files.full", Severity::Warning, Some(from.to_string()), text);
            return Ok(());
        }
        manifest.name = safe_file_name(&manifest.name);
        let leaves = std::mem::take(&mut manifest.leaves).0;
        let stored = received(step, message, manifest.caption.clone(), Some(id));
        let warning = kind::is_risky(&manifest.name)
            .then(|| "Files of this type can run commands when they are opened.".to_owned());
        let row = FileRow {
            manifest,
            mine: false,
            peer: from,
            group,
            message: message.id,
            at: stored.sent,
            state: FileState::Offered,
            reason: None,
            warning,
            path: None,
            stamp: None,
            downloaded_by: std::collections::BTreeSet::new(),
            places: Vec::new(),
            uploads: Vec::new(),
        };
        self.keep_file(step, row, leaves);
        self.show_offer(step, from, name, &stored, group)
    }

    /// Somebody offers a file under the id of another's: one of the two is not honest, and nobody knows who.
    /// The message is shown, so that neither is silenced.
    fn offered_in_vain(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        message: &MessageIn,
        manifest: &Manifest,
        group: Option<GroupId>,
    ) -> Result<(), ApiError> {
        let text = "A file was offered under the number of another's and not taken. Ask for it to be shared again.";
        self.alert(step, "file.conflict", Severity::Warning, Some(from.to_string()), text);
        let text = without_file(&safe_file_name(&manifest.name), &manifest.caption);
        let stored = received(step, message, text, None);
        self.show_offer(step, from, MessageRef { author: from, id: message.id }, &stored, group)
    }

    fn show_offer(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        name: MessageRef,
        stored: &StoredMessage,
        group: Option<GroupId>,
    ) -> Result<(), ApiError> {
        let conversation = group.map_or(from, |group| AccountId(group.0));
        let entry = self.append(step, conversation, name, stored).map_err(|error| storage(&error))?;
        if let Some(held) = group.and_then(|group| self.groups.get_mut(&group)) {
            held.row.unread = held.row.unread.saturating_add(1);
            step.groups.extend(group);
        } else if let Some(contact) = self.contacts.get_mut(&from) {
            contact.unread = contact.unread.saturating_add(1);
        }
        if let Some(view) = stored.file.and_then(|id| self.file_view(id)) {
            step.tell(Event::FileShared(Box::new(view)));
        }
        let shown = Box::new(self.view(&entry, stored));
        step.tell(if group.is_some() { Event::GroupMessage(shown) } else { Event::MessageReceived(shown) });
        Ok(())
    }

    fn downloaded_by(&mut self, step: &mut Step<'_>, file: FileId, by: AccountId) {
        let member =
            |row: &FileRow| row.group.and_then(|group| self.groups.get(&group)).is_some_and(|group| group.has(&by));
        let recipient = |row: &FileRow| row.group.is_none() && row.peer == by;
        let may = self.files.rows.get(&file).is_some_and(|row| row.mine && (recipient(row) || member(row)));
        // Somebody has it whole after all: it is as it was; or nobody else waits for it.
        let settled = |row: &FileRow| row.state == FileState::Changed || recipient(row);
        if may && self.files.rows.get(&file).is_some_and(settled) {
            self.set_file_state(step, file, FileState::Shared, None);
        }
        let Some(row) = self.files.rows.get_mut(&file).filter(|_| may) else { return };
        if row.downloaded_by.insert(by) {
            step.files.insert(file);
            // Nobody else waits for what lies at rendezvous nodes.
            if row.group.is_none() {
                let was = row.clone();
                (row.uploads, row.places) = (Vec::new(), Vec::new());
                self.remove_uploads(step, &was);
            }
            step.tell(Event::FileDownloaded {
                file_id: file.to_string(),
                username: self.conversation_name(by),
                account_id: by.to_string(),
            });
        }
    }

    /// A peer opened a stream to fetch parts of files.
    pub(in crate::engine) fn serve_files(&mut self, step: &mut Step<'_>, peer: PeerId, stream: PeerStream) {
        let account = self.met.get(&peer).and_then(|met| met.account);
        let welcome = |account: &AccountId| {
            let contact = self.contacts.get(account);
            contact.is_some_and(|contact| contact.may_chat())
                || (self.shares_group(*account) && !contact.is_some_and(|contact| contact.blocked))
        };
        // Dropping the stream closes it: whoever has not said who they are comes again.
        let Some(account) = account.filter(welcome) else { return };
        let Some(place) = self.files.reader_place(account) else { return };
        let (shelf, vault) = (self.files.shelf.clone(), Arc::downgrade(&self.vault));
        step.work(async move {
            let changed = serve(stream, account, shelf, vault).await;
            drop(place);
            if changed.is_empty() { Work::Tried } else { Work::File(FileWork::Changed { files: changed }) }
        });
    }

    /// Something was done about a file, apart from the engine.
    pub(in crate::engine) fn file_worked(&mut self, step: &mut Step<'_>, work: FileWork) {
        match work {
            FileWork::Prepared { sharing, result } => self.prepared(step, *sharing, result),
            FileWork::Placed { file, result, reply } => self.placed(step, file, result, reply),
            FileWork::Left { file, at, attempt, result } => self.left(step, file, at, attempt, result),
            FileWork::Changed { files } => files.into_iter().for_each(|file| self.source_changed(step, file)),
            FileWork::Removed { file, left } => self.removed(step, file, left),
            FileWork::Discarded { file, gone } => self.discarded(step, file, gone),
            FileWork::Measured { lengths } => self.measured(step, lengths),
            FileWork::Counted { file, downloads } => self.counted(step, file, downloads),
            FileWork::Fetched { file, attempt, target, result } => self.fetched(step, file, attempt, &target, result),
        }
    }

    /// The message that shared a file shows nothing of it any more.
    pub(super) fn strike_message(&mut self, step: &mut Step<'_>, row: &FileRow) {
        let author = if row.mine { self.me } else { row.peer };
        let struck = match self.load(step, MessageRef { author, id: row.message }) {
            Ok(Some((entry, mut stored))) if !stored.deleted => {
                stored.text.clear();
                stored.reactions.clear();
                stored.deleted = true;
                self.store_message(step, entry.arrival, &stored)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = struck {
            tracing::debug!(%error, "the message of a file that is gone could not be changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_without_its_file_still_says_what_was_said() {
        assert!(without_file("a.zip", "look").ends_with("]\nlook"));
        assert!(without_file("a.zip", "").contains("a.zip"));
    }
}
