//! `security.export`: the audit log in a file, as a stream, signed by the identity.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use secure_chat_protocol::crypto::ed25519::Purpose;
use secure_chat_protocol::limits::RECORD_MAX_BYTES;
use secure_chat_protocol::wire::codec;

use super::audit::Severity;
use super::audit_reader::read_rows;
use super::security::entry_view;
use super::state::Open;
use super::step::{Step, storage};
use super::work::Work;
use crate::api::{ApiError, ErrorKind, ExportFormat, Exported, Reply, params};
use crate::security::log::{AuditHead, BLOCK_ENTRIES};
use crate::security::report::{Facts, Report};
use crate::store::Vault;

/// Begins the export beside the engine; it comes back for its signature.
pub(super) fn begin(open: &mut Open, step: &mut Step<'_>, params: params::SecurityExport, reply: Reply<Exported>) {
    let path = PathBuf::from(params.path.trim());
    if !path.is_absolute() {
        let text = "Name the file with its whole path.";
        return step.reply(reply, Err(ApiError::invalid("path", text)));
    }
    let format = params.format;
    // Recorded first, so that the report tells of itself.
    open.audit(step, "audit.exported", Severity::Info, "The audit log was exported.");
    let identity = codec::encode(&open.identity.public().to_wire(), RECORD_MAX_BYTES).unwrap_or_default();
    let facts = Facts {
        username: open.username.as_str().to_owned(),
        account_id: open.me.to_string(),
        identity: identity.iter().map(|byte| format!("{byte:02x}")).collect(),
        exported_at: step.now,
        pruned: open.audit.pruned.clone(),
        chain_ok: !open.audit.head.broken,
    };
    let (vault, head) = (Arc::downgrade(&open.vault), open.audit.head.clone());
    step.work(async move {
        let written = crate::stack::spawn_blocking(move || write(&vault, &head, &path, format, &facts)).await;
        let result = written.unwrap_or_else(|_| Err(ApiError::stopped()));
        Work::AuditWritten { result, reply }
    });
}

/// A report that lacks its last line.
pub(crate) struct Written {
    part: Part,
    report: Report,
    entries: u64,
}

/// A file that appears under its name only when it is whole.
pub(super) struct Part {
    file: Option<BufWriter<File>>,
    path: PathBuf,
    part: PathBuf,
}

impl Part {
    /// Begins a new file; one that is there already is not touched.
    pub(super) fn create(path: &Path) -> Result<Self, ApiError> {
        if path.symlink_metadata().is_ok() {
            let text = "There is a file of this name already. Choose another name.";
            return Err(ApiError { field: Some("path"), ..ApiError::new(ErrorKind::Conflict, text) });
        }
        let mut name = path.file_name().ok_or_else(|| ApiError::invalid("path", "Name a file."))?.to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&part).map_err(|error| file_error(&error))?;
        Ok(Self { file: Some(BufWriter::new(file)), path: path.to_owned(), part })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let Some(file) = &mut self.file else { return Err(ApiError::stopped()) };
        file.write_all(bytes).map_err(|error| file_error(&error))
    }

    /// Makes it durable under its name.
    pub(super) fn finish(mut self) -> Result<(), ApiError> {
        let Some(file) = self.file.take() else { return Err(ApiError::stopped()) };
        let done = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        let done = done.and_then(|()| {
            // Unlike a rename, this never replaces what somebody put there meanwhile.
            std::fs::hard_link(&self.part, &self.path)
                .or_else(|error| if self.path.exists() { Err(error) } else { std::fs::rename(&self.part, &self.path) })
        });
        done.map_err(|error| file_error(&error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.file.take());
        // What is not whole is not left behind; what is whole has its name already.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// What the person is told when a file of theirs can't be written or read.
pub(super) fn file_error(error: &io::Error) -> ApiError {
    let wrong = |text: &str| ApiError::invalid("path", text);
    match error.kind() {
        io::ErrorKind::NotFound => wrong("There is no such file or folder."),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => wrong("You may not use this place."),
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => wrong("This is no place for a file."),
        io::ErrorKind::AlreadyExists => wrong("There is a file of this name already. Choose another name."),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ApiError::new(ErrorKind::DiskFull, "There is no room for the file. Make room, or choose another place.")
        }
        _ => wrong(&format!("The file can't be used: {error}.")),
    }
}

fn write(
    vault: &Weak<Vault>,
    head: &AuditHead,
    path: &Path,
    format: ExportFormat,
    facts: &Facts,
) -> Result<Written, ApiError> {
    let mut part = Part::create(path)?;
    let mut report = Report::new(format);
    part.write(report.begin(facts).as_bytes())?;
    let (mut at, mut entries) = (head.first, 0_u64);
    while at < head.next {
        let upto = at.saturating_add(BLOCK_ENTRIES).min(head.next);
        let vault = vault.upgrade().ok_or_else(ApiError::locked)?;
        let rows = read_rows(&vault, at, upto).map_err(|error| storage(&error))?;
        for (seq, entry, _) in rows.rows {
            part.write(report.entry(&entry_view(seq, entry)).as_bytes())?;
            entries = entries.saturating_add(1);
        }
        at = upto;
    }
    part.write(report.end(entries).as_bytes())?;
    Ok(Written { part, report, entries })
}

impl Open {
    /// Signs a report that was written, and puts it under its name.
    pub(super) fn sign_export(&self, mut written: Written) -> Result<Exported, ApiError> {
        let hash = written.report.hash();
        let signature = self.identity.sign(Purpose::AuditExport, &[self.me.as_ref(), &hash]);
        written.part.write(written.report.signature(signature.as_bytes()).as_bytes())?;
        written.part.finish()?;
        Ok(Exported { entries: written.entries })
    }
}
