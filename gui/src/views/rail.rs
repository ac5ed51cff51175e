//! The rail on the left: the tabs, what happened, and the lock.

use egui::{Align, Align2, FontId, Layout, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use lucide_icons::Icon;
use secure_chat_node::api::Status;

use super::Cx;
use crate::state::{Intent, Overlay, Reach, State, Tab};
use crate::strings::tr;
use crate::theme::{Palette, icons, medium, semibold};
use crate::widgets::{focus_ring, menu_item};

/// The width of what is on the rail, in points.
const ITEM_PT: f32 = 60.0;

/// Shows the rail.
pub(super) fn rail(ui: &mut Ui, state: &mut State, cx: &mut Cx) {
    let gap = if is_low(ui) { 4.0 } else { 6.0 };
    ui.spacing_mut().item_spacing.y = gap;
    for (index, tab) in Tab::shown().enumerate() {
        let count = match tab {
            Tab::Chat => state.people.unread(cx.clock.now_ms) + state.people.incoming.len() as u64,
            Tab::Groups => state.groups.unread(cx.clock.now_ms) + state.groups.waiting(),
            Tab::Security => state.security.alerts.len() as u64,
            _ => 0,
        };
        let (icon, name) = look(tab);
        let hint = format!("{name}  (Ctrl+{})", index + 1);
        if item(ui, icon, name, &hint, state.tab == tab, count) {
            cx.say(Intent::Go(tab));
        }
    }
    ui.with_layout(Layout::bottom_up(Align::LEFT), |ui| {
        ui.spacing_mut().item_spacing.y = gap;
        if item(ui, Icon::Lock, tr().lock, tr().lock_hint, false, 0) {
            cx.say(Intent::Lock);
        }
        let unseen = state.notices.unseen() as u64;
        if item(ui, Icon::Bell, tr().notices_short, tr().notices, false, unseen) {
            cx.say(Intent::Show(Overlay::Notices));
        }
        presence(ui, state, cx);
    });
}

/// The icon and name of a tab.
pub(super) fn look(tab: Tab) -> (Icon, &'static str) {
    match tab {
        Tab::Chat => (Icon::MessageCircle, tr().tab_chat),
        Tab::Groups => (Icon::Users, tr().tab_groups),
        Tab::Files => (Icon::Folder, tr().tab_files),
        Tab::Security => (Icon::ShieldCheck, tr().tab_security),
        Tab::Network => (Icon::Network, tr().tab_network),
        Tab::Profile => (Icon::CircleUser, tr().tab_profile),
    }
}

/// Whether the window is low: nine things have to fit into the smallest one.
fn is_low(ui: &Ui) -> bool {
    ui.ctx().content_rect().height() < 580.0
}

/// The height of one thing on the rail, in points.
fn item_height(ui: &Ui) -> f32 {
    if is_low(ui) { 46.0 } else { 54.0 }
}

fn item(ui: &mut Ui, icon: Icon, name: &str, hint: &str, on: bool, count: u64) -> bool {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ITEM_PT, item_height(ui)), Sense::click());
    let role = if Tab::ALL.into_iter().any(|tab| look(tab).1 == name) { Role::Tab } else { Role::Button };
    response.widget_info(|| {
        if role == Role::Tab {
            WidgetInfo::selected(role, true, on, name)
        } else {
            WidgetInfo::labeled(role, true, name)
        }
    });
    let painter = ui.painter();
    if on || response.hovered() {
        painter.rect_filled(rect, 10.0, if on { p.surface } else { p.side });
    }
    focus_ring(ui, &response, rect, 10);
    let center = rect.center();
    let color = if on { p.accent } else { p.muted };
    // A name is closer to its icon than to the next one.
    let (above, below) = if is_low(ui) { (7.5, 12.5) } else { (9.0, 14.0) };
    painter.text(center - vec2(0.0, above), Align2::CENTER_CENTER, char::from(icon), FontId::new(20.0, icons()), color);
    let words = if on { p.text } else { p.muted };
    painter.text(center + vec2(0.0, below), Align2::CENTER_CENTER, name, FontId::new(11.0, medium()), words);
    let response = response.on_hover_text(hint);
    if count > 0 {
        badge(ui, pos2(center.x + 13.0, rect.top() + 11.0), count);
        // After the hint, which is the description otherwise.
        ui.ctx().accesskit_node_builder(response.id, |node| node.set_description((tr().waiting_here)(count)));
    }
    response.clicked()
}

/// A small number on the accent colour.
pub(super) fn badge(ui: &Ui, center: egui::Pos2, count: u64) {
    let p = Palette::of(ui);
    let words = if count > 99 { "99+".to_owned() } else { count.to_string() };
    let galley = ui.painter().layout_no_wrap(words, FontId::new(11.0, semibold()), p.on_accent);
    let rect = Rect::from_center_size(center, vec2((galley.size().x + 10.0).max(18.0), 18.0));
    ui.painter().rect_filled(rect, 9.0, p.accent);
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, p.on_accent);
}

/// How it stands with the network, and what is shown of oneself.
fn presence(ui: &mut Ui, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let chosen = state.preferences.presence();
    let (color, icon, words) = match (state.network.reach(), chosen) {
        (_, Status::Invisible) => (p.muted, Icon::EyeOff, tr().presence_invisible),
        (_, Status::Away) => (p.warn, Icon::Moon, tr().presence_away),
        (Reach::Registered, _) => (p.ok, Icon::Wifi, tr().reach_registered),
        (Reach::PeersOnly, _) => (p.ok, Icon::Wifi, tr().reach_peers),
        (Reach::Connecting | Reach::Unknown, _) => (p.warn, Icon::Wifi, tr().reach_connecting),
        (Reach::Alone, _) => (p.muted, Icon::WifiOff, tr().reach_alone),
    };
    let (rect, response) = ui.allocate_exact_size(vec2(ITEM_PT, item_height(ui).min(46.0)), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{}: {words}", tr().presence)));
    if response.hovered() {
        ui.painter().rect_filled(rect, 10.0, p.side);
    }
    focus_ring(ui, &response, rect, 10);
    let at = rect.center();
    ui.painter().text(at - vec2(0.0, 7.0), Align2::CENTER_CENTER, char::from(icon), FontId::new(17.0, icons()), color);
    ui.painter().text(at + vec2(0.0, 12.0), Align2::CENTER_CENTER, words, FontId::new(10.5, medium()), p.muted);
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(200.0);
        for (status, icon, name) in [
            (Status::Online, Icon::Circle, tr().presence_online),
            (Status::Away, Icon::Moon, tr().presence_away),
            (Status::Invisible, Icon::EyeOff, tr().presence_invisible),
        ] {
            let icon = if chosen == status { Icon::Check } else { icon };
            if menu_item(ui, icon, name, false).clicked() {
                cx.say(Intent::Presence(status));
            }
        }
    });
    response.on_hover_text(if chosen == Status::Invisible {
        tr().presence_invisible_detail
    } else {
        tr().presence_hint
    });
}
