//! The Unix socket and its clients.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection::{AtEnd, serve};
use crate::api::NodeHandle;
use crate::stop::{Stop, requested};

/// Clients at a time; others wait until one leaves.
const CLIENTS_MAX: usize = 16;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another peer answers there.
    #[error("another peer serves the socket {}; stop it, or choose another path", .0.display())]
    Live(PathBuf),
    /// What is there is not a socket.
    #[error("{} is there and is not a socket; remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("the socket {} can't be made: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket at a path, for this user alone. Dropping it removes it.
pub struct RpcSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device, inode and owner: the file is only removed if it is still this one.
    identity: (u64, u64),
    owner: u32,
}

impl RpcSocket {
    /// Makes a socket at `path`, for which the folder must be there. What a
    /// peer that was killed left behind is replaced; a live socket is not.
    ///
    /// # Errors
    /// [`SocketError`].
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io { path: path.to_owned(), source };
        clear_stale(path).await?;
        // Binding never replaces what is there: of two peers that start at once, one fails here.
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let metadata = std::fs::symlink_metadata(path).map_err(failed)?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { listener, path: path.to_owned(), identity, owner: metadata.uid() })
    }

    /// Serves clients until the program is asked to stop; then stops the node.
    pub async fn serve(self, handle: NodeHandle, mut stop: Stop) {
        let places = Arc::new(Semaphore::new(CLIENTS_MAX));
        let mut clients = JoinSet::new();
        loop {
            let client = tokio::select! {
                client = self.accept(&places) => client,
                () = requested(&mut stop) => break,
            };
            let (handle, stop) = (handle.clone(), stop.clone());
            clients.spawn(async move {
                let (stream, _place) = client;
                let (input, output) = stream.into_split();
                serve(handle, input, output, stop, AtEnd::LeaveNode).await;
            });
            while clients.try_join_next().is_some() {}
        }
        handle.shutdown().await;
        while clients.join_next().await.is_some() {}
    }

    /// The next client, once there is a place for it.
    async fn accept(&self, places: &Arc<Semaphore>) -> (UnixStream, Option<tokio::sync::OwnedSemaphorePermit>) {
        let place = Arc::clone(places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if self.is_owner(&stream) => return (stream, place),
                // The mode is set a moment after the socket is made: whoever slips in between is turned away.
                Ok(_) => tracing::warn!("a client of another user was turned away from the socket"),
                Err(error) => {
                    // Out of file descriptors, say: it passes, and a busy loop would not help.
                    tracing::warn!(%error, "a client could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn is_owner(&self, stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|peer| peer.uid() == self.owner || peer.uid() == 0)
    }
}

impl Drop for RpcSocket {
    fn drop(&mut self) {
        let still_ours = std::fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.identity);
        if still_ours {
            // If it fails, the next peer finds a stale socket and replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

async fn clear_stale(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Io { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed),
        // A full queue or a missing permission is a sign of life, too.
        Ok(_) | Err(_) => Err(SocketError::Live(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::sync::{broadcast, mpsc, watch};

    use super::*;
    use crate::api::Command;

    #[tokio::test]
    async fn a_live_socket_is_not_replaced_and_a_stale_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peer.sock");
        let live = RpcSocket::bind(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(RpcSocket::bind(&path).await, Err(SocketError::Live(_))));
        drop(live);
        assert!(!path.exists());
        // A killed process leaves its socket behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        RpcSocket::bind(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(RpcSocket::bind(&path).await, Err(SocketError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn several_clients_are_served_and_a_signal_ends_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peer.sock");
        let (commands, mut engine) = mpsc::channel(1);
        let (events, _) = broadcast::channel(1);
        let (stop, stopped) = watch::channel(false);
        let socket = RpcSocket::bind(&path).await.unwrap();
        let served = tokio::spawn(socket.serve(NodeHandle::new(commands, &events), stopped));
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = BufReader::new(UnixStream::connect(&path).await.unwrap());
            client.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"none\"}\n").await.unwrap();
            let mut answer = String::new();
            client.read_line(&mut answer).await.unwrap();
            assert!(answer.contains("-32601"), "{answer}");
            clients.push(client);
        }
        stop.send(true).unwrap();
        let Some(Command::Shutdown(done)) = engine.recv().await else { panic!() };
        done.send(()).unwrap();
        drop(engine);
        served.await.unwrap();
        for mut client in clients {
            assert_eq!(client.read_line(&mut String::new()).await.unwrap(), 0, "the connection is closed");
        }
        assert!(!path.exists());
    }
}
