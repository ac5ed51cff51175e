//! Snapshots of what the window looks like, compared with pictures that were
//! looked at. Where everything stands is told more exactly by the snapshots of
//! the layout; these see colours, icons, shapes, and what lies on top of what.
//! After a change that is meant:
//! `UPDATE_SNAPSHOTS=1 cargo test -p secure-chat --lib picture`, and look at them.

mod raster;

use std::path::PathBuf;

use chrono::{Local, TimeZone as _};
use egui::{Theme, Ui};
use egui_kittest::Harness;
use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};

use crate::app::Window;
use crate::app_tests::window;
use crate::ask::{Answer, account};
use crate::state::{Overlay, Reaction};
use crate::text::Clock;
use crate::theme;
use raster::Textures;

/// Pictures are compared in squares of so many pixels a side, by the mean colour of each.
const SQUARE_PX: u32 = 8;
/// The mean colour of a square may differ by so much, of 255: fonts are
/// smoothed a little otherwise on another processor; an icon that is missing,
/// or another colour, differs by more.
const DIFFERENCE_MAX: f32 = 9.0;

/// Half past two, wherever it is read.
fn clock() -> Clock {
    let at = Local.with_ymd_and_hms(2026, 1, 31, 14, 30, 0).unwrap();
    Clock { now_ms: u64::try_from(at.timestamp_millis()).unwrap() }
}

fn picture(size: [u32; 2], window: Window, dark: bool) -> RgbImage {
    let textures = Textures::default();
    let mut harness = Harness::builder()
        .with_size(size.map(|side| side as f32))
        .with_max_steps(12)
        .with_theme(if dark { Theme::Dark } else { Theme::Light })
        .with_context_setup(theme::install)
        .renderer(textures.clone())
        .build_ui_state(|ui: &mut Ui, window: &mut Window| window.show(ui, clock(), true, &mut Vec::new()), window);
    harness.run_steps(6);
    let output = harness.output();
    let primitives = harness.ctx.tessellate(output.shapes.clone(), output.pixels_per_point);
    textures.paint(&primitives, size)
}

/// The mean colour of each square.
fn squares(picture: &RgbImage) -> Vec<((u32, u32), [f32; 3])> {
    let (across, down) = (picture.width() / SQUARE_PX, picture.height() / SQUARE_PX);
    let mean = |column: u32, row: u32| {
        let mut sum = [0.0; 3];
        for (x, y) in (0..SQUARE_PX * SQUARE_PX).map(|i| (i % SQUARE_PX, i / SQUARE_PX)) {
            let pixel = picture.get_pixel(column * SQUARE_PX + x, row * SQUARE_PX + y).0;
            sum.iter_mut().zip(pixel).for_each(|(sum, part)| *sum += f32::from(part));
        }
        sum.map(|sum| sum / (SQUARE_PX * SQUARE_PX) as f32)
    };
    (0..down).flat_map(|row| (0..across).map(move |column| ((column, row), mean(column, row)))).collect()
}

#[track_caller]
fn compare(name: &str, now: &RgbImage) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(format!("{name}.png"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        let small = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
        return now.write_with_encoder(small).unwrap();
    }
    let before = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).to_rgb8();
    let differs = |before: &[f32; 3], now: &[f32; 3]| {
        before.iter().zip(now).any(|(before, now)| (before - now).abs() > DIFFERENCE_MAX)
    };
    let changed: Vec<_> = squares(&before)
        .into_iter()
        .zip(squares(now))
        .filter(|((_, before), (_, now))| differs(before, now))
        .map(|((place, _), _)| place)
        .collect();
    if before.dimensions() != now.dimensions() || !changed.is_empty() {
        let shown = std::env::temp_dir().join(format!("secure-chat-{name}.png"));
        now.save(&shown).unwrap();
        panic!("{name} looks different, see {}: squares of {SQUARE_PX} px at {changed:?}", shown.display());
    }
}

/// Two people in a conversation, with what a bubble can carry.
fn talking() -> Window {
    let said = [
        (false, "Hi Alice! Did the train leave on time?"),
        (true, "It did. Platform 3, at twenty to ten."),
        (false, "Perfect. The notes are at https://example.org/notes"),
        (true, "👍"),
    ];
    let rows = said.into_iter().enumerate().map(|(i, (mine, text))| {
        let mut row = crate::state::tests::row(&format!("m{i}"), clock().now_ms - 60_000 * (8 - i as u64), mine);
        row.text = text.to_owned();
        row.state = secure_chat_node::api::MessageState::Delivered;
        if i == 1 {
            row.reactions = vec![Reaction { emoji: "🎉".into(), count: 1, mine: false }];
        }
        row.reply_to = (i == 2).then(|| "m1".to_owned());
        row
    });
    window(rows.collect())
}

#[test]
fn a_conversation_looks_as_it_was_looked_at() {
    compare("conversation", &picture([1000, 640], talking(), true));
}

#[test]
fn a_changed_key_looks_like_a_warning_in_the_smallest_window() {
    let mut window = talking();
    window.state.people.key_changed("bob", "9999 8888 7777 6666");
    compare("key-changed", &picture([720, 480], window, true));
}

#[test]
fn a_dialog_looks_as_it_was_looked_at_in_the_light_theme() {
    let mut window = talking();
    window.state.overlay = Some(Overlay::Shortcuts);
    compare("shortcuts-light", &picture([1000, 640], window, false));
}

#[test]
fn the_welcome_looks_as_it_was_looked_at() {
    let mut window = Window::default();
    let mut asks = Vec::new();
    window.state.started(&mut asks);
    let none = Answer::Account(account::Answer::List(Ok(Vec::new())));
    window.state.answer(none, clock(), &mut asks);
    compare("welcome", &picture([1000, 640], window, true));
}
