//! Where files are written unless the person says otherwise.

use std::path::PathBuf;

/// A path in the person's folder for documents.
pub(super) fn in_documents(name: &str) -> String {
    in_folder(folders().and_then(|folders| folders.document_dir().map(PathBuf::from)), name)
}

/// A path in the person's folder for downloads, or in that of the settings.
pub(super) fn in_downloads(chosen: Option<&str>, name: &str) -> String {
    let chosen = chosen.filter(|folder| !folder.is_empty()).map(PathBuf::from);
    in_folder(chosen.or_else(|| folders().and_then(|folders| folders.download_dir().map(PathBuf::from))), name)
}

fn folders() -> Option<directories::UserDirs> {
    directories::UserDirs::new()
}

fn in_folder(folder: Option<PathBuf>, name: &str) -> String {
    let home = || folders().map(|folders| folders.home_dir().to_owned());
    folder.or_else(home).unwrap_or_default().join(name).display().to_string()
}

/// The name at the end of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
