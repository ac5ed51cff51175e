//! How the window looks: fonts, styles and design tokens.

mod tokens;

use std::sync::Arc;

use egui::{
    Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke, Style, TextStyle,
    Theme, Ui, vec2,
};

pub(crate) use tokens::*;

/// The family of the icon font.
pub(crate) fn icons() -> FontFamily {
    FontFamily::Name("icons".into())
}

/// The family for names and buttons.
pub(crate) fn medium() -> FontFamily {
    FontFamily::Name("medium".into())
}

/// The family for headings.
pub(crate) fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// The font of running text, in this size.
pub(crate) fn font(size_pt: f32) -> FontId {
    FontId::proportional(size_pt)
}

/// Gives a context the window's fonts and styles.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    ctx.add_glyph_rasterizer(crate::text::emoji_rasterizer());
    ctx.style_mut_of(Theme::Dark, |style| apply(style, &DARK, true));
    ctx.style_mut_of(Theme::Light, |style| apply(style, &LIGHT, false));
    ctx.set_theme(Theme::Dark);
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    for (name, bytes) in [
        ("Inter", include_bytes!("../../assets/fonts/Inter-Regular.otf").as_slice()),
        ("Inter-Medium", include_bytes!("../../assets/fonts/Inter-Medium.otf").as_slice()),
        ("Inter-SemiBold", include_bytes!("../../assets/fonts/Inter-SemiBold.otf").as_slice()),
        ("lucide", lucide_icons::LUCIDE_FONT_BYTES),
    ] {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    let fallbacks = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let chain = |first: &str| [first.to_owned()].into_iter().chain(fallbacks.iter().cloned()).collect::<Vec<_>>();
    fonts.families.insert(FontFamily::Proportional, chain("Inter"));
    fonts.families.insert(medium(), chain("Inter-Medium"));
    fonts.families.insert(semibold(), chain("Inter-SemiBold"));
    fonts.families.insert(icons(), vec!["lucide".to_owned()]);
    fonts
}

fn apply(style: &mut Style, palette: &Palette, dark: bool) {
    style.text_styles = [
        (TextStyle::Small, font(SMALL_PT)),
        (TextStyle::Body, font(BODY_PT)),
        (TextStyle::Button, FontId::new(14.0, medium())),
        (TextStyle::Heading, FontId::new(HEADING_PT, semibold())),
        (TextStyle::Monospace, FontId::monospace(13.0)),
    ]
    .into();
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(8.0, 8.0);
    spacing.button_padding = vec2(14.0, 8.0);
    spacing.interact_size = vec2(40.0, TARGET_PT);
    spacing.window_margin = Margin::same(20);
    spacing.menu_margin = Margin::same(6);
    spacing.icon_width = 18.0;
    // A rubber band would scroll past the ends of a list whose rows are placed by hand.
    spacing.scroll.kinetic.rubber_band = false;
    // As the text's colour, a bar under the pointer would be the brightest thing in the window.
    spacing.scroll.foreground_color = false;
    style.interaction.tooltip_delay = 0.4;
    style.animation_time = 0.12;
    visuals(&mut style.visuals, palette, dark);
}

fn visuals(visuals: &mut egui::Visuals, p: &Palette, dark: bool) {
    visuals.dark_mode = dark;
    visuals.panel_fill = p.chat;
    visuals.window_fill = p.surface;
    visuals.window_stroke = Stroke::new(1.0, p.line);
    visuals.window_corner_radius = CornerRadius::same(14);
    visuals.menu_corner_radius = CornerRadius::same(RADIUS_PT);
    let shade = if dark { 120 } else { 40 };
    visuals.window_shadow = Shadow { offset: [0, 8], blur: 32, spread: 0, color: Color32::from_black_alpha(shade) };
    visuals.popup_shadow = Shadow { offset: [0, 6], blur: 20, spread: 0, color: Color32::from_black_alpha(shade) };
    visuals.extreme_bg_color = if dark { p.rail } else { p.surface };
    visuals.faint_bg_color = p.side;
    visuals.hyperlink_color = p.accent;
    visuals.error_fg_color = p.danger;
    visuals.warn_fg_color = p.warn;
    visuals.selection.bg_fill = p.accent.gamma_multiply(if dark { 0.45 } else { 0.3 });
    // The text of what is chosen, too.
    visuals.selection.stroke = Stroke::new(1.5, p.text);
    visuals.weak_text_color = Some(p.muted);
    visuals.override_text_color = None;
    visuals.indent_has_left_vline = false;
    // A blinking cursor would repaint a window in which nothing happens.
    visuals.text_cursor.blink = false;
    visuals.text_cursor.stroke = Stroke::new(2.0, p.accent);
    let widgets = &mut visuals.widgets;
    for (widget, fill) in [
        (&mut widgets.noninteractive, p.chat),
        (&mut widgets.inactive, p.surface),
        (&mut widgets.hovered, p.hover),
        (&mut widgets.active, p.hover),
        (&mut widgets.open, p.hover),
    ] {
        widget.weak_bg_fill = fill;
        widget.bg_fill = fill;
        widget.bg_stroke = Stroke::NONE;
        widget.fg_stroke = Stroke::new(1.0, p.text);
        widget.corner_radius = CornerRadius::same(8);
        widget.expansion = 0.0;
    }
    widgets.noninteractive.bg_stroke = Stroke::new(1.0, p.line);
    widgets.hovered.bg_stroke = Stroke::new(1.0, p.muted.gamma_multiply(0.5));
    widgets.active.bg_stroke = Stroke::new(1.5, p.accent);
}

/// A frame for a card on the content's ground.
pub(crate) fn card(ui: &Ui) -> egui::Frame {
    let p = Palette::of(ui);
    egui::Frame::new()
        .fill(p.side)
        .stroke(Stroke::new(1.0, p.line))
        .corner_radius(CornerRadius::same(14))
        .inner_margin(Margin::same(18))
}
