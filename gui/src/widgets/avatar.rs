//! A round picture with initials: whose it is can be told from its colour,
//! which comes from the account and not from the name.

use std::hash::{DefaultHasher, Hash, Hasher};

use egui::{Align2, Color32, FontId, Painter, Pos2, Sense, Ui, Vec2, vec2};
use secure_chat_node::api::Status;

use crate::theme::{AVATARS, ON_AVATAR, Palette, semibold};

/// The dot that tells presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dot {
    pub(crate) status: Status,
    /// What the avatar stands on: the dot keeps a ring of it.
    pub(crate) ground: Color32,
}

/// An avatar that takes room.
pub(crate) fn avatar(ui: &mut Ui, name: &str, account: &str, radius: f32, dot: Option<Dot>) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(2.0 * radius), Sense::hover());
    paint_avatar(ui, rect.center(), name, account, radius, dot);
}

/// Paints an avatar.
pub(crate) fn paint_avatar(ui: &Ui, center: Pos2, name: &str, account: &str, radius: f32, dot: Option<Dot>) {
    let painter = ui.painter();
    painter.circle_filled(center, radius, color_of(account));
    let font = FontId::new(radius * 0.72, semibold());
    painter.text(center, Align2::CENTER_CENTER, initials(name), font, ON_AVATAR);
    if let Some(dot) = dot {
        presence(painter, center + Vec2::splat(radius * 0.7), dot, Palette::of(ui));
    }
}

/// A full dot is online, a half one away: the shape tells it, not the colour alone.
fn presence(painter: &Painter, at: Pos2, dot: Dot, p: &Palette) {
    match dot.status {
        Status::Online => {
            painter.circle_filled(at, 6.5, dot.ground);
            painter.circle_filled(at, 4.5, p.ok);
        }
        Status::Away => {
            painter.circle_filled(at, 6.5, dot.ground);
            painter.circle_filled(at, 4.5, p.warn);
            painter.circle_filled(at - vec2(1.8, 1.8), 3.2, dot.ground);
        }
        Status::Invisible | Status::Offline => {}
    }
}

fn color_of(account: &str) -> Color32 {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    let index = usize::try_from(hasher.finish() % AVATARS.len() as u64).unwrap_or_default();
    AVATARS.get(index).copied().unwrap_or(AVATARS[0])
}

/// The colour in which a name stands in a conversation of several people.
pub(crate) fn color_of_name(name: &str, p: &Palette) -> Color32 {
    let choices = [p.accent, p.ok, p.warn, p.danger];
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let index = usize::try_from(hasher.finish() % choices.len() as u64).unwrap_or_default();
    choices.get(index).copied().unwrap_or(p.accent)
}

fn initials(name: &str) -> String {
    let mut words =
        name.split(|c: char| c.is_whitespace() || matches!(c, '_' | '-' | '.')).filter(|word| !word.is_empty());
    let mut initials: String = words.next().and_then(|word| word.chars().next()).into_iter().collect();
    match words.next().and_then(|word| word.chars().next()) {
        Some(second) => initials.push(second),
        None => initials.extend(name.chars().nth(1)),
    }
    initials.to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_two_letters_of_any_script() {
        assert_eq!(initials("alice_moreau"), "AM");
        assert_eq!(initials("bob"), "BO");
        assert_eq!(initials("Hiro 田中"), "H田");
        assert_eq!(initials(""), "");
        assert_eq!(initials("x"), "X");
    }

    #[test]
    fn two_people_of_one_name_differ() {
        let colors: std::collections::HashSet<_> = (0..100).map(|i| color_of(&format!("account {i}"))).collect();
        assert_eq!(colors.len(), AVATARS.len());
    }
}
