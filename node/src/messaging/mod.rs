//! State machines of messaging, with no I/O. Floor 3: stands on the protocol and [`crate::api`].
//!
//! From below: [`limits`] · [`contact`], [`group`], [`stored`], [`settings`], [`clock`] · [`outbox`], [`request`].

pub mod clock;
pub mod contact;
pub mod group;
pub mod limits;
pub mod outbox;
pub mod request;
pub mod settings;
pub mod stored;
