//! Streams of their own, for what is too long for requests: files. libp2p's flow
//! control is the only one there is: whoever reads slowly is sent slowly.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::channel::oneshot;
use futures::future::Shared;
use futures::{AsyncRead, AsyncWrite, FutureExt as _, StreamExt as _};
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
    cut: Option<Cut>,
    /// Places among those of all peers and of this one.
    _places: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl std::fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerStream")
    }
}

impl PeerStream {
    /// What was tried waits, unless the stream was cut.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(cut) = &mut self.cut else { return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) };
        if cut.poll_unpin(cx).is_pending() {
            return Poll::Pending;
        }
        self.cut = None;
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

/// Resolves when the streams with a peer are cut.
type Cut = Shared<oneshot::Receiver<()>>;

/// Cuts streams: whoever waits for a stream of a connection that this side closes is woken
/// by nobody else (yamux wakes them when the other side closes it, or it breaks).
#[derive(Clone, Default)]
pub(super) struct Cuts(Arc<Mutex<Cutters>>);

/// By peer: what cuts, when it is dropped, and what is told.
type Cutters = HashMap<PeerId, (oneshot::Sender<()>, Cut)>;

impl Cuts {
    fn of(&self, peer: PeerId) -> Cut {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of those whose streams have all ended only the one that is kept here is left.
        all.retain(|_, (_, cut)| cut.strong_count().is_some_and(|count| count > 1));
        let (_, cut) = all.entry(peer).or_insert_with(|| {
            let (cutter, cut) = oneshot::channel();
            (cutter, cut.shared())
        });
        cut.clone()
    }

    /// A connection with this peer is closed: streams that were opened before may have been its.
    /// Which of several connections carries a stream is not known; one too many is opened anew.
    pub(super) fn cut(&self, peer: PeerId) {
        let all = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The other end of what is dropped here resolves.
        all.remove(&peer);
    }
}

/// Opens streams and takes them.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) control: Control,
    pub(super) cuts: Cuts,
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending => self.wait(cx),
            ready => ready,
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, buf) {
            Poll::Pending => self.wait(cx),
            ready => ready,
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.wait(cx),
            ready => ready,
        }
    }
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

fn protocol() -> StreamProtocol {
    StreamProtocol::new(FILES_PROTOCOL)
}

/// Opens a stream with a peer that is connected.
pub(super) async fn open(Streams { mut control, cuts }: Streams, peer: PeerId) -> Result<PeerStream, RequestError> {
    // Before: what is cut while it is opened is cut.
    let cut = Some(cuts.of(peer));
    let opening = control.open_stream(peer.0, protocol());
    match tokio::time::timeout(STREAM_OPEN_TIMEOUT, opening).await {
        Ok(Ok(stream)) => Ok(PeerStream { stream, cut, _places: None }),
        Ok(Err(OpenStreamError::UnsupportedProtocol(_))) => Err(RequestError::Unsupported),
        Ok(Err(_)) => Err(RequestError::Closed),
        Err(_) => Err(RequestError::Timeout),
    }
}

/// Takes streams that others open, until the network stops.
pub(super) fn accept(Streams { mut control, cuts }: Streams, events: mpsc::WeakSender<NetworkEvent>) {
    // Nobody else registers this protocol.
    let Ok(incoming) = control.accept(protocol()) else { return };
    tokio::spawn(take(incoming, cuts, events));
}

async fn take(mut incoming: IncomingStreams, cuts: Cuts, events: mpsc::WeakSender<NetworkEvent>) {
    let all = Arc::new(Semaphore::new(STREAMS_INBOUND_MAX));
    let mut by_peer = HashMap::<PeerId, Arc<Semaphore>>::new();
    while let Some((peer, stream)) = incoming.next().await {
        let peer = PeerId(peer);
        by_peer.retain(|_, places| places.available_permits() < STREAMS_PER_PEER_MAX);
        let own = by_peer.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(STREAMS_PER_PEER_MAX)));
        let places = all.clone().try_acquire_owned().ok().zip(own.clone().try_acquire_owned().ok());
        let (Some(places), Some(events)) = (places, events.upgrade()) else { continue };
        let stream = PeerStream { stream, cut: Some(cuts.of(peer)), _places: Some(places) };
        // Whoever finds no room tries again later.
        let _ = events.try_send(NetworkEvent::Stream { peer, stream });
    }
}
