//! What Secure Chat says: cryptography, wire formats, limits and validation.
//!
//! No I/O, no clock, no async and no global random generator: time and
//! randomness are arguments. Whatever decides can be tested without a network.
//!
//! The floors of the house, lowest first; a module imports only from floors
//! below its own:
//!
//! 1. [`limits`], [`id`], [`fixed`]
//! 2. [`crypto`]: the only importers of the cryptography crates;
//!    [`wire::codec`]: the only importer of the encoding crate; [`padding`]
//! 3. [`validate`], [`identity`], [`safety_number`], [`vault`]
//! 4. [`prekey`], [`sealed`], [`work`], [`invite`], [`listing`], [`group_log`], [`blob`]
//! 5. [`record`], [`handshake`], [`double_ratchet`], [`session`]
//! 6. [`sender_key`], [`membership`], [`file`](mod@file)
//! 7. [`wire`]: what travels

pub mod blob;
pub mod crypto;
pub mod double_ratchet;
pub mod file;
pub mod fixed;
pub mod group_log;
pub mod handshake;
pub mod id;
pub mod identity;
pub mod invite;
pub mod limits;
pub mod listing;
pub mod membership;
pub mod padding;
pub mod prekey;
pub mod record;
pub mod safety_number;
pub mod sealed;
pub mod sender_key;
pub mod session;
pub mod validate;
pub mod vault;
pub mod wire;
pub mod work;
