//! Ctrl+K: people and actions by name.

use egui::{Align2, Context, FontId, Key, Modifiers, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};
use lucide_icons::Icon;
use secure_chat_node::api::Status;

use super::{Cx, rail};
use crate::state::{Intent, Overlay, State, Tab};
use crate::strings::tr;
use crate::theme::{Palette, font, icons};
use crate::widgets::{Field, dialog, focus_ring, muted, paint_avatar, paint_elided};

/// Rows shown.
const ROWS_MAX: usize = 40;

/// What is being looked for.
#[derive(Default)]
pub(super) struct Finder {
    query: String,
    at: usize,
}

enum Sign {
    Icon(Icon),
    Person(String),
}

struct Found {
    sign: Sign,
    name: String,
    intent: Intent,
}

impl Finder {
    /// Shows the finder; says whether it wants to be closed.
    pub(super) fn ui(&mut self, ctx: &Context, state: &State, cx: &mut Cx, first: bool) -> bool {
        let mut chosen = None;
        let closed = dialog(ctx, tr().finder, 480.0, |ui| chosen = self.content(ui, state, first));
        if let Some(intent) = chosen {
            // What is chosen may open a dialog of its own: the finder goes first.
            cx.say(Intent::CloseOverlay);
            cx.say(intent);
            return false;
        }
        closed
    }

    fn content(&mut self, ui: &mut Ui, state: &State, first: bool) -> Option<Intent> {
        let mut found = search(&self.query, state);
        let (down, up, enter) = ui.input_mut(|input| {
            (
                input.consume_key(Modifiers::NONE, Key::ArrowDown),
                input.consume_key(Modifiers::NONE, Key::ArrowUp),
                input.consume_key(Modifiers::NONE, Key::Enter),
            )
        });
        let response = Field::new(tr().finder).hint(tr().finder_hint).bare().show(ui, &mut self.query);
        if first {
            response.request_focus();
        }
        if response.changed() {
            self.at = 0;
            found = search(&self.query, state);
        }
        let last = found.len().saturating_sub(1);
        self.at = if down {
            (self.at + 1).min(last)
        } else if up {
            self.at.saturating_sub(1)
        } else {
            self.at.min(last)
        };
        if found.is_empty() {
            muted(ui, tr().nothing_found);
        }
        let mut chosen = enter.then_some(self.at);
        ScrollArea::vertical().max_height(360.0).auto_shrink([false, true]).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for (index, item) in found.iter().enumerate() {
                let response = row(ui, item, index == self.at);
                if index == self.at && (down || up) {
                    response.scroll_to_me(None);
                }
                if response.clicked() {
                    chosen = Some(index);
                }
            }
        });
        chosen.filter(|index| *index < found.len()).map(|index| found.swap_remove(index).intent)
    }
}

fn row(ui: &mut Ui, item: &Found, on: bool) -> egui::Response {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 42.0), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, on, &item.name));
    if on || response.hovered() {
        ui.painter().rect_filled(rect, 8.0, if on { p.surface } else { p.side });
    }
    focus_ring(ui, &response, rect, 8);
    let center = pos2(rect.left() + 24.0, rect.center().y);
    match &item.sign {
        Sign::Icon(icon) => {
            let sign = FontId::new(18.0, icons());
            ui.painter().text(center, Align2::CENTER_CENTER, char::from(*icon), sign, p.accent);
        }
        Sign::Person(account) => paint_avatar(ui, center, &item.name, account, 14.0, None),
    }
    let at = pos2(rect.left() + 50.0, rect.center().y);
    paint_elided(ui.painter(), at, &item.name, font(14.5), p.text, rect.width() - 62.0);
    response
}

fn search(query: &str, state: &State) -> Vec<Found> {
    let query = query.trim().to_lowercase();
    let people = state.people.contacts().iter().map(|contact| Found {
        sign: Sign::Person(contact.account_id.clone()),
        name: contact.username.clone(),
        intent: Intent::OpenConversation(contact.username.clone()),
    });
    let groups = state.groups.list.iter().map(|group| Found {
        sign: Sign::Icon(Icon::Users),
        name: group.name.clone(),
        intent: Intent::OpenGroup(group.group_id.clone()),
    });
    let action = |icon, name: &str, intent| Found { sign: Sign::Icon(icon), name: name.to_owned(), intent };
    let tabs = Tab::shown().map(|tab| {
        let (icon, name) = rail::look(tab);
        action(icon, name, Intent::Go(tab))
    });
    let actions = [
        action(Icon::UserPlus, tr().new_chat, Intent::Show(Overlay::NewChat { to: String::new() })),
        action(Icon::Users, tr().online_users, Intent::Show(Overlay::Online)),
        action(Icon::Bell, tr().notices, Intent::Show(Overlay::Notices)),
        action(Icon::Keyboard, tr().shortcuts, Intent::Show(Overlay::Shortcuts)),
        action(Icon::Lock, tr().lock, Intent::Lock),
        action(Icon::LogOut, tr().log_out, Intent::LogOut),
        action(Icon::Moon, tr().theme_dark, look("dark")),
        action(Icon::Sun, tr().theme_light, look("light")),
        action(Icon::Share2, tr().share_invite, Intent::Go(Tab::Profile)),
        action(Icon::Server, tr().rendezvous_add_action, Intent::Go(Tab::Network)),
        action(Icon::Server, tr().host_here, Intent::Host),
        action(Icon::ClipboardList, tr().diagnostics, crate::ask::network::Ask::Diagnostics.into()),
        action(Icon::KeyRound, tr().change_password, Intent::Show(Overlay::ChangePassword)),
        action(Icon::RefreshCw, tr().rekey, Intent::Show(Overlay::Rekey)),
        action(Icon::Download, tr().export_backup, Intent::Show(Overlay::ExportBackup)),
        action(Icon::Circle, tr().presence_online, Intent::Presence(Status::Online)),
        action(Icon::Moon, tr().presence_away, Intent::Presence(Status::Away)),
        action(Icon::EyeOff, tr().presence_invisible, Intent::Presence(Status::Invisible)),
    ];
    let of_tabs = [
        (Tab::Groups, action(Icon::Plus, tr().group_new, Intent::Show(Overlay::EditGroup(None)))),
        (Tab::Groups, action(Icon::Search, tr().group_find, Intent::Show(Overlay::FindGroup))),
        (Tab::Files, action(Icon::Share2, tr().share_file, share(state))),
    ];
    let of_tabs = of_tabs.into_iter().filter(|(tab, _)| tab.is_here()).map(|(_, action)| action);
    let mut found: Vec<Found> = people
        .chain(groups)
        .chain(tabs)
        .chain(of_tabs)
        .chain(actions)
        .filter(|item| fits(&item.name.to_lowercase(), &query))
        .collect();
    // Those that begin with what was typed come first.
    found.sort_by_key(|item| !item.name.to_lowercase().starts_with(&query));
    found.truncate(ROWS_MAX);
    found
}

fn look(value: &str) -> Intent {
    Intent::Set { key: crate::state::Key::Theme, value: value.into() }
}

fn share(state: &State) -> Intent {
    Intent::Show(Overlay::Share { path: String::new(), to: state.recipient() })
}

/// Every letter of the query comes in the name, in its order.
fn fits(name: &str, query: &str) -> bool {
    let mut letters = name.chars();
    query.chars().filter(|c| !c.is_whitespace()).all(|wanted| letters.any(|letter| letter == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_order_are_enough() {
        assert!(fits("alice_moreau", "alm"));
        assert!(fits("alice_moreau", "a m"));
        assert!(!fits("alice_moreau", "ma l"));
        assert!(fits("anything", ""));
    }
}
