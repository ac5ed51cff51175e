//! Sealed mailboxes: what a rendezvous node keeps for somebody who is away, and
//! can neither read nor tie to its sender. Floor 4.
//!
//! An envelope is sealed to the owner's weekly mailbox key, the sender's name
//! inside. Sealing is always hybrid, X25519 and ML-KEM-768: nodes keep envelopes
//! for weeks, and whoever copies them may open them with a later machine, which
//! would show who writes to whom although the messages inside stay shut. The
//! 1,088 bytes are paid once for an envelope, which carries many messages.

mod descriptor;
mod envelope;
mod keys;
mod token;

pub use descriptor::{DescriptorError, MailboxDescriptor, MailboxDescriptorIn, mailbox_id};
pub use envelope::{ENVELOPE_INNER_MAX_BYTES, EnvelopeError, EnvelopeIn, OpenError, SealError, open, seal};
pub use keys::{MailboxKeys, verify_open};
pub use token::{TokenSeed, token_hash};
