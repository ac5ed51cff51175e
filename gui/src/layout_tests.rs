//! Snapshots of where everything stands: role, place, size and name of every
//! node that a screen reader sees, compared with a file. They need no graphics
//! card, and a difference can be read. After a change that is meant:
//! `UPDATE_SNAPSHOTS=1 cargo test -p secure-chat --lib layout`.

use std::fmt::Write as _;
use std::path::PathBuf;

use egui_kittest::kittest::{NodeT as _, Queryable as _};

use crate::app_tests::{full, harness};
use crate::state::{Intent, Overlay, Tab};
use crate::text::Clock;

/// Names are told to this length.
const NAME_CHARS: usize = 48;

/// What the window shows, one line for each node; digits are left out, since
/// many of them are times.
fn layout(size: [f32; 2], tab: Tab, overlay: Option<Overlay>) -> String {
    let mut window = full();
    window.state.tab = tab;
    if tab == Tab::Groups {
        window.state.intend(Intent::OpenGroup("g".into()), Clock::system(), &mut Vec::new());
    }
    window.state.overlay = overlay;
    let mut harness = harness(size, window);
    harness.run();
    harness.run_steps(4);
    let mut lines = String::new();
    for node in harness.get_all_by(|_| true) {
        let Some(name) = node.accesskit_node().label() else { continue };
        let name: String = name.chars().take(NAME_CHARS).map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
        let rect = node.rect();
        writeln!(
            lines,
            "{:?} at {:.0},{:.0} size {:.0}x{:.0}: {}",
            node.accesskit_node().role(),
            rect.left(),
            rect.top(),
            rect.width(),
            rect.height(),
            name.replace('\n', " ")
        )
        .unwrap();
    }
    lines
}

#[track_caller]
fn compare(name: &str, now: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/layouts").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
        return;
    }
    let before = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is missing", path.display()));
    let changed: Vec<&str> = now.lines().filter(|line| !before.lines().any(|known| known == *line)).collect();
    let gone: Vec<&str> = before.lines().filter(|line| !now.lines().any(|known| known == *line)).collect();
    assert!(changed.is_empty() && gone.is_empty(), "{name}: new {changed:#?}, gone {gone:#?}");
}

#[test]
fn the_layout_of_a_conversation_is_as_it_was_looked_at() {
    compare("chat", &layout([1280.0, 800.0], Tab::Chat, None));
    compare("chat-small", &layout([720.0, 480.0], Tab::Chat, None));
}

#[test]
fn the_layout_of_groups_and_files_is_as_it_was_looked_at() {
    compare("groups", &layout([1280.0, 800.0], Tab::Groups, None));
    compare("files-small", &layout([720.0, 480.0], Tab::Files, None));
}

#[test]
fn the_layout_of_a_dialog_is_as_it_was_looked_at() {
    compare("shortcuts", &layout([1280.0, 800.0], Tab::Chat, Some(Overlay::Shortcuts)));
}

#[test]
fn nothing_stands_outside_of_the_smallest_window_nor_on_top_of_something_else() {
    for tab in Tab::ALL {
        let mut window = full();
        window.state.tab = tab;
        let mut harness = harness([720.0, 480.0], window);
        harness.run();
        harness.run_steps(4);
        let controls: Vec<_> = harness
            .get_all_by(|node| crate::app_tests::is_control(node.role()))
            .map(|node| (node.accesskit_node().label().unwrap_or_default(), node.rect()))
            .collect();
        for (index, (name, rect)) in controls.iter().enumerate() {
            assert!(
                rect.right() <= 721.0 && rect.left() >= -1.0,
                "{tab:?}: {name} reaches out of the window: {rect:?}"
            );
            for (other, theirs) in controls.iter().skip(index + 1) {
                let shared = rect.intersect(*theirs);
                let overlap = shared.width() > 4.0 && shared.height() > 4.0;
                // What is scrolled out of sight is clipped, and lies below what stands fixed.
                let in_view = rect.bottom() <= 480.0 && theirs.bottom() <= 480.0;
                assert!(!(overlap && in_view), "{tab:?}: {name} and {other} overlap: {rect:?} {theirs:?}");
            }
        }
    }
}
