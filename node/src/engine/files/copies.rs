//! Received files that are kept encrypted in the data directory.

use secure_chat_protocol::file::ChunkCipher;

use super::download::target_error;
use crate::api::{ApiError, Downloaded, ErrorKind, FileState, Reply, Routes};
use crate::engine::state::Open;
use crate::engine::step::{Step, sentence};
use crate::engine::work::Work;
use crate::files::copies::{CopyError, copy_out, form_of};
use crate::files::form::Form;
use crate::files::row::FileRow;
use crate::files::target::place;

fn copy_error(error: &CopyError) -> ApiError {
    match error {
        CopyError::Source(_) => ApiError::new(ErrorKind::Storage, sentence(&error.to_string())),
        CopyError::Target(error) => target_error(error),
    }
}

impl Open {
    /// Whether what is here of a file is, or becomes, encrypted.
    pub(super) fn is_sealed(&self, row: &FileRow) -> bool {
        let path = row.path.as_ref().filter(|_| !row.mine);
        path.is_some_and(|path| form_of(&self.files.copies, path.as_ref()) == Form::Sealed)
    }

    /// Whether a file is here whole, and encrypted.
    pub(super) fn is_kept_sealed(&self, row: &FileRow) -> bool {
        row.state == FileState::Completed && self.is_sealed(row)
    }

    /// Makes a readable copy of a file that is here, encrypted.
    pub(super) fn copy_out(&self, step: &mut Step<'_>, row: &FileRow, to: Option<String>, reply: Reply<Downloaded>) {
        let (Some(to), Some(copy), Ok(geometry)) = (to, row.path.clone(), row.manifest.geometry()) else {
            let text = "The file is here, encrypted. Name a folder for a readable copy.";
            return step.reply(reply, Err(ApiError::invalid("path", text)));
        };
        let (name, bytes, sha256) = (row.manifest.name.clone(), row.manifest.size, row.manifest.sha256.0);
        let cipher = ChunkCipher::new(row.manifest.key.to_key(), row.id(), geometry);
        let warning = row.warning.clone();
        step.work(async move {
            let copying = crate::stack::spawn_blocking(move || {
                let target = place(to.as_ref(), &name, bytes)?;
                copy_out(copy.as_ref(), &cipher, sha256, &target)
            });
            let copied = match copying.await {
                Ok(Ok(path)) => {
                    let sha256 = secure_chat_protocol::id::FileId(sha256).to_string();
                    let path = path.to_string_lossy().into_owned();
                    Ok(Downloaded { bytes, sha256, path, routes: Routes::default(), holders: 0, warning })
                }
                Ok(Err(error)) => Err(copy_error(&error)),
                Err(_) => Err(ApiError::locked()),
            };
            // Whoever asked may have gone.
            let _ = reply.send(copied);
            Work::Tried
        });
    }
}
