//! How a node is set up: paths, addresses and limits, from a TOML file, from the command line, or
//! from a program that runs a node inside itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use libp2p::Multiaddr;
use secure_chat_protocol::limits::{
    BLOB_EXPIRES_MAX_HOURS, BLOB_MAX_BYTES, BLOB_OWNER_MAX_BYTES, LOG_EXPIRES_MS, LOG_MAX_BYTES, LOG_MAX_ENTRIES,
    MAILBOX_EXPIRES_MS, MAILBOX_MAX_BYTES, MAILBOX_MAX_ENVELOPES,
};
use serde::{Deserialize, Serialize};

use crate::blobs::BlobLimits;
use crate::directory::DirectoryLimits;
use crate::group_log::LogLimits;
use crate::limits::{
    BLOBS_STORED_MAX_BYTES, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS, HOUR_MS, LISTINGS_NODE_MAX,
    LOGS_STORED_MAX_BYTES, MAILBOXES_MAX, MEMORY_MAX_BYTES, STORED_MAX_BYTES,
};
use crate::mailbox::MailboxLimits;
use crate::operation::Rules;

mod rates;

pub use rates::{Rates, RelayLimits};

/// Over what peers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// TCP with Noise and Yamux, and QUIC.
    #[default]
    Internet,
    /// Inside this process only, for tests and simulations.
    Memory,
}

/// How a node is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RendezvousConfig {
    /// Where the node keeps what it keeps. Made when it is not there.
    pub data_dir: PathBuf,
    /// Its identity key; `identity.key` in the data directory when `None`.
    pub identity_file: Option<PathBuf>,
    /// Its database; `rendezvous.redb` in the data directory when `None`.
    pub db_path: Option<PathBuf>,
    /// Its file chunks; `chunks` in the data directory when `None`.
    pub file_storage: Option<PathBuf>,
    /// Over what peers come.
    pub transport: TransportKind,
    /// Where to listen, as multiaddr texts; the defaults of the transport when empty.
    pub listen: Vec<String>,
    /// Addresses under which the node is reached from outside, as multiaddr texts; those it listens on when empty.
    pub external: Vec<String>,
    /// Where metrics are served; nowhere when `None`.
    pub metrics: Option<SocketAddr>,
    /// Bounds.
    pub limits: Limits,
}

impl RendezvousConfig {
    /// A node in `data_dir` with the defaults.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            identity_file: None,
            db_path: None,
            file_storage: None,
            transport: TransportKind::Internet,
            listen: Vec::new(),
            external: Vec::new(),
            metrics: None,
            limits: Limits::default(),
        }
    }

    /// The same, inside this process only.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.transport = TransportKind::Memory;
        self
    }

    /// The same, listening here.
    #[must_use]
    pub fn listening_on(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// Checks what can be checked without starting.
    ///
    /// # Errors
    /// [`ConfigError::Address`] for an address that is none.
    pub fn check(&self) -> Result<(), ConfigError> {
        for address in self.listen.iter().chain(&self.external) {
            address.parse::<Multiaddr>().map_err(|source| ConfigError::Address { address: address.clone(), source })?;
        }
        Ok(())
    }

    /// Where the identity key is.
    #[must_use]
    pub fn identity_path(&self) -> PathBuf {
        self.identity_file.clone().unwrap_or_else(|| self.data_dir.join("identity.key"))
    }

    /// Where the database is.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.db_path.clone().unwrap_or_else(|| self.data_dir.join("rendezvous.redb"))
    }

    /// Where file chunks are.
    #[must_use]
    pub fn chunks_path(&self) -> PathBuf {
        self.file_storage.clone().unwrap_or_else(|| self.data_dir.join("chunks"))
    }
}

/// What the configuration file may say. Everything is optional; unknown keys are an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileConfig {
    /// See [`RendezvousConfig::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// See [`RendezvousConfig::identity_file`].
    pub identity_file: Option<PathBuf>,
    /// See [`RendezvousConfig::db_path`].
    pub db_path: Option<PathBuf>,
    /// See [`RendezvousConfig::file_storage`].
    pub file_storage: Option<PathBuf>,
    /// See [`RendezvousConfig::listen`].
    pub listen: Vec<String>,
    /// See [`RendezvousConfig::external`].
    pub external: Vec<String>,
    /// See [`RendezvousConfig::metrics`].
    pub metrics: Option<SocketAddr>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: Option<String>,
    /// See [`RendezvousConfig::limits`].
    pub limits: Limits,
}

/// Why a configuration was not accepted. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("the configuration file {path} can't be read: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says something that is not understood.
    #[error("the configuration file {path} is not understood: {source}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What, with line and column.
        source: Box<toml::de::Error>,
    },
    /// An address is none.
    #[error("{address} is not a multiaddr, such as /ip4/0.0.0.0/tcp/4001: {source}")]
    Address {
        /// As it was given.
        address: String,
        /// Why.
        source: libp2p::multiaddr::Error,
    },
}

impl FileConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|source| ConfigError::Malformed { path: path.to_owned(), source: Box::new(source) })
    }
}

/// Bounds that an operator may set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all.
    pub connections: u32,
    /// Connections from one network address; loopback is not limited.
    pub connections_per_address: u32,
    /// Memory of the process beyond which no new connection is taken, in bytes.
    pub memory_bytes: usize,
    /// Envelopes in one mailbox.
    pub mailbox_envelopes: u64,
    /// Bytes in one mailbox.
    pub mailbox_bytes: u64,
    /// Hours until an envelope that nobody fetched is deleted.
    pub mailbox_expires_hours: u64,
    /// Mailboxes on this node.
    pub mailboxes: u64,
    /// Bytes in all mailboxes together.
    pub stored_bytes: u64,
    /// Groups in the directory.
    pub listed_groups: u64,
    /// Entries in one group's log.
    pub log_entries: u64,
    /// Bytes in one group's log.
    pub log_bytes: u64,
    /// Hours until an entry of a log is deleted.
    pub log_expires_hours: u64,
    /// Bytes in all logs together.
    pub logs_stored_bytes: u64,
    /// Bytes in one file that waits for somebody, with its padding.
    pub blob_bytes: u64,
    /// Bytes of such files that one account or one mailbox is charged with.
    pub blob_bytes_per_account: u64,
    /// Hours until such a file is deleted, at most.
    pub blob_expires_hours: u32,
    /// Bytes in all such files together.
    pub blobs_stored_bytes: u64,
    /// How fast anybody may ask.
    pub rates: Rates,
    /// What the relay lets through.
    pub relay: RelayLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            memory_bytes: MEMORY_MAX_BYTES,
            mailbox_envelopes: MAILBOX_MAX_ENVELOPES,
            mailbox_bytes: MAILBOX_MAX_BYTES,
            mailbox_expires_hours: MAILBOX_EXPIRES_MS / HOUR_MS,
            mailboxes: MAILBOXES_MAX,
            stored_bytes: STORED_MAX_BYTES,
            listed_groups: LISTINGS_NODE_MAX,
            log_entries: LOG_MAX_ENTRIES,
            log_bytes: LOG_MAX_BYTES,
            log_expires_hours: LOG_EXPIRES_MS / HOUR_MS,
            logs_stored_bytes: LOGS_STORED_MAX_BYTES,
            blob_bytes: BLOB_MAX_BYTES,
            blob_bytes_per_account: BLOB_OWNER_MAX_BYTES,
            blob_expires_hours: BLOB_EXPIRES_MAX_HOURS,
            blobs_stored_bytes: BLOBS_STORED_MAX_BYTES,
            rates: Rates::default(),
            relay: RelayLimits::default(),
        }
    }
}

impl Limits {
    /// The part that storage keeps to.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        Rules {
            mailbox: MailboxLimits {
                envelopes: self.mailbox_envelopes,
                bytes: self.mailbox_bytes,
                expires_hours: self.mailbox_expires_hours,
                node_bytes: self.stored_bytes,
            },
            mailboxes_max: self.mailboxes,
            directory: DirectoryLimits { groups: self.listed_groups },
            log: LogLimits {
                entries: self.log_entries,
                bytes: self.log_bytes,
                expires_hours: self.log_expires_hours,
                node_bytes: self.logs_stored_bytes,
            },
            blob: BlobLimits {
                bytes: self.blob_bytes,
                payer_bytes: self.blob_bytes_per_account,
                expires_hours: self.blob_expires_hours,
                node_bytes: self.blobs_stored_bytes,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Rate;

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(toml::from_str::<FileConfig>("").unwrap(), FileConfig::default());
    }

    #[test]
    fn the_handbook_shows_the_defaults() {
        let text = include_str!("../../docs/operations.md");
        let block = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        assert_eq!(toml::from_str::<FileConfig>(block).unwrap(), FileConfig::default());
    }

    #[test]
    fn a_part_of_the_limits_may_be_set_and_the_rest_stays() {
        let text = "listen = [\"/ip4/0.0.0.0/tcp/4001\"]\n[limits]\nconnections = 5\n[limits.relay]\ncircuit_bytes = 7\n\
                    [limits.rates]\nrequests_per_peer = { burst = 1, per_second = 2 }\n";
        let limits = toml::from_str::<FileConfig>(text).unwrap().limits;
        assert_eq!((limits.connections, limits.relay.circuit_bytes), (5, 7));
        assert_eq!(limits.rates.requests_per_peer, Rate::new(1, 2));
        assert_eq!(limits.mailbox_envelopes, Limits::default().mailbox_envelopes);
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_names_it() {
        let error = toml::from_str::<FileConfig>("[limits]\nconections = 5\n").unwrap_err();
        assert!(error.to_string().contains("conections"), "{error}");
    }

    #[test]
    fn the_relay_s_defaults_let_a_chat_and_a_file_of_50_mb_through() {
        let relay = RelayLimits::default();
        assert!(relay.circuit_bytes > 2 * 50_000_000 && relay.circuit_s >= 3_600 && relay.circuits >= 100);
    }
}
