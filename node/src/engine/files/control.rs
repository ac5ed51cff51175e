//! What others say about files, and what they fetch.

use std::sync::Arc;

use secure_chat_protocol::id::{AccountId, FileId};
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
use crate::files::limits::FILES_MAX;
use crate::files::row::FileRow;
use crate::files::serve::serve;
use crate::messaging::stored::StoredMessage;
use crate::network::{PeerId, PeerStream};

impl Open {
    /// What a contact says about a file.
    pub(in crate::engine) fn apply_file(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        message: &MessageIn,
        payload: &[u8],
    ) -> Result<(), ApiError> {
        match FileControl::decode(payload) {
            Ok(FileControl::Shared(manifest)) => self.offered(step, from, message, *manifest)?,
            Ok(FileControl::Deleted { file }) => {
                if self.files.rows.get(&file).is_some_and(|row| !row.mine && row.peer == from) {
                    self.forget_file(step, file, Gone::Deleted);
                }
            }
            Ok(FileControl::Downloaded { file }) => self.downloaded_by(step, file, from),
            Ok(FileControl::Stored { file, places }) => {
                if let Some(row) = self.files.rows.get_mut(&file).filter(|row| !row.mine && row.peer == from) {
                    row.places = places;
                    step.files.insert(file);
                    self.files.look_again();
                }
            }
            Err(error) => {
                let text = format!("A contact sent a message about a file that can't be understood: {error}.");
                self.alert(step, "file.malformed", Severity::Warning, Some(from.to_string()), &text);
            }
        }
        Ok(())
    }

    fn offered(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        message: &MessageIn,
        mut manifest: Manifest,
    ) -> Result<(), ApiError> {
        let (id, name) = (manifest.file, MessageRef { author: from, id: message.id });
        let known = self.files.rows.contains_key(&id) || self.why_gone(step, id).is_some();
        let over = manifest.expires.is_some_and(|expires| expires <= step.now);
        if known || over || manifest.caption.contains('\0') || self.load(step, name)?.is_some() {
            return Ok(());
        }
        if self.files.rows.len() >= FILES_MAX {
            let text = "A contact shares a file, but there are too many in the list. Delete some.";
            self.alert(step, "files.full", Severity::Warning, Some(from.to_string()), text);
            return Ok(());
        }
        manifest.name = safe_file_name(&manifest.name);
        let leaves = std::mem::take(&mut manifest.leaves).0;
        let stored = StoredMessage {
            sent: plausible(message.sent, step.now),
            text: manifest.caption.clone(),
            reply_to: None,
            edited: None,
            deleted: false,
            reactions: Vec::new(),
            state: MessageState::Received,
            reason: None,
            seq: message.seq,
            file: Some(id),
        };
        let warning = kind::is_risky(&manifest.name)
            .then(|| "Files of this type can run commands when they are opened.".to_owned());
        let row = FileRow {
            manifest,
            mine: false,
            peer: from,
            group: None,
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
        let entry = self.append(step, from, name, &stored).map_err(|error| storage(&error))?;
        if let Some(contact) = self.contacts.get_mut(&from) {
            contact.unread = contact.unread.saturating_add(1);
        }
        if let Some(view) = self.file_view(id) {
            step.tell(Event::FileShared(Box::new(view)));
        }
        step.tell(Event::MessageReceived(Box::new(self.view(&entry, &stored))));
        Ok(())
    }

    fn downloaded_by(&mut self, step: &mut Step<'_>, file: FileId, by: AccountId) {
        let Some(row) = self.files.rows.get_mut(&file).filter(|row| row.mine && row.peer == by) else { return };
        if row.downloaded_by.insert(by) {
            step.files.insert(file);
            // Nobody else waits for what lies at rendezvous nodes.
            let was = row.clone();
            (row.uploads, row.places) = (Vec::new(), Vec::new());
            self.remove_uploads(step, &was);
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
        let welcome = |account: &AccountId| self.contacts.get(account).is_some_and(|contact| contact.may_chat());
        // Dropping the stream closes it: whoever has not said who they are comes again.
        let Some(account) = account.filter(welcome) else { return };
        let (shelf, vault) = (self.files.shelf.clone(), Arc::downgrade(&self.vault));
        step.work(async move {
            serve(stream, account, shelf, vault).await;
            Work::Tried
        });
    }

    /// Something was done about a file, apart from the engine.
    pub(in crate::engine) fn file_worked(&mut self, step: &mut Step<'_>, work: FileWork) {
        match work {
            FileWork::Prepared { sharing, result } => self.prepared(step, *sharing, result),
            FileWork::Placed { file, result, reply } => self.placed(step, file, result, reply),
            FileWork::Left { file, at, attempt, result } => self.left(step, file, at, attempt, result),
            FileWork::Fetched { file, attempt, result } => self.fetched(step, file, attempt, result),
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
