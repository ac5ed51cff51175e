//! A rendezvous node that is as honest as the test lets it: it keeps what it is given in memory,
//! and each answer passes through a lie before it leaves.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::{Transport, transport::MemoryTransport, upgrade};
use libp2p::request_response::{self, Codec, Event, Message, ProtocolSupport, ResponseChannel};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, yamux};
use secure_chat_protocol::id::{AccountId, MailboxId, Timestamp};
use secure_chat_protocol::prekey::{BundleIn, KitIn, SignedPreKeyIn};
use secure_chat_protocol::record::Record;
use secure_chat_protocol::sealed::mailbox_id;
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{
    Found, NodeInfo, PUSH_PROTOCOL, Presence, PresenceStatus, Push, PushResponse, RENDEZVOUS_PROTOCOL, Refusal,
    Request, Response, StoredEnvelope, Who,
};

const FRAME_MAX_BYTES: usize = 2 * 1024 * 1024;

/// What the node was told by one account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) record: Vec<u8>,
    pub(crate) signed: Vec<u8>,
    pub(crate) kits: Vec<Vec<u8>>,
    /// Where it listens, while it is here.
    announced: Option<Vec<String>>,
}

/// All it knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    pub(crate) mailboxes: BTreeMap<MailboxId, Vec<StoredEnvelope>>,
    pub(crate) deposits: u64,
    /// Which peer asked about whom: for a bundle or a record.
    pub(crate) asked: Vec<(Vec<u8>, AccountId)>,
    speakers: BTreeMap<Vec<u8>, AccountId>,
    opened: BTreeMap<Vec<u8>, MailboxId>,
}

impl Known {
    /// The account under a name.
    pub(crate) fn named(&self, name: &str) -> Option<AccountId> {
        let fits = |record: &[u8]| Record::decode(record).is_ok_and(|r| r.name().as_str().eq_ignore_ascii_case(name));
        self.accounts.iter().find(|(_, account)| fits(&account.record)).map(|(id, _)| *id)
    }

    pub(crate) fn found(&self, account: &AccountId) -> Option<Found> {
        let known = self.accounts.get(account)?;
        let (record, addresses) = (Bytes(known.record.clone()), known.announced.clone().unwrap_or_default());
        Some(Found { record, addresses, presence: self.presence(*account) })
    }

    fn presence(&self, account: AccountId) -> Presence {
        let here = self.accounts.get(&account).is_some_and(|known| known.announced.is_some());
        let status = if here { PresenceStatus::Online } else { PresenceStatus::Offline };
        Presence { account, status, last_seen: None }
    }

    /// News of an account, for everybody else who is registered.
    fn presence_news(&self, account: AccountId) -> Vec<(PeerId, Push)> {
        let push = Push::Presence(vec![self.presence(account)]);
        let others = self.speakers.iter().filter(|(_, speaks_for)| **speaks_for != account);
        others.filter_map(|(peer, _)| PeerId::from_bytes(peer).ok()).map(|peer| (peer, push.clone())).collect()
    }

    /// A peer is gone.
    fn left(&mut self, peer: &PeerId) -> Vec<(PeerId, Push)> {
        let peer = peer.to_bytes();
        self.opened.remove(&peer);
        let Some(account) = self.speakers.remove(&peer) else { return Vec::new() };
        if let Some(known) = self.accounts.get_mut(&account) {
            known.announced = None;
        }
        self.presence_news(account)
    }

    pub(crate) fn bundle(&self, account: &AccountId) -> Option<Response> {
        let known = self.accounts.get(account)?;
        let bundle = BundleIn {
            identity: Record::decode(&known.record).ok()?.identity().to_wire(),
            signed: codec::decode::<SignedPreKeyIn>(&known.signed, FRAME_MAX_BYTES).ok()?,
            kit: known.kits.first().and_then(|kit| codec::decode::<KitIn>(kit, FRAME_MAX_BYTES).ok()),
        };
        Some(Response::Bundle { bundle: Bytes(codec::encode(&bundle, FRAME_MAX_BYTES).ok()?) })
    }
}

/// What becomes of an answer: the question, the true answer, and all that the node knows.
pub(crate) type Lie = Box<dyn FnMut(&Request, Response, &Known) -> Response + Send>;

#[derive(Default)]
struct Shared {
    known: Known,
    lie: Option<Lie>,
    /// Requests of this kind are never answered.
    ignores: Option<fn(&Request) -> bool>,
    ignored: Vec<ResponseChannel<Vec<u8>>>,
}

/// A running node. It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct LyingNode {
    pub(crate) address: String,
    shared: Arc<Mutex<Shared>>,
}

impl LyingNode {
    /// Starts one that does not lie yet.
    pub(crate) async fn start() -> Self {
        let mut swarm = swarm();
        swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break format!("{address}/p2p/{}", swarm.local_peer_id());
            }
        };
        let shared = Arc::new(Mutex::new(Shared::default()));
        tokio::spawn(serve(swarm, Arc::clone(&shared)));
        Self { address, shared }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on answers pass through this.
    pub(crate) fn lies(&self, lie: impl FnMut(&Request, Response, &Known) -> Response + Send + 'static) {
        self.shared().lie = Some(Box::new(lie));
    }

    /// From now on it leaves these without an answer, for as long as anybody waits.
    pub(crate) fn ignores(&self, which: fn(&Request) -> bool) {
        self.shared().ignores = Some(which);
    }

    /// How many it has left without an answer.
    pub(crate) fn ignored(&self) -> usize {
        self.shared().ignored.len()
    }

    /// From now on it tells the truth.
    pub(crate) fn repents(&self) {
        self.shared().lie = None;
    }

    /// What it knows now.
    pub(crate) fn known(&self) -> Known {
        self.shared().known.clone()
    }

    /// Changes what it knows.
    pub(crate) fn tamper<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.shared().known)
    }
}

fn answer(known: &mut Known, peer: &PeerId, request: Request, news: &mut Vec<(PeerId, Push)>) -> Response {
    let peer = peer.to_bytes();
    let speaker = known.speakers.get(&peer).copied();
    match request {
        Request::Info => {
            Response::Info(NodeInfo { version: "0".into(), now: now(), envelope_max_bytes: 65_536, work_bits: 16 })
        }
        Request::Register { record } => {
            let Ok(verified) = Record::decode(&record.0) else { return Response::Refused(Refusal::Invalid) };
            let id = verified.account_id();
            known.speakers.insert(peer, id);
            let account = known.accounts.entry(id).or_default();
            let new = account.record.is_empty();
            account.record = record.0;
            Response::Registered { new, kits_left: account.kits.len().try_into().unwrap_or(u32::MAX) }
        }
        Request::PublishPreKeys { signed, kits, replace } => {
            let Some(account) = speaker.and_then(|id| known.accounts.get_mut(&id)) else {
                return Response::Refused(Refusal::NotRegistered);
            };
            account.signed = signed.0;
            if replace {
                account.kits.clear();
            }
            account.kits.extend(kits.into_iter().map(|kit| kit.0));
            Response::Kits { left: account.kits.len().try_into().unwrap_or(u32::MAX) }
        }
        Request::TakeBundle { account } => {
            known.asked.push((peer, account));
            let bundle = known.bundle(&account).unwrap_or(Response::Refused(Refusal::NotFound));
            if let Some(account) = known.accounts.get_mut(&account).filter(|account| !account.kits.is_empty()) {
                account.kits.remove(0);
            }
            bundle
        }
        Request::Lookup(who) => {
            let accounts = match who {
                Who::Name(name) => known.named(&name).into_iter().collect(),
                Who::Accounts(accounts) => {
                    known.asked.extend(accounts.iter().map(|account| (peer.clone(), *account)));
                    accounts
                }
            };
            Response::Found { people: accounts.iter().filter_map(|id| known.found(id)).collect(), more: false }
        }
        Request::Online { .. } => Response::Found { people: Vec::new(), more: false },
        Request::Announce { addresses } => {
            if let Some(id) = speaker {
                known.accounts.entry(id).or_default().announced = Some(addresses);
                news.extend(known.presence_news(id));
            }
            Response::Done
        }
        Request::Watch { accounts } => {
            Response::Presence(accounts.into_iter().map(|account| known.presence(account)).collect())
        }
        Request::Challenge => Response::Challenge(Fixed([7; 32])),
        Request::OpenMailbox { auth_key, .. } => {
            let mailbox = mailbox_id(&auth_key.0);
            known.opened.insert(peer, mailbox);
            let waiting = known.mailboxes.entry(mailbox).or_default().len() as u64;
            Response::Mailbox { waiting, tokens: 0, new: waiting == 0 }
        }
        Request::Fetch { after, .. } => {
            let mailbox = known.opened.get(&peer).and_then(|mailbox| known.mailboxes.get(mailbox));
            let envelopes = mailbox.into_iter().flatten().filter(|envelope| envelope.seq > after).cloned().collect();
            Response::Mail { envelopes, more: false }
        }
        Request::Acknowledge { up_to } => {
            let mailbox = known.opened.get(&peer).and_then(|mailbox| known.mailboxes.get_mut(mailbox));
            if let Some(mailbox) = mailbox {
                mailbox.retain(|envelope| envelope.seq > up_to);
            }
            Response::Done
        }
        Request::Deposit { mailbox, id, sealed, .. } => {
            known.deposits += 1;
            let seq = known.deposits;
            let waiting = known.mailboxes.entry(mailbox).or_default();
            waiting.push(StoredEnvelope { seq, id, sealed });
            let push = Push::Mail { waiting: waiting.len() as u64 };
            let listeners = known.opened.iter().filter(|(_, opened)| **opened == mailbox);
            let listeners = listeners.filter_map(|(peer, _)| PeerId::from_bytes(peer).ok());
            news.extend(listeners.map(|peer| (peer, push.clone())));
            Response::Done
        }
        _ => Response::Done,
    }
}

fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(elapsed.as_millis().try_into().unwrap_or(u64::MAX))
}

async fn serve(mut swarm: Swarm<Behaviour>, shared: Arc<Mutex<Shared>>) {
    loop {
        let mut news = Vec::new();
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Requests(Event::Message {
                peer,
                message: Message::Request { request, channel, .. },
                ..
            })) => {
                let Ok(request) = Request::decode(&request) else { continue };
                let response = {
                    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    if shared.ignores.is_some_and(|ignores| ignores(&request)) {
                        shared.ignored.push(channel);
                        continue;
                    }
                    let honest = answer(&mut shared.known, &peer, request.clone(), &mut news);
                    let Shared { known, lie, .. } = &mut *shared;
                    lie.as_mut().map_or_else(|| honest.clone(), |lie| lie(&request, honest.clone(), known))
                };
                let Ok(bytes) = response.encode() else { continue };
                let _ = swarm.behaviour_mut().requests.send_response(channel, bytes);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                news = shared.lock().unwrap_or_else(PoisonError::into_inner).known.left(&peer_id);
            }
            _ => {}
        }
        for (listener, push) in news {
            if let Ok(push) = push.encode() {
                swarm.behaviour_mut().pushes.send_request(&listener, push);
            }
        }
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    requests: request_response::Behaviour<Frames>,
    pushes: request_response::Behaviour<Frames>,
}

fn swarm() -> Swarm<Behaviour> {
    let of = |name, support| {
        request_response::Behaviour::new(
            [(StreamProtocol::new(name), support)],
            request_response::Config::default().with_max_concurrent_streams(400),
        )
    };
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|key| {
            MemoryTransport::default()
                .upgrade(upgrade::Version::V1)
                .authenticate(noise::Config::new(key).expect("noise"))
                .multiplex(yamux::Config::default())
        })
        .expect("a transport")
        .with_behaviour(|_| Behaviour {
            requests: of(RENDEZVOUS_PROTOCOL, ProtocolSupport::Inbound),
            pushes: of(PUSH_PROTOCOL, ProtocolSupport::Outbound),
        })
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(std::time::Duration::from_secs(3_600)))
        .build()
}

/// Frames of any content.
#[derive(Debug, Clone, Default)]
struct Frames;

async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write(io: &mut (impl AsyncWrite + Unpin + Send), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    io.write_all(&[&length.to_le_bytes(), bytes].concat()).await
}

impl Codec for Frames {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let bytes = read(io).await?;
        PushResponse::decode(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        write(io, &bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        write(io, &bytes).await
    }
}
