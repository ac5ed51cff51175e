//! Between two peers, over one authenticated libp2p connection (protocol
//! `/secure-chat/peer/1`): requests and their answers.

use serde::{Deserialize, Serialize};

use crate::limits::{ADDRESSES_MAX, DELIVERY_MAX_MESSAGES, PEER_FRAME_MAX_BYTES};
use crate::wire::codec::{self, Bytes, DecodeError, EncodeError};
use crate::wire::group::{GroupFetch, GroupMissing};

/// The libp2p protocol name.
pub const PEER_PROTOCOL: &str = "/secure-chat/peer/1";

/// What one peer asks another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// Who I am: comes first on a connection. Answered by [`PeerResponse::Hello`].
    Hello(Hello),
    /// Encrypted messages of the caller's sessions, in order, at most
    /// [`DELIVERY_MAX_MESSAGES`]. Answered by [`PeerResponse::Delivered`].
    Deliver {
        /// Ciphertexts (see [`crate::session`]).
        #[serde(deserialize_with = "codec::bounded::<_, _, DELIVERY_MAX_MESSAGES>")]
        messages: Vec<Bytes>,
    },
    /// Asks for a prekey bundle, to start a session. Answered by [`PeerResponse::Bundle`].
    Bundle,
    /// Asks another member for what is missing of a group. Answered by [`PeerResponse::GroupMissing`].
    GroupFetch(GroupFetch),
}

/// Who somebody is and where they listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The encoded, signed [`crate::record::RecordIn`]; it names the peer id of this connection.
    pub record: Bytes,
    /// Where the caller listens, as multiaddr texts; empty when it does not say.
    #[serde(deserialize_with = "codec::bounded::<_, _, ADDRESSES_MAX>")]
    pub addresses: Vec<String>,
    /// Online, away, offline of somebody who does not want to be seen or, to those who may not know, nothing.
    pub status: Option<crate::wire::rendezvous::PresenceStatus>,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerResponse {
    /// To [`PeerRequest::Hello`].
    Hello(Hello),
    /// To [`PeerRequest::Deliver`]: one status for each message, in the same order.
    Delivered {
        /// One for each message.
        #[serde(deserialize_with = "codec::bounded::<_, _, DELIVERY_MAX_MESSAGES>")]
        statuses: Vec<DeliveryStatus>,
    },
    /// To [`PeerRequest::Bundle`]: an encoded [`crate::prekey::BundleIn`].
    Bundle {
        /// The bundle.
        bundle: Bytes,
    },
    /// The request was not carried out.
    Refused(PeerRefusal),
    /// To [`PeerRequest::GroupFetch`].
    GroupMissing(GroupMissing),
}

/// What became of one delivered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryStatus {
    /// It is durable at the recipient: the end-to-end acknowledgement.
    Stored,
    /// Taken, but not confirmed: the recipient does not say more.
    Taken,
    /// No session of the recipient opens it: start a new one, then send it anew.
    NoSession,
    /// It opens, but can't be understood, or is forged: don't send it again.
    Invalid,
    /// No room for requests or messages of this sender now.
    Full,
    /// Too many: try again after this time.
    SlowDown {
        /// Milliseconds.
        retry_after_ms: u64,
    },
}

/// Why a request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRefusal {
    /// Say hello first, with a record that names this connection's peer id.
    HelloFirst,
    /// Nobody is logged in here, or they don't talk to the caller.
    NotAvailable,
    /// Too many: try again after this time.
    SlowDown {
        /// Milliseconds.
        retry_after_ms: u64,
    },
    /// The request breaks a bound.
    Invalid,
}

impl PeerRequest {
    /// Its encoding.
    ///
    /// # Errors
    /// [`EncodeError`].
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, PEER_FRAME_MAX_BYTES)
    }

    /// Decodes one request.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request: Self = codec::decode(bytes, PEER_FRAME_MAX_BYTES)?;
        match &request {
            Self::GroupFetch(fetch) if !fetch.within_bounds() => Err(DecodeError::Malformed),
            _ => Ok(request),
        }
    }
}

impl PeerResponse {
    /// Its encoding.
    ///
    /// # Errors
    /// [`EncodeError`].
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, PEER_FRAME_MAX_BYTES)
    }

    /// Decodes one answer.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let response: Self = codec::decode(bytes, PEER_FRAME_MAX_BYTES)?;
        match &response {
            Self::GroupMissing(missing) if !missing.within_bounds() => Err(DecodeError::Malformed),
            _ => Ok(response),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rendezvous::{Request, Response};

    /// An encoding of a variant whose only field is a list: `count` elements that are all `element`.
    fn list(variant: u8, count: u32, element: &[u8]) -> Vec<u8> {
        let mut bytes = vec![variant, 252];
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend((0..count).flat_map(|_| element.iter().copied()));
        bytes
    }

    #[test]
    fn a_frame_of_empty_elements_is_refused_before_they_are_allocated() {
        // Two million empty messages, addresses, people: each takes one byte here and at least 24 in memory.
        let count = 2_000_000;
        for (what, result) in [
            ("messages", PeerRequest::decode(&list(1, count, &[0])).map(|_| ())),
            ("statuses", PeerResponse::decode(&list(1, count, &[0])).map(|_| ())),
            ("addresses", Request::decode(&list(3, count, &[0])).map(|_| ())),
            ("presences", Response::decode(&list(4, count, &[0])).map(|_| ())),
            ("listings", Response::decode(&list(11, count, &[0])).map(|_| ())),
        ] {
            assert_eq!(result, Err(DecodeError::Malformed), "{what}");
        }
    }

    #[test]
    fn as_many_as_are_allowed_decode_and_one_more_does_not() {
        let deliver = |count| PeerRequest::Deliver { messages: vec![Bytes(vec![1]); count] }.encode().unwrap();
        assert!(PeerRequest::decode(&deliver(DELIVERY_MAX_MESSAGES)).is_ok());
        assert_eq!(PeerRequest::decode(&deliver(DELIVERY_MAX_MESSAGES + 1)), Err(DecodeError::Malformed));
        let announce = |count| Request::Announce { addresses: vec!["/memory/1".into(); count] }.encode().unwrap();
        assert!(Request::decode(&announce(ADDRESSES_MAX)).is_ok());
        assert_eq!(Request::decode(&announce(ADDRESSES_MAX + 1)), Err(DecodeError::Malformed));
    }
}
