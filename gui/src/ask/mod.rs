//! What the window asks of the node, and what the node answers. One file for
//! each namespace of the application API: a new tab adds its own.
//!
//! Views and state only *say* what they want; [`Ask::perform`] does it, on the
//! bridge's runtime.

pub(crate) mod account;
pub(crate) mod activity;
pub(crate) mod by_name;
pub(crate) mod contacts;
pub(crate) mod desktop;
pub(crate) mod files;
pub(crate) mod groups;
pub(crate) mod messages;
pub(crate) mod network;
pub(crate) mod security;

use secure_chat_node::api::{ApiError, NodeHandle};

/// An answer, or what happened instead and what to do now.
pub(crate) type Answered<T> = Result<T, ApiError>;

/// A question to the node.
#[derive(Debug)]
pub(crate) enum Ask {
    Account(account::Ask),
    Network(network::Ask),
    Contacts(contacts::Ask),
    Messages(messages::Ask),
    Groups(groups::Ask),
    Files(files::Ask),
    Security(security::Ask),
    /// Not of the node, but of the desktop.
    Desktop(desktop::Ask),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Account(account::Answer),
    Network(network::Answer),
    Contacts(contacts::Answer),
    Messages(messages::Answer),
    Groups(groups::Answer),
    Files(files::Answer),
    Security(security::Answer),
    Desktop(desktop::Answer),
}

impl Ask {
    /// Whether it must reach the node after all that were asked before it:
    /// what the person wrote first is sent first.
    pub(crate) fn in_order(&self) -> bool {
        match self {
            Self::Messages(ask) => ask.in_order(),
            Self::Account(ask) => matches!(ask, account::Ask::Set { .. } | account::Ask::Lock),
            Self::Groups(ask) => ask.in_order(),
            Self::Network(_) | Self::Contacts(_) | Self::Files(_) | Self::Security(_) | Self::Desktop(_) => false,
        }
    }

    /// Asks the node.
    pub(crate) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::Account(ask) => Answer::Account(ask.perform(node).await),
            Self::Network(ask) => Answer::Network(ask.perform(node).await),
            Self::Contacts(ask) => Answer::Contacts(ask.perform(node).await),
            Self::Messages(ask) => Answer::Messages(ask.perform(node).await),
            Self::Groups(ask) => Answer::Groups(ask.perform(node).await),
            Self::Files(ask) => Answer::Files(ask.perform(node).await),
            Self::Security(ask) => Answer::Security(ask.perform(node).await),
            Self::Desktop(ask) => Answer::Desktop(ask.perform().await),
        }
    }
}

macro_rules! into_ask {
    ($($module:ident => $variant:ident),*) => {$(
        impl From<$module::Ask> for Ask {
            fn from(ask: $module::Ask) -> Self {
                Self::$variant(ask)
            }
        }

        impl From<$module::Answer> for Answer {
            fn from(answer: $module::Answer) -> Self {
                Self::$variant(answer)
            }
        }
    )*};
}
into_ask!(
    account => Account, network => Network, contacts => Contacts, messages => Messages,
    groups => Groups, files => Files, security => Security, desktop => Desktop
);
