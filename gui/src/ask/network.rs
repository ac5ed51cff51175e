//! Connections and rendezvous nodes.

use secure_chat_node::api::{Connection, NetworkStatus, NodeHandle, TrafficPoint};

use super::Answered;

#[derive(Debug)]
pub(crate) enum Ask {
    Status,
    Connections,
    Traffic,
    Dial(String),
    AddRendezvous(String),
    RemoveRendezvous(String),
    Host,
    StopHosting,
    Diagnostics,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Status(Answered<NetworkStatus>),
    Connections(Answered<Vec<Connection>>),
    Traffic(Answered<Vec<TrafficPoint>>),
    Dialled(Answered<String>),
    Added(Answered<String>),
    Removed(Answered<()>),
    Hosting(Answered<String>),
    Stopped(Answered<()>),
    Diagnostics(Answered<String>),
}

impl Ask {
    pub(super) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::Status => Answer::Status(node.network_status().await),
            Self::Connections => Answer::Connections(node.network_connections().await.map(|list| list.connections)),
            Self::Traffic => Answer::Traffic(node.network_traffic(None).await.map(|traffic| traffic.points)),
            Self::Dial(address) => Answer::Dialled(node.network_dial(address).await.map(|dialled| dialled.peer_id)),
            Self::AddRendezvous(address) => {
                Answer::Added(node.network_add_rendezvous(address).await.map(|added| added.address))
            }
            Self::RemoveRendezvous(address) => {
                Answer::Removed(node.network_remove_rendezvous(address).await.map(|_| ()))
            }
            Self::Host => Answer::Hosting(node.network_host_rendezvous(None).await.map(|hosted| hosted.address)),
            Self::StopHosting => Answer::Stopped(node.network_stop_hosting().await.map(|_| ())),
            Self::Diagnostics => Answer::Diagnostics(node.network_diagnostics().await.map(|report| report.text)),
        }
    }
}
