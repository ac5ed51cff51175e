//! A hostile member: a real peer on the wire, with an identity, sessions and keys of
//! its own, made of the protocol's pieces, that says whatever a test wants.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use rand::SeedableRng;
use rand::rngs::StdRng;
use secure_chat_node::network::{
    Address, Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, PeerStream, Responder, TransportKind,
    parse_address,
};
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::id::{AccountId, GroupId, MessageId, OperationId, Timestamp};
use secure_chat_protocol::identity::{IdentityKeyPair, Purpose};
use secure_chat_protocol::invite::{Invite, InviteFields};
use secure_chat_protocol::membership::{Action, GroupSecret, Membership, OPERATION_VERSION, OperationIn};
use secure_chat_protocol::prekey::{BundleIn, PreKeys};
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sender_key::{ChainIn, GroupMessageIn, MemberChains, SendContext, SenderKey};
use secure_chat_protocol::session::SessionSet;
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::content::{Content, MESSAGE_VERSION, MessageIn, Profile};
use secure_chat_protocol::wire::group::{
    GroupControl, GroupFetch, GroupGossip, GroupInvite, GroupMissing, InvitePass, PassOn, PersonIn,
};
use secure_chat_protocol::wire::peer::{DeliveryStatus, Hello, PeerRequest, PeerResponse};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(60);
const FRAME: usize = 1 << 18;

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

/// What Mallory knows of one group.
#[derive(Default)]
pub(crate) struct Inside {
    pub(crate) membership: Option<Membership>,
    pub(crate) secrets: Vec<Fixed<32>>,
    pub(crate) chains: HashMap<AccountId, Vec<ChainIn>>,
    /// Encoded messages that came on the topic, in order.
    pub(crate) heard: Vec<Vec<u8>>,
    /// Who asked Mallory to be let in.
    pub(crate) asked_by: Option<AccountId>,
    /// Who told her something over their session, and the size of that on the wire.
    pub(crate) told: Vec<(AccountId, usize)>,
}

struct State {
    identity: IdentityKeyPair,
    record: Record,
    fields: RecordFields,
    prekeys: PreKeys,
    sessions: HashMap<AccountId, SessionSet>,
    routes: HashMap<AccountId, (PeerId, Vec<Address>)>,
    met: HashMap<PeerId, AccountId>,
    groups: HashMap<GroupId, Inside>,
    sent: HashMap<AccountId, u64>,
    /// What she says to have, to each who asks.
    answers: HashMap<AccountId, Vec<Bytes>>,
    /// Operations that she tells whoever asks, each time.
    operations: Vec<Bytes>,
    /// How often she was asked.
    asked: u64,
    /// Topics that others listen to.
    listened: BTreeSet<String>,
    /// Requests that are never answered, once she is silent.
    ignored: Option<Vec<Responder>>,
    /// Where streams go on which somebody fetches files.
    streams: Option<mpsc::UnboundedSender<PeerStream>>,
    rng: StdRng,
}

/// The hostile member.
pub(crate) struct Mallory {
    net: NetworkHandle,
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<u64>,
    address: String,
    pub(crate) me: AccountId,
}

impl Mallory {
    pub(crate) fn start() -> Self {
        Self::with(13, "mallory")
    }

    /// One of many.
    pub(crate) fn named(number: u64) -> Self {
        Self::with(1_000 + number, &format!("mallory{number}"))
    }

    fn with(seed: u64, name: &str) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let identity = IdentityKeyPair::generate(&mut rng, now());
        let me = identity.account_id();
        let peer = SigningKey::generate(&mut rng);
        let fields = RecordFields {
            name: Username::parse(name).unwrap(),
            peers: vec![peer_binding(&peer, me)],
            addresses: Vec::new(),
            homes: Vec::new(),
            mailbox: None,
        };
        let record = Record::create(&identity, fields.clone(), None, now()).unwrap();
        let prekeys = PreKeys::generate(&identity, now(), &mut rng);
        let mut config = NetworkConfig::new(Zeroizing::new(*peer.expose()), TransportKind::Memory);
        // Tests of one process share the memory's ports: this one is not of the seed.
        let address = format!("/memory/{}", 1 + (rand::random::<u64>() >> 1));
        config.listen = vec![parse_address(&address).unwrap()];
        let (net, mut events) = Network::start(config).unwrap();
        let state = Arc::new(Mutex::new(State {
            identity,
            record,
            fields,
            prekeys,
            sessions: HashMap::new(),
            routes: HashMap::new(),
            met: HashMap::new(),
            groups: HashMap::new(),
            sent: HashMap::new(),
            answers: HashMap::new(),
            operations: Vec::new(),
            asked: 0,
            listened: BTreeSet::new(),
            ignored: None,
            streams: None,
            rng,
        }));
        let (tell, changed) = watch::channel(0);
        let (shared, door) = (state.clone(), net.clone());
        tokio::spawn(async move {
            let mut near = std::collections::HashSet::new();
            while let Some(event) = events.recv().await {
                if let NetworkEvent::Connected { peer, .. } = &event {
                    near.insert(*peer);
                    door.gossip_with(near.clone()).await;
                }
                let topics = shared.lock().unwrap().happened(event);
                for topic in topics {
                    door.subscribe(topic).await.unwrap();
                }
                tell.send_modify(|count| *count += 1);
            }
        });
        Self { net, state, changed, address, me }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Looks at what is known of a group.
    pub(crate) fn inside<T>(&self, group: GroupId, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(self.lock().groups.entry(group).or_default())
    }

    /// Waits until something is known.
    pub(crate) async fn until<T>(&self, group: GroupId, look: impl Fn(&mut Inside) -> Option<T>) -> T {
        let mut changed = self.changed.clone();
        let wait = async {
            loop {
                if let Some(found) = self.inside(group, &look) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("Mallory waited in vain")
    }

    /// Waits until she knows where a member listens.
    pub(crate) async fn finds(&self, who: AccountId) {
        let mut changed = self.changed.clone();
        let wait = async {
            while !self.lock().routes.contains_key(&who) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("Mallory was never told where they are");
    }

    /// Where a member listens, as she was told.
    pub(crate) fn addresses_of(&self, who: AccountId) -> Vec<Address> {
        self.lock().routes.get(&who).map(|(_, addresses)| addresses.clone()).unwrap_or_default()
    }

    /// Somebody came back, and listens elsewhere.
    pub(crate) fn finds_again(&self, who: AccountId, addresses: &[String]) {
        let addresses = addresses.iter().map(|text| parse_address(text).unwrap()).collect();
        if let Some(route) = self.lock().routes.get_mut(&who) {
            route.1 = addresses;
        }
    }

    /// As another hostile peer knows it.
    pub(crate) fn learns_routes_of(&self, other: &Self) {
        let routes = other.lock().routes.clone();
        self.lock().routes.extend(routes);
    }

    /// Joins by a link, as everybody does.
    pub(crate) async fn join(&self, link: &str) -> GroupId {
        let group = self.ask(link).await;
        self.until(group, |inside| (!inside.secrets.is_empty()).then_some(())).await;
        group
    }

    /// Asks for a chat, as everybody does who has an invite.
    pub(crate) async fn request(&self, invite: &str) -> AccountId {
        let invite = Invite::parse(invite).unwrap();
        let peer = PeerId::from_ed25519(*invite.peer_keys().next().unwrap()).unwrap();
        let addresses = invite.addresses().iter().map(|address| parse_address(address).unwrap()).collect();
        let record = {
            let state = &mut *self.lock();
            state.routes.insert(invite.account_id(), (peer, addresses));
            Bytes(state.record.encoded().to_vec())
        };
        let profile = Profile { record, addresses: vec![self.address.clone()], tokens: None };
        let nonce = Some(Fixed(*invite.nonce()));
        let ask = Content::Request { greeting: "Hello!".to_owned(), profile, invite: nonce };
        assert_eq!(self.deliver(invite.account_id(), ask).await, DeliveryStatus::Stored);
        invite.account_id()
    }

    /// Says anything about files to a contact.
    pub(crate) async fn tell_of_file(&self, to: AccountId, payload: Vec<u8>) -> DeliveryStatus {
        self.deliver(to, Content::File { payload: Bytes(payload) }).await
    }

    /// Says any bytes about a group to somebody.
    pub(crate) async fn babbles(&self, to: AccountId, group: GroupId, payload: Vec<u8>) -> DeliveryStatus {
        self.deliver(to, Content::Group { group, payload: Bytes(payload) }).await
    }

    /// Streams that others open from now on, to fetch files.
    pub(crate) fn streams(&self) -> mpsc::UnboundedReceiver<PeerStream> {
        let (door, streams) = mpsc::unbounded_channel();
        self.lock().streams = Some(door);
        streams
    }

    /// Asks to join by a link.
    pub(crate) async fn ask(&self, link: &str) -> GroupId {
        let link = GroupInvite::parse(link).unwrap();
        let invite = Invite::parse(&link.inviter).unwrap();
        let peer = PeerId::from_ed25519(*invite.peer_keys().next().unwrap()).unwrap();
        let addresses = invite.addresses().iter().map(|address| parse_address(address).unwrap()).collect();
        self.lock().routes.insert(invite.account_id(), (peer, addresses));
        let record = Bytes(self.lock().record.encoded().to_vec());
        let ask = GroupControl::JoinRequest { record, addresses: Vec::new(), pass: Some(link.pass) };
        self.tell(invite.account_id(), link.group, ask).await;
        link.group
    }

    /// A link to a group that names Mallory as the one to ask, and the operations of a
    /// group that she made herself.
    pub(crate) fn own_link(&self, group: GroupId) -> (String, Vec<Bytes>) {
        let state = &mut *self.lock();
        let fields = InviteFields {
            name: Username::parse("mallory").unwrap(),
            peers: vec![self.net.peer_id().to_ed25519().unwrap()],
            addresses: vec![self.address.clone()],
            homes: Vec::new(),
            mailbox: None,
            expires: Some(now().plus_ms(60_000)),
        };
        let inviter = Invite::create(&state.identity, fields, &mut state.rng).unwrap().to_link();
        let pass = InvitePass { id: Fixed([1; 16]), secret: Fixed([2; 16]) };
        let link = GroupInvite::new(group, "Hikers".to_owned(), pass, None, inviter).to_link().unwrap();
        let about = state.groups[&group].membership.as_ref().unwrap().view().about.clone();
        let made = Membership::create(&state.identity, &state.record, about, &mut state.rng).unwrap();
        (link, made.operations().map(|operation| Bytes(operation.encoded().to_vec())).collect())
    }

    /// All operations of a group.
    pub(crate) fn operations(&self, group: GroupId) -> Vec<Bytes> {
        let encoded = |inside: &mut Inside| {
            let known = inside.membership.as_ref().unwrap();
            known.operations().map(|operation| Bytes(operation.encoded().to_vec())).collect()
        };
        self.inside(group, encoded)
    }

    /// Adds so many people whom nobody ever meets, as an admin may: the operations, parents first.
    pub(crate) fn adds(&self, group: GroupId, count: usize) -> Vec<Bytes> {
        let state = &mut *self.lock();
        let known = state.groups.get_mut(&group).unwrap().membership.as_mut().unwrap();
        let mut add = |number: usize| {
            let identity = IdentityKeyPair::generate(&mut state.rng, now());
            let peer = SigningKey::generate(&mut state.rng);
            let fields = RecordFields {
                name: Username::parse(&format!("walker{number}")).unwrap(),
                peers: vec![peer_binding(&peer, identity.account_id())],
                addresses: Vec::new(),
                homes: Vec::new(),
                mailbox: None,
            };
            let record = Record::create(&identity, fields, None, now()).unwrap();
            let action = Action::Add { record: Bytes(record.encoded().to_vec()) };
            Bytes(known.act(&state.identity, action).unwrap().encoded().to_vec())
        };
        (0..count).map(&mut add).collect()
    }

    /// Waits until somebody asks to be let in.
    pub(crate) async fn asked_by(&self, group: GroupId) -> AccountId {
        self.until(group, |inside| inside.asked_by).await
    }

    /// Shows a message to one member alone: says to have seen it, and hands it over when asked.
    pub(crate) async fn shows(&self, to: AccountId, group: GroupId, encoded: &[u8]) {
        self.lock().answers.entry(to).or_default().push(Bytes(encoded.to_vec()));
        let seen = vec![GroupMessageIn::hash(encoded)];
        self.fetch_with(to, GroupFetch { newest: seen, ..Self::nothing(group) }).await;
    }

    /// From now on whoever asks is told these.
    pub(crate) fn answers_with(&self, to: AccountId, operations: Vec<Bytes>, messages: Vec<Vec<u8>>) {
        let mut state = self.lock();
        state.operations = operations;
        state.answers.insert(to, messages.into_iter().map(Bytes).collect());
    }

    /// How often she was asked what she has.
    pub(crate) fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// A question for everything.
    fn nothing(group: GroupId) -> GroupFetch {
        GroupFetch { group, heads: Vec::new(), places: Vec::new(), newest: Vec::new(), named: Vec::new() }
    }

    /// From now on nothing is answered.
    pub(crate) fn goes_silent(&self) {
        self.lock().ignored = Some(Vec::new());
    }

    /// Tells a member something about a group, over their session.
    pub(crate) async fn tell(&self, to: AccountId, group: GroupId, control: GroupControl) -> DeliveryStatus {
        self.deliver(to, Content::Group { group, payload: Bytes(control.encode().unwrap()) }).await
    }

    async fn deliver(&self, to: AccountId, body: Content) -> DeliveryStatus {
        let ciphertext = self.seal(to, body, true).await;
        self.hand_over(to, &ciphertext).await.expect("not delivered")
    }

    /// Something about a group for a member, encrypted and not sent yet; a first message without a
    /// kit comes `with_kit` false.
    pub(crate) async fn seals(&self, to: AccountId, group: GroupId, said: GroupControl, with_kit: bool) -> Vec<u8> {
        self.seal(to, Content::Group { group, payload: Bytes(said.encode().unwrap()) }, with_kit).await
    }

    async fn seal(&self, to: AccountId, body: Content, with_kit: bool) -> Vec<u8> {
        let (peer, addresses) = self.lock().routes.get(&to).cloned().expect("no route");
        let hello = self.lock().hello();
        self.net.request(peer, addresses, PeerRequest::Hello(hello)).await.unwrap();
        if !self.lock().sessions.get(&to).is_some_and(SessionSet::can_encrypt) {
            let answer = self.net.request(peer, Vec::new(), PeerRequest::Bundle).await.unwrap();
            let PeerResponse::Bundle { bundle } = answer else { panic!("no bundle: {answer:?}") };
            let mut bundle = codec::decode::<BundleIn>(&bundle.0, FRAME).unwrap();
            bundle.kit = bundle.kit.filter(|_| with_kit);
            let bundle = bundle.verify(now(), Some(to)).unwrap();
            let state = &mut *self.lock();
            let sessions = state.sessions.entry(to).or_insert_with(|| SessionSet::new(self.me, to));
            sessions.initiate(&state.identity, &bundle, now(), &mut state.rng).unwrap();
        }
        let state = &mut *self.lock();
        let seq = state.sent.entry(to).or_insert(0);
        *seq += 1;
        let (seq, id) = (*seq, MessageId::random(&mut state.rng));
        let message = MessageIn { version: MESSAGE_VERSION, id, seq, floor: seq, sent: now(), record_seq: 1, body };
        let sessions = state.sessions.get_mut(&to).unwrap();
        sessions.encrypt(&message.encode().unwrap(), now(), &mut state.rng).unwrap()
    }

    /// Delivers what was sealed, perhaps again; nothing when it was not answered.
    pub(crate) async fn hand_over(&self, to: AccountId, ciphertext: &[u8]) -> Option<DeliveryStatus> {
        let (peer, addresses) = self.lock().routes.get(&to).cloned().expect("no route");
        let request = PeerRequest::Deliver { messages: vec![Bytes(ciphertext.to_vec())] };
        match self.net.request(peer, addresses, request).await {
            Ok(PeerResponse::Delivered { statuses }) => statuses.first().copied(),
            _ => None,
        }
    }

    /// Waits until somebody listens to a topic.
    pub(crate) async fn listened_to(&self, topic: &str) {
        let mut changed = self.changed.clone();
        let wait = async {
            while !self.lock().listened.contains(topic) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("nobody listens");
    }

    /// Signs another record under the number of the one that she has.
    pub(crate) fn forks_her_record(&self) {
        let mut state = self.lock();
        let mut fields = state.fields.clone();
        fields.addresses = vec!["/ip4/203.0.113.9/tcp/4001".to_owned()];
        let forked = Record::create(&state.identity, fields, None, now()).unwrap();
        assert_eq!((forked.seq(), forked.encoded() == state.record.encoded()), (state.record.seq(), false));
        state.record = forked;
    }

    /// Says who she is, and asks who is there.
    pub(crate) async fn greets(&self, whom: AccountId) -> PeerResponse {
        let (peer, addresses) = self.lock().routes.get(&whom).cloned().expect("no route");
        let hello = self.lock().hello();
        self.net.request(peer, addresses, PeerRequest::Hello(hello)).await.unwrap()
    }

    /// Asks a member for everything of a group.
    pub(crate) async fn fetch(&self, from: AccountId, group: GroupId) -> PeerResponse {
        self.fetch_with(from, Self::nothing(group)).await
    }

    async fn fetch_with(&self, from: AccountId, fetch: GroupFetch) -> PeerResponse {
        let (peer, addresses) = self.lock().routes.get(&from).cloned().expect("no route");
        let hello = self.lock().hello();
        self.net.request(peer, addresses, PeerRequest::Hello(hello)).await.unwrap();
        self.net.request(peer, Vec::new(), PeerRequest::GroupFetch(fetch)).await.unwrap()
    }

    /// Asks a member for everything of a group, so many times at once.
    pub(crate) async fn floods(&self, whom: AccountId, group: GroupId, times: u64) -> Vec<PeerResponse> {
        let (peer, _) = self.lock().routes.get(&whom).cloned().expect("no route");
        let ask = |_| self.net.request(peer, Vec::new(), PeerRequest::GroupFetch(Self::nothing(group)));
        let answers = futures::future::join_all((0..times).map(ask)).await;
        answers.into_iter().map(Result::unwrap).collect()
    }

    /// Takes everything that a member has of a group, as it was said.
    pub(crate) async fn catch_up(&self, from: AccountId, group: GroupId) {
        let PeerResponse::GroupMissing(missing) = self.fetch(from, group).await else { panic!("refused") };
        let state = &mut *self.lock();
        let heard = &mut state.groups.get_mut(&group).unwrap().heard;
        heard.extend(missing.messages.into_iter().map(|message| message.0));
    }

    /// Publishes bytes of a group message in a group, under its newest secret.
    pub(crate) async fn publish(&self, group: GroupId, encoded: &[u8]) {
        let (topic, sealed) = {
            let state = &mut *self.lock();
            let secret = GroupSecret::from_wire(*state.groups[&group].secrets.last().unwrap());
            let gossip = GroupGossip { pass_on: PassOn::All, message: Bytes(encoded.to_vec()) }.encode().unwrap();
            (secret.topic(), secret.seal(&gossip, &mut state.rng))
        };
        // Subscriptions of the others travel by themselves.
        let mut changed = self.changed.clone();
        let publish = async {
            while self.net.publish(topic.clone(), sealed.clone()).await.is_err() {
                let _ = tokio::time::timeout(Duration::from_millis(50), changed.changed()).await;
            }
        };
        tokio::time::timeout(PATIENCE, publish).await.expect("nobody listens");
    }

    /// Signs an operation, whether or not it is allowed.
    pub(crate) fn sign(&self, group: GroupId, seq: u64, parents: Vec<OperationId>, action: Action) -> Bytes {
        let mut operation = OperationIn {
            version: OPERATION_VERSION,
            group,
            author: self.me,
            seq,
            parents,
            action,
            signature: Fixed([0; 64]),
        };
        let mut signed = codec::encode(&operation, FRAME).unwrap();
        signed.truncate(signed.len() - 64);
        operation.signature = self.lock().identity.sign(Purpose::GroupOperation, &[&signed]).to_wire();
        Bytes(codec::encode(&operation, FRAME).unwrap())
    }

    /// A message in a group, said as if by `author` with any chain.
    pub(crate) fn message(&self, key: &mut SenderKey, group: GroupId, author: AccountId, text: &str) -> Vec<u8> {
        let id = MessageId::random(&mut self.lock().rng);
        self.saying(key, group, (author, id), Content::Text { text: text.to_owned(), reply_to: None })
    }

    /// Anything said in a group.
    pub(crate) fn saying(
        &self,
        key: &mut SenderKey,
        group: GroupId,
        (author, id): (AccountId, MessageId),
        body: Content,
    ) -> Vec<u8> {
        self.saying_at(now(), key, group, (author, id), body)
    }

    /// As [`Self::saying`], by a clock that shows `sent`.
    pub(crate) fn saying_at(
        &self,
        sent: Timestamp,
        key: &mut SenderKey,
        group: GroupId,
        (author, id): (AccountId, MessageId),
        body: Content,
    ) -> Vec<u8> {
        let state = &mut *self.lock();
        let view = state.groups[&group].membership.as_ref().unwrap().view().id;
        let said = MessageIn { version: MESSAGE_VERSION, id, seq: 0, floor: 0, sent, record_seq: 1, body };
        let roster: BTreeSet<AccountId> = key.holders().copied().collect();
        let context = SendContext { group, author, view, roster: &roster, heads: &[], now: now() };
        key.encrypt(&context, &said.encode().unwrap(), &mut state.rng).unwrap().encode().unwrap()
    }

    /// A chain of Mallory's own.
    pub(crate) fn chain(&self, group: GroupId) -> SenderKey {
        let state = &mut *self.lock();
        let view = state.groups[&group].membership.as_ref().unwrap().view().id;
        SenderKey::generate(view, now(), &mut state.rng)
    }

    /// The texts on the topic that any chain which was ever handed over opens.
    pub(crate) fn readable(&self, group: GroupId) -> Vec<String> {
        let state = &mut *self.lock();
        let inside = &state.groups[&group];
        let mut texts = Vec::new();
        for (author, handed) in &inside.chains {
            let mut chains = MemberChains::new(group, *author);
            for chain in handed {
                let _ = chains.accept(chain, now());
            }
            for encoded in &inside.heard {
                let Ok(message) = GroupMessageIn::decode(encoded) else { continue };
                let Ok(opened) = chains.decrypt(&message, now()) else { continue };
                if let Ok(MessageIn { body: Content::Text { text, .. }, .. }) = MessageIn::decode(opened.expose()) {
                    texts.push(text);
                }
            }
        }
        texts
    }
}

impl State {
    fn hello(&self) -> Hello {
        Hello { record: Bytes(self.record.encoded().to_vec()), addresses: Vec::new(), status: None }
    }

    /// Takes what the network tells; says which topics are new.
    fn happened(&mut self, event: NetworkEvent) -> Vec<String> {
        match event {
            NetworkEvent::Inbound { peer, request, responder } => {
                if let Some(ignored) = &mut self.ignored {
                    ignored.push(responder);
                    return Vec::new();
                }
                let (response, topics) = self.asked(peer, request);
                responder.respond(response);
                return topics;
            }
            NetworkEvent::Stream { stream, .. } => {
                // Without a door it is closed.
                if let Some(door) = &self.streams {
                    let _ = door.send(stream);
                }
            }
            NetworkEvent::GossipSubscribed { topic, .. } => drop(self.listened.insert(topic)),
            NetworkEvent::Gossip { data, .. } => {
                for inside in self.groups.values_mut() {
                    let secrets = inside.secrets.iter().map(|secret| GroupSecret::from_wire(*secret));
                    let opened = secrets.filter_map(|secret| GroupGossip::decode(&secret.open(&data)?).ok());
                    inside.heard.extend(opened.map(|gossip| gossip.message.0).take(1).collect::<Vec<_>>());
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn asked(&mut self, peer: PeerId, request: PeerRequest) -> (PeerResponse, Vec<String>) {
        match request {
            PeerRequest::Hello(hello) => {
                let account = Record::decode(&hello.record.0).unwrap().account_id();
                self.met.insert(peer, account);
                self.routes.entry(account).or_insert((peer, Vec::new()));
                (PeerResponse::Hello(self.hello()), Vec::new())
            }
            PeerRequest::Bundle => {
                let (identity, signed) = (self.identity.public().to_wire(), self.prekeys.signed_public());
                let bundle = BundleIn { identity, signed, kit: self.prekeys.take_kit_public() };
                (PeerResponse::Bundle { bundle: Bytes(codec::encode(&bundle, FRAME).unwrap()) }, Vec::new())
            }
            PeerRequest::Deliver { messages } => {
                let from = self.met[&peer];
                let topics = messages.iter().flat_map(|message| self.opened(from, &message.0)).collect();
                (PeerResponse::Delivered { statuses: vec![DeliveryStatus::Stored; messages.len()] }, topics)
            }
            PeerRequest::GroupFetch(_) => {
                self.asked += 1;
                let messages = self.met.get(&peer).and_then(|account| self.answers.get(account).cloned());
                let answer = GroupMissing {
                    operations: self.operations.clone(),
                    messages: messages.unwrap_or_default(),
                    named: Vec::new(),
                    yours: Vec::new(),
                    more: false,
                };
                (PeerResponse::GroupMissing(answer), Vec::new())
            }
        }
    }

    fn opened(&mut self, from: AccountId, ciphertext: &[u8]) -> Vec<String> {
        let me = self.identity.account_id();
        let sessions = self.sessions.entry(from).or_insert_with(|| SessionSet::new(me, from));
        let Ok(opened) = sessions.decrypt(&self.identity, &mut self.prekeys, ciphertext, now()) else {
            return Vec::new();
        };
        let Ok(MessageIn { body: Content::Group { group, payload }, .. }) =
            MessageIn::decode(opened.plaintext.expose())
        else {
            return Vec::new();
        };
        let inside = self.groups.entry(group).or_default();
        inside.told.push((from, ciphertext.len()));
        let mut secret = None;
        match GroupControl::decode(&payload.0).unwrap() {
            GroupControl::Operations { operations } => {
                for operation in &operations {
                    match &mut inside.membership {
                        Some(known) => drop(known.add(&operation.0)),
                        none => *none = Membership::open(&operation.0).ok(),
                    }
                }
            }
            GroupControl::Welcome { secret: first, people, .. } => {
                secret = Some(first.secret);
                met(&mut self.routes, inside, people);
            }
            GroupControl::People { people } => met(&mut self.routes, inside, people),
            GroupControl::Secret(next) => secret = Some(next.secret),
            GroupControl::Change { operation, secret: next, people } => {
                if let Some(known) = &mut inside.membership {
                    let _ = known.add(&operation.0);
                }
                secret = next.map(|next| next.secret);
                met(&mut self.routes, inside, people);
            }
            GroupControl::JoinRequest { .. } => inside.asked_by = Some(from),
            GroupControl::Chain { chain, .. } => inside.chains.entry(from).or_default().push(chain),
            _ => {}
        }
        inside.secrets.extend(secret);
        secret.map(|secret| GroupSecret::from_wire(secret).topic()).into_iter().collect()
    }
}

/// Where other members listen, as an admin told.
fn met(routes: &mut HashMap<AccountId, (PeerId, Vec<Address>)>, inside: &Inside, people: Vec<PersonIn>) {
    for person in people {
        let record = inside.membership.as_ref().and_then(|known| known.record(&person.account));
        let Some(key) = record.and_then(|record| record.peer_keys().next()) else { continue };
        let addresses = person.addresses.iter().filter_map(|text| parse_address(text).ok()).collect();
        routes.insert(person.account, (PeerId::from_ed25519(*key).unwrap(), addresses));
    }
}
