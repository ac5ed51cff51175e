//! The desktop window of Secure Chat, on egui. It acts only through
//! [`secure_chat_node::api::NodeHandle`].
//!
//! The floors of the house, lowest first; a module imports only from floors below:
//!
//! 1. `strings`: every word · `ask`: what is asked of the node, and its answers
//! 2. `text`, [`theme`]: how text and the rest look · `notify`: desktop notifications
//! 3. `state`: what is shown, and what changes it; knows no egui
//! 4. `widgets`: what views are built from
//! 5. `views`: what is on the screen
//! 6. [`bridge`], [`app`]: threads and frames · [`hosting`]: a rendezvous node in this process · [`launch`]: from a command line to a window
//!    · [`measure`]: a conversation without a node, for benchmarks

pub mod app;
#[cfg(test)]
mod app_tests;
mod ask;
pub mod bridge;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod group_tests;
pub mod hosting;
pub mod launch;
#[cfg(test)]
mod layout_tests;
pub mod measure;
mod notify;
#[cfg(test)]
mod picture_tests;
mod state;
mod strings;
mod text;
pub mod theme;
mod views;
mod widgets;
