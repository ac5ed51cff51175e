//! The frozen vectors under `protocol/vectors/` are what the code makes today.
//! The example `vectors` makes them; `check.py`, `check_sessions.py`,
//! `check_services.py` and `check_files.py` beside them are a second implementation that reads them.
#![allow(clippy::unwrap_used, reason = "a test: clippy sees the functions around it only as code")]

#[path = "../examples/vectors/files.rs"]
mod files;
#[path = "../examples/vectors/mailbox_and_vault.rs"]
mod mailbox_and_vault;
#[path = "../examples/vectors/node_services.rs"]
mod node_services;
#[path = "../examples/vectors/sessions.rs"]
mod sessions;
#[path = "../examples/vectors/shared_files.rs"]
mod shared_files;

#[test]
fn the_frozen_vectors_still_hold() {
    for (name, generate) in files::FILES {
        assert!(files::holds(name, &generate()), "{name}: a change of what is said needs a new version");
    }
}

#[test]
fn the_vectors_depend_on_nothing_but_their_seeds() {
    for (_, generate) in files::FILES {
        assert_eq!(files::text(&generate()), files::text(&generate()));
    }
}
