//! The username record: who a name stands for, and how they are reached, signed
//! by their identity. Rendezvous nodes store and serve it, and can't change it. Floor 5.

mod verified;
mod wire;

pub use crate::sealed::{DescriptorError, MailboxDescriptor, MailboxDescriptorIn};
pub use verified::{Record, RecordFields, Succession};
pub use wire::{PeerBindingIn, RECORD_VERSION, RecordError, RecordIn, peer_binding};
