//! The optional node that takes the place of a server: names, presence, prekeys, sealed mailboxes
//! and a relay. It holds no key that opens anything, and no plaintext.
//!
//! The floors, lowest first; a module imports only from floors below its own:
//!
//! 1. [`limits`], [`rows`], [`quota`], [`presence`], `push`, [`metrics`]
//! 2. the rules: [`registry`], [`prekeys`], [`mailbox`], [`directory`], [`group_log`], [`blobs`], [`expiry`]; `door`: what is checked before they see it;
//!    [`operation`]: all that is asked of storage
//! 3. [`store`], [`config`], `identity_key`
//! 4. [`server`]: the swarm, and what is decided in it
//!
//! ```no_run
//! # async fn example() -> Result<(), secure_chat_rendezvous::StartError> {
//! use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
//!
//! let node = RendezvousNode::start(RendezvousConfig::new("/tmp/node").in_memory()).await?;
//! println!("{}", node.addresses().join("\n"));
//! node.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod blobs;
pub mod config;
pub mod directory;
mod door;
pub mod expiry;
pub mod group_log;
mod identity_key;
pub mod limits;
pub mod mailbox;
pub mod metrics;
pub mod operation;
pub mod prekeys;
pub mod presence;
mod push;
pub mod quota;
pub mod registry;
pub mod rows;
pub mod server;
pub mod store;

pub use config::{ConfigError, FileConfig, Limits, Rates, RelayLimits, RendezvousConfig, TransportKind};
pub use identity_key::IdentityFileError;
pub use server::{RendezvousNode, StartError, Witness};
