//! The colours, sizes and spaces of the window. No other file names a colour.

use egui::{Color32, Ui};

const fn rgb(hex: u32) -> Color32 {
    let [_, r, g, b] = hex.to_be_bytes();
    Color32::from_rgb(r, g, b)
}

/// Small text, in points.
pub(crate) const SMALL_PT: f32 = 12.0;
/// Running text, in points.
pub(crate) const BODY_PT: f32 = 14.5;
/// Headings, in points.
pub(crate) const HEADING_PT: f32 = 20.0;
/// The smallest side of anything that is clicked, in points.
pub(crate) const TARGET_PT: f32 = 36.0;
/// The width of the rail, in points.
pub(crate) const RAIL_PT: f32 = 76.0;
/// The corner radius of cards and lists, in points.
pub(crate) const RADIUS_PT: u8 = 10;
/// The corner radius of bubbles, in points.
pub(crate) const BUBBLE_RADIUS_PT: u8 = 16;
/// The widest bubble, in points, and as a share of the conversation.
pub(crate) const BUBBLE_MAX_PT: f32 = 560.0;
/// See [`BUBBLE_MAX_PT`].
pub(crate) const BUBBLE_MAX_SHARE: f32 = 0.72;

/// One colour for each purpose.
#[derive(Debug, PartialEq)]
pub(crate) struct Palette {
    /// The rail on the left, and wells that text is typed into.
    pub(crate) rail: Color32,
    /// The list beside the rail.
    pub(crate) side: Color32,
    /// The content.
    pub(crate) chat: Color32,
    /// Cards, incoming bubbles, menus.
    pub(crate) surface: Color32,
    /// What the pointer is on.
    pub(crate) hover: Color32,
    /// Lines between things.
    pub(crate) line: Color32,
    /// Text.
    pub(crate) text: Color32,
    /// Text of less weight.
    pub(crate) muted: Color32,
    /// Focus, selection, links.
    pub(crate) accent: Color32,
    /// Text on `accent`.
    pub(crate) on_accent: Color32,
    /// Own bubbles and primary buttons.
    pub(crate) own: Color32,
    /// A primary button under the pointer.
    pub(crate) own_hover: Color32,
    /// Text on `own`.
    pub(crate) on_own: Color32,
    /// Text of less weight on `own`.
    pub(crate) on_own_muted: Color32,
    /// A link on `own`.
    pub(crate) on_own_link: Color32,
    /// Good news: verified, online, connected.
    pub(crate) ok: Color32,
    /// Wants attention.
    pub(crate) warn: Color32,
    /// Failed, or can't be undone.
    pub(crate) danger: Color32,
    /// The fill of a button that can't be undone.
    pub(crate) danger_fill: Color32,
    /// Text on `danger_fill`.
    pub(crate) on_danger: Color32,
    /// The ground of a banner that warns.
    pub(crate) warn_ground: Color32,
    /// The ground of a banner that something failed.
    pub(crate) danger_ground: Color32,
    /// The ground of a message that was jumped to.
    pub(crate) found: Color32,
}

/// The dark theme, which is the default.
pub(crate) static DARK: Palette = Palette {
    rail: rgb(0x0D1015),
    side: rgb(0x12161D),
    chat: rgb(0x171C24),
    surface: rgb(0x222935),
    hover: rgb(0x2B3443),
    line: rgb(0x262E3B),
    text: rgb(0xE8ECF2),
    muted: rgb(0x9AA6B6),
    accent: rgb(0x5B9BFF),
    on_accent: rgb(0x081020),
    own: rgb(0x2759C4),
    own_hover: rgb(0x2F66DA),
    on_own: rgb(0xFFFFFF),
    on_own_muted: rgb(0xD3E0FA),
    on_own_link: rgb(0xDCE8FF),
    ok: rgb(0x3DD68C),
    warn: rgb(0xF5B454),
    danger: rgb(0xFF7B7B),
    danger_fill: rgb(0xB3261E),
    on_danger: rgb(0xFFFFFF),
    warn_ground: rgb(0x33291A),
    danger_ground: rgb(0x361C20),
    found: rgb(0x24344F),
};

/// The light theme.
pub(crate) static LIGHT: Palette = Palette {
    rail: rgb(0xE6EAF1),
    side: rgb(0xF2F5F9),
    chat: rgb(0xFCFDFE),
    surface: rgb(0xE9EDF4),
    hover: rgb(0xDDE4EE),
    line: rgb(0xD3DAE5),
    text: rgb(0x131820),
    muted: rgb(0x4C5767),
    accent: rgb(0x1B56C4),
    on_accent: rgb(0xFFFFFF),
    own: rgb(0x2759C4),
    own_hover: rgb(0x1F4CAC),
    on_own: rgb(0xFFFFFF),
    on_own_muted: rgb(0xD9E5FC),
    on_own_link: rgb(0xE3EDFF),
    ok: rgb(0x0A6B42),
    warn: rgb(0x7A4A00),
    danger: rgb(0xA81E17),
    danger_fill: rgb(0xB3261E),
    on_danger: rgb(0xFFFFFF),
    warn_ground: rgb(0xFBEFD9),
    danger_ground: rgb(0xFBE5E3),
    found: rgb(0xD5E3FB),
};

/// The grounds of avatars: white initials stand on them.
pub(crate) const AVATARS: [Color32; 8] = [
    rgb(0x3B6FD4),
    rgb(0x8A4FC9),
    rgb(0x1F7F68),
    rgb(0xB3562A),
    rgb(0xB53F6B),
    rgb(0x4F6B7D),
    rgb(0x5B5FC7),
    rgb(0x7A6A1E),
];
/// Initials.
pub(crate) const ON_AVATAR: Color32 = Color32::WHITE;
/// A QR code is black on white in every theme: scanners want it so.
pub(crate) const QR_DARK: Color32 = Color32::BLACK;
/// See [`QR_DARK`].
pub(crate) const QR_LIGHT: Color32 = Color32::WHITE;

impl Palette {
    /// The colours of the theme that `ui` is painted in.
    pub(crate) fn of(ui: &Ui) -> &'static Self {
        Self::for_dark_mode(ui.visuals().dark_mode)
    }

    /// The dark or the light theme's colours.
    pub(crate) fn for_dark_mode(dark: bool) -> &'static Self {
        if dark { &DARK } else { &LIGHT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2, 1.4.3: the contrast of text, in levels AA.
    const CONTRAST_MIN: f32 = 4.5;
    /// WCAG 2.2, 1.4.11: the contrast of what shows a state or a focus.
    const CONTRAST_OF_SIGNS_MIN: f32 = 3.0;

    fn luminance(color: Color32) -> f32 {
        let linear = egui::Rgba::from(color);
        0.2126 * linear.r() + 0.7152 * linear.g() + 0.0722 * linear.b()
    }

    fn contrast(a: Color32, b: Color32) -> f32 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn pairs(p: &Palette) -> Vec<(&'static str, Color32, Color32)> {
        let mut pairs = vec![
            ("on_accent on accent", p.on_accent, p.accent),
            ("on_own on own", p.on_own, p.own),
            ("on_own on own_hover", p.on_own, p.own_hover),
            ("on_own_muted on own", p.on_own_muted, p.own),
            ("on_own_link on own", p.on_own_link, p.own),
            ("on_danger on danger_fill", p.on_danger, p.danger_fill),
            ("text on warn_ground", p.text, p.warn_ground),
            ("warn on warn_ground", p.warn, p.warn_ground),
            ("text on danger_ground", p.text, p.danger_ground),
            ("danger on danger_ground", p.danger, p.danger_ground),
            ("muted on danger_ground", p.muted, p.danger_ground),
            ("muted on warn_ground", p.muted, p.warn_ground),
            ("text on found", p.text, p.found),
            ("muted on found", p.muted, p.found),
        ];
        for (ground, on) in
            [("rail", p.rail), ("side", p.side), ("chat", p.chat), ("surface", p.surface), ("hover", p.hover)]
        {
            for (name, color) in [
                ("text", p.text),
                ("muted", p.muted),
                ("accent", p.accent),
                ("ok", p.ok),
                ("warn", p.warn),
                ("danger", p.danger),
            ] {
                // Names of the two sides, for the message of a failure.
                pairs.push((Box::leak(format!("{name} on {ground}").into_boxed_str()), color, on));
            }
        }
        pairs
    }

    #[test]
    fn every_text_can_be_read_on_its_ground() {
        for (theme, palette) in [("dark", &DARK), ("light", &LIGHT)] {
            for (name, text, ground) in pairs(palette) {
                let contrast = contrast(text, ground);
                assert!(contrast >= CONTRAST_MIN, "{theme}: {name} has only {contrast:.2}:1");
            }
        }
        for ground in AVATARS {
            assert!(contrast(ON_AVATAR, ground) >= CONTRAST_MIN, "initials on {ground:?}");
        }
    }

    #[test]
    fn the_focus_ring_can_be_seen_on_every_ground() {
        for (theme, p) in [("dark", &DARK), ("light", &LIGHT)] {
            for ground in [p.rail, p.side, p.chat, p.surface, p.hover] {
                assert!(contrast(p.accent, ground) >= CONTRAST_OF_SIGNS_MIN, "{theme}: focus on {ground:?}");
            }
        }
    }
}
