//! From a request of the directory, of a group's log or of blobs to what is to be done.

use libp2p::PeerId;
use secure_chat_protocol::blob;
use secure_chat_protocol::group_log::log_id;
use secure_chat_protocol::limits::{BLOB_CHUNK_MAX_BYTES, ENVELOPE_MAX_BYTES, LISTING_MAX_BYTES};
use secure_chat_protocol::sealed::token_hash;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{
    BlobCharge, BlobRequest, CURSOR_MAX_BYTES, DirectoryRequest, GroupLogRequest, LISTINGS_MAX, QUERY_MAX_BYTES,
    Refusal,
};

use crate::blobs::{Create, Payer, Slot};
use crate::directory::Search;
use crate::door::{self, SignedAppend};
use crate::group_log::ReadLog;
use crate::limits::{FETCH_MAX_BYTES, SEARCH_MAX_WORDS};
use crate::operation::{Change, Moment, Query};
use crate::server::chunks::Put;
use crate::server::desk::{Context, Desk};
use crate::server::requests::{Check, Next, Step, change, query};

impl Desk {
    pub(super) fn directory(&mut self, peer: PeerId, request: DirectoryRequest, at: Moment) -> Step {
        let account = self.account(&peer)?;
        match request {
            DirectoryRequest::Publish { listing } => {
                if listing.0.len() > LISTING_MAX_BYTES {
                    return Err(Refusal::Invalid);
                }
                self.quotas.store(peer, listing.0.len(), at.lived_ms)?;
                let check: Check = Box::new(move || {
                    let entry = door::listing(listing.0, account, at.wall)?;
                    Ok(Change::PublishGroup(Box::new(entry)))
                });
                Ok((Next::Check(check), Context::Plain))
            }
            DirectoryRequest::Withdraw { group } => change(Change::WithdrawGroup { account, group }),
            DirectoryRequest::Search { query: words, after, limit } => {
                self.quotas.search(peer, at.lived_ms)?;
                let after = after.unwrap_or_default();
                if words.len() > QUERY_MAX_BYTES || after.0.len() > CURSOR_MAX_BYTES {
                    return Err(Refusal::Invalid);
                }
                query(Query::SearchGroups(search(&words, after, limit, at)))
            }
            DirectoryRequest::Entry { group } => query(Query::GroupEntry { group, now: at.wall }),
        }
    }

    pub(super) fn group_log(&mut self, peer: PeerId, request: GroupLogRequest, at: Moment) -> Step {
        match request {
            GroupLogRequest::Append { write_key, read_hash, id, sealed, signature, stamp } => {
                if sealed.0.len() > ENVELOPE_MAX_BYTES {
                    return Err(too_large(ENVELOPE_MAX_BYTES));
                }
                let origin = self.peers.get(&peer).and_then(|peer| peer.origin);
                self.quotas.contact(peer, origin, sealed.0.len(), at.lived_ms)?;
                if stamp.is_some() {
                    self.quotas.stranger(origin, at.lived_ms)?;
                }
                let log = log_id(&write_key);
                let price = self.quotas.price.bits(Some(&log.0), at.lived_ms);
                let bits = self.quotas.price.accepted_bits(&log.0, at.lived_ms);
                let (server, now) = (self.server, at.wall);
                let check: Check = Box::new(move || {
                    let append = SignedAppend { write_key, read_hash, id, sealed: sealed.0, signature, stamp };
                    door::append(append, &server, bits, price, now).map(Change::AppendLog)
                });
                Ok((Next::Check(check), Context::Plain))
            }
            GroupLogRequest::Read { log, read_token, after, max_bytes } => {
                let read_hash = secure_chat_protocol::group_log::read_hash(&read_token).0;
                let max_bytes = (max_bytes as usize).min(FETCH_MAX_BYTES);
                query(Query::ReadLog(ReadLog { log, read_hash, after, max_bytes }))
            }
        }
    }

    pub(super) fn blob(&mut self, peer: PeerId, request: BlobRequest, at: Moment) -> Step {
        match request {
            BlobRequest::Create { owner_hash, read_hash, chunk_bytes, chunks, expires_hours, charge } => {
                let (payer, token_hash) = match charge {
                    BlobCharge::Account => (Payer::Account(self.account(&peer)?), None),
                    BlobCharge::Mailbox { mailbox, token } => (Payer::Mailbox(mailbox), Some(token_hash(&token).0)),
                };
                let create = Create { owner_hash, read_hash, chunk_bytes, chunks, expires_hours, payer, token_hash };
                create.check(&self.blob_limits)?;
                let room = u64::from(chunk_bytes).saturating_mul(u64::from(chunks));
                self.blob_room(peer, usize::try_from(room).unwrap_or(usize::MAX), at)?;
                change(Change::CreateBlob(create))
            }
            BlobRequest::Put { blob, owner_token, index, sealed } => {
                if sealed.0.len() > BLOB_CHUNK_MAX_BYTES {
                    return Err(too_large(BLOB_CHUNK_MAX_BYTES));
                }
                self.blob_bytes(peer, sealed.0.len(), at)?;
                let slot = Slot { blob, shown: blob::owner_hash(&owner_token), index };
                Ok((Next::Put(Put { slot, sealed: sealed.0 }), Context::Plain))
            }
            BlobRequest::Get { blob, read_token, index } => {
                self.blob_bytes(peer, BLOB_CHUNK_MAX_BYTES, at)?;
                let slot = Slot { blob, shown: blob::read_hash(&read_token), index };
                Ok((Next::Get(slot), Context::Read))
            }
            BlobRequest::Stat { blob, token } => query(Query::StatBlob {
                blob,
                as_owner: blob::owner_hash(&token),
                as_reader: blob::read_hash(&token),
                hour: at.hour(),
            }),
            BlobRequest::Delete { blob, owner_token } => {
                change(Change::DeleteBlob { blob, shown: blob::owner_hash(&owner_token) })
            }
            BlobRequest::CountDownload { blob, read_token, receipt } => {
                change(Change::CountDownload { blob, shown: blob::read_hash(&read_token), receipt })
            }
        }
    }

    /// Charges the room of a blob to the address it is made from: all the node's is not to be had for a few
    /// requests. The peer pays for each chunk as it comes, and only needs to have as much left.
    fn blob_room(&mut self, peer: PeerId, bytes: usize, at: Moment) -> Result<(), Refusal> {
        self.blob_bytes(peer, bytes, at)?;
        self.quotas.blob_unread(peer, None, bytes);
        Ok(())
    }

    fn blob_bytes(&mut self, peer: PeerId, bytes: usize, at: Moment) -> Result<(), Refusal> {
        let origin = self.peers.get(&peer).and_then(|peer| peer.origin);
        Ok(self.quotas.blob(peer, origin, bytes, at.lived_ms)?)
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::TooLarge { limit_bytes: u32::try_from(limit).unwrap_or(u32::MAX) }
}

fn search(words: &str, after: Bytes, limit: u16, at: Moment) -> Search {
    Search {
        words: words.to_lowercase().split_whitespace().take(SEARCH_MAX_WORDS).map(str::to_owned).collect(),
        after: after.0,
        limit: usize::from(limit).clamp(1, LISTINGS_MAX),
        now: at.wall,
    }
}
