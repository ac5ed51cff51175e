//! Buttons and switches.

use egui::{
    Align2, Color32, CornerRadius, FontId, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, Vec2, Widget,
    WidgetInfo, pos2, vec2,
};
use lucide_icons::Icon;

use crate::theme::{Palette, TARGET_PT, icons, medium};

/// An icon beside words that say the same: nothing for a screen reader.
pub(crate) fn sign(ui: &mut Ui, icon: Icon, size: f32, color: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(size + 2.0), Sense::hover());
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, char::from(icon), FontId::new(size, icons()), color);
}

/// Shows that the keyboard is here.
pub(crate) fn focus_ring(ui: &Ui, response: &Response, rect: Rect, radius: impl Into<CornerRadius>) {
    if response.has_focus() {
        let stroke = Stroke::new(2.0, Palette::of(ui).accent);
        ui.painter().rect_stroke(rect, radius, stroke, StrokeKind::Inside);
    }
}

/// A square button with nothing but an icon; its name is shown under the pointer.
pub(crate) fn icon_button(ui: &mut Ui, icon: Icon, name: &str) -> Response {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(TARGET_PT), Sense::click());
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, name));
    if ui.is_rect_visible(rect) {
        let touched = enabled && (response.hovered() || response.has_focus());
        if touched {
            ui.painter().rect_filled(rect, 8.0, p.hover);
        }
        focus_ring(ui, &response, rect, 8);
        let color = if touched { p.text } else { p.muted };
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, char::from(icon), FontId::new(18.0, icons()), color);
    }
    response.on_hover_text(name)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Primary,
    Danger,
    Quiet,
}

/// A button with words on it.
#[must_use]
pub(crate) struct PushButton<'a> {
    text: &'a str,
    icon: Option<Icon>,
    kind: Kind,
    wide: bool,
    busy: bool,
    enabled: bool,
}

impl<'a> PushButton<'a> {
    /// One that stands back.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, icon: None, kind: Kind::Plain, wide: false, busy: false, enabled: true }
    }

    /// The one thing to do here.
    pub(crate) fn primary(mut self) -> Self {
        self.kind = Kind::Primary;
        self
    }

    /// Can't be undone.
    pub(crate) fn danger(mut self) -> Self {
        self.kind = Kind::Danger;
        self
    }

    /// No more than words.
    pub(crate) fn quiet(mut self) -> Self {
        self.kind = Kind::Quiet;
        self
    }

    /// With an icon before the words.
    pub(crate) fn icon(mut self, icon: Icon) -> Self {
        self.icon = Some(icon);
        self
    }

    /// As wide as there is room.
    pub(crate) fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// What it does is under way: it can't be pressed, and says so.
    pub(crate) fn busy(mut self, busy: bool) -> Self {
        self.busy = busy;
        self
    }

    /// Whether it can be pressed.
    pub(crate) fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    fn colors(&self, p: &Palette, touched: bool, enabled: bool) -> (Color32, Color32) {
        if !enabled {
            return (p.surface, p.muted);
        }
        match (self.kind, touched) {
            (Kind::Plain, false) => (p.surface, p.text),
            (Kind::Plain | Kind::Quiet, true) => (p.hover, p.text),
            (Kind::Primary, false) => (p.own, p.on_own),
            (Kind::Primary, true) => (p.own_hover, p.on_own),
            (Kind::Danger, _) => (p.danger_fill, p.on_danger),
            (Kind::Quiet, false) => (Color32::TRANSPARENT, p.accent),
        }
    }
}

impl Widget for PushButton<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        const ICON_PT: f32 = 24.0;
        let enabled = self.enabled && !self.busy && ui.is_enabled();
        let font = FontId::new(14.0, medium());
        let words = ui.painter().layout_no_wrap(self.text.to_owned(), font, Color32::PLACEHOLDER);
        let sign = if self.icon.is_some() || self.busy { ICON_PT } else { 0.0 };
        let padding = if self.kind == Kind::Quiet { 10.0 } else { 16.0 };
        let content = words.size().x + sign;
        let width = if self.wide { ui.available_width() } else { content + 2.0 * padding };
        let sense = if enabled { Sense::click() } else { Sense::hover() };
        let (rect, response) = ui.allocate_exact_size(vec2(width.max(content), TARGET_PT), sense);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, self.text));
        if ui.is_rect_visible(rect) {
            let p = Palette::of(ui);
            let touched = response.hovered() || response.has_focus();
            let (ground, color) = self.colors(p, touched, enabled);
            ui.painter().rect_filled(rect, 8.0, ground);
            if response.has_focus() {
                // A gap makes the ring visible on an accent-coloured ground, too.
                let ring = rect.expand(3.0);
                ui.painter().rect_stroke(ring, 10.0, Stroke::new(2.0, p.accent), StrokeKind::Inside);
            }
            let left = rect.center().x - content / 2.0;
            if self.busy {
                busy_dots(ui, pos2(left + 8.0, rect.center().y), color);
            } else if let Some(icon) = self.icon {
                // The middle of small letters is a little below the middle of the line.
                let at = pos2(left + 8.0, rect.center().y + 1.0);
                ui.painter().text(at, Align2::CENTER_CENTER, char::from(icon), FontId::new(16.0, icons()), color);
            }
            ui.painter().galley(pos2(left + sign, rect.center().y - words.size().y / 2.0), words, color);
        }
        if enabled { response.on_hover_cursor(egui::CursorIcon::PointingHand) } else { response }
    }
}

/// Says that something is under way: a turning arc, or, where nothing may
/// move, an hourglass.
pub(crate) fn busy_dots(ui: &Ui, center: egui::Pos2, color: Color32) {
    if ui.style().animation_time == 0.0 {
        let sign = char::from(Icon::Hourglass);
        ui.painter().text(center, Align2::CENTER_CENTER, sign, FontId::new(15.0, icons()), color);
        return;
    }
    const RADIUS_PT: f32 = 7.0;
    const STEPS: usize = 20;
    let turned = ui.input(|input| input.time) * 5.0;
    let points = (0..=STEPS)
        .map(|step| {
            let angle = turned as f32 % std::f32::consts::TAU + step as f32 / STEPS as f32 * 4.4;
            center + RADIUS_PT * vec2(angle.cos(), angle.sin())
        })
        .collect();
    ui.painter().line(points, Stroke::new(2.0, color));
    ui.ctx().request_repaint_after(std::time::Duration::from_millis(33));
}

/// A row with words on the left and a switch on the right; says whether it was turned.
pub(crate) fn switch(ui: &mut Ui, on: bool, name: &str, detail: &str) -> bool {
    let p = Palette::of(ui);
    let width = ui.available_width();
    let words = ui.painter().layout(name.to_owned(), FontId::proportional(14.5), p.text, width - 64.0);
    let small = ui.painter().layout(detail.to_owned(), FontId::proportional(12.0), p.muted, width - 64.0);
    let height = (words.size().y + if detail.is_empty() { 0.0 } else { small.size().y + 2.0 } + 12.0).max(TARGET_PT);
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Switch, ui.is_enabled(), on, name));
    let painter = ui.painter();
    let top = if detail.is_empty() { rect.center().y - words.size().y / 2.0 } else { rect.top() + 6.0 };
    let below = top + words.size().y + 2.0;
    painter.galley(pos2(rect.left(), top), words, p.text);
    if !detail.is_empty() {
        painter.galley(pos2(rect.left(), below), small, p.muted);
    }
    let track = Rect::from_center_size(pos2(rect.right() - 22.0, rect.center().y), vec2(40.0, 22.0));
    let place = ui.ctx().animate_bool_responsive(response.id, on);
    painter.rect_filled(track, 11.0, if on { p.own } else { p.hover });
    let x = egui::lerp((track.left() + 11.0)..=(track.right() - 11.0), place);
    painter.circle_filled(pos2(x, track.center().y), 8.0, if on { p.on_own } else { p.muted });
    focus_ring(ui, &response, track.expand(4.0), 14);
    response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked()
}
