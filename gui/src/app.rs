//! The window: what comes in is put into the state, the views are shown, and
//! what the person wants is done. Nothing here waits.

use std::time::{Duration, Instant};

use egui::{Context, ThemePreference, Ui, ViewportCommand, vec2};

use secure_chat_node::api::At;
use secure_chat_protocol::id::Timestamp;

use crate::ask::{Ask, desktop};
use crate::bridge::{Bridge, Incoming};
use crate::state::{Effect, Intent, Key, Look, Recipient, State, Tab};
use crate::strings::tr;
use crate::text::{self, Clock};
use crate::theme::Palette;
use crate::views::{Cx, Views, keys};
use crate::widgets::toasts;

/// Events and answers put into the state in one frame: a flood must not stop the window.
const INCOMING_A_FRAME: usize = 4_000;
/// The size of the window is remembered when it has not changed for this time.
const SIZE_SETTLES: Duration = Duration::from_secs(2);

/// The window and the bridge to its node.
pub struct App {
    bridge: Bridge,
    window: Window,
}

impl App {
    /// A window over this bridge.
    #[must_use]
    pub fn new(bridge: Bridge) -> Self {
        Self { bridge, window: Window::default() }
    }

    /// Shows one frame.
    pub fn frame(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        // `gui/scripts/figures` counts them.
        tracing::debug!("frame");
        let clock = Clock::system();
        let focused = ctx.input(|input| input.viewport().focused.unwrap_or(input.focused));
        let mut asks = self.take_in(&ctx, clock);
        self.window.show(ui, clock, focused, &mut asks);
        self.tell_attention(focused);
        self.ask(asks);
    }

    fn ask(&mut self, asks: Vec<Ask>) {
        for ask in asks {
            if !self.bridge.ask(ask) {
                tracing::warn!("the node takes no more questions");
            }
        }
    }

    /// Puts what came in into the state.
    fn take_in(&mut self, ctx: &Context, clock: Clock) -> Vec<Ask> {
        self.bridge.paints();
        let mut asks = Vec::new();
        for _ in 0..INCOMING_A_FRAME {
            let Some(incoming) = self.bridge.next() else { return asks };
            self.window.take(incoming, ctx, clock, &mut asks);
        }
        ctx.request_repaint();
        asks
    }

    /// What the desktop notifications have to know.
    fn tell_attention(&self, focused: bool) {
        let attention = self.bridge.attention();
        attention.set_focused(focused);
        attention.set_detail(self.window.state.preferences.notifications());
        let State { people, groups, .. } = &self.window.state;
        let people = people.contacts().iter().filter_map(|contact| Some((&contact.username, contact.muted_until?)));
        let groups = groups.list.iter().filter_map(|group| Some((&group.group_id, group.muted_until?)));
        attention.set_muted(people.chain(groups).map(|(conversation, until)| (conversation.clone(), until.0.0)));
    }

    /// How many messages of the open conversation are loaded, for measurements.
    #[must_use]
    pub fn loaded_messages(&self) -> usize {
        self.window.state.chat.timeline.as_ref().map_or(0, |timeline| timeline.rows().len())
    }

    /// Stops the node: everything that was written is on disk when it returns.
    pub fn stop(&mut self) {
        let (now_ms, mut asks) = (Clock::system().now_ms, Vec::new());
        self.window.state.mark_seen(now_ms, &mut asks);
        self.window.state.chat.save_draft(now_ms, true, &mut asks);
        self.bridge.finish(asks);
    }
}

/// Files that were dropped onto the window, or pasted into it, are about to be
/// shared with whom one is talking.
fn given(ctx: &Context, state: &State, cx: &mut Cx) {
    let ready = state.opened().is_some_and(|opened| opened.onboarding.is_none());
    if !ready || !Tab::Files.is_here() {
        return;
    }
    let dropped = ctx.input(|input| {
        input.raw.dropped_files.iter().map(|file| file.path().display().to_string()).collect::<Vec<_>>()
    });
    if !dropped.is_empty() {
        cx.say(Intent::ShareSeveral(dropped));
    }
    // Into a dialog, text is pasted and nothing else; and a picture needs somebody to get it.
    if state.overlay.is_some() || state.recipient() == Recipient::Nobody {
        return;
    }
    ctx.input_mut(|input| {
        input.events.retain(|event| match event {
            egui::Event::Paste(text) => {
                let paths = text::pasted_files(text);
                if paths.is_empty() {
                    return true;
                }
                cx.say(Intent::ShareSeveral(paths));
                false
            }
            egui::Event::PasteImage(picture) => {
                cx.say(keep_picture(picture, cx.clock));
                false
            }
            _ => true,
        });
    });
}

fn keep_picture(picture: &egui::ColorImage, clock: Clock) -> desktop::Ask {
    let [width, height] = picture.size.map(|side| u32::try_from(side).unwrap_or_default());
    let rgba = picture.pixels.iter().flat_map(|pixel| pixel.to_srgba_unmultiplied()).collect();
    let at = At(Timestamp(clock.now_ms));
    let name = (tr().pasted_picture)(&text::date_time(at).replace(':', "."));
    desktop::Ask::KeepPicture { width, height, rgba, name }
}

/// What is shown, and how: the window without a node.
#[derive(Default)]
pub(crate) struct Window {
    pub(crate) state: State,
    pub(crate) views: Views,
    focus_composer: bool,
    /// The size of the window when it was last looked at, and since when it is so.
    size: Option<([f32; 2], Instant)>,
}

impl Window {
    /// Puts what came in into the state.
    fn take(&mut self, incoming: Incoming, ctx: &Context, clock: Clock, asks: &mut Vec<Ask>) {
        let open = self.state.opened().is_some();
        match incoming {
            Incoming::Started => self.state.started(asks),
            Incoming::Failed(sentence) => self.state.failed(sentence),
            Incoming::Event(event) => self.state.event(event.event, clock, asks),
            Incoming::Answer(answer) => self.state.answer(answer, clock, asks),
        }
        match (open, self.state.opened().is_some()) {
            (true, false) => self.forget(ctx),
            // The fields of the welcome hold a password.
            (false, true) => self.views = Views::default(),
            _ => {}
        }
    }

    /// Shows one frame and does what the person wants; `asks` is for the node.
    pub(crate) fn show(&mut self, ui: &mut Ui, clock: Clock, focused: bool, asks: &mut Vec<Ask>) {
        let ctx = ui.ctx().clone();
        if ctx.input(|input| input.events.iter().any(is_of_a_person)) {
            self.state.acted(clock);
        }
        let mut cx = Cx {
            clock,
            conversation: self.state.chat.conversation().map(str::to_owned),
            focus_composer: std::mem::take(&mut self.focus_composer),
            focus_search: false,
            intents: Vec::new(),
        };
        keys(&ctx, &self.state, &mut cx);
        given(&ctx, &self.state, &mut cx);
        self.views.ui(ui, &mut self.state, &mut cx);
        if let Some(serial) = toasts(&ctx, &mut self.state.notices, clock.now_ms) {
            self.state.notices.dismiss(serial);
        }
        self.focus_composer |= cx.focus_composer;
        for intent in cx.intents {
            if let Some(effect) = self.state.intend(intent, clock, asks) {
                self.apply(effect, &ctx);
            }
            ctx.request_repaint();
        }
        self.follow_preferences(&ctx);
        self.remember_size(&ctx, asks);
        if let Some(ms) = self.state.tick(clock, focused, asks) {
            ctx.request_repaint_after(Duration::from_millis(ms.max(1)));
        }
    }

    fn apply(&mut self, effect: Effect, ctx: &Context) {
        match effect {
            Effect::Copy(text) => ctx.copy_text(text),
            Effect::OpenLink(address) => ctx.open_url(egui::OpenUrl::new_tab(address)),
            Effect::FocusComposer => self.focus_composer = true,
            Effect::Forget => self.forget(ctx),
        }
    }

    /// Nothing of the account stays in the window's memory: no half-typed
    /// text, no undo history, no picture.
    fn forget(&mut self, ctx: &Context) {
        self.views = Views::default();
        ctx.data_mut(|data| data.clear());
        ctx.memory_mut(|memory| {
            memory.reset_areas();
            memory.stop_text_input();
        });
        ctx.clear_animations();
        ctx.request_repaint();
    }

    /// Theme, scale and motion as the person wants them.
    fn follow_preferences(&mut self, ctx: &Context) {
        if !std::mem::take(&mut self.state.preferences_changed) {
            return;
        }
        let preferences = &self.state.preferences;
        ctx.set_theme(match preferences.look() {
            Look::Dark => ThemePreference::Dark,
            Look::Light => ThemePreference::Light,
            Look::System => ThemePreference::System,
        });
        ctx.set_zoom_factor(preferences.scale());
        let animation_time = if preferences.reduced_motion() { 0.0 } else { 0.12 };
        ctx.all_styles_mut(|style| style.animation_time = animation_time);
        // Once for each time an account is opened: afterwards the person's hand decides.
        if let Some([width, height]) = preferences.size().filter(|_| self.size.is_none()) {
            self.size = Some(([width, height], Instant::now()));
            ctx.send_viewport_cmd(ViewportCommand::InnerSize(vec2(width, height)));
        }
        ctx.request_repaint();
    }

    /// The size of the window is kept in the vault, once it has settled.
    fn remember_size(&mut self, ctx: &Context, asks: &mut Vec<Ask>) {
        if self.state.opened().is_none() {
            self.size = None;
            return;
        }
        let now = ctx.content_rect().size().round();
        let now = [now.x, now.y];
        if self.state.preferences.size() == Some(now) {
            return;
        }
        match self.size {
            Some((size, since)) if size == now => {
                if since.elapsed() < SIZE_SETTLES {
                    ctx.request_repaint_after(SIZE_SETTLES);
                    return;
                }
                self.state.set(Key::Size, serde_json::json!(now), asks);
            }
            _ => {
                self.size = Some((now, Instant::now()));
                ctx.request_repaint_after(SIZE_SETTLES);
            }
        }
    }
}

/// Whether somebody is there who did this.
fn is_of_a_person(event: &egui::Event) -> bool {
    use egui::Event;
    matches!(
        event,
        Event::Key { .. }
            | Event::Text(_)
            | Event::PointerMoved(_)
            | Event::PointerButton { .. }
            | Event::MouseWheel { .. }
            | Event::Touch { .. }
            | Event::AccessKitActionRequest(_)
            | Event::Paste(_)
            | Event::Ime(_)
    )
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.frame(ui);
    }

    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        // While the window is hidden nothing is painted, but what comes in is
        // taken in, or the channel from the node would fill up.
        if ctx.input(|input| input.viewport().minimized.unwrap_or(false) || input.viewport().occluded.unwrap_or(false))
        {
            let asks = self.take_in(ctx, Clock::system());
            self.tell_attention(false);
            self.ask(asks);
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.stop();
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        Palette::for_dark_mode(visuals.dark_mode).chat.to_normalized_gamma_f32()
    }
}
