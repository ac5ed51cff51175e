//! The list of people: requests first, then conversations, the latest on top;
//! while something is searched, what was found.

use egui::{Align2, FontId, Key, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};
use lucide_icons::Icon;
use secure_chat_node::api::{ChatRequest, Contact, ContactState, Message, MessageState};

use crate::state::{Intent, Overlay, Selection, State, is_muted, text_of};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, RADIUS_PT, font, icons, medium};
use crate::views::{Cx, rail};
use crate::widgets::{Dot, Field, error_text, focus_ring, icon_button, muted, paint_avatar, paint_elided, section};

/// The height of a row, in points.
const ROW_PT: f32 = 62.0;

/// What the list remembers.
#[derive(Default)]
pub(super) struct PeopleList {
    /// The row that the arrow keys are on.
    at: usize,
}

impl PeopleList {
    /// Shows the list.
    pub(super) fn ui(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        ui.spacing_mut().item_spacing.y = 8.0;
        ui.horizontal(|ui| {
            ui.add_space(4.0);
            ui.heading(tr().messages);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                if icon_button(ui, Icon::SquarePen, tr().new_chat).clicked() {
                    cx.say(Intent::Show(Overlay::NewChat { to: String::new() }));
                }
                if icon_button(ui, Icon::Users, tr().online_users).clicked() {
                    cx.say(Intent::Show(Overlay::Online));
                }
            });
        });
        self.search(ui, state, cx);
        ui.spacing_mut().item_spacing.y = 2.0;
        let query = state.chat.search_all.query.trim().to_lowercase();
        if query.is_empty() {
            conversations(ui, state, cx);
        } else {
            found(ui, state, &query, cx);
        }
    }

    fn search(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        let search = &mut state.chat.search_all;
        let response = Field::new(tr().search).hint(tr().search_hint).bare().show(ui, &mut search.query);
        if std::mem::take(&mut cx.focus_search) {
            response.request_focus();
        }
        if response.changed() {
            self.at = 0;
            let mut asks = Vec::new();
            search.ask(None, &mut asks);
            asks.into_iter().for_each(|ask| cx.say(ask));
        }
        if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Escape)) {
            search.query.clear();
            search.hits.clear();
        }
        if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
            let query = state.chat.search_all.query.trim().to_lowercase();
            let first = matching(state, &query).next().map(|contact| contact.username.clone());
            if let Some(first) = first {
                cx.say(Intent::OpenConversation(first));
                state.chat.search_all.query.clear();
            }
        }
    }
}

fn matching<'a>(state: &'a State, query: &'a str) -> impl Iterator<Item = &'a Contact> {
    state.people.contacts().iter().filter(move |contact| contact.username.to_lowercase().contains(query))
}

fn conversations(ui: &mut Ui, state: &State, cx: &mut Cx) {
    let people = &state.people;
    if people.loaded && people.contacts().is_empty() && people.incoming.is_empty() && people.outgoing.is_empty() {
        ui.add_space(18.0);
        ui.vertical_centered(|ui| muted(ui, tr().list_empty));
        return;
    }
    // An own request that waits has no conversation yet.
    let outgoing: Vec<_> =
        people.outgoing.iter().filter(|request| people.contact(&request.username).is_none()).collect();
    let rows = people.incoming.len() + outgoing.len() + people.contacts().len();
    ScrollArea::vertical().id_salt("people").auto_shrink(false).show_rows(ui, ROW_PT, rows, |ui, range| {
        for index in range {
            if let Some(request) = people.incoming.get(index) {
                request_row(ui, request, true, state, cx);
            } else if let Some(request) = outgoing.get(index - people.incoming.len()) {
                request_row(ui, request, false, state, cx);
            } else if let Some(contact) = people.contacts().get(index - people.incoming.len() - outgoing.len()) {
                contact_row(ui, contact, state, cx);
            }
        }
    });
}

fn found(ui: &mut Ui, state: &State, query: &str, cx: &mut Cx) {
    let search = &state.chat.search_all;
    ScrollArea::vertical().id_salt("found").auto_shrink(false).show(ui, |ui| {
        let mut any = false;
        for contact in matching(state, query).take(50) {
            if !any {
                section(ui, tr().found_people);
            }
            any = true;
            contact_row(ui, contact, state, cx);
        }
        if !search.hits.is_empty() {
            ui.add_space(8.0);
            section(ui, tr().found_messages);
            for hit in &search.hits {
                hit_row(ui, hit, state, cx);
            }
        }
        if let Some(error) = &search.error {
            error_text(ui, error);
        } else if !any && search.hits.is_empty() {
            ui.add_space(14.0);
            let words = if search.waiting { tr().searching } else { tr().nothing_found };
            ui.vertical_centered(|ui| muted(ui, words));
        }
    });
}

/// Takes the room of a row and paints its ground.
fn row(ui: &mut Ui, name: &str, on: bool) -> (Rect, egui::Response) {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_PT), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, on, name));
    if on || response.hovered() {
        ui.painter().rect_filled(rect, RADIUS_PT, if on { p.surface } else { p.chat });
    }
    focus_ring(ui, &response, rect, RADIUS_PT);
    (rect, response)
}

fn contact_row(ui: &mut Ui, contact: &Contact, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let name = &contact.username;
    let on = state.chat.selection == Selection::Conversation(name.clone());
    let (rect, response) = row(ui, &spoken(contact, cx.clock.now_ms), on);
    let ground = if on { p.surface } else { p.side };
    let dot = Some(Dot { status: contact.status, ground });
    paint_avatar(ui, pos2(rect.left() + 31.0, rect.center().y), name, &contact.account_id, 20.0, dot);
    let last = contact.last_message.as_ref();
    let at = last.map(|message| text::when(message.at.0.0, cx.clock)).unwrap_or_default();
    let painter = ui.painter();
    let time = painter.layout_no_wrap(at, font(11.5), p.muted);
    let (left, right) = (rect.left() + 62.0, rect.right() - 10.0);
    let name_room = right - left - time.size().x - 26.0;
    let top = rect.top() + 22.0;
    let galley = crate::widgets::elided(painter, name, FontId::new(14.5, medium()), p.text, name_room);
    let mut sign_x = left + galley.size().x + 11.0;
    painter.galley(pos2(left, top - galley.size().y / 2.0), galley, p.text);
    painter.galley(pos2(right - time.size().x, top - time.size().y / 2.0), time, p.muted);
    let mut sign = |icon: Icon, color| {
        let font = FontId::new(12.5, icons());
        painter.text(pos2(sign_x, top), Align2::CENTER_CENTER, char::from(icon), font, color);
        sign_x += 16.0;
    };
    match contact.state {
        ContactState::KeyChanged => sign(Icon::TriangleAlert, p.danger),
        ContactState::Blocked => sign(Icon::Ban, p.muted),
        _ if contact.verified => sign(Icon::ShieldCheck, p.ok),
        _ => {}
    }
    if is_muted(contact.muted_until, cx.clock.now_ms) {
        sign(Icon::BellOff, p.muted);
    }
    let mut room = right - left;
    if contact.unread > 0 {
        rail::badge(ui, pos2(right - 10.0, rect.top() + 43.0), contact.unread);
        room -= 34.0;
    }
    last_line(ui, contact, state, pos2(left, rect.top() + 42.0), room, cx);
    if response.clicked() {
        cx.say(Intent::OpenConversation(name.clone()));
    }
}

/// The second line of a row: what is being written, was written, or came last.
fn last_line(ui: &Ui, contact: &Contact, state: &State, at: egui::Pos2, room: f32, cx: &Cx) {
    let p = Palette::of(ui);
    let painter = ui.painter();
    let draft = state.chat.draft(&contact.username);
    let open = state.chat.conversation() == Some(&contact.username);
    let (words, color) = if contact.state == ContactState::KeyChanged {
        (tr().list_key_changed.to_owned(), p.danger)
    } else if contact.state == ContactState::Requested {
        (tr().list_requested.to_owned(), p.muted)
    } else if contact.state == ContactState::Blocked {
        (tr().list_blocked.to_owned(), p.muted)
    } else if state.people.is_typing(&contact.username, cx.clock.now_ms) {
        (tr().typing_short.to_owned(), p.accent)
    } else if !draft.trim().is_empty() && !open {
        ((tr().draft)(draft), p.warn)
    } else {
        (preview(contact.last_message.as_ref()), p.muted)
    };
    let mut at = at;
    let mut room = room;
    if let Some(last) = contact.last_message.as_ref().filter(|last| last.mine && color == p.muted) {
        let (icon, color) = delivery(last.state, p.muted, p);
        painter.text(at + vec2(7.0, 0.0), Align2::CENTER_CENTER, char::from(icon), FontId::new(13.0, icons()), color);
        at.x += 18.0;
        room -= 18.0;
    }
    paint_elided(painter, at, &words, font(12.5), color, room);
}

fn preview(message: Option<&Message>) -> String {
    match message {
        None => tr().list_no_messages.to_owned(),
        Some(message) if message.deleted => tr().deleted_message.to_owned(),
        Some(message) => text_of(message),
    }
}

/// The sign of how far an own message got; each has a shape of its own.
pub(super) fn delivery(state: MessageState, color: egui::Color32, p: &Palette) -> (Icon, egui::Color32) {
    match state {
        MessageState::Queued | MessageState::Received => (Icon::Clock3, color),
        MessageState::Sent => (Icon::Check, color),
        MessageState::Delivered => (Icon::CheckCheck, color),
        MessageState::Read => (Icon::Eye, color),
        MessageState::Failed => (Icon::CircleAlert, p.danger),
    }
}

/// What a screen reader says of a row.
fn spoken(contact: &Contact, now_ms: u64) -> String {
    let name = &contact.username;
    let spoken = if contact.unread > 0 { (tr().spoken_unread)(name, contact.unread) } else { name.clone() };
    if is_muted(contact.muted_until, now_ms) { (tr().spoken_muted)(&spoken) } else { spoken }
}

fn request_row(ui: &mut Ui, request: &ChatRequest, incoming: bool, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let on = state.chat.selection == Selection::Request(request.request_id.clone());
    let name = if incoming { tr().request_from } else { tr().request_to };
    let (rect, response) = row(ui, &name(&request.username), on);
    paint_avatar(ui, pos2(rect.left() + 31.0, rect.center().y), &request.username, &request.account_id, 20.0, None);
    let painter = ui.painter();
    let (left, room) = (rect.left() + 62.0, rect.width() - 84.0);
    let font_name = FontId::new(14.5, medium());
    paint_elided(painter, pos2(left, rect.top() + 22.0), &request.username, font_name, p.text, room);
    let (words, color) = match (incoming, request.state) {
        (true, _) => (tr().list_wants_to_chat, p.accent),
        (false, secure_chat_node::api::RequestState::Pending) => (tr().list_requested, p.muted),
        (false, _) => (tr().list_request_failed, p.danger),
    };
    paint_elided(painter, pos2(left, rect.top() + 42.0), words, font(12.5), color, room);
    if incoming {
        painter.circle_filled(pos2(rect.right() - 14.0, rect.center().y), 4.5, p.accent);
    }
    if response.clicked() {
        cx.say(Intent::OpenRequest(request.request_id.clone()));
    }
}

fn hit_row(ui: &mut Ui, hit: &Message, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let group = state.groups.get(&hit.conversation);
    let name = group.map_or(hit.conversation.as_str(), |group| &group.name);
    let (rect, response) = row(ui, &(tr().hit_in)(name, &hit.text), false);
    let account = match group {
        Some(group) => group.group_id.as_str(),
        None => state.people.contact(&hit.conversation).map_or("", |contact| &contact.account_id),
    };
    paint_avatar(ui, pos2(rect.left() + 31.0, rect.center().y), name, account, 20.0, None);
    let painter = ui.painter();
    let (left, right) = (rect.left() + 62.0, rect.right() - 10.0);
    let time = painter.layout_no_wrap(text::when(hit.at.0.0, cx.clock), font(11.5), p.muted);
    let room = right - left - time.size().x - 8.0;
    let top = rect.top() + 22.0;
    paint_elided(painter, pos2(left, top), name, FontId::new(14.0, medium()), p.text, room);
    painter.galley(pos2(right - time.size().x, top - time.size().y / 2.0), time, p.muted);
    let line = match (hit.mine, group) {
        (true, _) => (tr().you_said)(&hit.text),
        (false, Some(_)) => format!("{}: {}", hit.from, hit.text),
        (false, None) => hit.text.clone(),
    };
    paint_elided(painter, pos2(left, rect.top() + 42.0), &line, font(12.5), p.muted, right - left);
    if response.clicked() {
        let (conversation, message_id) = (hit.conversation.clone(), hit.message_id.clone());
        cx.say(Intent::Jump { conversation, message_id });
    }
}
