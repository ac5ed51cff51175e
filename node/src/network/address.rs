//! Peer ids and addresses: the only shapes in which libp2p's leave this module.

use std::fmt;
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use secure_chat_protocol::limits::ADDRESS_MAX_BYTES;

/// Who a peer is on the network: its Ed25519 network key, as libp2p writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(super) libp2p::PeerId);

/// How libp2p encodes an Ed25519 public key in a peer id: identity multihash of 36
/// bytes, holding a protobuf with key type 1 and 32 bytes of data
/// (libp2p specs, peer-ids/peer-ids.md).
const ED25519_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl PeerId {
    /// The peer id of an Ed25519 public key.
    ///
    /// # Errors
    /// [`AddressError::BadPeerId`] when these are not the bytes of a key.
    pub fn from_ed25519(public: [u8; 32]) -> Result<Self, AddressError> {
        let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(&public).map_err(|_| AddressError::BadPeerId)?;
        Ok(Self(libp2p::PeerId::from_public_key(&key.into())))
    }

    /// The peer id of the key pair that this seed makes.
    ///
    /// # Errors
    /// Never for 32 bytes; kept so that no caller has to panic.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, AddressError> {
        let mut copy = *seed;
        let keys = libp2p::identity::Keypair::ed25519_from_bytes(&mut copy).map_err(|_| AddressError::BadPeerId)?;
        Ok(Self(keys.public().to_peer_id()))
    }

    /// The Ed25519 public key, if that is what this peer id holds.
    #[must_use]
    pub fn to_ed25519(&self) -> Option<[u8; 32]> {
        self.0.to_bytes().strip_prefix(&ED25519_PREFIX)?.try_into().ok()
    }

    /// The bytes of the multihash.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// From the bytes of the multihash.
    ///
    /// # Errors
    /// [`AddressError::BadPeerId`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AddressError> {
        libp2p::PeerId::from_bytes(bytes).map(Self).map_err(|_| AddressError::BadPeerId)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.0)
    }
}

impl FromStr for PeerId {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse().map(Self).map_err(|_| AddressError::BadPeerId)
    }
}

/// Why a text is not an address. Always the writer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than [`ADDRESS_MAX_BYTES`].
    #[error("the address takes {bytes} bytes, the limit is {ADDRESS_MAX_BYTES}")]
    TooLong {
        /// What it takes.
        bytes: usize,
    },
    /// Not a multiaddress at all.
    #[error("this is not an address such as /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…")]
    Malformed,
    /// A multiaddress, but of a kind that this program doesn't dial.
    #[error("an address must be /ip4, /ip6 or /dns with /tcp/PORT or /udp/PORT/quic-v1")]
    UnsupportedTransport,
    /// A rendezvous node's address must say which key to expect there.
    #[error("the address of a rendezvous node must end in /p2p/ and its peer id")]
    NoPeerId,
    /// Not a peer id.
    #[error("this is not a peer id such as 12D3KooW…")]
    BadPeerId,
}

/// An address that was checked: one that this program can dial or listen on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub(super) Multiaddr);

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP with Noise and Yamux.
    Tcp,
    /// QUIC.
    Quic,
    /// Inside this process, with Noise and Yamux: for tests and simulations.
    Memory,
}

impl Transport {
    /// `tcp`, `quic` or `memory`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Memory => "memory",
        }
    }
}

/// How a connection reaches its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// From machine to machine.
    Direct,
    /// Through a relay, which can't read it.
    Relayed,
}

impl Address {
    /// The peer that is expected there: the last `/p2p/` part, unless a relay follows it.
    #[must_use]
    pub fn peer_id(&self) -> Option<PeerId> {
        match self.0.iter().last() {
            Some(Protocol::P2p(peer)) => Some(PeerId(peer)),
            _ => None,
        }
    }

    /// Whether it leads through a relay.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        is_relayed(&self.0)
    }

    /// The same address with this peer expected there.
    #[must_use]
    pub fn with_peer(&self, peer: PeerId) -> Self {
        match self.peer_id() {
            Some(_) => self.clone(),
            None => Self(self.0.clone().with(Protocol::P2p(peer.0))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.0)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse_address(text)
    }
}

/// Checks the text of an address.
///
/// # Errors
/// [`AddressError`].
pub fn parse_address(text: &str) -> Result<Address, AddressError> {
    if text.len() > ADDRESS_MAX_BYTES {
        return Err(AddressError::TooLong { bytes: text.len() });
    }
    let address: Multiaddr = text.parse().map_err(|_| AddressError::Malformed)?;
    if address.is_empty() {
        return Err(AddressError::Malformed);
    }
    // A name of no letters has the form of one.
    let nameless = |part: Protocol<'_>| match part {
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name) => name.is_empty(),
        _ => false,
    };
    if address.iter().any(nameless) {
        return Err(AddressError::Malformed);
    }
    if !is_supported(&address) {
        return Err(AddressError::UnsupportedTransport);
    }
    Ok(Address(address))
}

/// Checks the text of a rendezvous node's address: as [`parse_address`], and it
/// must name the node's peer id.
///
/// # Errors
/// [`AddressError`].
pub fn parse_rendezvous(text: &str) -> Result<Address, AddressError> {
    let address = parse_address(text)?;
    if address.is_relayed() {
        return Err(AddressError::UnsupportedTransport);
    }
    match address.peer_id() {
        Some(_) => Ok(address),
        None => Err(AddressError::NoPeerId),
    }
}

/// Host, transport, then at most `/p2p/PEER` and `/p2p-circuit[/p2p/PEER]`.
fn is_supported(address: &Multiaddr) -> bool {
    let mut parts = address.iter().peekable();
    let transport = match parts.next() {
        Some(Protocol::Memory(_)) => true,
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => {
            match parts.next() {
                Some(Protocol::Tcp(_)) => true,
                Some(Protocol::Udp(_)) => matches!(parts.next(), Some(Protocol::QuicV1)),
                _ => false,
            }
        }
        Some(Protocol::Dnsaddr(_)) => true,
        _ => false,
    };
    if !transport {
        return false;
    }
    let named = parts.next_if(|part| matches!(part, Protocol::P2p(_))).is_some();
    if parts.next_if(|part| matches!(part, Protocol::P2pCircuit)).is_some() {
        if !named {
            return false;
        }
        parts.next_if(|part| matches!(part, Protocol::P2p(_)));
    }
    parts.next().is_none()
}

pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::P2pCircuit))
}

pub(super) fn route_of(address: &Multiaddr) -> Route {
    if is_relayed(address) { Route::Relayed } else { Route::Direct }
}

pub(super) fn transport_of(address: &Multiaddr) -> Transport {
    let mut transport = Transport::Tcp;
    for part in address {
        match part {
            Protocol::Memory(_) => transport = Transport::Memory,
            Protocol::QuicV1 => transport = Transport::Quic,
            _ => {}
        }
    }
    transport
}

/// The address without what names the peer at its end.
pub(super) fn without_peer(address: &Multiaddr) -> Multiaddr {
    let mut bare = address.clone();
    if matches!(bare.iter().last(), Some(Protocol::P2p(_))) {
        bare.pop();
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";

    #[test]
    fn an_address_is_dialled_only_when_its_shape_is_known() {
        for good in [
            "/ip4/127.0.0.1/tcp/4001".to_owned(),
            "/ip6/::1/udp/4001/quic-v1".to_owned(),
            "/dns/example.org/tcp/443".to_owned(),
            "/memory/7".to_owned(),
            format!("/ip4/127.0.0.1/tcp/4001/p2p/{PEER}"),
            format!("/ip4/127.0.0.1/tcp/4001/p2p/{PEER}/p2p-circuit/p2p/{PEER}"),
        ] {
            assert_eq!(parse_address(&good).map(|address| address.to_string()), Ok(good));
        }
        for bad in ["/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1", "/tcp/80", "/ip4/127.0.0.1/tcp/1/http", "/unix/x"] {
            assert_eq!(parse_address(bad), Err(AddressError::UnsupportedTransport), "{bad}");
        }
        for bad in ["", "localhost:80", "/ip4/300.0.0.1/tcp/1", "\u{202e}"] {
            assert_eq!(parse_address(bad), Err(AddressError::Malformed), "{bad}");
        }
        assert_eq!(parse_address(&"/".repeat(600)), Err(AddressError::TooLong { bytes: 600 }));
    }

    #[test]
    fn a_rendezvous_address_names_its_key() {
        assert_eq!(parse_rendezvous("/ip4/127.0.0.1/tcp/4001"), Err(AddressError::NoPeerId));
        let full = format!("/ip4/127.0.0.1/tcp/4001/p2p/{PEER}");
        assert_eq!(parse_rendezvous(&full).unwrap().peer_id().unwrap().to_string(), PEER);
        let relayed = format!("{full}/p2p-circuit/p2p/{PEER}");
        assert_eq!(parse_rendezvous(&relayed), Err(AddressError::UnsupportedTransport));
    }

    #[test]
    fn a_peer_id_holds_its_key() {
        let peer = PeerId::from_seed(&[7; 32]).unwrap();
        let key = peer.to_ed25519().unwrap();
        assert_eq!(PeerId::from_ed25519(key), Ok(peer));
        assert_eq!(peer.to_string().parse(), Ok(peer));
        assert_eq!(PeerId::from_bytes(&peer.to_bytes()), Ok(peer));
        assert_eq!("12D3".parse::<PeerId>(), Err(AddressError::BadPeerId));
    }
}
