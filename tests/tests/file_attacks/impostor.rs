//! A peer program that somebody has rebuilt: it has the keys of a real account,
//! is known to that account's contacts, and does with files whatever the test says.

use std::future::Future;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use secure_chat_node::network::{
    Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, PeerStream, TransportKind, parse_address,
};
use secure_chat_node::store::{StoreOptions, Table, Vault, list_accounts};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::peer::{Hello, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::transfer::{ANSWER_HEADER_BYTES, AnswerHeader, FetchRequest};
use secure_chat_tests::{PASSWORD, Persona};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

pub(crate) struct Impostor {
    net: NetworkHandle,
    hello: Hello,
}

impl Impostor {
    /// With the keys of somebody who is away. Streams that others open go to `serve`.
    pub(crate) fn of<F>(persona: &Persona, serve: impl Fn(Self, PeerStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let account = list_accounts(persona.dir()).unwrap().remove(0);
        let vault = Vault::unlock(persona.dir(), &account, PASSWORD, StoreOptions::default()).unwrap();
        let kept = |name: &[u8]| vault.begin().get(Table::Meta, name).unwrap().unwrap();
        let seed: [u8; 32] = kept(b"peer").try_into().unwrap();
        let hello = Hello { record: Bytes(kept(b"record")), addresses: Vec::new(), status: None };
        let mut config = NetworkConfig::new(Zeroizing::new(seed), TransportKind::Memory);
        config.listen = vec![parse_address("/memory/0").unwrap()];
        let (net, events) = Network::start(config).unwrap();
        let impostor = Self { net, hello };
        tokio::spawn(impostor.again().live(events, serve));
        impostor
    }

    pub(crate) fn again(&self) -> Self {
        Self { net: self.net.clone(), hello: self.hello.clone() }
    }

    async fn live<F>(self, mut events: mpsc::Receiver<NetworkEvent>, serve: impl Fn(Self, PeerStream) -> F)
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        while let Some(event) = events.recv().await {
            match event {
                NetworkEvent::Inbound { request: PeerRequest::Hello(_), responder, .. } => {
                    self.net.respond(responder, PeerResponse::Hello(self.hello.clone()));
                }
                NetworkEvent::Stream { stream, .. } => drop(tokio::spawn(serve(self.again(), stream))),
                _ => {}
            }
        }
    }

    /// Is gone.
    pub(crate) async fn ends(self) {
        self.net.shutdown().await;
    }

    /// Goes to somebody and says who it is.
    pub(crate) async fn meets(&self, persona: &Persona) -> PeerId {
        let address = persona.handle().unwrap().network_status().await.unwrap().listen.remove(0);
        let peer = self.net.dial(parse_address(&address).unwrap()).await.unwrap();
        let answer = self.net.request(peer, Vec::new(), PeerRequest::Hello(self.hello.clone())).await.unwrap();
        assert!(matches!(answer, PeerResponse::Hello(_)), "{answer:?}");
        peer
    }

    pub(crate) async fn open(&self, peer: PeerId) -> PeerStream {
        self.net.open_stream(peer).await.unwrap()
    }
}

/// Asks for a part of a file.
pub(crate) async fn ask(stream: &mut PeerStream, request: &FetchRequest) -> std::io::Result<()> {
    let bytes = request.encode().unwrap();
    stream.write_all(&u16::try_from(bytes.len()).unwrap().to_le_bytes()).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// The next answer.
pub(crate) async fn answer(stream: &mut PeerStream) -> std::io::Result<(AnswerHeader, Vec<u8>)> {
    let mut header = [0; ANSWER_HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let header = AnswerHeader::from_bytes(header).unwrap();
    let length = match header {
        AnswerHeader::Chunk { length, .. } | AnswerHeader::Leaves { length } => length,
        AnswerHeader::Refused(_) => 0,
    };
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await?;
    Ok((header, body))
}

/// The next question.
pub(crate) async fn question(stream: &mut PeerStream) -> std::io::Result<FetchRequest> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut bytes = vec![0; usize::from(u16::from_le_bytes(length))];
    stream.read_exact(&mut bytes).await?;
    Ok(FetchRequest::decode(&bytes).unwrap())
}

/// Answers.
pub(crate) async fn tell(stream: &mut PeerStream, header: AnswerHeader, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(&header.to_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}
