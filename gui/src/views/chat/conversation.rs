//! The open conversation: its head, what warns, the messages, the composer.

use egui::{Align2, CentralPanel, FontId, Frame, Id, Margin, Panel, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use lucide_icons::Icon;
use secure_chat_node::api::{Contact, ContactState};

use super::attachment::Attachment;
use super::composer::Composer;
use super::message::MessageRow;
use super::pictures::Pictures;
use super::{group_header, header, search_bar};
use crate::ask::contacts;
use crate::ask::groups::Member;
use crate::state::{Confirm, Files, Intent, Overlay, Previews, ScrollTo, Selection, State, Timeline, Tone};
use crate::strings::tr;
use crate::theme::{Palette, icons, medium};
use crate::views::Cx;
use crate::widgets::{Banner, List, PushButton, Shown, Target, busy_dots, empty_state, focus_ring};

/// Frames for which a jump is aimed anew: heights around its end settle while they are painted.
const AIMS: u8 = 4;

/// What the conversation remembers.
#[derive(Default)]
pub(super) struct Conversation {
    composer: Composer,
    /// Where the list is being moved, and for how many frames yet.
    aim: Option<(ScrollTo, u8)>,
    pictures: Pictures,
    /// A place to move to, for measurements.
    pub(super) by_hand: Option<f64>,
}

impl Conversation {
    /// Shows the conversation with `name`.
    pub(super) fn ui(&mut self, ui: &mut Ui, name: &str, state: &mut State, cx: &mut Cx) {
        let p = Palette::of(ui);
        let head = Frame::new().fill(p.chat).inner_margin(Margin::symmetric(20, 10));
        let group = state.group().is_some_and(|group| group.group_id == name);
        Panel::top("head").exact_size(64.0).frame(head).show(ui, |ui| {
            if group {
                group_header::group_header(ui, name, state, cx);
            } else {
                header::header(ui, name, state, cx);
            }
        });
        if state.chat.search.open {
            let frame = Frame::new().fill(p.chat).inner_margin(Margin::symmetric(20, 8));
            Panel::top("search").frame(frame).show(ui, |ui| search_bar::search_bar(ui, name, state, cx));
        }
        if let Some(contact) = state.people.contact(name).filter(|contact| has_banner(contact)) {
            let frame = Frame::new().fill(p.chat).inner_margin(Margin::symmetric(20, 8));
            Panel::top("banner").show_separator_line(false).frame(frame).show(ui, |ui| banner(ui, contact, cx));
        }
        let frame = Frame::new().fill(p.chat).inner_margin(Margin { left: 20, right: 20, top: 6, bottom: 14 });
        Panel::bottom("composer").resizable(false).show_separator_line(false).frame(frame).show(ui, |ui| {
            self.composer.ui(ui, name, state, cx);
        });
        let frame = Frame::new().fill(p.chat).inner_margin(Margin { left: 20, right: 6, top: 0, bottom: 0 });
        CentralPanel::default().frame(frame).show(ui, |ui| self.messages(ui, state, cx));
    }

    fn messages(&mut self, ui: &mut Ui, state: &mut State, cx: &mut Cx) {
        let named = matches!(state.chat.selection, Selection::Group(_));
        let State { chat, groups, files, previews, .. } = state;
        let Some(timeline) = &mut chat.timeline else { return };
        if !timeline.loaded {
            let at = ui.max_rect().center();
            busy_dots(ui, at, Palette::of(ui).muted);
            return;
        }
        if timeline.rows().is_empty() {
            empty_state(ui, Icon::LockKeyhole, tr().no_messages_title, tr().no_messages_text, |_| {});
            return;
        }
        let target = self.target(timeline);
        let members = if named { groups.members.as_slice() } else { &[] };
        let around = Around { named, members, files, previews };
        let shown = list(ui, timeline, target, &around, &mut self.pictures, cx);
        let view = ui.max_rect();
        timeline.at_end = shown.at_end && !timeline.newer.more;
        if timeline.at_end {
            timeline.unseen = 0;
        }
        pill(ui, view, timeline, cx);
        if self.aim.is_some() {
            ui.ctx().request_repaint();
        }
        let mut asks = Vec::new();
        state.load_around(shown.first, shown.last, &mut asks);
        asks.into_iter().for_each(|ask| cx.say(ask));
    }

    /// Where the list has to go in this frame.
    fn target(&mut self, timeline: &mut Timeline) -> Option<Target> {
        if let Some(offset) = self.by_hand.take() {
            return Some(Target::Offset(offset));
        }
        if let Some(scroll_to) = timeline.scroll_to.take() {
            self.aim = Some((scroll_to, AIMS));
        }
        let (scroll_to, left) = self.aim.as_mut()?;
        *left -= 1;
        let target = match scroll_to {
            ScrollTo::Bottom => Some(Target::End),
            ScrollTo::Message(id) => timeline.place(id).map(|row| Target::Row(row, 0.4)),
            ScrollTo::UnreadLine => {
                let row = timeline.first_unread.as_ref().and_then(|id| timeline.place(id));
                row.map(|row| Target::Row(row, 0.0))
            }
        };
        if *left == 0 {
            self.aim = None;
        }
        target
    }
}

/// What messages are shown with.
struct Around<'a> {
    /// Of several people: who wrote it stands above it.
    named: bool,
    members: &'a [Member],
    files: &'a Files,
    previews: &'a Previews,
}

fn list(
    ui: &mut Ui,
    timeline: &mut Timeline,
    target: Option<Target>,
    around: &Around<'_>,
    pictures: &mut Pictures,
    cx: &mut Cx,
) -> Shown {
    let id = Id::unique(("messages", &timeline.conversation));
    let found = timeline.found.clone();
    let first_unread = timeline.first_unread.clone();
    let (rows, heights) = timeline.parts();
    List { id, heights, target }.show(
        ui,
        |index| match rows.get(index) {
            Some(row) => id.with((&row.id, row.local)),
            None => id.with(index),
        },
        |ui, index| {
            let Some(row) = rows.get(index) else { return 0.0 };
            let file = row.file.as_deref().map(|shared| {
                let picture = shared.preview.then(|| pictures.of(ui.ctx(), &shared.file_id, around.previews, cx));
                Attachment::new(shared, around.files, picture.flatten())
            });
            let message = MessageRow {
                row,
                named: around.named,
                members: around.members,
                file,
                before: index.checked_sub(1).and_then(|before| rows.get(before)),
                after: rows.get(index + 1),
                quote: row.reply_to.as_deref().map(|id| rows.quote(id)),
                found: found.as_deref() == Some(row.id.as_str()),
                first_unread: first_unread.as_deref() == Some(row.id.as_str()) && !row.id.is_empty(),
            };
            message.ui(ui, cx)
        },
    )
}

/// The way back to the end, with how much is new there.
fn pill(ui: &mut Ui, view: Rect, timeline: &Timeline, cx: &mut Cx) {
    if timeline.at_end {
        return;
    }
    let p = Palette::of(ui);
    let words = if timeline.unseen > 0 { (tr().new_messages)(timeline.unseen) } else { tr().to_the_end.to_owned() };
    let galley = ui.painter().layout_no_wrap(words.clone(), FontId::new(13.0, medium()), p.text);
    let size = vec2(galley.size().x + 50.0, 36.0);
    let rect = Rect::from_min_size(pos2(view.center().x - size.x / 2.0, view.bottom() - size.y - 10.0), size);
    let response = ui.interact(rect, ui.scope_id().with("pill"), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
    let new = timeline.unseen > 0;
    let (ground, color) = match (new, response.hovered()) {
        (true, _) => (p.accent, p.on_accent),
        (false, true) => (p.hover, p.text),
        (false, false) => (p.surface, p.text),
    };
    ui.painter().add(ui.visuals().popup_shadow.as_shape(rect, 18));
    ui.painter().rect_filled(rect, 18.0, ground);
    focus_ring(ui, &response, rect.expand(3.0), 20);
    let text_at = pos2(rect.left() + 16.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley_with_override_text_color(text_at, galley, color);
    let sign = FontId::new(15.0, icons());
    let at = pos2(rect.right() - 20.0, rect.center().y);
    ui.painter().text(at, Align2::CENTER_CENTER, char::from(Icon::ArrowDown), sign, color);
    if response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked() {
        cx.say(Intent::ScrollToEnd);
    }
}

fn has_banner(contact: &Contact) -> bool {
    contact.state != ContactState::Accepted
}

fn banner(ui: &mut Ui, contact: &Contact, cx: &mut Cx) {
    let name = &contact.username;
    match contact.state {
        ContactState::KeyChanged => key_changed(ui, contact, cx),
        ContactState::Blocked => {
            let (title, text) = ((tr().blocked_title)(name), tr().blocked_text);
            Banner { tone: Tone::Warning, icon: Icon::Ban, title: &title, text }.show(ui, |ui| {
                if ui.add(PushButton::new(tr().unblock)).clicked() {
                    cx.say(contacts::Ask::Unblock(name.clone()));
                }
            });
        }
        ContactState::Requested => {
            let (title, text) = ((tr().waiting_title)(name), tr().waiting_text);
            Banner { tone: Tone::Plain, icon: Icon::Clock3, title: &title, text }.show(ui, |_| {});
        }
        ContactState::Accepted => {}
    }
}

fn key_changed(ui: &mut Ui, contact: &Contact, cx: &mut Cx) {
    let name = &contact.username;
    let fingerprint = contact.new_fingerprint.clone().unwrap_or_default();
    let title = (tr().key_changed_title)(name);
    let text = (tr().key_changed_text)(&fingerprint);
    Banner { tone: Tone::Bad, icon: Icon::ShieldAlert, title: &title, text: &text }.show(ui, |ui| {
        if ui.add(PushButton::new(tr().compare_number).primary()).clicked() {
            cx.say(Intent::Show(Overlay::SafetyNumber(name.clone())));
        }
        if ui.add(PushButton::new(tr().accept_key)).clicked() {
            let confirm = Confirm::AcceptKey { user: name.clone(), fingerprint };
            cx.say(Intent::Show(Overlay::Confirm(confirm)));
        }
        if ui.add(PushButton::new(tr().block).danger()).clicked() {
            cx.say(Intent::Show(Overlay::Confirm(Confirm::Block(name.clone()))));
        }
    });
}
