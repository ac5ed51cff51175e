//! Gossip, with those who share a group and with nobody else.
//!
//! A gossipsub router tells everybody it meets what it listens to, and sends what it
//! publishes to all who listen. That would show each rendezvous node and each stranger
//! who is connected which topics belong together, when somebody writes, and how much.
//! So the router is told only of connections with peers who were admitted; to others it
//! stays silent, also when they ask.
//!
//! Two peers rarely admit each other at the same moment. What the one says before the
//! other listens is not refused, since a router never asks again: the stream is kept, unread.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, InboundUpgradeSend};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, gossipsub};
use secure_chat_protocol::crypto::kdf;

use super::limits::{GOSSIP_MAX_BYTES, GOSSIP_TOPIC_MAX_BYTES, GOSSIP_TOPICS_MAX};

type Topics = gossipsub::MaxCountSubscriptionFilter<gossipsub::AllowAllSubscriptionFilter>;
type Router = gossipsub::Behaviour<gossipsub::IdentityTransform, Topics>;
type RouterHandler = THandler<Router>;
type Inbound = <RouterHandler as ConnectionHandler>::InboundProtocol;
type InboundStream = <Inbound as InboundUpgradeSend>::Output;
type Outbound = <RouterHandler as ConnectionHandler>::OutboundProtocol;

/// Anonymous on the wire: authors sign inside the ciphertext. The limits are above
/// libp2p's defaults, under which 150 topics or a burst of long messages vanish
/// without an error.
fn router() -> Result<Router, String> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| {
            let id = kdf::hash_fields("gossip-id", &[message.topic.as_str().as_bytes(), &message.data]);
            gossipsub::MessageId::from(id.to_vec())
        })
        .max_transmit_size(4 * GOSSIP_MAX_BYTES)
        // Hardly anything comes twice, so that to tell each neighbour of what came
        // ("I don't want") costs more than all else that is sent.
        .idontwant_message_size_threshold(4 * GOSSIP_MAX_BYTES)
        .max_control_message_size(2 * GOSSIP_TOPICS_MAX * (GOSSIP_TOPIC_MAX_BYTES + 16))
        // Whoever publishes tells all who are connected; the mesh is for those who are
        // not, and each link of it more is one more copy for everybody.
        .mesh_n_low(3)
        .mesh_n(4)
        // A star round one hub delivers everything only when its mesh holds them all.
        .mesh_n_high(64)
        // Whoever can open it decides: what strangers publish goes no further.
        .validate_messages()
        .heartbeat_interval(Duration::from_secs(1))
        .build()
        .map_err(|error| error.to_string())?;
    let topics = gossipsub::MaxCountSubscriptionFilter {
        filter: gossipsub::AllowAllSubscriptionFilter {},
        max_subscribed_topics: GOSSIP_TOPICS_MAX,
        max_subscriptions_per_request: GOSSIP_TOPICS_MAX,
    };
    let anonymous = gossipsub::MessageAuthenticity::Anonymous;
    Ok(Router::new_with_subscription_filter(anonymous, config, topics)?)
}

/// What the router knows of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing.
    Silent,
    /// It talks there.
    Admitted,
    /// It did, and does no more: its streams are gone, so that only a new connection can carry it again.
    Dismissed,
}

struct Link {
    peer: PeerId,
    point: ConnectedPoint,
    standing: Standing,
}

/// The behaviour: a gossipsub router among those who were admitted.
pub(super) struct Gossip {
    /// Subscribes, publishes and passes on.
    pub(super) router: Router,
    /// As every connection listens, whoever it leads to.
    listens: Inbound,
    admitted: HashSet<PeerId>,
    /// Of whoever said last who is admitted.
    ticket: Option<u64>,
    links: HashMap<ConnectionId, Link>,
    told: VecDeque<ToSwarm<gossipsub::Event, ToHandler>>,
}

impl Gossip {
    /// Nobody is admitted yet.
    ///
    /// # Errors
    /// A setting that gossipsub refuses.
    pub(super) fn new() -> Result<Self, String> {
        // Only a handler says how a router listens. This one's is never heard of again.
        let handler = router()?.handle_established_inbound_connection(
            ConnectionId::new_unchecked(0),
            PeerId::random(),
            &Multiaddr::empty(),
            &Multiaddr::empty(),
        );
        let listens = handler.map_err(|denied| denied.to_string())?.listen_protocol().into_upgrade().0;
        let (links, told) = (HashMap::new(), VecDeque::new());
        Ok(Self { router: router()?, listens, admitted: HashSet::new(), ticket: None, links, told })
    }

    /// From now on the router talks with these peers, and with no others, unless that was said with a
    /// higher ticket already: what is said later may come first.
    pub(super) fn admit_only(&mut self, ticket: u64, admitted: HashSet<PeerId>) {
        if self.ticket.is_some_and(|last| ticket < last) {
            return;
        }
        self.ticket = Some(ticket);
        let before = std::mem::replace(&mut self.admitted, admitted);
        let gone: HashSet<PeerId> = before.difference(&self.admitted).copied().collect();
        let come: HashSet<PeerId> = self.admitted.difference(&before).copied().collect();
        let mut links: Vec<(ConnectionId, PeerId)> = self.links.iter().map(|(id, link)| (*id, link.peer)).collect();
        links.sort_unstable_by_key(|(id, _)| *id);
        for (id, peer) in links {
            if gone.contains(&peer) {
                self.dismiss(id);
            } else if come.contains(&peer) {
                self.admit(id);
            }
        }
    }

    /// How many of a peer's connections the router knows.
    fn talks_on(&self, peer: PeerId) -> usize {
        self.links.values().filter(|link| link.peer == peer && link.standing == Standing::Admitted).count()
    }

    /// Gives a connection with an admitted peer to the router.
    fn admit(&mut self, id: ConnectionId) {
        let Some(link) = self.links.get(&id) else { return };
        let (peer_id, endpoint) = (link.peer, link.point.clone());
        match link.standing {
            Standing::Silent => {}
            Standing::Admitted => return,
            Standing::Dismissed => {
                let connection = CloseConnection::One(id);
                return self.told.push_back(ToSwarm::CloseConnection { peer_id, connection });
            }
        }
        let handler = match &endpoint {
            ConnectedPoint::Dialer { address, role_override, port_use } => {
                self.router.handle_established_outbound_connection(id, peer_id, address, *role_override, *port_use)
            }
            ConnectedPoint::Listener { local_addr, send_back_addr } => {
                self.router.handle_established_inbound_connection(id, peer_id, local_addr, send_back_addr)
            }
        };
        let Ok(handler) = handler else { return };
        let other_established = self.talks_on(peer_id);
        if let Some(link) = self.links.get_mut(&id) {
            link.standing = Standing::Admitted;
        }
        let event = ToHandler::Admitted(Box::new(handler));
        self.told.push_back(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(id), event });
        self.router.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id,
            connection_id: id,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established,
        }));
    }

    /// Takes a connection that stays from the router.
    fn dismiss(&mut self, id: ConnectionId) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.standing == Standing::Admitted) else { return };
        link.standing = Standing::Dismissed;
        let (peer_id, endpoint) = (link.peer, link.point.clone());
        self.closed(id, peer_id, &endpoint);
        let (handler, event) = (NotifyHandler::One(id), ToHandler::Dismissed);
        self.told.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
    }

    /// Tells the router that a connection it knew is gone.
    fn closed(&mut self, connection_id: ConnectionId, peer_id: PeerId, endpoint: &ConnectedPoint) {
        let remaining_established = self.talks_on(peer_id);
        self.router.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id,
            connection_id,
            endpoint,
            cause: None,
            remaining_established,
        }));
    }

    fn silent(&self) -> Handler {
        Handler { listens: self.listens.clone(), router: None, unread: None }
    }
}

impl NetworkBehaviour for Gossip {
    type ConnectionHandler = Handler;
    type ToSwarm = gossipsub::Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.silent())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.silent())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let (id, peer) = (established.connection_id, established.peer_id);
                let point = established.endpoint.clone();
                self.links.insert(id, Link { peer, point, standing: Standing::Silent });
                if self.admitted.contains(&peer) {
                    self.admit(id);
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                let link = self.links.remove(&closed.connection_id);
                if let Some(link) = link.filter(|link| link.standing == Standing::Admitted) {
                    self.closed(closed.connection_id, link.peer, closed.endpoint);
                }
            }
            FromSwarm::AddressChange(change) => {
                let Some(link) = self.links.get_mut(&change.connection_id) else { return };
                link.point = change.new.clone();
                if link.standing == Standing::Admitted {
                    self.router.on_swarm_event(FromSwarm::AddressChange(change));
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        // Of a connection that was dismissed, something may still have been on its way.
        if self.links.get(&id).is_some_and(|link| link.standing == Standing::Admitted) {
            self.router.on_connection_handler_event(peer, id, event);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(event) = self.told.pop_front() {
            return Poll::Ready(event);
        }
        self.router.poll(cx).map(|event| event.map_in(ToHandler::Router))
    }
}

/// What a connection's handler is told.
pub(super) enum ToHandler {
    /// The peer is admitted: this is the router's side of it.
    Admitted(Box<RouterHandler>),
    /// The peer is admitted no longer.
    Dismissed,
    /// From the router to its side.
    Router(THandlerInEvent<Router>),
}

impl fmt::Debug for ToHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted(_) => f.write_str("Admitted"),
            Self::Dismissed => f.write_str("Dismissed"),
            Self::Router(event) => f.debug_tuple("Router").field(event).finish(),
        }
    }
}

/// One connection: the router's handler, as long as the peer is admitted.
pub(super) struct Handler {
    listens: Inbound,
    router: Option<Box<RouterHandler>>,
    /// What the other opened before they were admitted. At most one: the newest counts for a router, too.
    unread: Option<InboundStream>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ToHandler;
    type ToBehaviour = THandlerOutEvent<Router>;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound> {
        match &self.router {
            Some(router) => router.listen_protocol(),
            None => SubstreamProtocol::new(self.listens.clone(), ()),
        }
    }

    fn connection_keep_alive(&self) -> bool {
        self.router.as_ref().is_some_and(|router| router.connection_keep_alive())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Outbound, (), Self::ToBehaviour>> {
        // Without a router nothing happens before the behaviour says something, which wakes the connection.
        self.router.as_mut().map_or(Poll::Pending, |router| router.poll(cx))
    }

    fn on_behaviour_event(&mut self, event: ToHandler) {
        match (event, &mut self.router) {
            (ToHandler::Admitted(mut router), _) => {
                if let Some(protocol) = self.unread.take() {
                    let opened = FullyNegotiatedInbound { protocol, info: () };
                    router.on_connection_event(ConnectionEvent::FullyNegotiatedInbound(opened));
                }
                self.router = Some(router);
            }
            (ToHandler::Dismissed, router) => *router = None,
            (ToHandler::Router(event), Some(router)) => router.on_behaviour_event(event),
            (ToHandler::Router(_), None) => {}
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Inbound, Outbound>) {
        match (event, &mut self.router) {
            (event, Some(router)) => router.on_connection_event(event),
            (ConnectionEvent::FullyNegotiatedInbound(opened), None) => self.unread = Some(opened.protocol),
            (_, None) => {}
        }
    }
}
