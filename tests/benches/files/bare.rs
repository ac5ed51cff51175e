//! What there is to reach: cipher and hash alone, and the same transport with
//! cipher and hash inline and nothing else.

use std::time::Instant;

use anyhow::Context as _;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use secure_chat_node::network::{Network, NetworkConfig, NetworkEvent, TransportKind, parse_address};
use secure_chat_protocol::crypto::sha256::RunningSha256;
use secure_chat_protocol::file::{ChunkCipher, FileKey, Geometry, leaf};
use secure_chat_protocol::id::FileId;
use zeroize::Zeroizing;

use super::{CHUNK_BYTES, rate};

fn cipher(bytes: usize) -> anyhow::Result<ChunkCipher> {
    Ok(ChunkCipher::new(FileKey::from_bytes([1; 32]), FileId([2; 32]), Geometry::for_size(bytes as u64)?))
}

/// Which of the three operations on a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Aead,
    Sha256,
    /// Plaintext hash, AEAD and leaf hash, as a file that is shared needs them.
    All,
}

/// MB/s of `work` on `cores` threads at once, over `bytes` in all, from memory.
pub(super) fn limit(work: Work, cores: usize, bytes: usize) -> anyhow::Result<f64> {
    let cipher = cipher(bytes)?;
    let rounds = (bytes / CHUNK_BYTES / cores).max(1);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let (mut chunk, mut hash) = (Vec::with_capacity(CHUNK_BYTES + 16), RunningSha256::default());
                chunk.resize(CHUNK_BYTES, 7);
                for _ in 0..rounds {
                    if work == Work::All {
                        hash.update(&chunk);
                    }
                    if work != Work::Sha256 {
                        // The first chunk of a file that has more than one is never padded.
                        let _ = cipher.seal(0, &mut chunk);
                    }
                    if work != Work::Aead {
                        std::hint::black_box(leaf(&chunk));
                    }
                    chunk.truncate(CHUNK_BYTES);
                }
                std::hint::black_box(hash.finish());
            });
        }
    });
    Ok(rate(rounds * cores * CHUNK_BYTES, started.elapsed()))
}

/// MB/s of the same transport, with cipher and hash inline and nothing else.
pub(super) async fn bare(bytes: usize) -> anyhow::Result<f64> {
    let start = |seed: u8| -> anyhow::Result<_> {
        let mut config = NetworkConfig::new(Zeroizing::new([seed; 32]), TransportKind::Internet);
        config.listen = vec![parse_address("/ip4/127.0.0.1/tcp/0")?];
        Ok(Network::start(config)?)
    };
    let ((from, mut from_events), (to, mut to_events)) = (start(1)?, start(2)?);
    let address = loop {
        if let NetworkEvent::Listening(address) = from_events.recv().await.context("no event")? {
            break address;
        }
    };
    let peer = to.dial(address).await?;
    tokio::spawn(async move { while to_events.recv().await.is_some() {} });
    let geometry = *cipher(bytes)?.geometry();
    let sending = tokio::spawn(async move {
        let cipher = cipher(bytes)?;
        while let Some(event) = from_events.recv().await {
            let NetworkEvent::Stream { mut stream, .. } = event else { continue };
            let mut chunk = Vec::with_capacity(CHUNK_BYTES + 16);
            for index in 0..geometry.count() {
                chunk.clear();
                chunk.resize(geometry.plain_bytes(index), 7);
                cipher.seal(index, &mut chunk)?;
                std::hint::black_box(leaf(&chunk));
                stream.write_all(&chunk).await?;
            }
            stream.close().await?;
            break;
        }
        anyhow::Ok(from_events)
    });
    let receiving = tokio::spawn({
        let to = to.clone();
        async move {
            let mut stream = to.open_stream(peer).await?;
            stream.write_all(&[0]).await?;
            stream.flush().await?;
            let (cipher, started) = (cipher(bytes)?, Instant::now());
            let mut chunk = Vec::new();
            for index in 0..geometry.count() {
                chunk.resize(geometry.sealed_bytes(index), 0);
                stream.read_exact(&mut chunk).await?;
                std::hint::black_box(leaf(&chunk));
                cipher.open(index, &mut chunk)?;
            }
            anyhow::Ok(rate(bytes, started.elapsed()))
        }
    });
    let reached = receiving.await??;
    let _events = sending.await??;
    from.shutdown().await;
    to.shutdown().await;
    Ok(reached)
}
