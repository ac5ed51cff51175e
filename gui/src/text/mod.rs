//! What egui leaves open about text: colour emoji, the order of right-to-left
//! words, links, characters that lie, and times as people write them.

mod clock;
mod display;
mod emoji;
mod links;
mod mentions;
mod order;
mod pasted;

pub(crate) use clock::{Clock, bytes, date_time, day_label, duration, long_date_time, time_of_day, when};
pub(crate) use display::displayed;
pub(crate) use emoji::{EMOJI, QUICK_REACTIONS, emoji_only, emoji_rasterizer};
pub(crate) use links::links;
pub(crate) use mentions::{begun_mention, mentions};
pub(crate) use order::{has_right_to_left, visual_lines};
pub(crate) use pasted::pasted_files;
