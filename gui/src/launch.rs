//! From a command line to a window, or to the sentence that says why there is none.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};

use egui::ViewportBuilder;

use crate::app::App;
use crate::bridge::Bridge;
use crate::theme;

/// The smallest window, in points.
const SIZE_MIN_PT: [f32; 2] = [720.0, 480.0];
/// The window of the first start, in points.
const SIZE_PT: [f32; 2] = [1180.0, 760.0];

/// What can be done where there is no window.
pub const WITHOUT_WINDOW: &str = "Without a window, `secure-chat-node shell` (or `secure-chat-node rpc`) chats, and \
     `cargo run --release --example simulation` shows many peers.";

/// Why no window was opened.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is nothing to draw on.
    #[error("There is no display: neither WAYLAND_DISPLAY nor DISPLAY names one. {WITHOUT_WINDOW}")]
    NoDisplay,
    /// The display, or a library that it needs, did not work.
    #[error("The window can't be opened: {reason}. {remedy} {WITHOUT_WINDOW}")]
    NoWindow {
        /// What the library said, on one line.
        reason: String,
        /// What to install or to check.
        remedy: &'static str,
    },
    /// The display went away while the window was open.
    #[error("The display was closed, and the window with it. Everything that was written is in the vault.")]
    DisplayClosed,
}

/// Whether there is a display to draw on.
///
/// # Errors
/// [`LaunchError::NoDisplay`].
pub fn find_display() -> Result<(), LaunchError> {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if cfg!(any(target_os = "macos", target_os = "windows")) || named("WAYLAND_DISPLAY") || named("DISPLAY") {
        Ok(())
    } else {
        Err(LaunchError::NoDisplay)
    }
}

/// Opens the window and returns when it was closed and the node has stopped.
/// `connect` is given the window's context when it is there, and starts the node.
///
/// # Errors
/// [`LaunchError`]: a sentence with the remedy.
pub fn open_window(connect: impl FnOnce(egui::Context) -> Bridge + 'static) -> Result<(), LaunchError> {
    let viewport = ViewportBuilder::default()
        .with_title("Secure Chat")
        .with_app_id("secure-chat")
        .with_inner_size(SIZE_PT)
        .with_min_inner_size(SIZE_MIN_PT)
        .with_icon(icon());
    let options = eframe::NativeOptions { viewport, centered: true, ..eframe::NativeOptions::default() };
    let created = Box::new(move |cc: &eframe::CreationContext<'_>| {
        theme::install(&cc.egui_ctx);
        let bridge = connect(cc.egui_ctx.clone());
        Ok(Box::new(App::new(bridge)) as Box<dyn eframe::App>)
    });
    quiet_about_display();
    // Where a display goes away in the middle of a frame, the libraries for it panic.
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| eframe::run_native("secure-chat", options, created)));
    match ran {
        Ok(ran) => ran.map_err(|error| no_window(&error.to_string())),
        Err(_) if DISPLAY_PANICKED.load(Ordering::Relaxed) => Err(LaunchError::DisplayClosed),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Set when a library for the display panicked.
static DISPLAY_PANICKED: AtomicBool = AtomicBool::new(false);

/// A panic of a library for the display is no report of a mistake: a sentence says what happened.
fn quiet_about_display() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match panic.location().filter(|place| is_of_display(place.file())) {
        Some(place) => {
            DISPLAY_PANICKED.store(true, Ordering::Relaxed);
            tracing::debug!(%place, "a library for the display gave up");
        }
        None => before(panic),
    }));
}

/// Whether this source file belongs to a library for displays.
fn is_of_display(file: &str) -> bool {
    let crates = ["winit-", "glutin-", "x11rb-", "smithay-", "wayland-"];
    file.split(['/', '\\']).any(|part| crates.iter().any(|name| part.starts_with(name)))
}

/// The remedy for what a graphics library said.
fn no_window(said: &str) -> LaunchError {
    // Where in a library it was said helps nobody who reads this.
    let is_place = |word: &&str| word.contains(".rs:");
    let words: Vec<&str> = said.split_whitespace().filter(|word| !is_place(word)).collect();
    let reason = words.join(" ").replace("os error at ", "").trim_end_matches('.').to_owned();
    let lower = reason.to_lowercase();
    let remedy = if lower.contains("xkbcommon") {
        "Install the package libxkbcommon-x11-0 (X11) or libxkbcommon0 (Wayland)."
    } else if lower.contains("wayland") {
        "Install the packages libwayland-client0, libwayland-egl1, libegl1 and libxkbcommon0, or unset WAYLAND_DISPLAY."
    } else if lower.contains("opengl") || lower.contains("glutin") || lower.contains("egl") || lower.contains("glx") {
        "Install the packages libgl1 and libegl1, with a driver such as libgl1-mesa-dri."
    } else {
        "Check that DISPLAY names a running display, and install the packages libx11-6, libx11-xcb1, libxcursor1, \
         libxi6, libxkbcommon-x11-0 and libgl1."
    };
    LaunchError::NoWindow { reason, remedy }
}

/// The program's picture: a shield, drawn once.
fn icon() -> egui::IconData {
    const SIDE: u32 = 64;
    let mut rgba = Vec::with_capacity((SIDE * SIDE * 4) as usize);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (x, y) = (x as f32 / 32.0 - 1.0, y as f32 / 32.0 - 1.0);
            // A square with round corners, and a shield in it.
            let corner = (x.abs() - 0.55).max(0.0).hypot((y.abs() - 0.55).max(0.0));
            let width = if y < 0.0 { 0.46 } else { 0.46 * (1.0 - (y / 0.62).powi(2)).max(0.0).sqrt() };
            let shield = x.abs() < width && y > -0.52 && y < 0.62;
            let pixel = if corner > 0.4 {
                [0, 0, 0, 0]
            } else if shield {
                [0xFF, 0xFF, 0xFF, 0xFF]
            } else {
                [0x27, 0x59, 0xC4, 0xFF]
            };
            rgba.extend(pixel);
        }
    }
    egui::IconData { rgba, width: SIDE, height: SIDE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_panics_of_libraries_for_the_display_are_kept_quiet() {
        let registry = "/home/a/.cargo/registry/src/index.crates.io-1/";
        assert!(is_of_display(&format!("{registry}winit-0.30.13/src/platform_impl/linux/x11/window.rs")));
        for file in ["gui/src/state/mod.rs".to_owned(), format!("{registry}egui-0.37.0/src/context.rs")] {
            assert!(!is_of_display(&file), "{file}");
        }
    }

    #[test]
    fn a_missing_library_comes_with_its_package() {
        let error = no_window(
            "winit EventLoopError: XNotSupported(LibraryOpenError { kind: Library, detail: \"opening library failed (libxkbcommon-x11.so.0)\" })",
        );
        assert!(error.to_string().contains("libxkbcommon-x11-0"));
        let error = no_window("Found no glutin configs matching the template");
        assert!(error.to_string().contains("libgl1"));
        assert_eq!(error.to_string().lines().count(), 1);
        let error = no_window("winit EventLoopError: os error at /home/x/winit/mod.rs:788: Failed to open connection");
        assert!(!error.to_string().contains("mod.rs"));
    }
}
