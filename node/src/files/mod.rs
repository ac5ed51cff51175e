//! Files, apart from the engine: reading, encrypting, handing over, fetching and
//! writing them, each transfer in a task and with threads of its own. Floor 3.
//!
//! Nothing here knows the account's state. The engine says what to do, and
//! commits what comes of it.

pub(crate) mod copies;
pub(crate) mod counts;
pub(crate) mod fetch;
pub(crate) mod form;
pub(crate) mod kind;
pub mod limits;
mod plan;
pub(crate) mod prepare;
pub(crate) mod preview;
pub(crate) mod row;
pub(crate) mod serve;
pub(crate) mod shelf;
pub(crate) mod source;
pub(crate) mod target;
pub(crate) mod upload;
mod write;
