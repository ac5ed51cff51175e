//! The text of a message as it is laid out: links, names that are mentioned,
//! words that run from right to left.

use std::ops::Range;
use std::sync::Arc;

use egui::text::{CCursor, LayoutJob, TextFormat};
use egui::{Align, Galley, Stroke, Ui};

use super::message::{Bubble, MessageRow};
use crate::strings::tr;
use crate::text;
use crate::theme::{BODY_PT, Palette, font, semibold};

impl MessageRow<'_> {
    /// Lays the text out, no wider than `room` points; says where its links are.
    pub(super) fn lay_out(&self, ui: &Ui, room: f32, bare: bool) -> (Arc<Galley>, Vec<Range<usize>>) {
        let p = Palette::of(ui);
        let color = if self.row.mine { p.on_own } else { p.text };
        let font = font(if bare { 38.0 } else { BODY_PT });
        if self.row.deleted {
            let muted = if self.row.mine { p.on_own_muted } else { p.muted };
            let format = TextFormat { font_id: font, color: muted, italics: true, ..TextFormat::default() };
            let job = LayoutJob::single_section(tr().deleted_message.to_owned(), format);
            return (ui.painter().layout_job(job), vec![]);
        }
        let shown = text::displayed(&self.row.text);
        if text::has_right_to_left(&shown) {
            let painter = ui.painter();
            let width = |word: &str| painter.layout_no_wrap(word.to_owned(), font.clone(), color).size().x;
            let (lines, rtl) = text::visual_lines(&shown, room, width);
            let mut job = LayoutJob::simple(lines, font.clone(), color, f32::INFINITY);
            if rtl {
                job.halign = Align::RIGHT;
            }
            return (painter.layout_job(job), vec![]);
        }
        let links = text::links(&shown);
        let mut job = LayoutJob::default();
        job.wrap.max_width = room;
        let plain = TextFormat { font_id: font, color, ..TextFormat::default() };
        let link_color = if self.row.mine { p.on_own_link } else { p.accent };
        let link = TextFormat { color: link_color, underline: Stroke::new(1.0, link_color), ..plain.clone() };
        let mut name = TextFormat { color: link_color, ..plain.clone() };
        name.font_id.family = semibold();
        let mut parts: Vec<(Range<usize>, TextFormat)> =
            links.iter().map(|range| (range.clone(), link.clone())).collect();
        let in_link = |at: usize| links.iter().any(|range| range.contains(&at));
        let mentions = text::mentions(&shown, |word| self.is_member(word));
        parts.extend(mentions.into_iter().filter(|range| !in_link(range.start)).map(|range| (range, name.clone())));
        parts.sort_by_key(|(range, _)| range.start);
        let mut at = 0;
        for (range, format) in parts {
            job.append(shown.get(at..range.start).unwrap_or_default(), 0.0, plain.clone());
            job.append(shown.get(range.clone()).unwrap_or_default(), 0.0, format);
            at = range.end;
        }
        job.append(shown.get(at..).unwrap_or_default(), 0.0, plain);
        (ui.painter().layout_job(job), links)
    }

    fn is_member(&self, word: &str) -> bool {
        self.members.iter().any(|member| member.username.eq_ignore_ascii_case(word))
    }
}

/// The link of a bubble at a place on the screen.
pub(super) fn link_at(bubble: &Bubble, pointer: egui::Pos2) -> Option<String> {
    let at = pointer - bubble.text_at;
    let row = bubble.galley.rows.iter().find(|row| row.rect().contains(at.to_pos2()))?;
    if at.x > row.rect().right() {
        return None;
    }
    let cursor: CCursor = bubble.galley.cursor_from_pos(at);
    let text = bubble.galley.text();
    let byte = text.char_indices().nth(cursor.index.0).map_or(text.len(), |(byte, _)| byte);
    let range = bubble.links.iter().find(|range| range.start <= byte && byte <= range.end)?;
    text.get(range.clone()).map(str::to_owned)
}
