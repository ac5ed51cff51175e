//! What comes from outside is checked here, once: signatures, bindings and bounds. What passes is
//! believed by the rules behind. Floor 1: pure. These checks cost up to milliseconds, so the server
//! runs them on its worker threads.

use libp2p::PeerId;
use secure_chat_protocol::group_log::{self, log_as_mailbox};
use secure_chat_protocol::id::{AccountId, EnvelopeId, MailboxId, Timestamp};
use secure_chat_protocol::identity::PublicIdentity;
use secure_chat_protocol::limits::BUNDLE_MAX_BYTES;
use secure_chat_protocol::listing::Listing;
use secure_chat_protocol::prekey::{BundleIn, KitIn, SignedPreKeyIn};
use secure_chat_protocol::record::RecordIn;
use secure_chat_protocol::sealed;
use secure_chat_protocol::wire::codec::{self, Bytes, DecodeError, Fixed};
use secure_chat_protocol::wire::rendezvous::{LogStamp, Refusal};
use secure_chat_protocol::work::{self, Stamp};

use crate::directory::{self, Entry};
use crate::group_log::Append;
use crate::limits::HOUR_MS;
use crate::prekeys::NamedKit;
use crate::registry::Claim;

/// The Ed25519 key inside a peer id, if it is of that kind.
#[must_use]
pub(crate) fn peer_key(peer: &PeerId) -> Option<[u8; 32]> {
    // An identity multihash (code 0) holds the protobuf of the public key itself.
    let multihash: &libp2p::multihash::Multihash<64> = peer.as_ref();
    if multihash.code() != 0 {
        return None;
    }
    let key = libp2p::identity::PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    key.try_into_ed25519().ok().map(|key| key.to_bytes())
}

/// Checks a record, and that it names the caller.
///
/// # Errors
/// [`Refusal::Invalid`]: the caller's fault.
pub(crate) fn claim(record: Vec<u8>, caller: &PeerId) -> Result<Claim, Refusal> {
    let untrusted = RecordIn::decode(&record).map_err(|_| Refusal::Invalid)?;
    let prev_hash = untrusted.prev_hash.0;
    let verified = untrusted.verify().map_err(|_| Refusal::Invalid)?;
    let caller = peer_key(caller).ok_or(Refusal::Invalid)?;
    if !verified.peer_keys().any(|key| *key == caller) {
        return Err(Refusal::Invalid);
    }
    Ok(Claim {
        account: verified.account_id(),
        name: verified.name().folded(),
        seq: verified.seq(),
        prev_hash,
        hash: verified.hash(),
        peers: verified.peer_keys().copied().collect(),
        identity: verified.identity().clone(),
        record,
    })
}

/// Checks the answer to a challenge; tells whose mailbox it is.
///
/// # Errors
/// [`Refusal::Invalid`]: the caller's fault.
pub(crate) fn mailbox_owner(
    auth_key: &Fixed<32>,
    server: &PeerId,
    caller: &PeerId,
    challenge: &[u8; 32],
    signature: &Fixed<64>,
) -> Result<MailboxId, Refusal> {
    sealed::verify_open(auth_key, &server.to_bytes(), &caller.to_bytes(), challenge, signature)
        .map_err(|_| Refusal::Invalid)
}

/// A stranger's stamp and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamped<'a> {
    /// This node.
    pub server: &'a PeerId,
    /// Whose mailbox.
    pub mailbox: &'a MailboxId,
    /// The envelope's id.
    pub id: &'a EnvelopeId,
    /// The envelope.
    pub sealed: &'a [u8],
    /// The stamp's hour, since 1970.
    pub hour: u64,
    /// The stamp's nonce.
    pub nonce: u64,
}

/// Checks a stranger's stamp against `bits` of work; `price` is what the refusal asks for.
///
/// # Errors
/// [`Refusal::WorkNeeded`]: the caller's fault.
pub(crate) fn stamp(stamped: &Stamped<'_>, bits: u8, price: u8, now: Timestamp) -> Result<(), Refusal> {
    let deposit = work::Deposit {
        node_peer: &stamped.server.to_bytes(),
        mailbox: stamped.mailbox,
        id: stamped.id,
        sealed: stamped.sealed,
    };
    work::check(&deposit, &Stamp { hour: stamped.hour, nonce: stamped.nonce }, bits, now)
        .map_err(|_| Refusal::WorkNeeded { bits: price })
}

/// Checks prekeys that are to be published; answers the kits with their names.
///
/// # Errors
/// [`Refusal::Invalid`]: the caller's fault.
pub(crate) fn prekeys(
    owner: &PublicIdentity,
    signed: &[u8],
    kits: Vec<Bytes>,
    now: Timestamp,
) -> Result<Vec<NamedKit>, Refusal> {
    let invalid = |_: DecodeError| Refusal::Invalid;
    let signed: SignedPreKeyIn = codec::decode(signed, BUNDLE_MAX_BYTES).map_err(invalid)?;
    signed.verify(owner, now).map_err(|_| Refusal::Invalid)?;
    let check = |kit: Bytes| {
        let decoded: KitIn = codec::decode(&kit.0, BUNDLE_MAX_BYTES).map_err(invalid)?;
        decoded.verify(owner).map_err(|_| Refusal::Invalid)?;
        Ok(NamedKit { id: decoded.id, kit: kit.0 })
    };
    kits.into_iter().map(check).collect()
}

/// Puts a bundle together from what was checked when it was stored. `None` when it does not decode any more.
#[must_use]
pub(crate) fn bundle(record: &[u8], signed: &[u8], kit: Option<&[u8]>) -> Option<Vec<u8>> {
    let bundle = BundleIn {
        identity: RecordIn::decode(record).ok()?.identity,
        signed: codec::decode_own(signed, BUNDLE_MAX_BYTES).ok()?,
        kit: kit.map(|kit| codec::decode_own(kit, BUNDLE_MAX_BYTES)).transpose().ok()?,
    };
    codec::encode(&bundle, BUNDLE_MAX_BYTES).ok()
}

/// Checks an entry of the directory, and that `account` signed it.
///
/// # Errors
/// [`Refusal::Invalid`]: the caller's fault.
pub(crate) fn listing(encoded: Vec<u8>, account: AccountId, now: Timestamp) -> Result<Entry, Refusal> {
    let listing = Listing::decode(&encoded, now).map_err(|_| Refusal::Invalid)?;
    if listing.author() != account {
        return Err(Refusal::Invalid);
    }
    Ok(Entry {
        group: listing.group(),
        looks: listing.name().looks().iter().map(|look| directory::look_key(look)).collect(),
        text: format!("{}\n{}", listing.name().as_str().to_lowercase(), listing.description().to_lowercase()),
        admins: listing.admins().iter().map(|admin| admin.account).collect(),
        author: account,
        seq: listing.seq(),
        expires: listing.expires(),
        hours: listing.expires().since_ms(now).div_ceil(HOUR_MS),
        listing: encoded,
    })
}

/// An entry for a group's log, as it came.
#[derive(Debug)]
pub(crate) struct SignedAppend {
    pub(crate) write_key: Fixed<32>,
    pub(crate) read_hash: Fixed<32>,
    pub(crate) id: EnvelopeId,
    pub(crate) sealed: Vec<u8>,
    pub(crate) signature: Fixed<64>,
    pub(crate) stamp: Option<LogStamp>,
}

/// Checks an entry for a log, and the stamp if there is one, against `bits` of work; `price` is what
/// the refusal asks for.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::WorkNeeded`]: the caller's fault.
pub(crate) fn append(
    append: SignedAppend,
    server: &PeerId,
    bits: u8,
    price: u8,
    now: Timestamp,
) -> Result<Append, Refusal> {
    let SignedAppend { write_key, read_hash, id, sealed, signature, stamp: shown } = append;
    let log = group_log::verify_append(&write_key, &server.to_bytes(), &read_hash, &id, &sealed, &signature)
        .map_err(|_| Refusal::Invalid)?;
    if let Some(LogStamp { hour, nonce }) = shown {
        let mailbox = log_as_mailbox(log);
        stamp(&Stamped { server, mailbox: &mailbox, id: &id, sealed: &sealed, hour, nonce }, bits, price, now)?;
    }
    Ok(Append { log, read_hash: read_hash.0, id, sealed, paid: shown.is_some(), work_bits: price })
}
