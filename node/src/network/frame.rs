//! One frame each way on a stream of its own: its length in bytes as a 32-bit
//! little-endian number, then the encoding. The length is checked before anything
//! is allocated, and memory grows only as bytes arrive.
//!
//! Garbage is handed up as a value, because `request-response` itself tells nobody
//! who sent a request that could not be read.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;
use secure_chat_protocol::limits::{PEER_FRAME_MAX_BYTES, RENDEZVOUS_FRAME_MAX_BYTES};
use secure_chat_protocol::wire::codec::{DecodeError, EncodeError};
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::limits::{FRAME_BYTES_IN_FLIGHT_MAX, FRAME_SMALL_BYTES, FRAME_TIMEOUT};

/// Memory is claimed from the budget and grown by this much at a time, in bytes.
const STEP_BYTES: usize = 64 * 1024;

/// A message that has one bounded encoding.
pub(super) trait Message: Sized + Send + Sync + 'static {
    /// Longest encoding, in bytes.
    const MAX_BYTES: usize;
    fn to_frame(&self) -> Result<Vec<u8>, EncodeError>;
    fn from_frame(bytes: &[u8]) -> Result<Self, DecodeError>;
}

macro_rules! message {
    ($($name:ty: $max:expr),* $(,)?) => {$(
        impl Message for $name {
            const MAX_BYTES: usize = $max;
            fn to_frame(&self) -> Result<Vec<u8>, EncodeError> {
                self.encode()
            }
            fn from_frame(bytes: &[u8]) -> Result<Self, DecodeError> {
                Self::decode(bytes)
            }
        }
    )*};
}

message!(
    PeerRequest: PEER_FRAME_MAX_BYTES,
    PeerResponse: PEER_FRAME_MAX_BYTES,
    rendezvous::Request: RENDEZVOUS_FRAME_MAX_BYTES,
    rendezvous::Response: RENDEZVOUS_FRAME_MAX_BYTES,
    rendezvous::Push: RENDEZVOUS_FRAME_MAX_BYTES,
    rendezvous::PushResponse: RENDEZVOUS_FRAME_MAX_BYTES,
);

/// What is wrong with a frame. Always its sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// The length is beyond the limit.
    #[error("a frame is too long")]
    TooLong,
    /// The stream ended inside the frame.
    #[error("a frame is cut off")]
    CutOff,
    /// The frame did not come in time.
    #[error("a frame is too slow")]
    TooSlow,
    /// The bytes are no encoding of what is expected.
    #[error("a frame is malformed")]
    Malformed,
}

/// A request on its way in: read, or not readable.
#[derive(Debug)]
pub(super) enum Read<M> {
    /// With the bytes that its encoding took.
    Whole(M, usize),
    Bad(Fault),
}

/// The codec of requests `Q` and answers `A`.
pub(super) struct Frames<Q, A> {
    budget: Arc<Semaphore>,
    timeout: Duration,
    messages: PhantomData<fn() -> (Q, A)>,
}

impl<Q, A> Frames<Q, A> {
    pub(super) fn new() -> Self {
        Self {
            budget: Arc::new(Semaphore::new(FRAME_BYTES_IN_FLIGHT_MAX / STEP_BYTES)),
            timeout: FRAME_TIMEOUT,
            messages: PhantomData,
        }
    }
}

impl<Q, A> Clone for Frames<Q, A> {
    fn clone(&self) -> Self {
        Self { budget: self.budget.clone(), timeout: self.timeout, messages: PhantomData }
    }
}

enum ReadError {
    Fault(Fault),
    /// The connection's or ours, not the sender's.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Fault(Fault::CutOff),
            _ => Self::Io(error),
        }
    }
}

impl<Q: Message, A: Message> Frames<Q, A> {
    async fn read<M: Message>(&self, io: &mut (impl AsyncRead + Unpin + Send)) -> Result<(M, usize), ReadError> {
        match tokio::time::timeout(self.timeout, self.read_frame(io)).await {
            Ok(read) => read,
            Err(_) => Err(ReadError::Fault(Fault::TooSlow)),
        }
    }

    async fn read_frame<M: Message>(&self, io: &mut (impl AsyncRead + Unpin + Send)) -> Result<(M, usize), ReadError> {
        let mut length = [0_u8; 4];
        io.read_exact(&mut length).await?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > M::MAX_BYTES {
            return Err(ReadError::Fault(Fault::TooLong));
        }
        let mut bytes = Vec::new();
        let mut claim: Option<SemaphorePermit<'_>> = None;
        while bytes.len() < length {
            let have = bytes.len();
            let step = (length - have).min(STEP_BYTES);
            if have >= FRAME_SMALL_BYTES {
                let more = self.budget.acquire().await.map_err(|_| ReadError::Io(io::ErrorKind::OutOfMemory.into()))?;
                match claim.as_mut() {
                    Some(claim) => claim.merge(more),
                    None => claim = Some(more),
                }
            }
            bytes.resize(have + step, 0);
            let Some(part) = bytes.get_mut(have..) else { return Err(ReadError::Fault(Fault::Malformed)) };
            io.read_exact(part).await?;
        }
        let message = M::from_frame(&bytes).map_err(|_| ReadError::Fault(Fault::Malformed))?;
        Ok((message, length))
    }

    async fn write<M: Message>(&self, io: &mut (impl AsyncWrite + Unpin + Send), message: &M) -> io::Result<()> {
        let bytes = message.to_frame().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // One write for both: a small frame is then one packet.
        let mut frame = Vec::with_capacity(bytes.len() + 4);
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&bytes);
        io.write_all(&frame).await
    }
}

impl<Q: Message, A: Message> request_response::Codec for Frames<Q, A> {
    type Protocol = StreamProtocol;
    type Request = Read<Q>;
    type Response = A;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Read<Q>>
    where
        T: AsyncRead + Unpin + Send,
    {
        match self.read(io).await {
            Ok((request, bytes)) => Ok(Read::Whole(request, bytes)),
            Err(ReadError::Fault(fault)) => Ok(Read::Bad(fault)),
            Err(ReadError::Io(error)) => Err(error),
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<A>
    where
        T: AsyncRead + Unpin + Send,
    {
        // The wait for the first byte is the answerer's time, bounded by the stream's.
        let mut first = [0_u8; 1];
        io.read_exact(&mut first).await?;
        let mut io = (&first[..]).chain(io);
        match self.read(&mut io).await {
            Ok((answer, _)) => Ok(answer),
            Err(ReadError::Fault(fault)) => Err(io::Error::new(io::ErrorKind::InvalidData, fault)),
            Err(ReadError::Io(error)) => Err(error),
        }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Read<Q>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match request {
            Read::Whole(request, _) => self.write(io, &request).await,
            Read::Bad(fault) => Err(io::Error::new(io::ErrorKind::InvalidInput, fault)),
        }
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: A) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write(io, &answer).await
    }
}

#[cfg(test)]
mod tests {
    use libp2p::request_response::Codec as _;
    use secure_chat_protocol::wire::codec::Bytes;

    use super::*;

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/test");

    fn codec() -> Frames<PeerRequest, PeerResponse> {
        Frames { timeout: Duration::from_millis(50), ..Frames::new() }
    }

    async fn read(bytes: &[u8]) -> Result<PeerRequest, Fault> {
        match codec().read_request(&PROTOCOL, &mut &bytes[..]).await.unwrap() {
            Read::Whole(request, _) => Ok(request),
            Read::Bad(fault) => Err(fault),
        }
    }

    #[tokio::test]
    async fn a_long_frame_arrives_as_it_was_sent() {
        let request = PeerRequest::Deliver { messages: vec![Bytes(vec![7; 40_000]); 40] };
        let mut wire = Vec::new();
        codec().write_request(&PROTOCOL, &mut wire, Read::Whole(request.clone(), 0)).await.unwrap();
        assert_eq!(read(&wire).await, Ok(request));
    }

    #[tokio::test]
    async fn a_frame_that_is_too_long_cut_off_or_garbage_is_told_apart() {
        assert_eq!(read(&100_000_000_u32.to_le_bytes()).await, Err(Fault::TooLong));
        assert_eq!(read(&[9, 0, 0, 0, 1, 2]).await, Err(Fault::CutOff));
        assert_eq!(read(&[3, 0]).await, Err(Fault::CutOff));
        assert_eq!(read(&[3, 0, 0, 0, 255, 255, 255]).await, Err(Fault::Malformed));
    }

    #[tokio::test]
    async fn a_frame_that_dawdles_is_given_up() {
        let mut slow =
            (&[9_u8, 0, 0, 0, 1][..]).chain(futures::stream::pending::<io::Result<Vec<u8>>>().into_async_read());
        let read = codec().read_request(&PROTOCOL, &mut slow).await.unwrap();
        assert!(matches!(read, Read::Bad(Fault::TooSlow)));
    }

    /// The name of the variant.
    fn kind(value: &impl std::fmt::Debug) -> String {
        format!("{value:?}").chars().take_while(|letter| letter.is_alphabetic()).collect()
    }

    fn framed<M: Message>(message: &M) -> Vec<u8> {
        let bytes = message.to_frame().unwrap();
        [u32::try_from(bytes.len()).unwrap().to_le_bytes().as_slice(), &bytes].concat()
    }

    /// No bytes on a stream make the reader panic, and what it takes is what was sent.
    fn reads_anything<M: Message + std::fmt::Debug>(seeds: &[M]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let seeds: Vec<Vec<u8>> = seeds.iter().map(framed).collect();
        crate::fuzz::survives(&seeds, |input| {
            let mut stream = input;
            match runtime.block_on(Frames::<M, M>::new().read::<M>(&mut stream)) {
                Ok((message, _)) => {
                    assert!(input.starts_with(&framed(&message)), "what was read is not what was sent");
                    kind(&message)
                }
                Err(ReadError::Fault(fault)) => format!("{fault:?}"),
                Err(ReadError::Io(error)) => panic!("bytes in memory can't fail: {error}"),
            }
        });
    }

    #[test]
    fn no_bytes_of_a_peer_make_the_reader_panic() {
        use secure_chat_protocol::wire::peer::{DeliveryStatus, Hello, PeerRefusal};
        let hello = Hello { record: Bytes(vec![7; 90]), addresses: vec!["/memory/1".to_owned()], status: None };
        reads_anything(&[
            PeerRequest::Hello(hello.clone()),
            PeerRequest::Bundle,
            PeerRequest::Deliver { messages: vec![Bytes(vec![1; 30]), Bytes(vec![2; 300])] },
        ]);
        reads_anything(&[
            PeerResponse::Hello(hello),
            PeerResponse::Bundle { bundle: Bytes(vec![3; 40]) },
            PeerResponse::Delivered { statuses: vec![DeliveryStatus::Stored; 3] },
            PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms: 700 }),
        ]);
    }

    #[test]
    fn no_bytes_of_a_node_make_the_reader_panic() {
        use secure_chat_protocol::id::EnvelopeId;
        use secure_chat_protocol::wire::rendezvous::{Refusal, Response, StoredEnvelope};
        let envelope = StoredEnvelope { seq: 1, id: EnvelopeId([4; 16]), sealed: Bytes(vec![5; 60]) };
        reads_anything(&[
            Response::Done,
            Response::Mail { envelopes: vec![envelope], more: false },
            Response::Refused(Refusal::Stale { seq: 300 }),
        ]);
    }

    use futures::TryStreamExt as _;
}
