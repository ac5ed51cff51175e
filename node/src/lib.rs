//! A Secure Chat peer: network, storage, messaging services and the
//! application API. The binary of this package is the headless peer.
//!
//! The floors of the house, lowest first; a module imports only from floors below:
//!
//! 1. [`api`]: what the application sees: views, events, errors, [`api::NodeHandle`]
//! 2. `store`: the sealed vault · `network`: the swarm and nothing else
//! 3. `messaging`: state machines with no I/O · `files`: transfers, with tasks and threads of their own · `security`: audit log, rate limits
//! 4. `engine`: the one actor
//! 5. [`rpc`], [`shell`], [`status`]: doors onto the handle
//!
//! [`config`] and [`cli`] stand on the network's addresses and on the bounds of files and log, [`clock`], [`stop`], `lines` and `stdio` on nothing.

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod files;
#[cfg(test)]
mod fuzz;
mod lines;
pub mod messaging;
pub mod network;
pub mod rpc;
pub mod security;
pub mod shell;
mod stack;
pub mod status;
mod stdio;
pub mod stop;
pub mod store;

/// Overwrites every block of memory when it is freed or grows: what libraries copied
/// of a password, a key or a message does not outlive its use. Every program that
/// links this crate has it.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);
