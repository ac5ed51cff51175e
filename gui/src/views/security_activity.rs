//! The plot of the security tab: how much happened on each day.

use chrono::TimeZone as _;
use egui::{Color32, Rect, RichText, Sense, Stroke, Ui, vec2};
use egui_plot::{Bar, BarChart, GridInput, GridMark, Plot};

use super::Cx;
use crate::ask::security::Entry;
use crate::strings::tr;
use crate::theme::{Palette, SMALL_PT};
use crate::widgets::title;

/// Days in the plot.
const DAYS: usize = 14;
/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// What happened on each of the last days, as far as the log is loaded.
pub(super) fn activity(ui: &mut Ui, entries: &[Entry], cx: &Cx) {
    ui.set_min_width(ui.available_width());
    title(ui, tr().activity, tr().activity_text);
    let p = Palette::of(ui);
    let mut days = [[0_u32; 2]; DAYS];
    let today = cx.clock.now_ms / DAY_MS;
    for entry in entries {
        let ago = usize::try_from(today.saturating_sub(entry.at.0.0 / DAY_MS)).unwrap_or(usize::MAX);
        if let Some(day) = days.get_mut(ago) {
            day[usize::from(entry.severity != "info")] += 1;
        }
    }
    let bars = |index: usize, color: Color32| -> Vec<Bar> {
        let bar = |(ago, day): (usize, &[u32; 2])| {
            let beneath = if index == 1 { f64::from(day[0]) } else { 0.0 };
            let bar = Bar::new(-(ago as f64), f64::from(day[index])).base_offset(beneath).width(0.62);
            bar.fill(color).stroke(Stroke::NONE)
        };
        days.iter().enumerate().map(bar).collect()
    };
    ui.horizontal(|ui| {
        for (color, name) in [(p.accent, tr().activity_usual), (p.warn, tr().activity_notable)] {
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), Sense::hover());
            ui.painter().rect_filled(Rect::from_center_size(rect.center(), vec2(11.0, 11.0)), 3.0, color);
            ui.label(RichText::new(name).size(SMALL_PT).color(p.muted));
        }
    });
    let now_ms = cx.clock.now_ms;
    let every_third =
        |_: GridInput| (0..DAYS).step_by(3).map(|ago| GridMark { value: -(ago as f64), step_size: 3.0 }).collect();
    // Of axes and their lines: they stand behind what they measure.
    ui.visuals_mut().override_text_color = Some(p.muted);
    Plot::new("activity")
        .height(150.0)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .show_background(false)
        .show_grid([false, true])
        .include_y(0.0)
        .include_y(4.0)
        .include_x(-(DAYS as f64))
        .include_x(1.0)
        .x_grid_spacer(every_third)
        .x_axis_formatter(move |mark, _| day_name(now_ms, mark.value))
        .show(ui, |plot| {
            plot.bar_chart(BarChart::new(tr().activity_usual, bars(0, p.accent)).color(p.accent));
            plot.bar_chart(BarChart::new(tr().activity_notable, bars(1, p.warn)).color(p.warn));
        });
}

fn day_name(now_ms: u64, offset: f64) -> String {
    if offset > 0.5 || offset < -(DAYS as f64) || offset.fract().abs() > 0.01 {
        return String::new();
    }
    let at = i64::try_from(now_ms).unwrap_or_default() + (offset * DAY_MS as f64) as i64;
    chrono::Local.timestamp_millis_opt(at).single().map_or_else(String::new, |at| at.format("%-d %b").to_string())
}
