//! The network tab: rendezvous nodes, connections, traffic.

use egui::{FontId, RichText, Ui, vec2};
use egui_plot::{Line, Plot, PlotPoints};
use lucide_icons::Icon;
use secure_chat_node::api::{Connection, RendezvousState, Route};

use super::{Cx, page_heading};
use crate::ask::network;
use crate::state::{Confirm, Intent, Overlay, State};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, card, medium, semibold};
use crate::widgets::{
    Field, PushButton, error_text, figure_row, icon_button, lines, muted, section, sign, tailed, title,
};

/// Connections shown; the rest is counted.
const CONNECTIONS_SHOWN: usize = 100;

/// What is being typed.
#[derive(Default)]
pub(super) struct NetworkTab {
    address: String,
    dial: String,
}

impl NetworkTab {
    /// Shows the tab.
    pub(super) fn ui(&mut self, ui: &mut Ui, state: &State, cx: &mut Cx) {
        page_heading(ui, tr().tab_network, tr().network_text);
        facts(ui, state);
        ui.add_space(6.0);
        card(ui).show(ui, |ui| self.rendezvous(ui, state, cx));
        ui.add_space(6.0);
        card(ui).show(ui, |ui| self.connections(ui, state, cx));
        ui.add_space(6.0);
        card(ui).show(ui, |ui| traffic(ui, state, cx));
        ui.add_space(6.0);
        card(ui).show(ui, |ui| addresses(ui, state, cx));
    }

    fn rendezvous(&mut self, ui: &mut Ui, state: &State, cx: &mut Cx) {
        let network = &state.network;
        ui.set_min_width(ui.available_width());
        title(ui, tr().rendezvous_nodes, tr().rendezvous_text);
        let nodes = network.status.as_ref().map(|status| status.rendezvous.as_slice()).unwrap_or_default();
        if nodes.is_empty() {
            muted(ui, tr().rendezvous_none);
        }
        for node in nodes {
            rendezvous_row(ui, node, network.hosted.as_deref() == Some(&node.address), cx);
        }
        for held in network.status.iter().flat_map(|status| &status.held_back) {
            let line = (tr().mail_held_back)(&held.username, &held.detail, held.retry_in_s);
            ui.label(RichText::new(line).size(SMALL_PT).color(Palette::of(ui).warn));
        }
        ui.separator();
        let error = network.add_error.as_deref();
        let ready = !self.address.trim().is_empty() && !network.adding;
        let mut enter = false;
        let mut pressed = false;
        let field = Field::new(tr().rendezvous_address).hint(tr().rendezvous_hint).bare();
        tailed(
            ui,
            |ui| {
                let response = field.show(ui, &mut self.address);
                enter = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            },
            |ui| {
                let add = PushButton::new(tr().add).primary().icon(Icon::Plus).busy(network.adding).enabled(ready);
                pressed = ui.add(add).clicked();
            },
        );
        if let Some(error) = error {
            error_text(ui, error);
        }
        if (pressed || enter) && ready {
            cx.say(Intent::AddRendezvous(self.address.trim().to_owned()));
        }
        ui.horizontal_wrapped(|ui| {
            if let Some(address) = &network.hosted {
                ui.label(RichText::new(tr().hosting_here).color(Palette::of(ui).ok));
                if ui.add(PushButton::new(tr().copy_address).icon(Icon::Copy)).clicked() {
                    cx.say(crate::state::copied(address.as_str()));
                }
                if ui.add(PushButton::new(tr().stop_hosting).icon(Icon::CircleStop)).clicked() {
                    cx.say(network::Ask::StopHosting);
                }
            } else {
                let host = PushButton::new(tr().host_here).icon(Icon::Server).busy(network.host_starting);
                if ui.add(host).on_hover_text(tr().host_here_detail).clicked() {
                    cx.say(Intent::Host);
                }
            }
        });
        if let Some(error) = &network.host_error {
            error_text(ui, error);
        }
    }

    fn connections(&mut self, ui: &mut Ui, state: &State, cx: &mut Cx) {
        let network = &state.network;
        ui.set_min_width(ui.available_width());
        title(ui, tr().connections, tr().connections_text);
        if network.connections.is_empty() {
            muted(ui, tr().connections_none);
        }
        for connection in network.connections.iter().take(CONNECTIONS_SHOWN) {
            connection_row(ui, connection, state, cx);
        }
        if network.connections.len() > CONNECTIONS_SHOWN {
            muted(ui, (tr().and_more)(network.connections.len() - CONNECTIONS_SHOWN));
        }
        ui.separator();
        let ready = !self.dial.trim().is_empty() && !network.dialling;
        let mut pressed = false;
        let field = Field::new(tr().dial_address).hint(tr().dial_hint).bare();
        tailed(
            ui,
            |ui| field.show(ui, &mut self.dial),
            |ui| {
                let dial = PushButton::new(tr().dial).icon(Icon::Plug).busy(network.dialling).enabled(ready);
                pressed = ui.add(dial).clicked();
            },
        );
        if let Some(error) = &network.dial_error {
            error_text(ui, error);
        }
        if pressed {
            cx.say(Intent::Dial(self.dial.trim().to_owned()));
        }
    }
}

/// Four figures in a row.
fn facts(ui: &mut Ui, state: &State) {
    let status = state.network.status.as_ref();
    let nat = match status.map(|status| status.nat.as_str()) {
        Some("public") => tr().nat_public,
        Some("private") => tr().nat_private,
        _ => tr().nat_unknown,
    };
    let registered =
        status.map_or(0, |status| status.rendezvous.iter().filter(|node| node.state == "registered").count());
    let relays = status.map_or(0, |status| status.relayed_via.len());
    let figures = [
        (Icon::Plug, tr().connections, status.map_or(0, |status| status.connections).to_string()),
        (Icon::Server, tr().registered_at, registered.to_string()),
        (Icon::Router, tr().reachability, nat.to_owned()),
        (Icon::Waypoints, tr().relays, relays.to_string()),
    ];
    figure_row(ui, &figures);
}

fn rendezvous_row(ui: &mut Ui, node: &RendezvousState, hosted: bool, cx: &mut Cx) {
    let p = Palette::of(ui);
    let (icon, color, words) = match node.state.as_str() {
        "registered" => (Icon::CircleCheck, p.ok, tr().state_registered),
        "connected" => (Icon::Link, p.ok, tr().state_connected),
        "connecting" => (Icon::LoaderCircle, p.warn, tr().state_connecting),
        "refused" => (Icon::Ban, p.danger, tr().state_refused),
        _ => (Icon::CircleX, p.danger, tr().state_unreachable),
    };
    let head = |ui: &mut Ui| {
        sign(ui, icon, 18.0, color);
        lines(ui, |ui| {
            let address = RichText::new(&node.address).monospace().size(13.0);
            ui.add(egui::Label::new(address).truncate());
            let rtt = node.rtt_ms.map_or_else(String::new, |ms| format!(" · {ms:.1} ms"));
            let here = if hosted { tr().in_this_process } else { "" };
            let detail = node.detail.as_deref().map_or_else(String::new, |detail| format!(" · {detail}"));
            let line = RichText::new(format!("{words}{rtt}{here}{detail}")).size(SMALL_PT).color(p.muted);
            ui.add(egui::Label::new(line).truncate());
        });
    };
    tailed(ui, head, |ui| {
        if icon_button(ui, Icon::Trash2, tr().rendezvous_remove).clicked() {
            cx.say(Intent::Show(Overlay::Confirm(Confirm::RemoveRendezvous(node.address.clone()))));
        }
        if icon_button(ui, Icon::Copy, tr().copy_address).clicked() {
            cx.say(crate::state::copied(node.address.as_str()));
        }
    });
}

fn connection_row(ui: &mut Ui, connection: &Connection, state: &State, cx: &Cx) {
    let p = Palette::of(ui);
    let (icon, route) = match connection.route {
        Route::Direct => (Icon::ArrowLeftRight, tr().route_direct),
        Route::Relayed => (Icon::Waypoints, tr().route_relayed),
    };
    let nodes = state.network.status.as_ref().map(|status| status.rendezvous.as_slice()).unwrap_or_default();
    let name = match &connection.username {
        Some(name) => name.clone(),
        None if nodes.iter().any(|node| node.peer_id == connection.peer_id) => tr().a_rendezvous_node.to_owned(),
        None => tr().somebody.to_owned(),
    };
    ui.horizontal(|ui| {
        sign(ui, icon, 17.0, p.accent);
        let room = ui.available_width();
        ui.vertical(|ui| {
            ui.set_width(room);
            ui.spacing_mut().item_spacing.y = 1.0;
            let rtt = connection.rtt_ms.map_or_else(String::new, |ms| format!(" · {ms:.1} ms"));
            let since = text::duration(cx.clock.now_ms.saturating_sub(connection.since.0.0));
            ui.add(egui::Label::new(RichText::new(name).family(medium())).truncate());
            let line =
                format!("{} · {route}{rtt} · {since} · {}", connection.transport.to_uppercase(), connection.address);
            ui.add(egui::Label::new(RichText::new(line).size(SMALL_PT).color(p.muted)).truncate());
        });
    });
}

fn traffic(ui: &mut Ui, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    ui.set_min_width(ui.available_width());
    ui.horizontal(|ui| {
        ui.label(RichText::new(tr().traffic).font(FontId::new(16.0, semibold())));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if ui.add(PushButton::new(tr().diagnostics).icon(Icon::ClipboardList)).clicked() {
                cx.say(network::Ask::Diagnostics);
            }
        });
    });
    let points = &state.network.traffic;
    if points.len() < 2 {
        muted(ui, tr().traffic_none);
        return;
    }
    let line = |bytes: fn(&secure_chat_node::api::TrafficPoint) -> u64| -> PlotPoints<'_> {
        points
            .iter()
            .map(|point| {
                let ago = cx.clock.now_ms.saturating_sub(point.at.0.0) as f64 / 60_000.0;
                [-ago, bytes(point) as f64 / 1_024.0]
            })
            .collect()
    };
    let received = Line::new(tr().received, line(|point| point.bytes_in)).color(p.accent).width(2.0).fill(0.0);
    let sent = Line::new(tr().sent, line(|point| point.bytes_out)).color(p.ok).width(2.0);
    ui.horizontal(|ui| {
        for (color, name) in [(p.accent, tr().received), (p.ok, tr().sent)] {
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), egui::Sense::hover());
            ui.painter().rect_filled(rect, 3.0, color);
            ui.label(RichText::new(name).size(SMALL_PT).color(p.muted));
        }
    });
    // Of axes and their lines: they stand behind what they measure.
    ui.visuals_mut().override_text_color = Some(p.muted);
    Plot::new("traffic")
        .height(150.0)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .show_background(false)
        .show_grid([false, true])
        .include_y(0.0)
        .y_axis_label(tr().kib)
        .x_axis_formatter(
            |mark, _| if mark.value > -0.01 { tr().now.to_owned() } else { format!("{:.0} min", mark.value) },
        )
        .show(ui, |plot| {
            plot.line(received);
            plot.line(sent);
        });
}

fn addresses(ui: &mut Ui, state: &State, cx: &mut Cx) {
    ui.set_min_width(ui.available_width());
    title(ui, tr().own_addresses, tr().own_addresses_text);
    let status = state.network.status.as_ref();
    let listen = status.map(|status| status.listen.as_slice()).unwrap_or_default();
    if listen.is_empty() {
        muted(ui, tr().own_addresses_none);
    }
    for address in listen {
        let label = egui::Label::new(RichText::new(address).monospace().size(13.0)).truncate();
        tailed(
            ui,
            |ui| ui.add(label),
            |ui| {
                if icon_button(ui, Icon::Copy, tr().copy_address).clicked() {
                    cx.say(crate::state::copied(address.as_str()));
                }
            },
        );
    }
    if let Some(status) = status {
        section(ui, tr().peer_id);
        ui.add(egui::Label::new(RichText::new(&status.peer_id).monospace().size(13.0)).truncate());
    }
}
