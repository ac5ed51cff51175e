//! The window against a real node, a real rendezvous node and a second real
//! peer, driven by the names that a screen reader says.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account;
mod deeds;
mod files;
mod leading;
mod talking;
mod together;
mod town;
