//! JSON-RPC 2.0 on the application API: one object a line, on standard input
//! and output or on a Unix socket. A door with no logic of its own, and on the
//! top floor. `interfaces.md` in the documentation lists the methods.
//!
//! - `message`: what a line asks, and how an answer is written
//! - `connection`: one client: requests in, answers and events out
//! - `socket`: the Unix socket and its clients

mod connection;
mod message;
#[cfg(unix)]
mod socket;

#[cfg(unix)]
pub use socket::{RpcSocket, SocketError};

use crate::api::NodeHandle;
use crate::stdio::{Stdin, Stdout};
use crate::stop::Stop;

/// Serves standard input and output. When standard input ends, or `stop` says
/// so, what was asked is answered and the node is stopped.
pub async fn serve_stdio(handle: NodeHandle, stop: Stop) {
    connection::serve(handle, Stdin::open(), Stdout::default(), stop, connection::AtEnd::StopNode).await;
}
