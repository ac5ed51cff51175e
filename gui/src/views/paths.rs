//! Paths of files: where they are written unless the person says otherwise,
//! and the field in which they are typed or chosen.

use std::path::PathBuf;

use egui::{Response, Ui};
use lucide_icons::Icon;

use super::Cx;
use crate::ask::desktop::Pick;
use crate::state::{Intent, State};
use crate::strings::tr;
use crate::widgets::{Field, PushButton, error_text, tailed};

/// A field for a path with the desktop's chooser beside it.
pub(super) fn path_field(
    ui: &mut Ui,
    field: Field<'_>,
    path: &mut String,
    pick: Pick,
    state: &State,
    cx: &mut Cx,
) -> Response {
    let mut choose = false;
    let response = tailed(
        ui,
        |ui| field.bare().show(ui, path),
        |ui| {
            let name = if matches!(pick, Pick::Share | Pick::BackupFrom) { tr().browse } else { tr().browse_place };
            let button = PushButton::new(tr().browse_short).icon(Icon::FolderOpen).enabled(!state.desktop.choosing);
            choose = ui.add(button).accessible_name(name).clicked();
        },
    );
    if choose {
        cx.say(Intent::Pick { pick, path: path.clone() });
    }
    if let Some(error) = &state.desktop.error {
        error_text(ui, error);
    }
    response
}

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
