//! Files as the application sees them.

use std::sync::atomic::Ordering;

use secure_chat_protocol::id::FileId;
use secure_chat_protocol::wire::content::MessageRef;

use crate::api::{ApiError, At, FilePreview, FileSource, FileState, FileView, Files as List, params};
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::files::row::FileRow;
use crate::messaging::stored::message_name;

impl Open {
    /// A file by its id, or why there is none.
    pub(super) fn file_row(&self, step: &Step<'_>, name: &str) -> Result<&FileRow, ApiError> {
        let missing = || ApiError::not_found("There is no such file.");
        let id: FileId = name.parse().map_err(|_| missing())?;
        match self.files.rows.get(&id) {
            Some(row) if row.is_over(step.now, self.clock.is_doubtful()) => {
                Err(super::download::gone(super::Gone::Expired))
            }
            Some(row) => Ok(row),
            None => Err(self.why_gone(step, id).map_or_else(missing, super::download::gone)),
        }
    }

    /// A file, unless it is gone.
    pub(in crate::engine) fn file_view(&self, id: FileId) -> Option<FileView> {
        let row = self.files.rows.get(&id)?;
        let author = if row.mine { self.me } else { row.peer };
        let whole = row.mine || row.state == FileState::Completed;
        let running = self.files.running.get(&id);
        Some(FileView {
            file_id: id.to_string(),
            name: row.manifest.name.clone(),
            size: row.manifest.size,
            mime: row.manifest.mime.clone(),
            from: self.conversation_name(author),
            account_id: author.to_string(),
            to: (row.mine && row.group.is_none()).then(|| self.conversation_name(row.peer)),
            group_id: row.group.map(|group| group.to_string()),
            message_id: message_name(MessageRef { author, id: row.message }),
            conversation: row.group.map_or_else(|| self.conversation_name(row.peer), |group| group.to_string()),
            at: At(row.at),
            expires_at: row.manifest.expires.map(At),
            downloads: self.downloads(id),
            state: row.state,
            mine: row.mine,
            caption: row.manifest.caption.clone(),
            bytes_done: if whole {
                row.manifest.size
            } else {
                let before = self.files.reached.get(&id).copied().unwrap_or_default();
                // An attempt looks first at what those before it left.
                running.map_or(before, |running| running.progress.done.load(Ordering::Relaxed).max(before))
            },
            path: row.path.clone().filter(|_| !self.is_sealed(row)),
            encrypted: self.is_sealed(row),
            reason: row.reason.clone(),
            warning: row.warning.clone(),
            preview: row.manifest.preview.is_some(),
            stored_at: row.places.len(),
        })
    }

    pub(in crate::engine) fn list_files(&self, params: &params::FilesList) -> Result<List, ApiError> {
        let (now, doubtful) = (self.config.clock.now(), self.clock.is_doubtful());
        let wanted = |row: &&FileRow| {
            let source = match params.source {
                Some(FileSource::Personal) => row.group.is_none(),
                Some(FileSource::Group) => row.group.is_some(),
                None => true,
            };
            let group =
                params.group_id.as_ref().is_none_or(|wanted| row.group.is_some_and(|id| id.to_string() == *wanted));
            source && group && !row.is_over(now, doubtful)
        };
        let mut rows: Vec<&FileRow> = self.files.rows.values().filter(wanted).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.at, row.id())));
        Ok(List { files: rows.into_iter().filter_map(|row| self.file_view(row.id())).collect() })
    }

    pub(in crate::engine) fn preview_file(&self, step: &Step<'_>, name: &str) -> Result<FilePreview, ApiError> {
        let row = self.file_row(step, name)?;
        let preview = row.manifest.preview.as_ref();
        let preview = preview.ok_or_else(|| ApiError::not_found("There is no preview of this file."))?;
        Ok(FilePreview {
            mime: "image/jpeg".to_owned(),
            data: data_encoding::BASE64.encode(&preview.jpeg.0),
            width: preview.width,
            height: preview.height,
        })
    }
}
