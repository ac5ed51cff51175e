//! A wire that is listened to: what passes through it is kept, byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A TCP port that hands everything on to another one. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Tap {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Listens before `to`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn before(to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let tap = Self { address: listener.local_addr()?, heard: Arc::default() };
        let heard = Arc::clone(&tap.heard);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(from_near, to_far, Arc::clone(&heard)));
                tokio::spawn(pass(from_far, to_near, Arc::clone(&heard)));
            }
        });
        Ok(tap)
    }

    /// As a multiaddr.
    #[must_use]
    pub fn multiaddr(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.address.port())
    }

    /// All that passed, of all connections and both directions.
    #[must_use]
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, heard: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes) = from.read(&mut buffer).await {
        if bytes == 0 {
            break;
        }
        heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..bytes]);
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
    // The other end learns that this one has ended.
    let _ = to.shutdown().await;
}
