//! Before an account is open: making one, or opening one that is here.

use egui::{
    Align, CentralPanel, FontId, Frame, Layout, Margin, Panel, RichText, Sense, TextBuffer as _, Ui, Vec2, vec2,
};
use lucide_icons::Icon;
use secure_chat_node::api::{AccountEntry, ErrorKind, Password};

use super::Cx;
use crate::ask::{account, by_name};
use crate::state::{Gate, Intent, Left, Overlay, Session};
use crate::strings::tr;
use crate::theme::{Palette, icons, medium, semibold};
use crate::widgets::{Field, PushButton, SecretText, busy_dots, error_text, muted, paint_avatar};

/// What is being typed.
#[derive(Default)]
pub(super) struct Welcome {
    /// The account that is to be opened, or `None` for the only one.
    chosen: Option<String>,
    /// Making another account, though there is one.
    another: bool,
    /// Choosing among all accounts, though one of them was only locked.
    others: bool,
    username: String,
    password: SecretText,
    repeated: SecretText,
    tried: bool,
}

impl Welcome {
    /// Shows what there is before an account is open.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, cx: &mut Cx) {
        let p = Palette::of(ui);
        if ui.available_width() > 860.0 {
            let width = (ui.available_width() * 0.42).min(520.0);
            let frame = Frame::new().fill(p.rail).inner_margin(Margin::symmetric(52, 40));
            Panel::left("promises").exact_size(width).resizable(false).frame(frame).show(ui, promises);
        }
        CentralPanel::default().frame(Frame::new().fill(p.chat)).show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| match session {
                Session::Broken(sentence) => broken(ui, sentence),
                Session::Closed(gate) => self.gate(ui, gate, cx),
                Session::Starting | Session::Open(_) => starting(ui),
            });
        });
    }

    fn gate(&mut self, ui: &mut Ui, gate: &Gate, cx: &mut Cx) {
        match &gate.accounts {
            None => starting(ui),
            Some(accounts) if accounts.is_empty() || self.another => {
                let back = !accounts.is_empty();
                form(ui, 480.0, |ui| self.create(ui, gate, back, cx));
            }
            Some(accounts) => form(ui, 360.0, |ui| self.login(ui, gate, accounts, cx)),
        }
    }

    fn login(&mut self, ui: &mut Ui, gate: &Gate, accounts: &[AccountEntry], cx: &mut Cx) {
        let locked = match &gate.left {
            Left::Locked(name) if !self.others => accounts.iter().find(|account| account.username == *name),
            _ => None,
        };
        let text = match &gate.left {
            _ if locked.is_some() => tr().locked_text,
            Left::LoggedOut => tr().logged_out_text,
            Left::Never | Left::Locked(_) => tr().login_text,
        };
        heading(ui, tr().login_title, text);
        if self.chosen.is_none() {
            self.chosen = locked.or(accounts.first()).map(|account| account.username.clone());
        }
        for account in accounts.iter().filter(|account| locked.is_none_or(|locked| locked == *account)) {
            let on = self.chosen.as_ref() == Some(&account.username);
            if account_row(ui, account, on, !gate.busy) {
                self.chosen = Some(account.username.clone());
                self.password.clear();
            }
        }
        ui.add_space(4.0);
        let error = gate.error.as_ref().map(|error| error.message.as_str());
        let response = ui
            .add_enabled_ui(!gate.busy, |ui| {
                Field::new(tr().password).secret().error(error).show(ui, &mut self.password)
            })
            .inner;
        let nothing_has_focus = ui.memory(|memory| memory.focused().is_none());
        if nothing_has_focus && !gate.busy {
            response.request_focus();
        }
        let enter = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let ready = !self.password.expose().is_empty() && self.chosen.is_some();
        let label = if gate.busy { tr().opening } else { tr().unlock };
        let button = PushButton::new(label).primary().icon(Icon::LockOpen).wide().busy(gate.busy).enabled(ready);
        if (ui.add(button).clicked() || enter) && ready && !gate.busy {
            let username = self.chosen.clone().unwrap_or_default();
            cx.say(Intent::Unlock { username, password: self.password.take() });
        }
        ui.vertical_centered(|ui| {
            if locked.is_some() {
                self.others |= ui.add(PushButton::new(tr().other_accounts).quiet()).clicked();
                return;
            }
            if ui.add(PushButton::new(tr().create_another).quiet()).clicked() {
                self.another = true;
            }
            import(ui, cx);
        });
    }

    fn create(&mut self, ui: &mut Ui, gate: &Gate, back: bool, cx: &mut Cx) {
        steps(ui, 0);
        heading(ui, tr().create_title, tr().create_text);
        let error = |kinds: &[ErrorKind], field: &str| {
            gate.error
                .as_ref()
                .filter(|error| error.field == Some(field) || (error.field.is_none() && kinds.contains(&error.kind)))
                .map(|error| error.message.as_str())
        };
        let name_error = error(&[ErrorKind::AccountExists, ErrorKind::NameTaken], "username");
        let password_error = error(&[], "password");
        let enabled = !gate.busy;
        let password_changed = ui.add_enabled_ui(enabled, |ui| {
            let name =
                Field::new(tr().username).hint(tr().username_hint).error(name_error).show(ui, &mut self.username);
            if ui.memory(|memory| memory.focused().is_none()) {
                name.request_focus();
            }
            Field::new(tr().password).secret().error(password_error).show(ui, &mut self.password).changed()
        });
        self.strength(ui, gate, password_changed.inner, cx);
        let differs = self.tried && self.password.expose() != self.repeated.expose();
        let again = Field::new(tr().password_again).secret().error(differs.then_some(tr().passwords_differ));
        let response = ui.add_enabled_ui(enabled, |ui| again.show(ui, &mut self.repeated)).inner;
        if let Some(error) = &gate.error
            && name_error.is_none()
            && password_error.is_none()
        {
            error_text(ui, &error.message);
        }
        let enter = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let ready = !self.username.trim().is_empty() && !self.password.expose().is_empty();
        let label = if gate.busy { tr().creating } else { tr().create_account };
        let button = PushButton::new(label).primary().icon(Icon::UserPlus).wide().busy(gate.busy).enabled(ready);
        if (ui.add(button).clicked() || enter) && ready && !gate.busy {
            self.submit(cx);
        }
        ui.vertical_centered(|ui| {
            if back && ui.add(PushButton::new(tr().back_to_login).quiet()).clicked() {
                self.another = false;
            }
            import(ui, cx);
            muted(ui, tr().no_recovery);
        });
    }

    fn submit(&mut self, cx: &mut Cx) {
        self.tried = true;
        if self.password.expose() == self.repeated.expose() {
            self.repeated.clear();
            let username = self.username.trim().to_owned();
            // The password stays until the account is open: a name that is taken
            // must not cost typing it again. The view goes when the account opens.
            cx.say(Intent::Create { username, password: Password::new(self.password.expose()) });
            self.repeated.insert_text(self.password.expose(), egui::text::CharIndex(0));
        }
    }

    /// What the node thinks of the password.
    fn strength(&self, ui: &mut Ui, gate: &Gate, changed: bool, cx: &mut Cx) {
        let password = self.password.expose();
        if changed && !password.is_empty() {
            let username = self.username.trim().to_owned();
            cx.say(account::Ask::Strength { username, password: Password::new(password) });
        }
        let Some(strength) = gate.strength.as_ref().filter(|_| !password.is_empty()) else {
            muted(ui, tr().password_rule);
            return;
        };
        let p = Palette::of(ui);
        let (color, word) = match strength.score {
            0 | 1 => (p.danger, tr().strength_weak),
            2 => (p.warn, tr().strength_fair),
            3 => (p.ok, tr().strength_good),
            _ => (p.ok, tr().strength_strong),
        };
        meter(ui, strength.score, color, word);
        for sentence in strength.missing.iter().chain(&strength.warnings).take(3) {
            muted(ui, sentence.clone());
        }
    }
}

fn meter(ui: &mut Ui, score: u8, color: egui::Color32, word: &str) {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 16.0), Sense::hover());
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Meter, true, format!("{}: {word}", tr().password_strength))
    });
    let words = ui.painter().layout_no_wrap(word.to_owned(), FontId::new(12.0, medium()), color);
    let room = rect.width() - 76.0;
    for bar in 0..4_u8 {
        let left = rect.left() + f32::from(bar) * room / 4.0;
        let bar_rect = egui::Rect::from_min_size(egui::pos2(left, rect.center().y - 2.5), vec2(room / 4.0 - 5.0, 5.0));
        ui.painter().rect_filled(bar_rect, 2.5, if bar < score.max(1) { color } else { p.hover });
    }
    ui.painter().galley(
        egui::pos2(rect.right() - words.size().x, rect.center().y - words.size().y / 2.0),
        words,
        color,
    );
}

fn promises(ui: &mut Ui) {
    let p = Palette::of(ui);
    ui.add_space((ui.available_height() * 0.5 - 190.0).max(0.0));
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(64.0), Sense::hover());
    ui.painter().rect_filled(rect, 18.0, p.own);
    let sign = FontId::new(34.0, icons());
    ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, char::from(Icon::ShieldCheck), sign, p.on_own);
    ui.add_space(14.0);
    ui.label(RichText::new(tr().app_name).font(FontId::new(30.0, semibold())).color(p.text));
    ui.add(egui::Label::new(RichText::new(tr().tagline).size(15.5).color(p.muted)).wrap());
    ui.add_space(22.0);
    for (icon, title, text) in [
        (Icon::Lock, tr().promise_encrypted, tr().promise_encrypted_text),
        (Icon::Network, tr().promise_direct, tr().promise_direct_text),
        (Icon::KeyRound, tr().promise_yours, tr().promise_yours_text),
    ] {
        ui.horizontal_top(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(32.0, 26.0), Sense::hover());
            let at = rect.left_center() + vec2(10.0, 0.0);
            ui.painter().text(at, egui::Align2::CENTER_CENTER, char::from(icon), FontId::new(20.0, icons()), p.accent);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.label(RichText::new(title).font(FontId::new(14.5, semibold())).color(p.text));
                ui.add(egui::Label::new(RichText::new(text).size(13.0).color(p.muted)).wrap());
            });
        });
        ui.add_space(8.0);
    }
}

/// A form in the middle.
pub(super) fn form(ui: &mut Ui, height: f32, content: impl FnOnce(&mut Ui)) {
    /// How wide a form is, in points.
    const WIDTH_PT: f32 = 400.0;
    let above = ((ui.available_height() - height) * 0.5).max(24.0);
    let width = WIDTH_PT.min(ui.available_width() - 48.0);
    let beside = ((ui.available_width() - width) * 0.5).max(24.0);
    ui.add_space(above);
    ui.horizontal_top(|ui| {
        ui.add_space(beside);
        ui.allocate_ui_with_layout(vec2(width, height), Layout::top_down(Align::Min), |ui| {
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = 12.0;
            content(ui);
            ui.add_space(24.0);
        });
    });
}

/// Three dots: where getting started stands.
pub(super) fn steps(ui: &mut Ui, at: usize) {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(120.0, 8.0), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, true, (tr().step)(at + 1, 3)));
    for step in 0..3 {
        let left = rect.left() + step as f32 * 34.0;
        let bar = egui::Rect::from_min_size(egui::pos2(left, rect.top() + 1.0), vec2(28.0, 5.0));
        ui.painter().rect_filled(bar, 2.5, if step <= at { p.accent } else { p.hover });
    }
}

/// The heading of a form and the sentence below it.
pub(super) fn heading(ui: &mut Ui, title: &str, text: &str) {
    let p = Palette::of(ui);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        ui.label(RichText::new(title).font(FontId::new(24.0, semibold())).color(p.text));
        muted(ui, text);
    });
}

/// The way back from a backup, where the node knows one.
fn import(ui: &mut Ui, cx: &mut Cx) {
    if by_name::knows("account.import") && ui.add(PushButton::new(tr().import_backup).quiet()).clicked() {
        cx.say(Intent::Show(Overlay::ImportBackup));
    }
}

fn account_row(ui: &mut Ui, account: &AccountEntry, on: bool, enabled: bool) -> bool {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 56.0), Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::RadioButton, enabled, on, &account.username));
    let ground = if on {
        p.surface
    } else if response.hovered() {
        p.hover
    } else {
        p.side
    };
    ui.painter().rect_filled(rect, 12.0, ground);
    crate::widgets::focus_ring(ui, &response, rect, 12);
    let center = egui::pos2(rect.left() + 30.0, rect.center().y);
    paint_avatar(ui, center, &account.username, &account.account_id, 18.0, None);
    let at = egui::pos2(rect.left() + 60.0, rect.center().y);
    let room = rect.width() - 100.0;
    crate::widgets::paint_elided(ui.painter(), at, &account.username, FontId::new(15.0, medium()), p.text, room);
    if on {
        let at = egui::pos2(rect.right() - 24.0, rect.center().y);
        let sign = FontId::new(18.0, icons());
        ui.painter().text(at, egui::Align2::CENTER_CENTER, char::from(Icon::CircleCheck), sign, p.accent);
    }
    response.clicked() && enabled
}

fn starting(ui: &mut Ui) {
    let color = Palette::of(ui).accent;
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.5 - 30.0).max(0.0));
        let (rect, _) = ui.allocate_exact_size(Vec2::splat(28.0), Sense::hover());
        busy_dots(ui, rect.center(), color);
        muted(ui, tr().starting);
    });
}

fn broken(ui: &mut Ui, sentence: &str) {
    crate::widgets::empty_state(ui, Icon::CircleX, tr().broken_title, sentence, |_| {});
}
