//! What travels: bounded, versioned, canonical encodings.

pub mod codec;
pub mod content;
pub mod group;
pub mod peer;
pub mod rendezvous;
pub mod transfer;
