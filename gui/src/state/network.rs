//! How it stands with the network, as far as the window shows it.

use secure_chat_node::api::{Connection, NetworkStatus, TrafficPoint};

/// A glance at the network in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Not known yet.
    Unknown,
    /// Registered at a rendezvous node.
    Registered,
    /// Connected to somebody, but registered nowhere.
    PeersOnly,
    /// On the way to a rendezvous node.
    Connecting,
    /// Alone.
    Alone,
}

/// The network tab.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) status: Option<NetworkStatus>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) traffic: Vec<TrafficPoint>,
    /// A rendezvous node is being added.
    pub(crate) adding: bool,
    /// Why adding one failed.
    pub(crate) add_error: Option<String>,
    /// One is being started in this process.
    pub(crate) host_starting: bool,
    /// Why hosting failed.
    pub(crate) host_error: Option<String>,
    /// The address of the one that this process hosts.
    pub(crate) hosted: Option<String>,
    /// An address is being called.
    pub(crate) dialling: bool,
    /// Why the call failed.
    pub(crate) dial_error: Option<String>,
    /// When the tab was read last, in milliseconds.
    pub(crate) read_at_ms: u64,
}

impl Network {
    /// A glance at the network.
    pub(crate) fn reach(&self) -> Reach {
        let Some(status) = &self.status else { return Reach::Unknown };
        if status.rendezvous.iter().any(|node| node.state == "registered") {
            Reach::Registered
        } else if status.rendezvous.iter().any(|node| matches!(node.state.as_str(), "connecting" | "connected")) {
            Reach::Connecting
        } else if status.connections > 0 {
            Reach::PeersOnly
        } else {
            Reach::Alone
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_node::api::RendezvousState;

    fn with(state: &str, connections: usize) -> Reach {
        let node = RendezvousState {
            address: String::new(),
            peer_id: String::new(),
            state: state.into(),
            detail: None,
            rtt_ms: None,
        };
        let status = NetworkStatus { rendezvous: vec![node], connections, ..NetworkStatus::default() };
        Network { status: Some(status), ..Network::default() }.reach()
    }

    #[test]
    fn the_best_news_counts() {
        assert_eq!(with("registered", 0), Reach::Registered);
        assert_eq!(with("connecting", 1), Reach::Connecting);
        assert_eq!(with("unreachable", 1), Reach::PeersOnly);
        assert_eq!(with("unreachable", 0), Reach::Alone);
        assert_eq!(Network::default().reach(), Reach::Unknown);
    }
}
