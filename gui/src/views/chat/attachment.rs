//! The file that a message shares: a picture of it where there is one, and a
//! card with what it is, how far it is, and what can be done with it.

use egui::{Align2, Color32, CornerRadius, FontId, Rect, Role, Sense, Ui, Vec2, WidgetInfo, pos2, vec2};
use lucide_icons::Icon;

use super::pictures::Shown;
use crate::ask::files::{self, Deed, File};
use crate::state::{Files, Intent, Overlay, Progress, Shared, is_risky};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, font, icons, medium};
use crate::views::{Cx, files as files_view, paths};
use crate::widgets::{focus_ring, paint_elided};

/// The height of the card, and of the bar below it while the file moves, in points.
const CARD_PT: f32 = 46.0;
const BAR_PT: f32 = 10.0;
/// The narrowest and the widest card, in points.
const WIDTH_PT: (f32, f32) = (210.0, 320.0);
/// The highest picture, in points.
const PICTURE_MAX_PT: f32 = 260.0;
/// Between picture and card, in points.
const GAP_PT: f32 = 8.0;

/// A shared file, and what is known of it.
pub(super) struct Attachment<'a> {
    shared: &'a Shared,
    file: Option<&'a File>,
    progress: Option<&'a Progress>,
    saved: Option<&'a str>,
    /// Why it could not be fetched.
    error: Option<&'a str>,
    picture: Option<Shown>,
}

/// What the button of the card does.
enum Deal {
    Fetch,
    SaveCopy,
    Cancel,
    Retry,
    OpenFolder(String),
}

impl<'a> Attachment<'a> {
    /// With what the list of files knows of it.
    pub(super) fn new(shared: &'a Shared, files: &'a Files, picture: Option<Shown>) -> Self {
        let file = files.get(&shared.file_id);
        let saved = files.saved.get(&shared.file_id).or_else(|| file.and_then(|file| file.path.as_ref()));
        let error = files.errors.get(&shared.file_id).map(String::as_str);
        let progress = files.progress.get(&shared.file_id);
        Self { shared, file, progress, saved: saved.map(String::as_str), error, picture }
    }

    /// The room that it takes, no wider than `room` points.
    pub(super) fn size(&self, room: f32) -> Vec2 {
        let widest = room.min(WIDTH_PT.1);
        let picture = self.picture_size(widest);
        let width = picture.map_or(widest.min(260.0), |size| size.x.max(WIDTH_PT.0)).min(widest);
        let bar = if self.progress.is_some() { BAR_PT } else { 0.0 };
        vec2(width, picture.map_or(0.0, |size| size.y + GAP_PT) + CARD_PT + bar)
    }

    fn picture_size(&self, widest: f32) -> Option<Vec2> {
        let size = self.picture?.size;
        let scale = (widest / size.x).min(PICTURE_MAX_PT / size.y).min(1.0);
        Some((size * scale).round())
    }

    /// Paints it into `rect`, which is as large as [`Self::size`] says.
    pub(super) fn ui(&self, ui: &mut Ui, rect: Rect, mine: bool, cx: &mut Cx) {
        let p = Palette::of(ui);
        let mut top = rect.top();
        if let (Some(shown), Some(size)) = (self.picture, self.picture_size(rect.width())) {
            let at = Rect::from_min_size(pos2(rect.left(), top), size);
            let image = egui::Image::from_texture((shown.texture, size)).corner_radius(CornerRadius::same(10));
            image.paint_at(ui, at);
            top = at.bottom() + GAP_PT;
        }
        let card = Rect::from_min_size(pos2(rect.left(), top), vec2(rect.width(), CARD_PT));
        let (ground, strong, weak) =
            if mine { (Color32::from_black_alpha(50), p.on_own, p.on_own_muted) } else { (p.chat, p.text, p.muted) };
        ui.painter().rect_filled(card, 10.0, ground);
        let mark = pos2(card.left() + 22.0, card.center().y);
        let sign = FontId::new(20.0, icons());
        let icon = files_view::icon(&self.shared.mime, &self.shared.name);
        ui.painter().text(mark, Align2::CENTER_CENTER, char::from(icon), sign, if mine { p.on_own } else { p.accent });
        let left = card.left() + 42.0;
        let deal = self.deal(mine);
        let room = card.right() - left - if deal.is_some() { 42.0 } else { 10.0 };
        let name = FontId::new(13.5, medium());
        paint_elided(ui.painter(), pos2(left, card.center().y - 9.0), &self.shared.name, name, strong, room);
        let (detail, color) = match self.error {
            Some(error) => (error.to_owned(), if mine { p.on_own } else { p.danger }),
            None => (self.detail(), weak),
        };
        paint_elided(ui.painter(), pos2(left, card.center().y + 9.0), &detail, font(12.0), color, room);
        self.explain(ui, card);
        if let Some(deal) = deal {
            self.button(ui, card, deal, mine, cx);
        }
        if let Some(progress) = self.progress {
            let track = Rect::from_min_size(pos2(rect.left(), card.bottom() + 5.0), vec2(rect.width(), 4.0));
            ui.painter().rect_filled(track, 2.0, ground);
            let done = Rect::from_min_size(track.min, vec2(track.width() * progress.share(), track.height()));
            ui.painter().rect_filled(done, 2.0, if mine { p.on_own } else { p.accent });
        }
    }

    /// An error that has no room on the card stands under the pointer, and is said.
    fn explain(&self, ui: &Ui, card: Rect) {
        let Some(error) = self.error else { return };
        let response = ui.interact(card, ui.scope_id().with("why"), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Alert, true, error));
        response.on_hover_text(text::displayed(error));
    }

    /// Size and how it stands; while it moves, how far and how fast.
    fn detail(&self) -> String {
        let size = text::bytes(self.shared.size);
        if let Some(progress) = self.progress {
            let done = (tr().of_bytes)(&text::bytes(progress.done), &size);
            return match progress.speed {
                0 => done,
                speed => format!("{done} · {}", (tr().per_second)(&text::bytes(speed))),
            };
        }
        let state = self.file.map_or_else(String::new, files_view::state_of);
        if state.is_empty() { size } else { format!("{size} · {state}") }
    }

    fn deal(&self, mine: bool) -> Option<Deal> {
        if self.progress.is_some() {
            return Some(Deal::Cancel);
        }
        let file = self.file?;
        if files_view::may_be_left_again(file, self.error.is_some()) {
            return Some(Deal::Retry);
        }
        match file.state.as_str() {
            "completed" if file.is_kept() && self.saved.is_none() => Some(Deal::SaveCopy),
            "completed" => {
                let folder = std::path::Path::new(self.saved?).parent()?;
                Some(Deal::OpenFolder(folder.display().to_string()))
            }
            "failed" => Some(Deal::Retry),
            "offered" | "cancelled" if !mine => Some(Deal::Fetch),
            _ => None,
        }
    }

    fn button(&self, ui: &mut Ui, card: Rect, deal: Deal, mine: bool, cx: &mut Cx) {
        let p = Palette::of(ui);
        let (icon, words) = match &deal {
            Deal::Fetch => (Icon::Download, tr().download),
            Deal::SaveCopy => (Icon::Download, tr().save_copy),
            Deal::Cancel => (Icon::X, if mine { tr().upload_stop } else { tr().file_cancel }),
            Deal::Retry => (Icon::RotateCw, if mine { tr().upload_retry } else { tr().retry }),
            Deal::OpenFolder(_) => (Icon::FolderOpen, tr().open_folder),
        };
        let rect = Rect::from_center_size(pos2(card.right() - 22.0, card.center().y), Vec2::splat(36.0));
        let response = ui.interact(rect, ui.scope_id().with("file"), Sense::click());
        let name = text::displayed(&self.shared.name);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{words}: {name}")));
        let touched = response.hovered() || response.has_focus();
        if touched {
            let ground = if mine { Color32::from_black_alpha(60) } else { p.hover };
            ui.painter().rect_filled(rect, 8.0, ground);
        }
        focus_ring(ui, &response, rect, 8);
        let color = match (mine, touched) {
            (true, _) => p.on_own,
            (false, true) => p.text,
            (false, false) => p.muted,
        };
        let sign = FontId::new(18.0, icons());
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, char::from(icon), sign, color);
        if response.on_hover_text(words).clicked() {
            self.act(deal, cx);
        }
    }

    fn act(&self, deal: Deal, cx: &mut Cx) {
        let file_id = self.shared.file_id.clone();
        match deal {
            Deal::Fetch | Deal::SaveCopy => {
                let name = paths::file_name(&self.shared.name).to_owned();
                let risky = self.file.is_some_and(|file| file.warning.is_some()) || is_risky(&name);
                cx.say(Intent::Show(Overlay::SaveFile { file_id, name, risky }));
            }
            Deal::Cancel => cx.say(files::Ask::Do { file_id, deed: Deed::Cancel }),
            Deal::Retry => cx.say(files::Ask::Do { file_id, deed: Deed::Retry }),
            Deal::OpenFolder(folder) => cx.say(Intent::OpenLink(format!("file://{folder}"))),
        }
    }
}
