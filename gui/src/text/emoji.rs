//! Colour emoji: pictures from Twemoji (Copyright Twitter, Inc. and other
//! contributors, CC-BY 4.0) in place of the font's, and the list of the picker.

use egui::epaint::text::{FontPriority, GlyphBitmap, GlyphRasterizer, RasterizedGlyph};
use egui::{ColorImage, vec2};
use twemoji_assets::png::PngTwemojiAsset;
use unicode_segmentation::UnicodeSegmentation;

/// Makes emoji pictures of a message this many at most, to be shown large.
const LARGE_EMOJI_MAX: usize = 3;

/// Paints emoji as pictures wherever text is shown.
pub(crate) fn emoji_rasterizer() -> GlyphRasterizer {
    GlyphRasterizer::new("secure-chat::twemoji", |request| {
        if !egui::epaint::text::has_emoji_presentation(request.cluster) {
            return None;
        }
        let asset = picture(request.cluster)?;
        let side_px = (request.font_size_px * 1.2).round().max(4.0);
        let pixels = side_px as u32;
        let picture = image::load_from_memory(asset).ok()?;
        let picture = picture.resize_exact(pixels, pixels, image::imageops::FilterType::CatmullRom).to_rgba8();
        let side = pixels as usize;
        let image = ColorImage::from_rgba_unmultiplied([side, side], picture.as_raw());
        let offset_px = vec2(request.font_size_px * 0.05, -side_px * 0.82);
        let advance_px = side_px + request.font_size_px * 0.1;
        Some(RasterizedGlyph { bitmap: GlyphBitmap { image, offset_px, is_color: true }, advance_px })
    })
    .with_priority(FontPriority::Highest)
}

/// The picture of an emoji; Twemoji leaves the variation selector out of most names.
fn picture(cluster: &str) -> Option<&'static PngTwemojiAsset> {
    PngTwemojiAsset::from_emoji(cluster)
        .or_else(|| PngTwemojiAsset::from_emoji(&cluster.replace('\u{FE0F}', "")))
        .or_else(|| PngTwemojiAsset::from_emoji(&format!("{cluster}\u{FE0F}")))
}

/// Whether `text` is nothing but a few emoji, which are then shown large.
pub(crate) fn emoji_only(text: &str) -> bool {
    // Longer than any three emoji with all their modifiers.
    if text.is_empty() || text.len() > 160 {
        return false;
    }
    let mut count = 0;
    for cluster in text.graphemes(true).filter(|cluster| !cluster.trim().is_empty()) {
        count += 1;
        if count > LARGE_EMOJI_MAX || !egui::epaint::text::has_emoji_presentation(cluster) {
            return false;
        }
    }
    count > 0
}

/// Offered first as reactions.
pub(crate) const QUICK_REACTIONS: [&str; 6] = ["👍", "❤️", "😂", "😮", "😢", "🎉"];

/// The emoji of the picker, with the names that the search finds.
pub(crate) const EMOJI: &[(&str, &str)] = &[
    ("😀", "grinning"),
    ("😄", "smile"),
    ("😁", "beaming"),
    ("😅", "sweat smile"),
    ("😂", "tears of joy"),
    ("🤣", "rolling laugh"),
    ("😊", "blush"),
    ("🙂", "slight smile"),
    ("😉", "wink"),
    ("😍", "heart eyes"),
    ("🥰", "in love"),
    ("😘", "kiss"),
    ("😋", "yum"),
    ("😜", "winking tongue"),
    ("🤪", "zany"),
    ("🤗", "hug"),
    ("🤔", "thinking"),
    ("🤫", "hush"),
    ("🤨", "raised eyebrow"),
    ("😐", "neutral"),
    ("😶", "speechless"),
    ("🙄", "eye roll"),
    ("😏", "smirk"),
    ("😬", "grimace"),
    ("😌", "relieved"),
    ("😴", "asleep"),
    ("🤤", "drool"),
    ("😷", "mask"),
    ("🤒", "ill"),
    ("🤕", "hurt"),
    ("🤯", "mind blown"),
    ("🥳", "party"),
    ("😎", "cool"),
    ("🤓", "nerd"),
    ("😕", "confused"),
    ("🙁", "frown"),
    ("😮", "surprised"),
    ("😳", "flushed"),
    ("🥺", "pleading"),
    ("😢", "cry"),
    ("😭", "sob"),
    ("😱", "scream"),
    ("😤", "huff"),
    ("😡", "angry"),
    ("💀", "skull"),
    ("💩", "poo"),
    ("🤖", "robot"),
    ("👻", "ghost"),
    ("👍", "thumbs up"),
    ("👎", "thumbs down"),
    ("👌", "OK hand"),
    ("✌️", "victory"),
    ("🤞", "fingers crossed"),
    ("🤙", "call me"),
    ("👈", "point left"),
    ("👉", "point right"),
    ("👆", "point up"),
    ("👇", "point down"),
    ("👋", "wave"),
    ("👏", "clap"),
    ("🙌", "hooray"),
    ("🤝", "handshake"),
    ("🙏", "thanks"),
    ("💪", "strong"),
    ("✊", "fist"),
    ("👀", "eyes"),
    ("🧠", "brain"),
    ("🫡", "salute"),
    ("🤷", "shrug"),
    ("🤦", "facepalm"),
    ("❤️", "red heart"),
    ("🧡", "orange heart"),
    ("💛", "yellow heart"),
    ("💚", "green heart"),
    ("💙", "blue heart"),
    ("💜", "purple heart"),
    ("🖤", "black heart"),
    ("💔", "broken heart"),
    ("💕", "two hearts"),
    ("💯", "hundred"),
    ("✨", "sparkles"),
    ("⭐", "star"),
    ("🔥", "fire"),
    ("🎉", "party popper"),
    ("🎂", "cake"),
    ("🎁", "gift"),
    ("🏆", "trophy"),
    ("🎵", "music"),
    ("☕", "coffee"),
    ("🍵", "tea"),
    ("🍺", "beer"),
    ("🍷", "wine"),
    ("🍕", "pizza"),
    ("🍎", "apple"),
    ("🌍", "earth"),
    ("🌞", "sun"),
    ("🌙", "moon"),
    ("🌧️", "rain"),
    ("❄️", "snow"),
    ("🌈", "rainbow"),
    ("🌸", "blossom"),
    ("🐶", "dog"),
    ("🐱", "cat"),
    ("🦊", "fox"),
    ("🐻", "bear"),
    ("🐦", "bird"),
    ("🐟", "fish"),
    ("🚀", "rocket"),
    ("✈️", "plane"),
    ("🚗", "car"),
    ("🚲", "bicycle"),
    ("🏠", "house"),
    ("⏰", "alarm clock"),
    ("💡", "idea"),
    ("📎", "paperclip"),
    ("📌", "pin"),
    ("📅", "calendar"),
    ("📷", "camera"),
    ("💻", "laptop"),
    ("📱", "phone"),
    ("🔑", "key"),
    ("🔒", "locked"),
    ("🔓", "unlocked"),
    ("🛡️", "shield"),
    ("✅", "done"),
    ("❌", "no"),
    ("⚠️", "warning"),
    ("❓", "question"),
    ("❗", "important"),
    ("💬", "speech"),
    ("📣", "megaphone"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_emoji_of_the_picker_has_a_picture() {
        for (emoji, name) in EMOJI {
            assert!(picture(emoji).is_some(), "{emoji} {name}");
            assert!(egui::epaint::text::has_emoji_presentation(emoji), "{emoji} {name}");
        }
        for emoji in QUICK_REACTIONS {
            assert!(EMOJI.iter().any(|(listed, _)| *listed == emoji), "{emoji}");
        }
    }

    #[test]
    fn a_few_emoji_alone_are_shown_large() {
        assert!(emoji_only("👍"));
        assert!(emoji_only("🎉 🎉"));
        assert!(!emoji_only("👍 yes"));
        assert!(!emoji_only("👍👍👍👍"));
        assert!(!emoji_only("12"));
        assert!(!emoji_only(""));
    }
}
