//! What a frame of the window costs while a conversation of 100,000 messages
//! is scrolled, and whether anything jumps. Run: `cargo bench -p secure-chat --bench scrolling`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use egui::{Context, RawInput, Rect, Vec2};
use secure_chat_window::{measure::Conversation, theme};

/// Messages in the conversation.
const MESSAGES: usize = 100_000;
/// Frames measured of each kind.
const FRAMES: usize = 600;
/// The window's own code in a scrolling frame, in milliseconds.
const FRAME_MS: f64 = 1.0;
/// The same while 1,000 messages a second come in, at 30 frames a second, in milliseconds.
const FLOOD_MS: f64 = 1_000.0 / 30.0;
/// What the eye takes for a jump, in points.
const JUMP_PT: f64 = 1.0;
/// The window with 100,000 messages in memory, in MB.
const MEMORY_MB: f64 = 200.0;
/// The window, in points.
const SIZE: Vec2 = Vec2::new(1280.0, 800.0);

struct Window {
    ctx: Context,
    conversation: Conversation,
    frames: u32,
}

impl Window {
    /// One frame: the time of the window's own code, and of turning shapes into triangles.
    fn frame(&mut self, events: Vec<egui::Event>) -> (Duration, Duration) {
        self.frames += 1;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(egui::Pos2::ZERO, SIZE)),
            time: Some(f64::from(self.frames) / 60.0),
            focused: true,
            events,
            ..RawInput::default()
        };
        let mut ui_time = Duration::ZERO;
        let conversation = &mut self.conversation;
        let mut output = self.ctx.run_ui(input, |ui| {
            let start = Instant::now();
            conversation.ui(ui);
            ui_time += start.elapsed();
        });
        // There is no graphics card that would take them.
        output.textures_delta.clear();
        let start = Instant::now();
        black_box(self.ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point));
        (ui_time, start.elapsed())
    }
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

/// Of a limit, the 95th percentile counts: a single slow frame is the machine's.
fn figures(name: &str, mut times: Vec<Duration>, limit_ms: Option<f64>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let verdict =
        limit_ms.map_or_else(String::new, |limit| format!("   limit {limit} ms at p95: {}", met(at(0.95) < limit)));
    println!("{name:<46} median {:>7.3} ms   p95 {:>7.3} ms   max {:>7.3} ms{verdict}", at(0.5), at(0.95), at(1.0));
}

fn main() {
    // `cargo test --benches` runs this, too, and wants no measurement.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let start = Instant::now();
    let conversation = Conversation::new(MESSAGES);
    println!("{MESSAGES} messages made and put into the conversation in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let ctx = Context::default();
    theme::install(&ctx);
    let mut window = Window { ctx, conversation, frames: 0 };
    let start = Instant::now();
    for _ in 0..8 {
        window.frame(Vec::new());
    }
    println!("first 8 frames, fonts included: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);

    let mut ui = Vec::new();
    let mut triangles = Vec::new();
    let top = window.conversation.height() * 0.37;
    for frame in 0..FRAMES {
        window.conversation.scroll_to(top + frame as f64 * 137.0);
        let (own, tessellation) = window.frame(Vec::new());
        ui.push(own);
        triangles.push(tessellation);
    }
    figures("ui() of a scrolling frame", ui, Some(FRAME_MS));
    figures("triangles of a scrolling frame", triangles, None);
    jumps(&mut window);

    let mut flood = Vec::new();
    for frame in 0..FRAMES {
        // 1,000 messages a second at 30 frames a second.
        for message in 0..33 {
            window.conversation.receive(MESSAGES + frame * 33 + message);
        }
        flood.push(window.frame(Vec::new()).0);
    }
    figures("ui() with 33 messages coming in a frame", flood, Some(FLOOD_MS));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (field, name) in [("VmRSS:", "memory"), ("VmHWM:", "memory at most")] {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
        let kib: Option<f64> = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok());
        let held = kib.map_or(f64::NAN, |kib| kib * 1024.0 / 1e6);
        println!("{name:<46} {held:.0} MB   limit {MEMORY_MB} MB: {}", met(held < MEMORY_MB));
    }
}

/// Scrolls upwards with the wheel through rows that were never measured: what
/// is read must move by what the wheel moved, and by nothing else.
fn jumps(window: &mut Window) {
    window.conversation.jump_to(MESSAGES / 2);
    for _ in 0..12 {
        window.frame(Vec::new());
    }
    let pointer = egui::Event::PointerMoved(egui::pos2(800.0, 400.0));
    window.frame(vec![pointer]);
    let mut worst = 0.0_f64;
    let mut watched = MESSAGES / 2;
    for _ in 0..FRAMES {
        let wheel = egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: Vec2::new(0.0, 60.0),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Wheel,
            modifiers: egui::Modifiers::NONE,
        };
        let before = window.conversation.place_of(watched);
        window.frame(vec![wheel]);
        let after = window.conversation.place_of(watched);
        if let (Some(before), Some(after)) = (before, after) {
            // A wheel moves downwards what is read, at most by what it was turned,
            // a smooth one spread over frames.
            let moved = after - before;
            worst = worst.max(-moved).max(moved - 4.0 * 60.0);
            if after > 500.0 {
                watched -= 1;
            }
        }
    }
    let verdict = met(worst < JUMP_PT);
    println!("{:<46} {worst:.2} pt   limit {JUMP_PT} pt: {verdict}", "largest move that the wheel did not make");
}
