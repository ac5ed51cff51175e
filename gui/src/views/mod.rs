//! What is on the screen. A view is a small struct with what only it needs to
//! remember (a text half typed, a place scrolled to); it reads the state and
//! *says* what the person wants, and never acts itself.

mod care;
mod chat;
mod dialogs;
mod files;
mod finder;
mod group_dialogs;
mod group_members;
mod groups;
mod network;
mod onboarding;
mod paths;
mod profile;
mod rail;
mod requests;
mod security;
mod security_activity;
mod security_people;
mod settings;
mod share;
mod shortcuts;
mod welcome;

use egui::{CentralPanel, Frame, Margin, Panel, RichText, ScrollArea, Ui};

use crate::state::{Intent, Session, State, Tab};
use crate::text::Clock;
use crate::theme::{Palette, RAIL_PT};

pub(crate) use shortcuts::keys;

/// What a view is told beside the state, and where it says what the person wants.
pub(crate) struct Cx {
    pub(crate) clock: Clock,
    /// The conversation that is open.
    pub(crate) conversation: Option<String>,
    /// The composer is to take the keyboard.
    pub(crate) focus_composer: bool,
    /// The search of the list or page is to take the keyboard.
    pub(crate) focus_search: bool,
    pub(crate) intents: Vec<Intent>,
}

impl Cx {
    /// The person wants this.
    pub(crate) fn say(&mut self, intent: impl Into<Intent>) {
        self.intents.push(intent.into());
    }
}

/// All views.
#[derive(Default)]
pub(crate) struct Views {
    welcome: welcome::Welcome,
    onboarding: onboarding::Onboarding,
    pub(crate) chat: chat::ChatTab,
    network: network::NetworkTab,
    profile: profile::ProfileTab,
    security: security::SecurityTab,
    dialogs: dialogs::Dialogs,
}

impl Views {
    /// Shows the whole window.
    pub(crate) fn ui(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        match &state.session {
            Session::Starting | Session::Broken(_) | Session::Closed(_) => self.welcome.ui(ui, &state.session, cx),
            Session::Open(opened) if opened.onboarding.is_some() => self.onboarding.ui(ui, state, cx),
            Session::Open(_) => self.inside(ui, state, cx),
        }
        self.dialogs.ui(ui, state, cx);
    }

    fn inside(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        let p = Palette::of(ui);
        let frame = Frame::new().fill(p.rail).inner_margin(Margin::symmetric(8, 12));
        Panel::left("rail").exact_size(RAIL_PT).resizable(false).show_separator_line(false).frame(frame).show(
            ui,
            |ui| {
                rail::rail(ui, state, cx);
            },
        );
        match state.tab {
            Tab::Chat => self.chat.ui(ui, state, cx),
            Tab::Groups => groups::groups(ui, state, &mut self.chat, cx),
            Tab::Files => page(ui, "files page", |ui| files::files(ui, state, cx)),
            Tab::Security => page(ui, "security", |ui| self.security.ui(ui, state, cx)),
            Tab::Network => page(ui, "network", |ui| self.network.ui(ui, state, cx)),
            Tab::Profile => page(ui, "profile", |ui| self.profile.ui(ui, state, cx)),
        }
    }
}

/// The list beside conversations: of people, or of groups.
fn side_panel(ui: &Ui) -> Panel {
    /// A window with less room has a narrower list, in points.
    const NARROW_BELOW_PT: f32 = 860.0;
    let room = ui.available_width();
    // Each remembers its own width: what was narrow in a small window is not so in a large one.
    let (id, width) = if room < NARROW_BELOW_PT { ("narrow list", 236.0) } else { ("list", 290.0) };
    let widest = (room * 0.4).clamp(236.0, 420.0);
    let frame = Frame::new().fill(Palette::of(ui).side);
    let frame = frame.inner_margin(Margin { left: 10, right: 10, top: 12, bottom: 0 });
    Panel::left(id).default_size(width).size_range(220.0..=widest).frame(frame)
}

/// A page that scrolls as a whole.
fn page(ui: &mut Ui, id: &str, content: impl FnOnce(&mut Ui)) {
    /// Lines longer than this are hard to read.
    const WIDEST_PT: f32 = 960.0;
    /// The least room beside the page, in points.
    const BESIDE_PT: f32 = 24.0;
    let frame = Frame::new().fill(Palette::of(ui).chat);
    CentralPanel::default().frame(frame).show(ui, |ui| {
        ScrollArea::vertical().id_salt(id).auto_shrink(false).show(ui, |ui| {
            let width = WIDEST_PT.min(ui.available_width() - 2.0 * BESIDE_PT);
            let beside = (ui.available_width() - width) / 2.0;
            ui.add_space(22.0);
            ui.horizontal_top(|ui| {
                ui.add_space(beside);
                ui.vertical(|ui| {
                    ui.set_width(width);
                    content(ui);
                    ui.add_space(22.0);
                });
            });
        });
    });
}

/// The heading of a page and the sentence below it.
fn page_heading(ui: &mut Ui, title: &str, text: &str) {
    ui.spacing_mut().item_spacing.y = 4.0;
    ui.label(RichText::new(title).heading());
    crate::widgets::muted(ui, text);
    ui.add_space(10.0);
    ui.spacing_mut().item_spacing.y = 8.0;
}
