//! What can be done with a message: quick actions beside it, and its menu.

use egui::{
    Align2, FontId, Popup, PopupCloseBehavior, Rect, Response, Role, Sense, SetOpenCommand, Stroke, Ui, Vec2,
    WidgetInfo, pos2, vec2,
};
use lucide_icons::Icon;
use secure_chat_node::api::MessageState;

use super::message::{Bubble, MessageRow};
use crate::state::{Confirm, Intent, Overlay};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, icons};
use crate::views::Cx;
use crate::widgets::{emoji_button, focus_ring, icon_button, menu_item};

impl MessageRow<'_> {
    /// Quick actions beside the bubble that the pointer is on.
    pub(super) fn tools(&self, ui: &mut Ui, bubble: &Bubble, response: &Response, cx: &mut Cx) {
        let full = ui.max_rect();
        let row = Rect::from_x_y_ranges(full.x_range(), bubble.rect.y_range());
        let hovered = ui.rect_contains_pointer(row) && !Popup::is_any_open(ui.ctx());
        if !hovered || self.row.deleted || self.row.id.is_empty() {
            return;
        }
        const SIDE_PT: f32 = 32.0;
        let width = 3.0 * SIDE_PT + 8.0;
        let left = if self.row.mine { bubble.rect.left() - width - 6.0 } else { bubble.rect.right() + 6.0 };
        if left < full.left() - 12.0 || left + width > full.right() {
            return;
        }
        let p = Palette::of(ui);
        let top = bubble.rect.center().y.min(bubble.rect.top() + 22.0) - SIDE_PT / 2.0;
        let ground = Rect::from_min_size(pos2(left, top - 2.0), vec2(width, SIDE_PT + 4.0));
        ui.painter().rect(ground, 10.0, p.side, Stroke::new(1.0, p.line), egui::StrokeKind::Inside);
        for (index, (icon, name)) in
            [(Icon::SmilePlus, tr().react), (Icon::Reply, tr().reply), (Icon::Ellipsis, tr().more)]
                .into_iter()
                .enumerate()
        {
            let at = pos2(left + 4.0 + index as f32 * SIDE_PT, top);
            let rect = Rect::from_min_size(at, Vec2::splat(SIDE_PT));
            let tool = ui.interact(rect, ui.scope_id().with(("tool", index)), Sense::click());
            tool.widget_info(|| WidgetInfo::labeled(Role::Button, true, name));
            let color = if tool.hovered() { p.text } else { p.muted };
            if tool.hovered() {
                ui.painter().rect_filled(rect, 8.0, p.hover);
            }
            focus_ring(ui, &tool, rect, 8);
            let sign = FontId::new(16.0, icons());
            ui.painter().text(rect.center(), Align2::CENTER_CENTER, char::from(icon), sign, color);
            if tool.on_hover_text(name).clicked() {
                match index {
                    1 => cx.say(Intent::Reply(self.row.id.clone())),
                    _ => Popup::open_id(ui.ctx(), menu_id(response)),
                }
            }
        }
    }

    /// The menu: opened by the second button of a mouse, or by Enter where the keyboard is.
    pub(super) fn menu(&self, ui: &Ui, response: &Response, label: &Response, cx: &mut Cx) {
        let by_pointer = response.secondary_clicked() || label.secondary_clicked();
        let by_key = response.clicked() && ui.input(|input| input.pointer.any_released()).eq(&false);
        let command = (by_pointer || by_key).then_some(SetOpenCommand::Bool(true));
        let mut popup = Popup::menu(response)
            .id(menu_id(response))
            .open_memory(command)
            .close_behavior(PopupCloseBehavior::CloseOnClick);
        if by_pointer || (Popup::position_of_id(ui.ctx(), menu_id(response)).is_some() && !by_key) {
            popup = popup.at_pointer_fixed();
        }
        popup.show(|ui| self.menu_rows(ui, cx));
    }

    fn menu_rows(&self, ui: &mut Ui, cx: &mut Cx) {
        let row = self.row;
        ui.set_min_width(264.0);
        ui.spacing_mut().item_spacing = vec2(0.0, 2.0);
        let named = !row.id.is_empty();
        if named && !row.deleted {
            ui.horizontal(|ui| {
                for emoji in text::QUICK_REACTIONS {
                    let name = (tr().react_with)(emoji_name(emoji));
                    if emoji_button(ui, emoji, &name, 38.0).clicked() {
                        let mine = row.reactions.iter().any(|reaction| reaction.mine && reaction.emoji == emoji);
                        self.react(if mine { "" } else { emoji }, cx);
                        ui.close();
                    }
                }
                if icon_button(ui, Icon::Plus, tr().react_more).clicked() {
                    cx.say(Intent::Show(Overlay::React(row.id.clone())));
                    ui.close();
                }
            });
            if menu_item(ui, Icon::Reply, tr().reply, false).clicked() {
                cx.say(Intent::Reply(row.id.clone()));
            }
        }
        let has_text = !row.deleted && !row.text.is_empty();
        if has_text && menu_item(ui, Icon::Copy, tr().copy_message, false).clicked() {
            cx.say(Intent::Copy { text: row.text.clone(), said: tr().copied });
        }
        for range in text::links(&row.text).into_iter().take(3) {
            let link = row.text.get(range).unwrap_or_default();
            if menu_item(ui, Icon::ExternalLink, &(tr().open_link)(&short(link)), false).clicked() {
                cx.say(Intent::Show(Overlay::Link(link.to_owned())));
            }
        }
        if named && row.mine && has_text && menu_item(ui, Icon::Pencil, tr().edit, false).clicked() {
            cx.say(Intent::Edit(row.id.clone()));
        }
        if row.state == MessageState::Failed && menu_item(ui, Icon::RotateCw, tr().retry, false).clicked() {
            cx.say(Intent::Retry { local: row.local, message_id: row.id.clone() });
        }
        if named && menu_item(ui, Icon::Trash2, tr().delete, true).clicked() {
            let (message_id, mine) = (row.id.clone(), row.mine && !row.deleted);
            cx.say(Intent::Show(Overlay::Confirm(Confirm::Delete { message_id, mine })));
        }
    }
}

fn menu_id(response: &Response) -> egui::Id {
    response.id.with("menu")
}

fn short(link: &str) -> String {
    let short: String = link.chars().take(34).collect();
    if short.len() < link.len() { format!("{short}…") } else { short }
}

fn emoji_name(emoji: &str) -> &str {
    text::EMOJI.iter().find(|(listed, _)| *listed == emoji).map_or(emoji, |(_, name)| name)
}
