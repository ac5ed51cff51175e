//! What people type, checked once at the door: usernames, passwords, texts and
//! reactions; names of files; and what peers say, made safe for a terminal. Floor 3: imports
//! only [`crate::limits`].

mod address;
mod file_name;
mod group;
mod password;
mod terminal;
mod text;
mod username;

pub use address::{AddressError, check_address, check_home};
pub use file_name::safe_file_name;
pub use group::{GroupName, GroupNameError, check_group_description};
pub use password::{Missing, PasswordReport, check_password};
pub use terminal::{escape_for_terminal, escape_lines_for_terminal};
pub use text::{TextError, check_greeting, check_reaction, check_text};
pub use username::{ForbiddenKind, Username, UsernameError, skeleton};
