//! How fast anybody may ask, and what the relay lets through.

use serde::{Deserialize, Serialize};

use crate::quota::Rate;

/// How fast anybody may ask. `burst` may come at once, `per_second` flows in. Rates of an address
/// do not hold for loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Requests of all kinds of one peer.
    pub requests_per_peer: Rate,
    /// Requests of all kinds from one address.
    pub requests_per_address: Rate,
    /// Requests of all kinds of everybody.
    pub requests_in_all: Rate,
    /// People looked up by one peer.
    pub lookups_per_peer: Rate,
    /// Bundles taken by one peer.
    pub bundles_per_peer: Rate,
    /// One-time kits of one account handed out to everybody; beyond it, bundles come without one.
    pub kits_per_account: Rate,
    /// Bytes of contacts' deposits of one peer.
    pub deposit_bytes_per_peer: Rate,
    /// Bytes of contacts' deposits from one address.
    pub deposit_bytes_per_address: Rate,
    /// Strangers' deposits from one address.
    pub strangers_per_address: Rate,
    /// Strangers' deposits to one mailbox, beyond which their work gets harder.
    pub strangers_per_mailbox: Rate,
    /// Strangers' deposits to all mailboxes, beyond which their work gets harder.
    pub strangers_in_all: Rate,
    /// New registrations and mailboxes from one address.
    pub newcomers_per_address: Rate,
    /// Delivery tokens and prekey bytes stored by one peer.
    pub stored_bytes_per_peer: Rate,
    /// Bytes of files' chunks that one peer brings or takes.
    pub blob_bytes_per_peer: Rate,
    /// Bytes of files' chunks that are brought or taken from one address.
    pub blob_bytes_per_address: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            requests_per_peer: Rate::new(5_000, 500),
            requests_per_address: Rate::new(20_000, 2_000),
            requests_in_all: Rate::new(100_000, 50_000),
            lookups_per_peer: Rate::new(500, 5),
            bundles_per_peer: Rate::new(100, 1),
            kits_per_account: Rate::new(100, 1),
            deposit_bytes_per_peer: Rate::new(16 * MIB, MIB),
            deposit_bytes_per_address: Rate::new(64 * MIB, 4 * MIB),
            strangers_per_address: Rate::new(10, 1),
            strangers_per_mailbox: Rate::new(10, 1),
            strangers_in_all: Rate::new(1_000, 50),
            newcomers_per_address: Rate::new(50, 1),
            stored_bytes_per_peer: Rate::new(4 * MIB, 16 * 1024),
            blob_bytes_per_peer: Rate::new(256 * MIB, 32 * MIB),
            blob_bytes_per_address: Rate::new(1024 * MIB, 64 * MIB),
        }
    }
}

/// What the relay lets through. A chat and a 50 MB file pass through one circuit with room to spare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayLimits {
    /// Peers that may be reached through this node.
    pub reservations: usize,
    /// Reservations of one peer.
    pub reservations_per_peer: usize,
    /// Seconds that a reservation lasts; peers renew it.
    pub reservation_s: u64,
    /// Circuits at once.
    pub circuits: usize,
    /// Circuits of one peer at once.
    pub circuits_per_peer: usize,
    /// Seconds that a circuit lasts.
    pub circuit_s: u64,
    /// Bytes through one circuit, both ways together; 0 is unlimited.
    pub circuit_bytes: u64,
    /// Reservations of one peer at once; then one every 30 s.
    pub reservations_burst_per_peer: u32,
    /// Reservations from one address at once; then one a second.
    pub reservations_burst_per_address: u32,
    /// Circuits opened by one peer at once; then one every 2 s.
    pub circuits_burst_per_peer: u32,
    /// Circuits opened from one address at once; then one a second.
    pub circuits_burst_per_address: u32,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            reservations: 4_096,
            reservations_per_peer: 4,
            reservation_s: 3_600,
            circuits: 512,
            circuits_per_peer: 16,
            circuit_s: 2 * 3_600,
            circuit_bytes: 512 * 1024 * 1024,
            reservations_burst_per_peer: 60,
            reservations_burst_per_address: 1_000,
            circuits_burst_per_peer: 200,
            circuits_burst_per_address: 1_000,
        }
    }
}
