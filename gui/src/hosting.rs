//! A rendezvous node inside this process, for a few friends or a home: the
//! one thing for which the window knows the rendezvous crate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secure_chat_node::config::RendezvousHost;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use tokio::sync::Mutex;

/// Where a node listens unless it is told otherwise: a fixed port, so that its address survives a restart.
const LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"];
/// The same on free ports, where the fixed ones are taken.
const LISTEN_ANYWHERE: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
/// How long the addresses of the interfaces are waited for.
const ADDRESSES_WITHIN: Duration = Duration::from_secs(2);

/// Hosts a node in a folder of the data directory.
#[derive(Clone)]
pub struct Host {
    folder: PathBuf,
    running: Arc<Mutex<Option<(RendezvousNode, String)>>>,
}

impl Host {
    /// A host whose node keeps its key and its mailboxes under `data_dir`.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("rendezvous"), running: Arc::default() }
    }

    async fn launch(&self, listen: Vec<String>) -> Result<RendezvousNode, String> {
        let config = |listen: Vec<String>| RendezvousConfig { listen, ..RendezvousConfig::new(&self.folder) };
        if !listen.is_empty() {
            return RendezvousNode::start(config(listen)).await.map_err(|error| error.to_string());
        }
        match RendezvousNode::start(config(LISTEN.map(str::to_owned).into())).await {
            Ok(node) => Ok(node),
            // Another program has the port: any other will do.
            Err(_) => RendezvousNode::start(config(LISTEN_ANYWHERE.map(str::to_owned).into()))
                .await
                .map_err(|error| error.to_string()),
        }
    }
}

impl RendezvousHost for Host {
    fn start(&self, listen: Vec<String>) -> futures::future::BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            let mut running = self.running.lock().await;
            if let Some((_, address)) = &*running {
                return Ok(address.clone());
            }
            let node = self.launch(listen).await?;
            let address = address_for_others(&node).await.ok_or("the node listens nowhere")?;
            *running = Some((node, address.clone()));
            Ok(address)
        })
    }

    fn stop(&self) -> futures::future::BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some((node, _)) = self.running.lock().await.take() {
                node.stop().await;
            }
        })
    }
}

/// The address that others on the network can use, or else one of this machine.
async fn address_for_others(node: &RendezvousNode) -> Option<String> {
    let mut addresses = node.watch_addresses();
    let reachable = |address: &String| !address.starts_with("/ip4/127.") && !address.starts_with("/ip6/::1");
    let seen = tokio::time::timeout(ADDRESSES_WITHIN, addresses.wait_for(|all| all.iter().any(reachable)));
    if let Ok(Ok(all)) = seen.await {
        return all.iter().find(|address| reachable(address)).cloned();
    }
    node.addresses().into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_hosted_twice_is_one_and_stops() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path());
        let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let first = host.start(listen.clone()).await.unwrap();
        assert_eq!(host.start(listen.clone()).await.as_ref(), Ok(&first));
        host.stop().await;
        let again = host.start(listen).await.unwrap();
        let peer = |address: &str| address.rsplit('/').next().map(str::to_owned);
        assert_eq!(peer(&again), peer(&first), "its identity outlives a stop");
        host.stop().await;
    }
}
