//! The plot of the security tab: how much happened on each day.

use chrono::TimeZone as _;
use egui::{Color32, Rect, RichText, Sense, Stroke, Ui, vec2};
use egui_plot::{Bar, BarChart, GridInput, GridMark, Plot};

use super::Cx;
use crate::ask::activity::{Activity, DAYS};
use crate::strings::tr;
use crate::theme::{Palette, SMALL_PT};
use crate::widgets::title;

/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// What happened on each of the last days.
pub(super) fn activity(ui: &mut Ui, activity: Option<&Activity>, cx: &Cx) {
    ui.set_min_width(ui.available_width());
    let nothing = Activity::default();
    let activity = activity.unwrap_or(&nothing);
    title(ui, tr().activity, if activity.cut { tr().activity_cut } else { tr().activity_text });
    let p = Palette::of(ui);
    let days = &activity.days;
    let bars = |index: usize, color: Color32| -> Vec<Bar> {
        let bar = |(ago, day): (usize, &[u32; 2])| {
            let beneath = if index == 1 { f64::from(day[0]) } else { 0.0 };
            let bar = Bar::new(-(ago as f64), f64::from(day[index])).base_offset(beneath).width(0.62);
            bar.fill(color).stroke(Stroke::NONE)
        };
        days.iter().enumerate().map(bar).collect()
    };
    ui.horizontal(|ui| {
        for (color, name, notable) in [(p.accent, tr().activity_usual, false), (p.warn, tr().activity_notable, true)] {
            let name = format!("{name}: {}", activity.total(notable));
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), Sense::hover());
            ui.painter().rect_filled(Rect::from_center_size(rect.center(), vec2(11.0, 11.0)), 3.0, color);
            ui.label(RichText::new(name).size(SMALL_PT).color(p.muted));
        }
    });
    let now_ms = cx.clock.now_ms;
    let every_third =
        |_: GridInput| (0..DAYS).step_by(3).map(|ago| GridMark { value: -(ago as f64), step_size: 3.0 }).collect();
    let highest = days.iter().map(|day| day.iter().sum::<u32>()).max().unwrap_or_default().max(4);
    let step = step_below(highest);
    let lines = move |_: GridInput| {
        let line = |i: u32| GridMark { value: f64::from(i * step), step_size: f64::from(step) };
        (0..=highest / step + 1).map(line).collect()
    };
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
        .include_y(f64::from(highest))
        .include_x(-(DAYS as f64))
        .include_x(1.0)
        .x_grid_spacer(every_third)
        .y_grid_spacer(lines)
        .x_axis_formatter(move |mark, _| day_name(now_ms, mark.value))
        .show(ui, |plot| {
            plot.bar_chart(BarChart::new(tr().activity_usual, bars(0, p.accent)).color(p.accent));
            plot.bar_chart(BarChart::new(tr().activity_notable, bars(1, p.warn)).color(p.warn));
        });
}

/// The distance of the lines behind the bars, so that there are no more than five of them.
fn step_below(highest: u32) -> u32 {
    const LINES_MAX: u32 = 5;
    let mut step = 1_u32;
    loop {
        for times in [1, 2, 5] {
            let step = step.saturating_mul(times);
            if highest / step <= LINES_MAX {
                return step;
            }
        }
        step = step.saturating_mul(10);
    }
}

fn day_name(now_ms: u64, offset: f64) -> String {
    if offset > 0.5 || offset < -(DAYS as f64) || offset.fract().abs() > 0.01 {
        return String::new();
    }
    let at = i64::try_from(now_ms).unwrap_or_default() + (offset * DAY_MS as f64) as i64;
    chrono::Local.timestamp_millis_opt(at).single().map_or_else(String::new, |at| at.format("%-d %b").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_a_few_lines_however_high_it_is() {
        for (highest, step) in [(4, 1), (9, 2), (29, 5), (60, 20), (1_000, 200)] {
            assert_eq!(step_below(highest), step, "{highest}");
        }
        assert!(u32::MAX / step_below(u32::MAX) <= 5);
    }
}
