//! What is wrong with a message, below its bubble: it was not delivered, or
//! others were told something else.

use egui::{Align2, FontId, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use lucide_icons::Icon;
use secure_chat_node::api::MessageState;

use super::message::{BESIDE_PT, MessageRow};
use crate::state::Intent;
use crate::strings::tr;
use crate::text;
use crate::theme::{BUBBLE_MAX_PT, BUBBLE_MAX_SHARE, Palette, font, icons, semibold};
use crate::views::Cx;
use crate::widgets::{elided, focus_ring};

impl MessageRow<'_> {
    /// Shows what is wrong, if anything is, from `top` on; returns the height, in points.
    pub(super) fn trouble(&self, ui: &mut Ui, top: f32, cx: &mut Cx) -> f32 {
        match self.row.warning() {
            _ if self.row.state == MessageState::Failed => self.failure(ui, top, cx),
            Some(warning) => self.warning(ui, top, warning),
            None => 0.0,
        }
    }

    /// Why it failed, and the way to try again.
    fn failure(&self, ui: &mut Ui, top: f32, cx: &mut Cx) -> f32 {
        let p = Palette::of(ui);
        let full = ui.max_rect();
        let reason = self.row.reason.as_deref().unwrap_or(tr().not_delivered);
        let retry = ui.painter().layout_no_wrap(tr().retry.to_owned(), FontId::new(13.0, semibold()), p.accent);
        let retry_rect = Rect::from_min_size(
            pos2(full.right() - BESIDE_PT - retry.size().x - 16.0, top + 2.0),
            vec2(retry.size().x + 16.0, 36.0),
        );
        let words = elided(ui.painter(), reason, font(12.5), p.danger, full.width() * BUBBLE_MAX_SHARE);
        let left = retry_rect.left() - words.size().x - 4.0;
        ui.painter().galley(pos2(left, retry_rect.center().y - words.size().y / 2.0), words, p.danger);
        let response = ui.interact(retry_rect, ui.scope_id().with("retry"), Sense::click()).on_hover_text(reason);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, tr().retry));
        if response.hovered() {
            ui.painter().rect_filled(retry_rect, 8.0, p.hover);
        }
        focus_ring(ui, &response, retry_rect, 8);
        ui.painter().galley(retry_rect.center() - retry.size() / 2.0, retry, p.accent);
        if response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked() {
            cx.say(Intent::Retry { local: self.row.local, message_id: self.row.id.clone() });
        }
        38.0
    }

    /// What the reader has to know before they believe it: it stays.
    fn warning(&self, ui: &mut Ui, top: f32, warning: &str) -> f32 {
        const PAD_PT: f32 = 10.0;
        const SIGN_PT: f32 = 22.0;
        let p = Palette::of(ui);
        let full = ui.max_rect();
        let room = (full.width() * BUBBLE_MAX_SHARE).min(BUBBLE_MAX_PT) - 2.0 * PAD_PT - SIGN_PT;
        let words = text::displayed(warning).into_owned();
        let galley = ui.painter().layout(words, font(12.5), p.text, room.max(80.0));
        let size = vec2(galley.size().x + SIGN_PT + 2.0 * PAD_PT, galley.size().y + PAD_PT);
        let left = if self.row.mine { full.right() - size.x - BESIDE_PT } else { full.left() };
        let rect = Rect::from_min_size(pos2(left, top + 4.0), size);
        let response = ui.interact(rect, ui.scope_id().with("warning"), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Alert, true, warning));
        ui.painter().rect_filled(rect, 9.0, p.warn_ground);
        let at = pos2(rect.left() + PAD_PT + 7.0, rect.center().y);
        let sign = FontId::new(14.0, icons());
        ui.painter().text(at, Align2::CENTER_CENTER, char::from(Icon::TriangleAlert), sign, p.warn);
        let at = pos2(rect.left() + PAD_PT + SIGN_PT, rect.center().y - galley.size().y / 2.0);
        ui.painter().galley(at, galley, p.text);
        size.y + 6.0
    }
}
