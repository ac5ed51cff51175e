//! A list of any length with rows of any height, of which only those that
//! are seen are laid out.

use egui::{Id, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use crate::state::Heights;

/// Rows this far outside of the view are laid out, too, in points.
const MARGIN_PT: f64 = 200.0;
/// At the end is who is this close to it, in points.
const AT_END_PT: f64 = 3.0;

/// Where the list goes in this frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    End,
    /// A row, to this share of the view's height.
    Row(usize, f64),
    /// A place, in points.
    Offset(f64),
}

/// What of the list is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shown {
    pub(crate) first: usize,
    /// One past the last row.
    pub(crate) last: usize,
    pub(crate) at_end: bool,
}

/// A list.
pub(crate) struct List<'a> {
    pub(crate) id: Id,
    pub(crate) heights: &'a mut Heights,
    pub(crate) target: Option<Target>,
}

impl List<'_> {
    /// Shows it. `key` names a row over time; `row` paints it and returns its height, in points.
    pub(crate) fn show(
        self,
        ui: &mut Ui,
        key: impl Fn(usize) -> Id,
        mut row: impl FnMut(&mut Ui, usize) -> f32,
    ) -> Shown {
        let Self { id, heights, target } = self;
        let view = f64::from(ui.available_height());
        let mut area = ScrollArea::vertical().id_salt(id).auto_shrink(false).stick_to_bottom(true).animated(false);
        if let Some(y) = wanted(heights, target, view) {
            // Past the end, egui would remember a place that isn't there.
            area = area.vertical_scroll_offset(y.clamp(0.0, (heights.total() - view).max(0.0)) as f32);
        }
        let mut moved_above = 0.0;
        let out = area.show_viewport(ui, |ui, viewport| {
            let width = ui.available_width();
            heights.set_width(width);
            ui.set_height(heights.total() as f32);
            let (left, top) = (ui.max_rect().left(), ui.clip_rect().top());
            let view_top = f64::from(viewport.min.y);
            let first = heights.at(view_top - MARGIN_PT);
            let mut index = first;
            let mut y = heights.above(first);
            while index < heights.len() && y < f64::from(viewport.max.y) + MARGIN_PT {
                // Relative to the view and in f64: 100,000 rows lose no pixel.
                let screen_y = top + (y - view_top) as f32;
                let rect = Rect::from_min_size(pos2(left, screen_y), vec2(width, heights.of(index)));
                let builder = UiBuilder::new().scope_id(key(index)).max_rect(rect);
                let height = ui.scope_builder(builder, |ui| row(ui, index)).inner;
                let old = f64::from(heights.of(index));
                let change = heights.set(index, height);
                if y + old <= view_top {
                    moved_above += change;
                }
                y += f64::from(height);
                index += 1;
            }
            (first, index)
        });
        let end = f64::from((out.content_size.y - out.inner_rect.height()).max(0.0));
        let offset = f64::from(out.state.clamped_offset().y);
        let at_end = offset >= end - AT_END_PT;
        heights.offset = offset;
        if moved_above.abs() > 0.01 && !at_end {
            // Rows above were not as high as estimated: what is read stays where it is.
            heights.pending = Some(offset + moved_above);
            ui.ctx().request_repaint();
        }
        Shown { first: out.inner.0, last: out.inner.1, at_end }
    }
}

fn wanted(heights: &mut Heights, target: Option<Target>, view: f64) -> Option<f64> {
    let pending = heights.pending.take();
    match target {
        Some(Target::End) => Some(heights.total()),
        Some(Target::Row(index, share)) => {
            let height = f64::from(heights.of(index));
            Some(heights.above(index) - (view - height).max(0.0) * share)
        }
        Some(Target::Offset(y)) => Some(y),
        None => pending,
    }
}
