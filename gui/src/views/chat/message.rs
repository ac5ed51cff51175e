//! One message of a conversation: the day above it, the unread line, the
//! bubble with what it quotes, its reactions, and what went wrong.

use std::ops::Range;
use std::sync::Arc;

use egui::{
    Align, Align2, Color32, CornerRadius, FontId, Galley, Label, Rect, Response, Role, Sense, Stroke, Ui, UiBuilder,
    Vec2, WidgetInfo, pos2, vec2,
};
use secure_chat_node::api::MessageState;

use super::attachment::Attachment;
use super::list::delivery;
use super::message_text::link_at;
use crate::ask::groups::Member;
use crate::ask::messages;
use crate::state::{Intent, Overlay, Quote, Reaction, Row};
use crate::strings::tr;
use crate::text;
use crate::theme::{BUBBLE_MAX_PT, BUBBLE_MAX_SHARE, BUBBLE_RADIUS_PT, Palette, font, icons, medium, semibold};
use crate::views::Cx;
use crate::widgets::{focus_ring, paint_elided};

/// Space between text and the edge of its bubble, in points.
const PAD: Vec2 = vec2(14.0, 9.0);
/// Between bubbles of one run, and between runs, in points.
const GAPS: (f32, f32) = (3.0, 12.0);
/// Messages of one side this close together stand as one run, in milliseconds.
const RUN_MS: u64 = 5 * 60_000;
/// The height of what a reply quotes, in points.
const QUOTE_PT: f32 = 44.0;
/// Room kept right of own bubbles for the scroll bar, in points.
pub(super) const BESIDE_PT: f32 = 14.0;

/// A message and what stands around it.
pub(super) struct MessageRow<'a> {
    pub(super) row: &'a Row,
    /// Of several people: who wrote it stands above it.
    pub(super) named: bool,
    /// Who can be mentioned: the members of a group.
    pub(super) members: &'a [Member],
    /// The file that it shares.
    pub(super) file: Option<Attachment<'a>>,
    pub(super) before: Option<&'a Row>,
    pub(super) after: Option<&'a Row>,
    /// What it answers: `Some(None)` where that isn't known.
    pub(super) quote: Option<Option<Quote>>,
    /// It was jumped to.
    pub(super) found: bool,
    /// The unread line stands above it.
    pub(super) first_unread: bool,
}

/// The measured parts of a bubble.
pub(super) struct Bubble {
    pub(super) rect: Rect,
    pub(super) text_at: egui::Pos2,
    pub(super) galley: Arc<Galley>,
    pub(super) links: Vec<Range<usize>>,
    quote_at: Option<Rect>,
    file_at: Option<Rect>,
    /// Without a ground: nothing but large emoji.
    bare: bool,
}

impl MessageRow<'_> {
    /// Paints the row; returns its height, in points.
    pub(super) fn ui(&self, ui: &mut Ui, cx: &mut Cx) -> f32 {
        let full = ui.max_rect();
        let mut y = full.top();
        let day = text::day_label(self.row.at_ms, self.before.map(|before| before.at_ms), cx.clock);
        let separated = day.is_some() || self.first_unread;
        if let Some(day) = &day {
            y += separator(ui, y, day, Palette::of(ui).muted);
        }
        if self.first_unread {
            y += separator(ui, y, tr().unread_line, Palette::of(ui).accent);
        }
        let joins_before = !separated && self.before.is_some_and(|before| self.joins(before));
        let joins_after = self.after.is_some_and(|after| self.joins(after));
        y += if joins_before { GAPS.0 } else { GAPS.1 };
        if self.named && !self.row.mine && !joins_before {
            let color = crate::widgets::color_of_name(&self.row.from, Palette::of(ui));
            let at = pos2(full.left() + 4.0, y + 9.0);
            let name = FontId::new(12.5, semibold());
            paint_elided(ui.painter(), at, &self.row.from, name, color, full.width() * BUBBLE_MAX_SHARE);
            y += 20.0;
        }
        let bubble = self.measure(ui, y);
        if self.found {
            // As far beyond the bubbles on the left as on the right.
            let band = Rect::from_x_y_ranges(full.left()..=full.right() - BESIDE_PT, bubble.rect.y_range());
            let painter = ui.painter().with_clip_rect(ui.clip_rect().expand2(vec2(8.0, 0.0)));
            painter.rect_filled(band.expand2(vec2(8.0, 4.0)), 10.0, Palette::of(ui).found);
        }
        let response = self.paint(ui, &bubble, joins_before, joins_after, cx);
        y = bubble.rect.bottom();
        self.tools(ui, &bubble, &response, cx);
        if !self.row.reactions.is_empty() {
            y += self.reactions(ui, &bubble, cx);
        }
        y += self.trouble(ui, y, cx);
        if self.after.is_none() {
            y += 10.0;
        }
        y - full.top()
    }

    fn joins(&self, other: &Row) -> bool {
        other.mine == self.row.mine && other.from == self.row.from && other.at_ms.abs_diff(self.row.at_ms) < RUN_MS
    }

    fn meta_width(&self) -> f32 {
        let edited = if self.row.edited { 42.0 } else { 0.0 };
        edited + if self.row.mine { 54.0 } else { 38.0 }
    }

    /// Lays the bubble out, its upper edge at `top`.
    fn measure(&self, ui: &Ui, top: f32) -> Bubble {
        let full = ui.max_rect();
        let room = (full.width() * BUBBLE_MAX_SHARE).min(BUBBLE_MAX_PT) - 2.0 * PAD.x;
        let bare = !self.row.deleted && self.quote.is_none() && self.file.is_none() && text::emoji_only(&self.row.text);
        let (galley, links) = self.lay_out(ui, room, bare);
        let meta = self.meta_width();
        let last_line = galley.rows.last().map_or(0.0, |row| row.rect().width());
        let right_to_left = galley.job.halign == Align::RIGHT;
        let mut width = galley.size().x;
        let mut height = galley.size().y;
        if !right_to_left && galley.rows.len() == 1 && last_line + meta + 10.0 <= room {
            width = last_line + meta + 10.0;
        } else if right_to_left || last_line + meta + 10.0 > width.max(meta) {
            // There is no room for the time beside the last line.
            height += 16.0;
        }
        width = width.max(meta);
        let mut text_top = top + PAD.y;
        let mut quote_at = None;
        let file = self.file.as_ref().map(|file| file.size(room));
        if let Some(file) = file {
            width = width.max(file.x);
            if self.row.text.is_empty() {
                // Nothing but the time stands below the card.
                height = 8.0;
            }
        }
        if self.quote.is_some() {
            width = width.max(200.0_f32.min(room));
            let left_top = vec2(PAD.x, PAD.y);
            quote_at = Some((left_top, vec2(width, QUOTE_PT)));
            text_top += QUOTE_PT + 6.0;
            height += QUOTE_PT + 6.0;
        }
        let file_at = file.map(|size| (vec2(PAD.x, text_top - top), vec2(width, size.y)));
        if let Some(file) = file {
            text_top += file.y + 6.0;
            height += file.y + 6.0;
        }
        let size = vec2(width + 2.0 * PAD.x, height + 2.0 * PAD.y);
        let left = if self.row.mine { full.right() - size.x - BESIDE_PT } else { full.left() };
        let rect = Rect::from_min_size(pos2(left, top), size);
        let text_x = if right_to_left { rect.right() - PAD.x } else { left + PAD.x };
        let quote_at = quote_at.map(|(offset, size)| Rect::from_min_size(rect.min + offset, size));
        let file_at = file_at.map(|(offset, size)| Rect::from_min_size(rect.min + offset, size));
        Bubble { rect, text_at: pos2(text_x, text_top), galley, links, quote_at, file_at, bare }
    }

    fn paint(&self, ui: &mut Ui, bubble: &Bubble, joins_before: bool, joins_after: bool, cx: &mut Cx) -> Response {
        let p = Palette::of(ui);
        let mine = self.row.mine;
        let id = ui.scope_id().with("bubble");
        let response = ui.interact(bubble.rect, id, Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::ListItem, true, self.spoken(cx)));
        if !bubble.bare {
            let ground = if mine { p.own } else { p.surface };
            ui.painter().rect_filled(bubble.rect, corners(mine, joins_before, joins_after), ground);
        }
        focus_ring(ui, &response, bubble.rect.expand(2.0), BUBBLE_RADIUS_PT);
        if let (Some(rect), Some(quote)) = (bubble.quote_at, &self.quote) {
            self.paint_quote(ui, rect, quote.as_ref(), cx);
        }
        if let (Some(rect), Some(file)) = (bubble.file_at, &self.file) {
            file.ui(ui, rect, mine, cx);
        }
        let galley_rect = bubble.galley.rect.translate(bubble.text_at.to_vec2());
        let builder = UiBuilder::new().max_rect(galley_rect.expand(0.5));
        let label =
            ui.scope_builder(builder, |ui| ui.add(Label::new(Arc::clone(&bubble.galley)).selectable(true))).inner;
        self.links(ui, bubble, &label, cx);
        self.paint_meta(ui, bubble);
        self.menu(ui, &response, &label, cx);
        response
    }

    fn paint_quote(&self, ui: &mut Ui, rect: Rect, quote: Option<&Quote>, cx: &mut Cx) {
        let p = Palette::of(ui);
        let mine = self.row.mine;
        let id = ui.scope_id().with("quote");
        let response = ui.interact(rect, id, Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, tr().show_quoted));
        let ground = if mine { Color32::from_black_alpha(50) } else { p.chat };
        let (bar, strong, weak) =
            if mine { (p.on_own_muted, p.on_own, p.on_own_muted) } else { (p.accent, p.accent, p.muted) };
        ui.painter().rect_filled(rect, 8.0, ground);
        let bar_rect = Rect::from_min_size(rect.min, vec2(3.0, rect.height()));
        ui.painter().rect_filled(bar_rect, CornerRadius { nw: 8, sw: 8, ne: 0, se: 0 }, bar);
        focus_ring(ui, &response, rect, 8);
        let (who, words) = match quote {
            Some(quote) if quote.mine => (tr().you, quote.text.as_str()),
            Some(quote) => (quote.from.as_str(), quote.text.as_str()),
            None => (tr().reply_to, tr().quote_unknown),
        };
        let words = if words.is_empty() { tr().deleted_message } else { words };
        let room = rect.width() - 20.0;
        let at = pos2(rect.left() + 11.0, rect.top() + 13.0);
        paint_elided(ui.painter(), at, who, FontId::new(12.0, semibold()), strong, room);
        paint_elided(ui.painter(), at + vec2(0.0, 18.0), words, font(12.5), weak, room);
        if response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked()
            && let (Some(id), Some(conversation)) = (&self.row.reply_to, cx.conversation.clone())
        {
            cx.say(Intent::Jump { conversation, message_id: id.clone() });
        }
    }

    /// A link is opened by a question that shows it as a whole.
    fn links(&self, ui: &Ui, bubble: &Bubble, label: &Response, cx: &mut Cx) {
        if bubble.links.is_empty() {
            return;
        }
        let Some(pointer) = label.hover_pos() else { return };
        let Some(link) = link_at(bubble, pointer) else { return };
        ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
        if label.clicked() {
            cx.say(Intent::Show(Overlay::Link(link)));
        }
    }

    fn paint_meta(&self, ui: &Ui, bubble: &Bubble) {
        let p = Palette::of(ui);
        let color = if self.row.mine && !bubble.bare { p.on_own_muted } else { p.muted };
        let mut right = bubble.rect.right() - 12.0;
        let y = bubble.rect.bottom() - 13.0;
        if self.row.mine {
            let failed = if bubble.bare { p.danger } else { p.on_own };
            let (icon, color) = match delivery(self.row.state, color, p) {
                (icon, _) if self.row.state == MessageState::Failed => (icon, failed),
                other => other,
            };
            let sign = FontId::new(14.0, icons());
            ui.painter().text(pos2(right, y), Align2::RIGHT_CENTER, char::from(icon), sign, color);
            right -= 18.0;
        }
        let time = text::time_of_day(self.row.at_ms);
        let time = if self.row.edited { (tr().edited)(&time) } else { time };
        ui.painter().text(pos2(right, y), Align2::RIGHT_CENTER, time, font(11.0), color);
    }

    fn reactions(&self, ui: &mut Ui, bubble: &Bubble, cx: &mut Cx) -> f32 {
        const HEIGHT_PT: f32 = 26.0;
        let p = Palette::of(ui);
        let top = bubble.rect.bottom() - 5.0;
        let widths: Vec<f32> = self.row.reactions.iter().map(|r| if r.count > 1 { 48.0 } else { 36.0 }).collect();
        let total: f32 = widths.iter().sum::<f32>() + 4.0 * widths.len() as f32;
        let mut x = if self.row.mine { bubble.rect.right() - total - 8.0 } else { bubble.rect.left() + 8.0 };
        for (reaction, width) in self.row.reactions.iter().zip(widths) {
            let rect = Rect::from_min_size(pos2(x, top), vec2(width, HEIGHT_PT));
            let response = ui.interact(rect, ui.scope_id().with(("reaction", &reaction.emoji)), Sense::click());
            response.widget_info(|| {
                let name = (tr().reaction)(&reaction.emoji, reaction.count);
                WidgetInfo::selected(Role::Button, true, reaction.mine, name)
            });
            let ground = if reaction.mine {
                p.found
            } else if response.hovered() {
                p.hover
            } else {
                p.surface
            };
            ui.painter().rect_filled(rect, 13.0, p.chat);
            ui.painter().rect_filled(rect.shrink(1.5), 12.0, ground);
            if reaction.mine {
                ui.painter().rect_stroke(rect.shrink(1.5), 12.0, Stroke::new(1.0, p.accent), egui::StrokeKind::Inside);
            }
            focus_ring(ui, &response, rect, 13);
            paint_reaction(ui, rect, reaction);
            if response.clicked() {
                self.react(if reaction.mine { "" } else { &reaction.emoji }, cx);
            }
            x += width + 4.0;
        }
        HEIGHT_PT - 5.0
    }

    pub(super) fn react(&self, emoji: &str, cx: &mut Cx) {
        if !self.row.id.is_empty() {
            cx.say(messages::Ask::React { message_id: self.row.id.clone(), emoji: emoji.to_owned() });
        }
    }

    /// What a screen reader says.
    fn spoken(&self, cx: &Cx) -> String {
        let who = if self.row.mine { tr().you } else { &self.row.from };
        let when = text::when(self.row.at_ms, cx.clock);
        let file = self.row.file.as_ref().map(|file| (tr().file_in_message)(&file.name));
        let captioned;
        let words = match (&file, self.row.text.as_str()) {
            _ if self.row.deleted => tr().deleted_message,
            (Some(file), "") => file,
            (Some(file), caption) => {
                captioned = (tr().spoken_caption)(file, caption);
                &captioned
            }
            (None, text) => text,
        };
        let state = if self.row.mine { (tr().spoken_state)(self.row.state) } else { "" };
        let spoken = (tr().spoken_message)(who, &when, state, words);
        self.row.warning().map_or_else(|| spoken.clone(), |warning| (tr().spoken_warning)(warning, &spoken))
    }
}

fn paint_reaction(ui: &Ui, rect: Rect, reaction: &Reaction) {
    let p = Palette::of(ui);
    let painter = ui.painter();
    if reaction.count > 1 {
        let left = rect.left_center() + vec2(9.0, 0.0);
        painter.text(left, Align2::LEFT_CENTER, &reaction.emoji, font(14.0), p.text);
        let right = rect.right_center() - vec2(9.0, 0.0);
        painter.text(right, Align2::RIGHT_CENTER, reaction.count, FontId::new(12.0, medium()), p.text);
    } else {
        painter.text(rect.center(), Align2::CENTER_CENTER, &reaction.emoji, font(14.0), p.text);
    }
}

/// The corners of a bubble: those towards its run are small.
fn corners(mine: bool, joins_before: bool, joins_after: bool) -> CornerRadius {
    let round = BUBBLE_RADIUS_PT;
    let upper = if joins_before { 6 } else { round };
    let lower = if joins_after { 6 } else { 5 };
    if mine {
        CornerRadius { nw: round, sw: round, ne: upper, se: lower }
    } else {
        CornerRadius { nw: upper, sw: lower, ne: round, se: round }
    }
}

/// Words in the middle of a line; returns the height, in points.
fn separator(ui: &Ui, top: f32, words: &str, color: Color32) -> f32 {
    const HEIGHT_PT: f32 = 40.0;
    let p = Palette::of(ui);
    let full = ui.max_rect();
    let galley = ui.painter().layout_no_wrap(words.to_owned(), FontId::new(12.0, medium()), color);
    let center = pos2(full.center().x - BESIDE_PT / 2.0, top + HEIGHT_PT / 2.0 + 4.0);
    let pill = Rect::from_center_size(center, galley.size() + vec2(24.0, 8.0));
    let line = Stroke::new(1.0, p.line);
    ui.painter().hline(full.left()..=pill.left() - 8.0, center.y, line);
    ui.painter().hline(pill.right() + 8.0..=full.right() - BESIDE_PT, center.y, line);
    ui.painter().galley(pill.center() - galley.size() / 2.0, galley, color);
    HEIGHT_PT
}
