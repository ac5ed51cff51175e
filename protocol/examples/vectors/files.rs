//! Which files there are, and where.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{mailbox_and_vault, node_services, sessions, shared_files};

/// A file's name, and what makes its contents.
pub(crate) type File = (&'static str, fn() -> Value);

pub(crate) const FILES: &[File] = &[
    ("sessions.json", sessions::vectors),
    ("mailbox_and_vault.json", mailbox_and_vault::vectors),
    ("node_services.json", node_services::vectors),
    ("shared_files.json", shared_files::vectors),
];

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

pub(crate) fn text(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

/// Whether the frozen file is what is generated now.
pub(crate) fn holds(name: &str, now: &Value) -> bool {
    std::fs::read_to_string(path(name)).is_ok_and(|frozen| frozen == text(now))
}
