//! Frames on a stream: a length, then that many bytes, at most so many. Decoding runs in the
//! connection's own task, so that it does not hold up the swarm.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use secure_chat_protocol::limits::RENDEZVOUS_FRAME_MAX_BYTES;
use secure_chat_protocol::wire::rendezvous::{Push, PushResponse, Request, Response};

use crate::limits::{READ_TIMEOUT, REQUEST_MAX_BYTES, REQUEST_READ_STEP_BYTES, REQUESTS_IN_MEMORY_MAX_BYTES};
use crate::metrics::Fault;

/// Counts the bytes of requests and answers in memory, of all connections together.
#[derive(Debug, Clone)]
pub struct Memory {
    used: Arc<AtomicUsize>,
    max_bytes: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { used: Arc::default(), max_bytes: REQUESTS_IN_MEMORY_MAX_BYTES }
    }
}

impl Memory {
    /// A place for nothing yet.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease { memory: self.clone(), bytes: 0 }
    }

    /// What is in use, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// A place in memory that is given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    memory: Memory,
    bytes: usize,
}

impl Lease {
    /// Makes the place larger; answers whether there was room.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let taken = self.memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.memory.max_bytes)
        });
        if taken.is_ok() {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        taken.is_ok()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Why a request was not read. It is told as a request, since the library keeps errors of reading to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// The peer's fault.
    Fault(Fault),
    /// This node has no room now.
    NoRoom,
}

/// A request with its place in memory.
#[derive(Debug)]
pub struct Inbound {
    /// What is asked.
    pub request: Result<Request, Unread>,
    /// Held until it is answered.
    pub lease: Option<Lease>,
}

/// An answer with its place in memory.
#[derive(Debug)]
pub struct Outbound {
    /// What is answered.
    pub response: Response,
    /// Held until it is written.
    pub lease: Option<Lease>,
}

fn oversized() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "the frame is too long")
}

fn garbage<E>(_: E) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the frame is malformed")
}

/// Reads one frame. Memory grows with what has really come, not with what was announced.
async fn read_frame<T>(io: &mut T, max_bytes: usize, mut lease: Option<&mut Lease>) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > max_bytes {
        return Err(oversized());
    }
    let mut frame = Vec::new();
    while frame.len() < length {
        let step = length.saturating_sub(frame.len()).min(REQUEST_READ_STEP_BYTES);
        if let Some(lease) = lease.as_deref_mut()
            && !lease.grow(step)
        {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "no room for the request now"));
        }
        let start = frame.len();
        frame.resize(start.saturating_add(step), 0);
        let part = frame.get_mut(start..).unwrap_or_default();
        io.read_exact(part).await?;
    }
    Ok(frame)
}

async fn write_frame<T>(io: &mut T, bytes: &[u8]) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let length = u32::try_from(bytes.len()).map_err(|_| oversized())?;
    // One write, so that a small frame is one packet.
    let mut frame = Vec::with_capacity(bytes.len().saturating_add(4));
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(bytes);
    io.write_all(&frame).await
}

/// Frames of requests and their answers.
#[derive(Debug, Clone, Default)]
pub struct RequestCodec {
    /// Where requests find their place.
    pub memory: Memory,
}

impl Codec for RequestCodec {
    type Protocol = StreamProtocol;
    type Request = Inbound;
    type Response = Outbound;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Inbound>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut lease = self.memory.lease();
        let reading = tokio::time::timeout(READ_TIMEOUT, read_frame(io, REQUEST_MAX_BYTES, Some(&mut lease))).await;
        let request = match reading {
            Err(_) => Err(Unread::Fault(Fault::Slow)),
            Ok(Ok(frame)) => Request::decode(&frame).map_err(|_| Unread::Fault(Fault::Garbage)),
            Ok(Err(error)) => Err(match error.kind() {
                io::ErrorKind::FileTooLarge => Unread::Fault(Fault::Oversized),
                io::ErrorKind::UnexpectedEof => Unread::Fault(Fault::Cut),
                io::ErrorKind::OutOfMemory => Unread::NoRoom,
                _ => return Err(error),
            }),
        };
        Ok(Inbound { request, lease: Some(lease) })
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Outbound>
    where
        T: AsyncRead + Unpin + Send,
    {
        let frame = read_frame(io, RENDEZVOUS_FRAME_MAX_BYTES, None).await?;
        Ok(Outbound { response: Response::decode(&frame).map_err(garbage)?, lease: None })
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Inbound) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = request.request.map_err(garbage)?;
        write_frame(io, &request.encode().map_err(garbage)?).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: Outbound) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &answer.response.encode().map_err(garbage)?).await
    }
}

/// Frames of pushes and their answers.
#[derive(Debug, Clone, Default)]
pub struct PushCodec;

/// A push's answer takes one byte; a little more lets it grow.
const PUSH_RESPONSE_MAX_BYTES: usize = 64;

impl Codec for PushCodec {
    type Protocol = StreamProtocol;
    type Request = Push;
    type Response = PushResponse;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Push>
    where
        T: AsyncRead + Unpin + Send,
    {
        Push::decode(&read_frame(io, RENDEZVOUS_FRAME_MAX_BYTES, None).await?).map_err(garbage)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<PushResponse>
    where
        T: AsyncRead + Unpin + Send,
    {
        PushResponse::decode(&read_frame(io, PUSH_RESPONSE_MAX_BYTES, None).await?).map_err(garbage)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, push: Push) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &push.encode().map_err(garbage)?).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, seen: PushResponse) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &seen.encode().map_err(garbage)?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use proptest::prelude::*;

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/test/1");

    fn read(codec: &mut RequestCodec, bytes: &[u8]) -> Result<Request, Unread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut io = Cursor::new(bytes);
        runtime.block_on(codec.read_request(&PROTOCOL, &mut io)).unwrap().request
    }

    fn framed(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
    }

    #[test]
    fn a_length_that_is_not_there_takes_no_memory_and_a_dropped_request_gives_its_own_back() {
        let mut codec = RequestCodec::default();
        let announced = u32::try_from(REQUEST_MAX_BYTES).unwrap().to_le_bytes();
        assert_eq!(read(&mut codec, &announced), Err(Unread::Fault(Fault::Cut)));
        assert_eq!(codec.memory.used_bytes(), 0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let frame = framed(&Request::Info.encode().unwrap());
        let inbound = runtime.block_on(codec.read_request(&PROTOCOL, &mut Cursor::new(&frame))).unwrap();
        assert_eq!((&inbound.request, codec.memory.used_bytes()), (&Ok(Request::Info), 1));
        drop(inbound);
        assert_eq!(codec.memory.used_bytes(), 0);
    }

    #[test]
    fn when_memory_is_used_up_requests_wait_outside() {
        let mut codec = RequestCodec { memory: Memory { used: Arc::default(), max_bytes: 10 } };
        let mut taken = codec.memory.lease();
        assert!(taken.grow(10) && !taken.grow(1));
        let frame = framed(&Request::Info.encode().unwrap());
        assert_eq!(read(&mut codec, &frame), Err(Unread::NoRoom));
        drop(taken);
        assert_eq!(read(&mut codec, &frame), Ok(Request::Info));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_a_fault_and_leave_no_memory_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut codec = RequestCodec::default();
            for bytes in [bytes.clone(), framed(&bytes)] {
                if let Ok(request) = read(&mut codec, &bytes) {
                    let encoded = framed(&request.encode().unwrap());
                    prop_assert_eq!(&encoded[..], &bytes[..encoded.len()]);
                }
                prop_assert_eq!(codec.memory.used_bytes(), 0);
            }
        }
    }
}
