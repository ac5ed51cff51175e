//! What the network promises, over memory and loopback, against peers of its own
//! kind and against raw libp2p peers that behave badly.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_peers;
mod deposits;
mod gossip;
mod lifecycle;
mod local_network;
mod relays;
mod requests;
mod testbed;
