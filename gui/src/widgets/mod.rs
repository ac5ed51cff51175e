//! What the views are built from. Each names itself to screen readers, can be
//! reached by keyboard and takes its looks from the theme's tokens.

mod avatar;
mod banner;
mod button;
mod dialog;
mod emoji_picker;
mod field;
mod figure;
mod line;
mod list;
mod menu;
mod qr;
mod toast;

pub(crate) use avatar::{Dot, avatar, color_of_name, paint_avatar};
pub(crate) use banner::{Banner, empty_state};
pub(crate) use button::{PushButton, busy_dots, focus_ring, icon_button, sign, switch};
pub(crate) use dialog::dialog;
pub(crate) use emoji_picker::{EmojiPicker, emoji_button};
pub(crate) use field::{Field, SecretText};
pub(crate) use figure::{figure_row, title};
pub(crate) use line::{elided, error_text, lines, muted, one_line, paint_elided, section, tailed};
pub(crate) use list::{List, Shown, Target};
pub(crate) use menu::menu_item;
pub(crate) use qr::qr_code;
pub(crate) use toast::toasts;
