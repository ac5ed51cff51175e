//! Streams of their own, for what is too long for requests: files. libp2p's flow
//! control is the only one there is: whoever reads slowly is sent slowly.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite, StreamExt as _};
use libp2p::StreamProtocol;
use libp2p_stream::{Control, IncomingStreams, OpenStreamError};
use secure_chat_protocol::wire::transfer::FILES_PROTOCOL;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::address::PeerId;
use super::event::{NetworkEvent, RequestError};
use super::limits::{STREAM_OPEN_TIMEOUT, STREAMS_INBOUND_MAX, STREAMS_PER_PEER_MAX};

/// A stream with one peer, who was authenticated by the connection. Dropping it closes it.
pub struct PeerStream {
    stream: libp2p::Stream,
    /// Places among those of all peers and of this one.
    _places: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl std::fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerStream")
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

fn protocol() -> StreamProtocol {
    StreamProtocol::new(FILES_PROTOCOL)
}

/// Opens a stream with a peer that is connected.
pub(super) async fn open(mut control: Control, peer: PeerId) -> Result<PeerStream, RequestError> {
    let opening = control.open_stream(peer.0, protocol());
    match tokio::time::timeout(STREAM_OPEN_TIMEOUT, opening).await {
        Ok(Ok(stream)) => Ok(PeerStream { stream, _places: None }),
        Ok(Err(OpenStreamError::UnsupportedProtocol(_))) => Err(RequestError::Unsupported),
        Ok(Err(_)) => Err(RequestError::Closed),
        Err(_) => Err(RequestError::Timeout),
    }
}

/// Takes streams that others open, until the network stops.
pub(super) fn accept(mut control: Control, events: mpsc::WeakSender<NetworkEvent>) {
    // Nobody else registers this protocol.
    let Ok(incoming) = control.accept(protocol()) else { return };
    tokio::spawn(take(incoming, events));
}

async fn take(mut incoming: IncomingStreams, events: mpsc::WeakSender<NetworkEvent>) {
    let all = Arc::new(Semaphore::new(STREAMS_INBOUND_MAX));
    let mut by_peer = HashMap::<PeerId, Arc<Semaphore>>::new();
    while let Some((peer, stream)) = incoming.next().await {
        let peer = PeerId(peer);
        by_peer.retain(|_, places| places.available_permits() < STREAMS_PER_PEER_MAX);
        let own = by_peer.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(STREAMS_PER_PEER_MAX)));
        let places = all.clone().try_acquire_owned().ok().zip(own.clone().try_acquire_owned().ok());
        let (Some(places), Some(events)) = (places, events.upgrade()) else { continue };
        let stream = PeerStream { stream, _places: Some(places) };
        // Whoever finds no room tries again later.
        let _ = events.try_send(NetworkEvent::Stream { peer, stream });
    }
}
