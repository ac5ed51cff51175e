//! The swarm and nothing else. Floor 2. libp2p's types stop at this module's door:
//! [`NetworkHandle`] goes in, [`NetworkEvent`]s come out.
//!
//! One task owns the swarm and awaits nothing else. What decides is in state
//! machines without I/O: who is reached by which address and when (`reach`), which
//! requests may leave (`outbound`), which connections stay (`peers`), how rendezvous
//! nodes are kept (`links`).

mod address;
mod address_book;
mod behaviour;
mod courier;
mod dial_error;
mod event;
mod frame;
mod gossip;
mod handle;
mod inbound;
pub mod limits;
mod links;
mod nodes;
mod origins;
mod outbound;
mod partition;
mod peers;
pub mod plug;
mod reach;
mod requests;
mod streams;
mod swarm_events;
mod task;
mod traffic;
mod transport;

pub use address::{Address, AddressError, PeerId, Route, Transport, parse_address, parse_rendezvous};
pub use event::{
    ConnectionInfo, DialError, GossipId, LinkInfo, LinkState, Nat, NetworkError, NetworkEvent, RequestError, Responder,
    Status,
};
pub use frame::Fault;
pub use handle::{GossipError, Network, NetworkConfig, NetworkHandle};
pub use partition::Partition;
pub use streams::PeerStream;
pub use transport::TransportKind;
