//! Sharing: the file is read and hashed first, then its manifest goes out as a message.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use secure_chat_protocol::file::FileKey;
use secure_chat_protocol::id::{AccountId, FileId, GroupId, MessageId, Timestamp};
use secure_chat_protocol::limits::{CAPTION_MAX_BYTES, DAY_MS, MANIFEST_LEAVES_MAX};
use secure_chat_protocol::validate::safe_file_name;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::content::{Content, MessageRef};
use secure_chat_protocol::wire::transfer::{FileControl, Manifest, ManifestKey};

use super::{FileWork, Read};
use crate::api::{ApiError, ErrorKind, Expiry, FileShared, FileState, MessageState, Reply, params};
use crate::engine::audit::Severity;
use crate::engine::state::{Open, rng};
use crate::engine::step::{Step, sentence, storage};
use crate::engine::work::Work;
use crate::files::kind::{self, Kind};
use crate::files::limits::{CONFIRM_ABOVE_BYTES, HEAD_BYTES};
use crate::files::prepare::prepare;
use crate::files::preview::preview;
use crate::files::row::FileRow;
use crate::files::source::SourceError;
use crate::messaging::settings::FilePolicy;
use crate::messaging::stored::{StoredMessage, message_name};

const POLICY_REFUSES: &str =
    "Files of this type are not allowed by your settings. To allow all types, set file_policy to \"all\".";

/// With whom a file is shared.
#[derive(Debug, Clone, Copy)]
enum To {
    Contact(AccountId),
    Group(GroupId),
}

/// A file on its way to be shared.
pub(crate) struct Sharing {
    file: FileId,
    key: FileKey,
    path: PathBuf,
    name: String,
    to: To,
    caption: String,
    expires: Option<Timestamp>,
    reply: Reply<FileShared>,
}

pub(super) fn confirm(size: u64, confirmed: Option<bool>) -> Result<(), ApiError> {
    if size <= CONFIRM_ABOVE_BYTES || confirmed == Some(true) {
        return Ok(());
    }
    let text = format!("The file is very long: {} GiB. Say `confirm` if that is meant.", size >> 30);
    Err(ApiError::new(ErrorKind::ConfirmationRequired, text))
}

fn source_error(error: &SourceError) -> ApiError {
    let text = sentence(&error.to_string());
    match error {
        SourceError::Missing => ApiError { field: Some("path"), ..ApiError::not_found(text) },
        SourceError::Directory | SourceError::Special | SourceError::Unreadable(_) => ApiError::invalid("path", text),
        SourceError::Changed => {
            ApiError::new(ErrorKind::Conflict, "The file was changed while it was read. Share it again.")
        }
        SourceError::TooLong => ApiError::new(ErrorKind::TooLarge, text),
        SourceError::Stopped => ApiError::locked(),
    }
}

/// What the first bytes of a file show.
pub(super) fn look_at(path: &Path, name: &str) -> Kind {
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head));
    if let Err(error) = read {
        tracing::debug!(%error, "the beginning of a file can't be read");
    }
    kind::judge(name, &head)
}

impl Open {
    pub(in crate::engine) fn share_file(
        &mut self,
        step: &mut Step<'_>,
        params: params::FilesShare,
        reply: Reply<FileShared>,
    ) {
        let (to, path, name) = match self.check_share(&params) {
            Ok(checked) => checked,
            Err(error) => {
                self.note_refusal(step, &error);
                return step.reply(reply, Err(error));
            }
        };
        let expires = match params.expires.unwrap_or_default() {
            Expiry::Never => None,
            Expiry::Day => Some(step.now.plus_ms(DAY_MS)),
            Expiry::Week => Some(step.now.plus_ms(7 * DAY_MS)),
        };
        let (file, key) = (FileId::random(&mut rng()), FileKey::random(&mut rng()));
        let caption = params.caption.unwrap_or_default();
        let sharing = Box::new(Sharing { file, key, path, name, to, caption, expires, reply });
        let (places, confirmed) = (self.files.preparing.clone(), params.confirm);
        let stopping = self.files.stopping.0.clone();
        step.work(async move {
            let _place = places.acquire_owned().await;
            let (path, name) = (sharing.path.clone(), sharing.name.clone());
            let key = FileKey::from_bytes(*sharing.key.expose());
            let reading = crate::stack::spawn_blocking(move || {
                let size = std::fs::metadata(&path).map_err(SourceError::from)?.len();
                if let Err(unconfirmed) = confirm(size, confirmed) {
                    return Ok(Err(unconfirmed));
                }
                let prepared = prepare(&path, file, key, &stopping)?;
                let kind = look_at(&path, &name);
                let preview = preview(&path, &kind.mime);
                Ok(Ok(Box::new(Read { prepared, kind, preview })))
            });
            match reading.await.unwrap_or(Err(SourceError::Stopped)) {
                Ok(Ok(prepared)) => Work::File(FileWork::Prepared { sharing, result: Ok(prepared) }),
                Err(error) => Work::File(FileWork::Prepared { sharing, result: Err(error) }),
                Ok(Err(unconfirmed)) => {
                    // Whoever asked may have gone.
                    let _ = sharing.reply.send(Err(unconfirmed));
                    Work::Tried
                }
            }
        });
    }

    fn check_share(&self, params: &params::FilesShare) -> Result<(To, PathBuf, String), ApiError> {
        let to = match (&params.to, &params.group_id) {
            (Some(to), None) => To::Contact(self.chat_with(to).map_err(|error| match error.kind {
                ErrorKind::NotFound => ApiError {
                    message: format!("{} To share files, ask them for a chat first: contacts.request.", error.message),
                    ..error
                },
                _ => error,
            })?),
            (None, Some(group)) => To::Group(self.joined(group)?),
            _ => return Err(ApiError::invalid("to", "Name either a contact or a group.")),
        };
        if params.caption.as_ref().is_some_and(|caption| caption.len() > CAPTION_MAX_BYTES || caption.contains('\0')) {
            return Err(ApiError::invalid("caption", "A caption takes at most 4 KiB of text."));
        }
        if params.path.is_empty() {
            return Err(ApiError::invalid("path", "Say which file."));
        }
        let path = std::path::absolute(&params.path).map_err(|error| ApiError::invalid("path", error.to_string()))?;
        let name = safe_file_name(&path.file_name().unwrap_or_default().to_string_lossy());
        self.check_policy(&name, "path")?;
        if self.files.rows.len() >= self.config.bounds.files_max {
            return Err(ApiError::new(ErrorKind::Full, "There are too many files in the list. Delete some first."));
        }
        Ok((to, path, name))
    }

    /// What the person's own policy kept out is in the log.
    pub(super) fn note_refusal(&mut self, step: &mut Step<'_>, error: &ApiError) {
        if error.message == POLICY_REFUSES {
            self.audit(step, "file.refused", Severity::Info, "A file was refused: the settings don't allow its type.");
        }
    }

    /// Whether the person's policy has files of this name.
    pub(super) fn check_policy(&self, name: &str, field: &'static str) -> Result<(), ApiError> {
        if self.settings.file_policy == FilePolicy::All || kind::is_on_the_seed_list(name) {
            return Ok(());
        }
        Err(ApiError { field: Some(field), ..ApiError::new(ErrorKind::NotAllowed, POLICY_REFUSES) })
    }

    pub(super) fn prepared(&mut self, step: &mut Step<'_>, sharing: Sharing, result: Result<Box<Read>, SourceError>) {
        let shared = match &result {
            Ok(read) => self.share_prepared(step, &sharing, read),
            Err(error) => Err(source_error(error)),
        };
        step.reply(sharing.reply, shared);
    }

    fn share_prepared(&mut self, step: &mut Step<'_>, sharing: &Sharing, read: &Read) -> Result<FileShared, ApiError> {
        let Read { prepared, kind, .. } = read;
        // Much may have happened while it was read.
        let (peer, group) = match sharing.to {
            To::Contact(account) => (self.chat_with(&account.to_string())?, None),
            To::Group(group) => (self.me, Some(self.joined(&group.to_string())?)),
        };
        let leaves = prepared.digests.leaves.to_bytes();
        let inline = prepared.geometry.count() <= MANIFEST_LEAVES_MAX;
        let manifest = Manifest {
            file: sharing.file,
            key: ManifestKey::of(&sharing.key),
            name: sharing.name.clone(),
            mime: kind.mime.clone(),
            size: prepared.geometry.size(),
            chunk_bytes: prepared.geometry.chunk_bytes(),
            root: Fixed(prepared.digests.leaves.root()),
            leaves: Bytes(if inline { leaves.clone() } else { Vec::new() }),
            sha256: Fixed(prepared.digests.sha256),
            caption: sharing.caption.clone(),
            preview: read.preview.clone(),
            expires: sharing.expires,
        };
        let id = MessageId::random(&mut rng());
        let body = content(FileControl::Shared(Box::new(manifest.clone())))?;
        // What is not said is not shown.
        let seq = match group {
            Some(group) => self.say(step, group, id, body).map(|()| 0)?,
            None => self.enqueue(step, peer, id, body, true)?.1,
        };
        let row = FileRow {
            manifest,
            mine: true,
            peer,
            group,
            message: id,
            at: step.now,
            state: FileState::Shared,
            reason: None,
            warning: kind.warning.clone(),
            path: Some(sharing.path.to_string_lossy().into_owned()),
            stamp: Some(prepared.stamp),
            downloaded_by: std::collections::BTreeSet::new(),
            places: Vec::new(),
            uploads: Vec::new(),
        };
        self.keep_file(step, row, leaves);
        let stored = StoredMessage {
            sent: step.now,
            text: sharing.caption.clone(),
            reply_to: None,
            edited: None,
            deleted: false,
            reactions: Vec::new(),
            state: MessageState::Queued,
            reason: None,
            seq,
            file: Some(sharing.file),
        };
        let message = MessageRef { author: self.me, id };
        let conversation = group.map_or(peer, |group| AccountId(group.0));
        self.append(step, conversation, message, &stored).map_err(|error| storage(&error))?;
        let subject = group.is_none().then(|| peer.to_string());
        self.audit_about(step, "file.shared", Severity::Info, subject, "A file was shared.");
        Ok(FileShared { file_id: sharing.file.to_string(), message_id: message_name(message) })
    }

    /// The message that shares an own file, once more.
    pub(in crate::engine) fn file_content(&self, step: &Step<'_>, file: FileId) -> Result<Content, ApiError> {
        let doubtful = self.clock.is_doubtful();
        let row = self.files.rows.get(&file).filter(|row| row.mine && !row.is_over(step.now, doubtful));
        let mut manifest = row.ok_or_else(|| ApiError::not_found("The file is not shared any more."))?.manifest.clone();
        let geometry = manifest.geometry().map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
        if geometry.count() <= MANIFEST_LEAVES_MAX {
            let leaves = crate::files::row::stored_leaves(&step.txn, file, &geometry);
            manifest.leaves = Bytes(leaves.map(|leaves| leaves.to_bytes()).unwrap_or_default());
        }
        content(FileControl::Shared(Box::new(manifest)))
    }
}

/// What is said about a file, as the content of a message.
pub(super) fn content(control: FileControl) -> Result<Content, ApiError> {
    let payload = control.encode().map_err(|error| ApiError::new(ErrorKind::Internal, sentence(&error.to_string())))?;
    Ok(Content::File { payload: Bytes(payload) })
}
