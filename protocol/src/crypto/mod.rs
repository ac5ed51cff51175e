//! The primitives, one file each: the only importers of the cryptography crates.

pub mod aead;
pub mod argon2id;
pub mod ed25519;
pub mod kdf;
pub mod kem;
pub mod secret;
pub mod sha256;
pub mod state;
pub mod x25519;
