//! The directory of public groups: signed entries that the node stores and serves,
//! and can't change (see [`crate::listing`]).

use serde::{Deserialize, Serialize};

use crate::id::GroupId;
use crate::wire::codec::Bytes;

/// Entries that one answer lists.
pub const LISTINGS_MAX: usize = 50;
/// Longest query, in bytes.
pub const QUERY_MAX_BYTES: usize = 200;
/// Longest cursor, in bytes.
pub const CURSOR_MAX_BYTES: usize = 512;

/// What is asked of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryRequest {
    /// Lists a group, or renews its entry. The connection must speak for the account that signed
    /// it; a renewal must be signed by an account that the former entry names as an admin and have
    /// a higher number. Answered by [`super::Response::Done`], also for the same entry again.
    Publish {
        /// The encoded, signed [`crate::listing::ListingIn`].
        listing: Bytes,
    },
    /// Takes a group off the list. The connection must speak for an account that the entry names
    /// as an admin. Answered by [`super::Response::Done`], also when it is not listed.
    Withdraw {
        /// Which.
        group: GroupId,
    },
    /// Groups whose name or description has all words of `query`, without regard to case; with an
    /// empty query all. Needs [`super::Request::Register`]. Answered by [`super::Response::Listings`].
    Search {
        /// At most [`QUERY_MAX_BYTES`].
        query: String,
        /// Goes on behind what an earlier answer's `next` named.
        after: Option<Bytes>,
        /// At most [`LISTINGS_MAX`].
        limit: u16,
    },
    /// The entry of one group. Needs [`super::Request::Register`]. Answered by
    /// [`super::Response::Listings`], empty when it is not listed.
    Entry {
        /// Which.
        group: GroupId,
    },
}
