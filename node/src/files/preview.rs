//! Small pictures of images that are shared. What is decoded here is the person's
//! own file, and still it is decoded with limits: it may come from anywhere.

use std::io::{BufReader, Cursor};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, ImageReader, Limits};
use secure_chat_protocol::limits::{PREVIEW_MAX_BYTES, PREVIEW_MAX_PIXELS};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::transfer::Preview;

/// Longest side of an image of which a preview is made, in pixels.
const SIDE_MAX_PIXELS: u32 = 16_384;
/// Memory that decoding may take, in bytes.
const DECODED_MAX_BYTES: u64 = 128 * 1024 * 1024;
/// Longest image file that is decoded, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Tried one after the other, until the preview is small enough: side in pixels, quality.
const TRIES: [(u16, u8); 5] = [(PREVIEW_MAX_PIXELS, 70), (256, 60), (192, 50), (128, 40), (64, 30)];

/// A small picture of an image; nothing of what is none, or is too large.
pub(crate) fn preview(path: &Path, mime: &str) -> Option<Preview> {
    let format = match mime {
        "image/png" => ImageFormat::Png,
        "image/jpeg" => ImageFormat::Jpeg,
        "image/gif" => ImageFormat::Gif,
        _ => return None,
    };
    let file = std::fs::File::open(path).ok()?;
    if file.metadata().ok()?.len() > FILE_MAX_BYTES {
        return None;
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX_PIXELS);
    limits.max_image_height = Some(SIDE_MAX_PIXELS);
    limits.max_alloc = Some(DECODED_MAX_BYTES);
    let mut reader = ImageReader::with_format(BufReader::new(file), format);
    reader.limits(limits);
    let image = reader.decode().inspect_err(|error| tracing::debug!(%error, "an image has no preview")).ok()?;
    TRIES.into_iter().find_map(|(side, quality)| {
        // Never larger than it is.
        let side = u32::from(side).min(image.width().max(image.height()));
        let small = image.thumbnail(side, side).to_rgb8();
        let mut jpeg = Cursor::new(Vec::new());
        JpegEncoder::new_with_quality(&mut jpeg, quality).encode_image(&small).ok()?;
        let jpeg = jpeg.into_inner();
        let (width, height) = (u16::try_from(small.width()).ok()?, u16::try_from(small.height()).ok()?);
        (jpeg.len() <= PREVIEW_MAX_BYTES).then_some(Preview { width, height, jpeg: Bytes(jpeg) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_small_whatever_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let noise = image::RgbImage::from_fn(900, 600, |x, y| {
            image::Rgb([(x * 31 + y * 17).to_le_bytes()[0], (x ^ y).to_le_bytes()[0], (x * y).to_le_bytes()[0]])
        });
        noise.save(&path).unwrap();
        let small = preview(&path, "image/png").unwrap();
        assert!(small.jpeg.0.len() <= PREVIEW_MAX_BYTES && small.width <= PREVIEW_MAX_PIXELS);
        assert!(small.width > small.height, "its shape stays");
        image::RgbImage::new(3, 2).save(&path).unwrap();
        assert_eq!(preview(&path, "image/png").map(|it| (it.width, it.height)), Some((3, 2)));
    }

    #[test]
    fn what_is_no_image_or_a_bomb_has_no_preview() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        std::fs::write(&path, b"\x89PNG\r\n\x1a\nnonsense").unwrap();
        assert_eq!(preview(&path, "image/png"), None);
        assert_eq!(preview(&path, "application/pdf"), None);
        // A header that promises 60,000 × 60,000 pixels.
        let header =
            [b"GIF89a".as_slice(), &60_000_u16.to_le_bytes(), &60_000_u16.to_le_bytes(), &[0x80, 0, 0]].concat();
        std::fs::write(&path, [header, vec![0; 64]].concat()).unwrap();
        assert_eq!(preview(&path, "image/gif"), None);
    }
}
