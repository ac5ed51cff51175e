//! Files that were shared.

use std::io::Cursor;

use data_encoding::BASE64;
use secure_chat_node::api::{At, FilePreview, NodeHandle};
use serde::Deserialize;
use serde_json::json;

use super::{Answered, by_name};

/// A file, as `files.list` and the events show it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct File {
    pub(crate) file_id: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) mime: String,
    #[serde(default)]
    pub(crate) from: String,
    #[serde(default)]
    pub(crate) to: Option<String>,
    #[serde(default)]
    pub(crate) group_id: Option<String>,
    #[serde(default)]
    pub(crate) at: At,
    #[serde(default)]
    pub(crate) expires_at: Option<At>,
    #[serde(default)]
    pub(crate) downloads: u64,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) mine: bool,
    #[serde(default)]
    pub(crate) caption: Option<String>,
    /// Where it was saved.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// What is here is kept encrypted: fetching it to a path makes a readable copy.
    #[serde(default)]
    pub(crate) encrypted: bool,
    #[serde(default)]
    pub(crate) bytes_done: u64,
    /// Why it stands so.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// What to know before it is opened.
    #[serde(default)]
    pub(crate) warning: Option<String>,
    /// Rendezvous nodes where it waits.
    #[serde(default)]
    pub(crate) stored_at: u64,
}

impl File {
    /// Whether it is here whole, and nobody can read it outside of this program.
    pub(crate) fn is_kept(&self) -> bool {
        self.encrypted && self.state == "completed"
    }
}

/// What is shared, and with whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) path: String,
    pub(crate) to: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) expires: &'static str,
    pub(crate) caption: String,
    /// It can run something, and the person knows.
    pub(crate) confirm: bool,
}

/// What can be done about a file that moves or lies here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Pause,
    Resume,
    Cancel,
    Retry,
    Delete,
}

impl Deed {
    fn method(self) -> &'static str {
        match self {
            Self::Pause => "files.pause",
            Self::Resume => "files.resume",
            Self::Cancel => "files.cancel",
            Self::Retry => "files.retry",
            Self::Delete => "files.delete",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Ask {
    List,
    Share(Share),
    /// Without a path where the settings say; `confirm`: it can run something, and the person knows.
    Download {
        file_id: String,
        path: Option<String>,
        confirm: bool,
    },
    Do {
        file_id: String,
        deed: Deed,
    },
    /// The small picture of an image.
    Preview(String),
}

/// A small picture, decoded: its colours and transparency for each pixel.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) rgba: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} × {})", self.width, self.height)
    }
}

#[derive(Debug)]
pub(crate) enum Answer {
    List(Answered<Vec<File>>),
    Shared(Answered<()>),
    /// Where it is, unless it was to be kept where the settings say.
    Downloaded {
        file_id: String,
        result: Answered<Option<String>>,
    },
    Done {
        file_id: String,
        deed: Deed,
        result: Answered<()>,
    },
    /// None where there is no picture that could be shown.
    Preview {
        file_id: String,
        picture: Option<Picture>,
    },
}

#[derive(Deserialize)]
struct Files {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct Downloaded {
    path: String,
}

impl Ask {
    pub(super) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::List => {
                let result = by_name::ask::<Files>(node, "files.list", json!({})).await;
                Answer::List(result.map(|list| list.files))
            }
            Self::Share(share) => {
                let caption = (!share.caption.is_empty()).then_some(share.caption);
                let params = json!({
                    "path": share.path, "to": share.to, "group_id": share.group_id,
                    "expires": share.expires, "caption": caption, "confirm": share.confirm.then_some(true),
                });
                Answer::Shared(by_name::tell(node, "files.share", params).await)
            }
            Self::Download { file_id, path, confirm } => {
                let params = json!({"file_id": file_id, "path": path, "confirm": confirm.then_some(true)});
                let result = by_name::ask::<Downloaded>(node, "files.download", params).await;
                Answer::Downloaded { file_id, result: result.map(|done| path.map(|_| done.path)) }
            }
            Self::Do { file_id, deed } => {
                let result = by_name::tell(node, deed.method(), json!({"file_id": file_id})).await;
                Answer::Done { file_id, deed, result }
            }
            Self::Preview(file_id) => {
                let picture = match node.files_preview(file_id.clone()).await {
                    Ok(preview) => tokio::task::spawn_blocking(move || decode(&preview)).await.ok().flatten(),
                    Err(_) => None,
                };
                Answer::Preview { file_id, picture }
            }
        }
    }
}

/// Decodes a picture that somebody else may have made, within limits.
fn decode(preview: &FilePreview) -> Option<Picture> {
    /// Twice what the node lets through, in pixels.
    const SIDE_MAX: u32 = 640;
    /// Enough to decode that, in bytes.
    const MEMORY_MAX: u64 = 8 * 1024 * 1024;
    let bytes = BASE64.decode(preview.data.as_bytes()).ok()?;
    let mut reader = image::ImageReader::with_format(Cursor::new(bytes), image::ImageFormat::Jpeg);
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(MEMORY_MAX);
    reader.limits(limits);
    let picture = reader.decode().ok()?.to_rgba8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    (width > 0 && height > 0).then(|| Picture { width, height, rgba: picture.into_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(picture: &image::RgbImage) -> FilePreview {
        let mut jpeg = Cursor::new(Vec::new());
        picture.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let data = BASE64.encode(jpeg.get_ref());
        FilePreview { mime: "image/jpeg".into(), data, width: 1, height: 1 }
    }

    #[test]
    fn a_preview_is_decoded_and_one_that_is_too_large_or_no_picture_is_not() {
        let small = decode(&preview(&image::RgbImage::new(32, 20))).unwrap();
        assert_eq!((small.width, small.height, small.rgba.len()), (32, 20, 32 * 20 * 4));
        assert!(decode(&preview(&image::RgbImage::new(2_000, 8))).is_none());
        for data in ["", "not base64!", "AAAA"] {
            let odd = FilePreview { mime: String::new(), data: data.into(), width: 1, height: 1 };
            assert!(decode(&odd).is_none());
        }
    }
}
