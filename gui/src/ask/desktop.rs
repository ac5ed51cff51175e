//! What is asked of the desktop instead of the node: its file chooser, and a
//! place for a picture that was pasted.

use std::path::{Path, PathBuf};

/// What a path is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    /// A file to share.
    Share,
    /// Where a file is saved.
    Save,
    /// Where a backup is written.
    BackupTo,
    /// A backup to read.
    BackupFrom,
    /// Where the audit log is written.
    Log,
    /// The folder for received files.
    Downloads,
}

impl Pick {
    fn is_for_reading(self) -> bool {
        matches!(self, Self::Share | Self::BackupFrom)
    }
}

/// There is no chooser on this desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoChooser;

#[derive(Debug)]
pub(crate) enum Ask {
    /// A path, beginning with this one.
    Pick { pick: Pick, path: String },
    /// Keeps a pasted picture in a file, so that it can be shared.
    KeepPicture { width: u32, height: u32, rgba: Vec<u8>, name: String },
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// None when the person chose nothing.
    Picked { pick: Pick, result: Result<Option<String>, NoChooser> },
    /// Where it is, or why it could not be written.
    Kept(Result<String, String>),
}

impl Ask {
    pub(super) async fn perform(self) -> Answer {
        match self {
            Self::Pick { pick, path } => Answer::Picked { pick, result: choose(pick, &path).await },
            Self::KeepPicture { width, height, rgba, name } => {
                let kept = tokio::task::spawn_blocking(move || keep(width, height, rgba, &name)).await;
                Answer::Kept(kept.unwrap_or_else(|error| Err(error.to_string())))
            }
        }
    }
}

async fn choose(pick: Pick, path: &str) -> Result<Option<String>, NoChooser> {
    // Without a portal the dialog would answer at once, as if nothing had been chosen.
    if !chooser_is_here() {
        return Err(NoChooser);
    }
    let mut dialog = rfd::AsyncFileDialog::new();
    let path = Path::new(path);
    let folder = if pick == Pick::Downloads { Some(path) } else { path.parent() };
    if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
        dialog = dialog.set_directory(folder);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // In a task of its own: whatever a portal does, it takes no more than this answer with it.
    let chosen = if pick == Pick::Downloads {
        tokio::spawn(dialog.pick_folder()).await
    } else if pick.is_for_reading() {
        tokio::spawn(dialog.pick_file()).await
    } else {
        tokio::spawn(dialog.set_file_name(name).save_file()).await
    };
    let chosen = chosen.map_err(|_| NoChooser)?;
    Ok(chosen.map(|file| file.path().display().to_string()))
}

/// Whether the desktop has a file chooser.
fn chooser_is_here() -> bool {
    if cfg!(any(target_os = "macos", target_os = "windows")) {
        return true;
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let socket = || variable("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join("bus").exists());
    let bus = variable("DBUS_SESSION_BUS_ADDRESS").is_some() || socket();
    let data = variable("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    let service = "dbus-1/services/org.freedesktop.portal.Desktop.service";
    let portal = bus && std::env::split_paths(&data).any(|folder| folder.join(service).exists());
    let search = variable("PATH").unwrap_or_default();
    portal || std::env::split_paths(&search).any(|folder| folder.join("zenity").exists())
}

/// Writes a picture into the person's folder for pictures, where nothing has its name yet.
fn keep(width: u32, height: u32, rgba: Vec<u8>, name: &str) -> Result<String, String> {
    let folders = directories::UserDirs::new().ok_or("no home folder")?;
    let folder: PathBuf = folders.picture_dir().unwrap_or(folders.home_dir()).join("Secure Chat");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let picture = image::RgbaImage::from_raw(width, height, rgba).ok_or("the picture is incomplete")?;
    let path = folder.join(name);
    let file = std::fs::File::create_new(&path).map_err(|error| error.to_string())?;
    let mut out = std::io::BufWriter::new(file);
    picture.write_to(&mut out, image::ImageFormat::Png).map_err(|error| error.to_string())?;
    Ok(path.display().to_string())
}
