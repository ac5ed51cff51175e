//! Writes the frozen vectors anew from their seeds, or checks them:
//! `cargo run -p secure-chat-protocol --example vectors [-- --check]`.
//!
//! To write is right only together with a new version of what changed.
#![allow(clippy::unwrap_used, reason = "a chore: a failure ends it")]

mod files;
mod mailbox_and_vault;
mod node_services;
mod sessions;
mod shared_files;

use std::process::ExitCode;

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("unknown option {other}: --check is the only one");
            return ExitCode::from(2);
        }
    };
    let mut differ = false;
    for (name, generate) in files::FILES {
        if !check {
            std::fs::write(files::path(name), files::text(&generate())).unwrap();
            println!("{name}: written");
        } else if files::holds(name, &generate()) {
            println!("{name}: holds");
        } else {
            println!("{name}: differs");
            differ = true;
        }
    }
    ExitCode::from(u8::from(differ))
}
