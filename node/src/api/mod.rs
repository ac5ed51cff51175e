//! The application API: the only door for the window, the shell, JSON-RPC,
//! examples and tests. Names are those of `interfaces.md`'s contract.

mod command;
mod error;
mod event;
mod file_view;
mod group_view;
mod security_view;
mod text;
mod view;

pub use command::{Answer, Command, METHODS, NodeHandle, Reply, call, params, submit};
pub use error::{ApiError, CallError, ErrorKind};
pub(crate) use event::EVENTS_BUFFERED;
pub use event::{Event, EventStream, NumberedEvent};
pub use file_view::{
    Direction, Downloaded, Expiry, FilePreview, FileShared, FileSource, FileState, FileView, Files, Routes,
};
pub use group_view::*;
pub use secure_chat_protocol::membership::{JoinPolicy, Role};
pub use security_view::*;
pub use text::{At, Password};
pub use view::*;
