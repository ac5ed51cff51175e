//! A person whose program somebody has rebuilt: real keys, real sessions, and messages of any kind.

use rand::SeedableRng;
use rand::rngs::StdRng;
use secure_chat_node::api::Event;
use secure_chat_node::network::{
    Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, TransportKind, parse_address,
};
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::id::{AccountId, MessageId};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::limits::PEER_FRAME_MAX_BYTES;
use secure_chat_protocol::prekey::{BundleIn, PreKeys};
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::session::SessionSet;
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::{self, Bytes};
use secure_chat_protocol::wire::content::{Content, MESSAGE_VERSION, MessageIn, Profile};
use secure_chat_protocol::wire::peer::{DeliveryStatus, Hello, PeerRefusal, PeerRequest, PeerResponse};
use secure_chat_tests::Persona;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::now;

/// The person, in touch with one other.
pub(crate) struct Rebuilt {
    pub(crate) identity: IdentityKeyPair,
    prekeys: PreKeys,
    fields: RecordFields,
    pub(crate) record: Record,
    pub(crate) sessions: SessionSet,
    net: NetworkHandle,
    peer: PeerId,
    rng: StdRng,
    sent: u64,
    /// What the other has sent, encrypted.
    came: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Rebuilt {
    /// Meets `other`, and knows their keys.
    pub(crate) async fn meets(other: &Persona, number: u8, name: &str, homes: Vec<String>) -> Self {
        let mut rng = StdRng::seed_from_u64(u64::from(number));
        let identity = IdentityKeyPair::generate(&mut rng, now());
        let seed = [number; 32];
        let key = SigningKey::from_seed(&Secret::filled(|out| out.copy_from_slice(&seed)));
        let fields = RecordFields {
            name: Username::parse(name).unwrap(),
            peers: vec![peer_binding(&key, identity.account_id())],
            addresses: Vec::new(),
            homes,
            mailbox: None,
        };
        let record = Record::create(&identity, fields.clone(), None, now()).unwrap();
        let prekeys = PreKeys::generate(&identity, now(), &mut rng);
        let (net, events) = Network::start(NetworkConfig::new(Zeroizing::new(seed), TransportKind::Memory)).unwrap();
        let hello = Hello { record: Bytes(record.encoded().to_vec()), addresses: Vec::new(), status: None };
        let (tell, came) = mpsc::unbounded_channel();
        tokio::spawn(answers(net.clone(), hello.clone(), events, tell));
        let status = other.handle().unwrap().network_status().await.unwrap();
        let peer: PeerId = status.peer_id.parse().unwrap();
        let addresses = status.listen.iter().map(|address| parse_address(address).unwrap()).collect();
        let answer = net.request(peer, addresses, PeerRequest::Hello(hello)).await.unwrap();
        let PeerResponse::Hello(theirs) = answer else { panic!("{answer:?}") };
        let them = Record::decode(&theirs.record.0).unwrap().account_id();
        let sessions = SessionSet::new(identity.account_id(), them);
        Self { identity, prekeys, fields, record, sessions, net, peer, rng, sent: 0, came }
    }

    /// The same, and the other has accepted them as a contact.
    pub(crate) async fn befriends(other: &mut Persona, number: u8, name: &str, homes: Vec<String>) -> Self {
        let mut this = Self::meets(other, number, name, homes).await;
        this.begins().await;
        let profile = Profile { record: Bytes(this.record.encoded().to_vec()), addresses: Vec::new(), tokens: None };
        let ask = Content::Request { greeting: "Hi".to_owned(), profile, invite: None };
        let first = this.seals(ask, 1);
        assert_eq!(this.delivers(first).await, DeliveryStatus::Stored);
        let request = other.until(|event| match event {
            Event::ContactRequest(request) => Some(request.request_id),
            _ => None,
        });
        let request = request.await.unwrap();
        other.handle().unwrap().contacts_accept(request).await.unwrap();
        this
    }

    pub(crate) fn account(&self) -> AccountId {
        self.identity.account_id()
    }

    /// Says hello again; what the other says of themselves.
    pub(crate) async fn greets(&self) -> Hello {
        let hello = Hello { record: Bytes(self.record.encoded().to_vec()), addresses: Vec::new(), status: None };
        match self.net.request(self.peer, Vec::new(), PeerRequest::Hello(hello)).await.unwrap() {
            PeerResponse::Hello(theirs) => theirs,
            other => panic!("{other:?}"),
        }
    }

    /// Reads what the other has sent until they accept.
    pub(crate) async fn is_accepted(&mut self) -> Profile {
        loop {
            let ciphertext = self.receives().await;
            let opened = self.sessions.decrypt(&self.identity, &mut self.prekeys, &ciphertext, now()).unwrap();
            if let Content::Accepted { profile } = MessageIn::decode(opened.plaintext.expose()).unwrap().body {
                return profile;
            }
        }
    }

    /// Starts a session with the keys that the other hands out.
    pub(crate) async fn begins(&mut self) {
        let answer = self.net.request(self.peer, Vec::new(), PeerRequest::Bundle).await.unwrap();
        let PeerResponse::Bundle { bundle } = answer else { panic!("{answer:?}") };
        let bundle: BundleIn = codec::decode(&bundle.0, PEER_FRAME_MAX_BYTES).unwrap();
        let bundle = bundle.verify(now(), None).unwrap();
        self.sessions.initiate(&self.identity, &bundle, now(), &mut self.rng).unwrap();
    }

    /// The next record.
    pub(crate) fn renews_record(&mut self) -> &Record {
        self.record = Record::create(&self.identity, self.fields.clone(), Some(&self.record), now()).unwrap();
        &self.record
    }

    /// The next message, encrypted.
    pub(crate) fn seals(&mut self, body: Content, record_seq: u64) -> Vec<u8> {
        self.sent += 1;
        let id = MessageId::random(&mut self.rng);
        let message =
            MessageIn { version: MESSAGE_VERSION, id, seq: self.sent, floor: self.sent, sent: now(), record_seq, body };
        self.sessions.encrypt(&message.encode().unwrap(), now(), &mut self.rng).unwrap()
    }

    /// A text.
    pub(crate) fn seals_text(&mut self, text: &str) -> Vec<u8> {
        let seq = self.record.seq();
        self.seals(Content::Text { text: text.to_owned(), reply_to: None }, seq)
    }

    /// Hands something over; what becomes of it.
    pub(crate) async fn delivers(&self, ciphertext: Vec<u8>) -> DeliveryStatus {
        let deliver = PeerRequest::Deliver { messages: vec![Bytes(ciphertext)] };
        match self.net.request(self.peer, Vec::new(), deliver).await.unwrap() {
            PeerResponse::Delivered { statuses } => statuses[0],
            PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms }) => {
                DeliveryStatus::SlowDown { retry_after_ms }
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next thing that the other has sent, as it came.
    pub(crate) async fn receives(&mut self) -> Vec<u8> {
        let came = tokio::time::timeout(std::time::Duration::from_secs(60), self.came.recv()).await;
        came.expect("nothing came").unwrap()
    }

    /// Reads what the other has sent until a text of theirs.
    pub(crate) async fn reads(&mut self) -> String {
        loop {
            let ciphertext = self.receives().await;
            let opened = self.sessions.decrypt(&self.identity, &mut self.prekeys, &ciphertext, now()).unwrap();
            if let Content::Text { text, .. } = MessageIn::decode(opened.plaintext.expose()).unwrap().body {
                return text;
            }
        }
    }

    /// Another copy of the session, which goes its own way.
    pub(crate) fn copies_session(&self) -> SessionSet {
        SessionSet::from_secret_bytes(self.sessions.to_secret_bytes().expose()).unwrap()
    }
}

async fn answers(
    net: NetworkHandle,
    hello: Hello,
    mut events: mpsc::Receiver<NetworkEvent>,
    tell: mpsc::UnboundedSender<Vec<u8>>,
) {
    while let Some(event) = events.recv().await {
        let NetworkEvent::Inbound { request, responder, .. } = event else { continue };
        let answer = match request {
            PeerRequest::Hello(_) => PeerResponse::Hello(hello.clone()),
            PeerRequest::Deliver { messages } => {
                let statuses = vec![DeliveryStatus::Stored; messages.len()];
                for message in messages {
                    // The test may be over.
                    let _ = tell.send(message.0);
                }
                PeerResponse::Delivered { statuses }
            }
            _ => PeerResponse::Refused(PeerRefusal::NotAvailable),
        };
        net.respond(responder, answer);
    }
}
