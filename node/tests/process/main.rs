//! What the headless peer promises, tested on the real program: every test
//! here starts `secure-chat-node` and talks to it as a script would.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_input;
mod command_line;
mod contract;
mod group_contract;
mod peer;
mod rpc;
mod shell;
mod socket;
mod two_peers;
