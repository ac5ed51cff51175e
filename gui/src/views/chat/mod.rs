//! The chat tab: the list of people on the left, a conversation or a request beside it.

mod attachment;
mod composer;
mod conversation;
mod group_header;
mod header;
mod list;
mod mention;
mod message;
mod message_menu;
mod message_text;
mod message_trouble;
mod pictures;
mod search_bar;

use egui::{CentralPanel, Frame, Ui};
use lucide_icons::Icon;

use super::{Cx, requests, side_panel};
use crate::state::{Intent, Overlay, Selection, State};
use crate::strings::tr;
use crate::theme::Palette;
use crate::widgets::{PushButton, empty_state};

/// What the tab remembers beside the state.
#[derive(Default)]
pub(crate) struct ChatTab {
    list: list::PeopleList,
    conversation: conversation::Conversation,
}

impl ChatTab {
    /// Shows the tab.
    pub(crate) fn ui(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        let p = Palette::of(ui);
        side_panel(ui).show(ui, |ui| self.list.ui(ui, state, cx));
        CentralPanel::default().frame(Frame::new().fill(p.chat)).show(ui, |ui| match state.chat.selection.clone() {
            Selection::Conversation(name) => self.conversation.ui(ui, &name, state, cx),
            Selection::Request(id) => requests::page(ui, &id, state, cx),
            Selection::None | Selection::Group(_) => nothing_selected(ui, state, cx),
        });
    }

    /// Shows one conversation: of a group, by its id.
    pub(crate) fn conversation(&mut self, ui: &mut Ui, name: &str, state: &mut State, cx: &mut Cx) {
        self.conversation.ui(ui, name, state, cx);
    }

    /// Where the conversation is to be moved, for measurements.
    pub(crate) fn scroll_by_hand(&mut self, offset: f64) {
        self.conversation.by_hand = Some(offset);
    }
}

fn nothing_selected(ui: &mut Ui, state: &State, cx: &mut Cx) {
    if !state.people.loaded {
        return;
    }
    if state.people.contacts().is_empty() {
        empty_state(ui, Icon::MessageCircle, tr().no_contacts_title, tr().no_contacts_text, |ui| {
            if ui.add(PushButton::new(tr().share_invite).primary().icon(Icon::Share2).wide()).clicked() {
                cx.say(Intent::Go(crate::state::Tab::Profile));
            }
            if ui.add(PushButton::new(tr().new_chat).icon(Icon::UserPlus).wide()).clicked() {
                cx.say(Intent::Show(Overlay::NewChat { to: String::new() }));
            }
        });
    } else {
        empty_state(ui, Icon::MessageCircle, tr().choose_title, tr().choose_text, |ui| {
            if ui.add(PushButton::new(tr().new_chat).primary().icon(Icon::UserPlus).wide()).clicked() {
                cx.say(Intent::Show(Overlay::NewChat { to: String::new() }));
            }
        });
    }
}
