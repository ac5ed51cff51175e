//! Commands on files.

use super::command::{Arguments, Done, Failure, Outcome};
use super::render::{safe, table, when};
use super::session::Session;
use crate::api::{Downloaded, Expiry, FileSource, FileState, FileView};

/// `1.5 MB`
pub(super) fn size(bytes: u64) -> String {
    let mut amount = bytes;
    let mut tenths = 0;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if amount < 1_000 || unit == "GB" {
            return if unit == "bytes" || amount >= 100 {
                format!("{amount} {unit}")
            } else {
                format!("{amount}.{tenths} {unit}")
            };
        }
        tenths = amount % 1_000 / 100;
        amount /= 1_000;
    }
    String::new()
}

const fn state(state: FileState) -> &'static str {
    match state {
        FileState::Shared => "shared",
        FileState::Changed => "changed",
        FileState::Offered => "offered",
        FileState::Waiting => "waiting",
        FileState::Downloading => "on its way",
        FileState::Paused => "halted",
        FileState::Completed => "here",
        FileState::Failed => "failed",
        FileState::Cancelled => "cancelled",
    }
}

/// The short name that a file has in this shell: the beginning of its id.
pub(super) fn short(file_id: &str) -> String {
    file_id.get(..8).unwrap_or(file_id).to_owned()
}

/// A file in one line.
pub(super) fn line(file: &FileView) -> Vec<String> {
    let whom = match &file.to {
        Some(to) => format!("to {}", safe(to)),
        None => format!("from {}", safe(&file.from)),
    };
    // What goes to nobody by itself can be fetched from here all the same.
    let state =
        if file.mine && file.state == FileState::Cancelled { "shared, left nowhere" } else { state(file.state) };
    vec![short(&file.file_id), safe(&file.name), size(file.size), whom, when(file.at), state.to_owned()]
}

/// The one file whose id begins so.
async fn named(session: &Session, arguments: &mut Arguments<'_>) -> Result<String, Failure> {
    let word = arguments.needed()?.to_lowercase();
    let files = session.handle.files_list(None, None::<String>).await?.files;
    let mut meant = files.into_iter().filter(|file| file.file_id.starts_with(&word));
    match (meant.next(), meant.next()) {
        (Some(file), None) => Ok(file.file_id),
        (None, _) => Err(Failure::mistyped(format!("There is no file {word:?}: `files` lists them."))),
        _ => Err(Failure::mistyped(format!("{word:?} means several files: type more of the name."))),
    }
}

pub(super) async fn files(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let source = match arguments.word() {
        None => None,
        Some("personal") => Some(FileSource::Personal),
        Some("group") => Some(FileSource::Group),
        Some(_) => return Err(arguments.usage()),
    };
    let files = session.handle.files_list(source, None::<String>).await?.files;
    if files.is_empty() {
        return Ok("There are no files. `share NAME PATH` shares one.".into());
    }
    let rows: Vec<_> = files.iter().map(line).collect();
    Ok(table(&rows).into())
}

/// When the file goes, and its path.
fn expiry_and_path(rest: &str) -> (Expiry, &str) {
    for (word, expiry) in [("24h ", Expiry::Day), ("1w ", Expiry::Week), ("never ", Expiry::Never)] {
        if let Some(path) = rest.strip_prefix(word) {
            return (expiry, path.trim_start());
        }
    }
    (Expiry::Never, rest)
}

pub(super) async fn share(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let to = Some(arguments.needed()?.to_owned());
    let (expires, path) = expiry_and_path(arguments.needed_rest()?);
    let sharing = session.handle.files_share(path, to, None::<String>, Some(expires), None::<String>, None::<bool>);
    Ok(format!("Shared as {}.", short(&sharing.await?.file_id)).into())
}

pub(super) async fn share_with_group(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = Some(super::groups::named(session, arguments.needed()?).await?.group_id);
    let (expires, path) = expiry_and_path(arguments.needed_rest()?);
    let sharing = session.handle.files_share(path, None::<String>, group, Some(expires), None::<String>, None::<bool>);
    Ok(format!("Shared as {}.", short(&sharing.await?.file_id)).into())
}

fn whole(downloaded: &Downloaded) -> String {
    let warning = downloaded.warning.as_ref().map(|text| format!("\n    Careful: {}", safe(text))).unwrap_or_default();
    format!("Whole and verified: {}{warning}", safe(&downloaded.path))
}

pub(super) async fn download(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let file = named(session, &mut arguments).await?;
    let folder = Some(arguments.rest().to_owned()).filter(|path| !path.is_empty());
    let downloaded = session.handle.files_download(file, folder, None::<bool>).await?;
    Ok(whole(&downloaded).into())
}

pub(super) async fn cancel(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let file = named(session, &mut arguments).await?;
    session.handle.files_cancel(file).await?;
    Ok("Cancelled.".into())
}

pub(super) async fn pause(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let file = named(session, &mut arguments).await?;
    session.handle.files_pause(file).await?;
    Ok("Halted.".into())
}

pub(super) async fn resume(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let file = named(session, &mut arguments).await?;
    session.handle.files_resume(file).await?;
    Ok("Goes on.".into())
}

pub(super) async fn retry(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let file = named(session, &mut arguments).await?;
    session.handle.files_retry(file).await?;
    Ok("Tried again.".into())
}

pub(super) async fn preview(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let file = named(session, &mut arguments).await?;
    let preview = session.handle.files_preview(file).await?;
    Ok(Done::Said(format!("{}, {} × {} pixels\n{}", preview.mime, preview.width, preview.height, preview.data)))
}

pub(super) async fn delete(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let file = named(session, &mut arguments).await?;
    session.handle.files_delete(file).await?;
    Ok("Deleted.".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_people_tell_them() {
        for (bytes, told) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (1_550, "1.5 kB"),
            (262_144, "262 kB"),
            (50_000_000, "50.0 MB"),
            (5_000_000_000_000, "5000 GB"),
        ] {
            assert_eq!(size(bytes), told);
        }
    }
}
