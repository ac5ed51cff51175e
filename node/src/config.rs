//! How a peer is started: options, environment, the configuration file, and
//! what comes out of them, [`NodeConfig`]. Stands on [`crate::network`], for its addresses,
//! and on the bounds of [`crate::files`] and [`crate::security`].
//!
//! An option goes before the environment, the environment before
//! `config.toml` in the data directory, and the file before the default.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use futures::future::BoxFuture;
use secure_chat_protocol::vault::Argon2Params;
use serde::Deserialize;

use crate::clock::WallClock;
use crate::files::limits::FILES_MAX;
use crate::network::limits::PROCESS_MEMORY_MAX_BYTES;
use crate::network::plug::Plug;
use crate::network::{AddressError, Partition, parse_address, parse_rendezvous};
use crate::security::log::AUDIT_MAX_ENTRIES;

/// Where a peer listens unless it is told otherwise: TCP and QUIC on free ports of all interfaces.
const LISTEN_V4: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
/// The same where the system has IPv6: elsewhere a peer could not start with them.
const LISTEN_V6: [&str; 2] = ["/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1"];

fn default_listen() -> Vec<String> {
    let has_v6 = std::net::UdpSocket::bind((std::net::Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    let v6 = if has_v6 { LISTEN_V6.as_slice() } else { &[] };
    LISTEN_V4.iter().chain(v6).map(|address| (*address).to_owned()).collect()
}

/// The configuration file's name in the data directory.
pub const CONFIG_FILE: &str = "config.toml";

/// A configuration file that is longer is refused, in bytes.
const CONFIG_FILE_MAX_BYTES: u64 = 256 * 1024;

/// What a peer needs to know when it starts.
#[derive(Clone)]
pub struct NodeConfig {
    /// Where accounts are kept.
    pub data_dir: PathBuf,
    /// Multiaddrs to listen on.
    pub listen: Vec<String>,
    /// Multiaddrs of rendezvous nodes, each with `/p2p/`.
    pub rendezvous: Vec<String>,
    /// Finds peers on the local network.
    pub mdns: bool,
    /// Asks the router to forward a port.
    pub upnp: bool,
    /// What carries the connections.
    pub transport: Transport,
    /// The work that guessing the password of a new vault costs.
    pub kdf: Argon2Params,
    /// Hosts a rendezvous node in this process, where the program can.
    pub host: Option<Arc<dyn RendezvousHost>>,
    /// How long one minute of the setting `auto_lock_minutes` lasts: a minute, but in tests.
    pub auto_lock_minute: Duration,
    /// What time it is. Tests set it wrong.
    pub clock: WallClock,
    /// How much is kept. Tests keep less.
    pub bounds: Bounds,
    /// Bytes of physical memory of the whole process beyond which no new connection is made. Higher
    /// where many peers share a process.
    pub process_memory_max_bytes: usize,
    /// What everything passes that leaves the peer. Tests pull it.
    pub plug: Plug,
    /// Whom this peer can't reach. Simulations cut their network in two.
    pub partition: Partition,
}

impl NodeConfig {
    /// The defaults, with this data directory.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: default_listen(),
            rendezvous: Vec::new(),
            mdns: true,
            upnp: false,
            transport: Transport::Internet,
            kdf: Argon2Params::default(),
            host: None,
            auto_lock_minute: Duration::from_secs(60),
            clock: WallClock::default(),
            bounds: Bounds::default(),
            process_memory_max_bytes: PROCESS_MEMORY_MAX_BYTES,
            plug: Plug::default(),
            partition: Partition::default(),
        }
    }
}

/// Bounds of what a peer keeps that are too high to be reached in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries of the audit log, beyond which the oldest block goes.
    pub audit_max_entries: u64,
    /// Files in the list, beyond which no offer is taken.
    pub files_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { audit_max_entries: AUDIT_MAX_ENTRIES, files_max: FILES_MAX }
    }
}

/// What carries the connections of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// TCP and QUIC.
    #[default]
    Internet,
    /// Channels inside this process, for tests and simulations.
    Memory,
}

/// Hosts a rendezvous node in the peer's process. The node's crate doesn't
/// know the rendezvous crate: a program that links both hands one in.
pub trait RendezvousHost: Send + Sync {
    /// Starts hosting on `listen` and gives the address for others, with `/p2p/`.
    ///
    /// # Errors
    /// A sentence for the person.
    fn start(&self, listen: Vec<String>) -> BoxFuture<'_, Result<String, String>>;

    /// Stops hosting, when everything is on disk.
    fn stop(&self) -> BoxFuture<'_, ()>;
}

/// The options that all programs with a peer have in common.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// Where accounts and config.toml are kept [default: the platform's data directory]
    #[arg(long, global = true, value_name = "DIR", env = "SECURE_CHAT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Listen on this multiaddr; may be repeated [default: TCP and QUIC on free ports, all interfaces]
    #[arg(long, global = true, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// Use this rendezvous node, a multiaddr that ends in /p2p/PEER_ID; may be repeated
    #[arg(long, global = true, value_name = "MULTIADDR", env = "SECURE_CHAT_RENDEZVOUS", value_delimiter = ',')]
    pub rendezvous: Vec<String>,
    /// Don't look for peers on the local network
    #[arg(long, global = true)]
    pub no_mdns: bool,
    /// Ask the router to forward a port
    #[arg(long, global = true)]
    pub upnp: bool,
    /// Short for --log-level debug
    #[arg(long, global = true, conflicts_with = "log_level")]
    pub debug: bool,
    /// How much goes to the log, on standard error [default: warn]
    #[arg(long, global = true, value_name = "LEVEL", env = "SECURE_CHAT_LOG_LEVEL", ignore_case = true)]
    pub log_level: Option<LogLevel>,
}

/// How much goes to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What may be amiss.
    #[default]
    Warn,
    /// What happens, in outline.
    Info,
    /// What happens.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The filter for `tracing`: libraries speak one level less, as they are chatty.
    #[must_use]
    pub fn filter(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "error,secure_chat=warn,secure_chat_node=warn",
            Self::Info => "warn,secure_chat=info,secure_chat_node=info",
            Self::Debug => "info,secure_chat=debug,secure_chat_node=debug",
            Self::Trace => "debug,secure_chat=trace,secure_chat_node=trace",
        }
    }
}

/// `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    listen: Option<Vec<String>>,
    rendezvous: Option<Vec<String>>,
    mdns: Option<bool>,
    upnp: Option<bool>,
    log_level: Option<LogLevel>,
}

/// Why a configuration is not acceptable. All are the caller's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The platform names no data directory.
    #[error("no home directory is known; name a place with --data-dir DIR")]
    NoDataDir,
    /// The file can't be read.
    #[error("{} can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, on one line.
        message: String,
    },
    /// One can't listen there.
    #[error("{address:?} is not an address to listen on: {source}")]
    Listen {
        /// As it was given.
        address: String,
        /// Why.
        source: AddressError,
    },
    /// That is not where a rendezvous node is.
    #[error("{address:?} is not the address of a rendezvous node: {source}")]
    Rendezvous {
        /// As it was given.
        address: String,
        /// Why.
        source: AddressError,
    },
}

impl Options {
    /// Looks for the configuration file and puts everything together.
    ///
    /// # Errors
    /// [`ConfigError`]: what is wrong, in one line.
    pub fn resolve(self) -> Result<(NodeConfig, LogLevel), ConfigError> {
        let data_dir = self.data_dir.clone().map_or_else(default_data_dir, Ok)?;
        let file = read_file(&data_dir.join(CONFIG_FILE))?;
        self.merge(data_dir, file)
    }

    fn merge(self, data_dir: PathBuf, file: ConfigFile) -> Result<(NodeConfig, LogLevel), ConfigError> {
        let defaults = NodeConfig::new(data_dir);
        // An environment variable that is set to nothing is one empty text.
        let given = |list: Vec<String>| list.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
        let stated = |list: Vec<String>| Some(given(list)).filter(|list| !list.is_empty());
        let config = NodeConfig {
            listen: stated(self.listen).or(file.listen).unwrap_or(defaults.listen),
            rendezvous: stated(self.rendezvous).or(file.rendezvous).unwrap_or_default(),
            mdns: !self.no_mdns && file.mdns.unwrap_or(defaults.mdns),
            upnp: self.upnp || file.upnp.unwrap_or(defaults.upnp),
            ..defaults
        };
        for address in &config.listen {
            parse_address(address).map_err(|source| ConfigError::Listen { address: address.clone(), source })?;
        }
        for address in &config.rendezvous {
            parse_rendezvous(address).map_err(|source| ConfigError::Rendezvous { address: address.clone(), source })?;
        }
        let log_level = if self.debug { Some(LogLevel::Debug) } else { self.log_level };
        Ok((config, log_level.or(file.log_level).unwrap_or_default()))
    }
}

fn default_data_dir() -> Result<PathBuf, ConfigError> {
    directories::ProjectDirs::from("", "", "secure-chat")
        .map(|dirs| dirs.data_dir().to_owned())
        .ok_or(ConfigError::NoDataDir)
}

fn read_file(path: &Path) -> Result<ConfigFile, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let wrong = |message: String| ConfigError::File { path: path.to_owned(), message };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > CONFIG_FILE_MAX_BYTES => {
            return Err(wrong(format!("longer than {CONFIG_FILE_MAX_BYTES} bytes")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ConfigFile::default()),
        Err(error) => return Err(unreadable(error)),
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| 1 + text.get(..span.start).unwrap_or_default().matches('\n').count());
        let message = error.message().replace('\n', " ");
        wrong(line.map_or(message.clone(), |line| format!("line {line}: {message}")))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &[&str]) -> Options {
        Program::parse_from(std::iter::once("program").chain(arguments.iter().copied())).options
    }

    fn merged(arguments: &[&str], file: &str) -> (NodeConfig, LogLevel) {
        options(arguments).merge("/data".into(), toml::from_str(file).unwrap()).unwrap()
    }

    const NODE: &str = "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    const OTHER: &str = "/ip4/192.0.2.2/tcp/4001/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    #[test]
    fn without_any_word_the_defaults_hold() {
        let (config, level) = merged(&[], "");
        assert!(config.listen.starts_with(&LISTEN_V4.map(str::to_owned)));
        assert!(config.rendezvous.is_empty() && config.mdns && !config.upnp);
        assert_eq!(level, LogLevel::Warn);
    }

    #[test]
    fn the_file_goes_before_the_default_and_an_option_before_the_file() {
        let file = format!(
            "listen = [\"/ip4/127.0.0.1/tcp/1\"]\nrendezvous = [{OTHER:?}]\nlog_level = \"info\"\nmdns = false"
        );
        let (config, level) = merged(&[], &file);
        assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/1"]);
        assert_eq!(config.rendezvous, [OTHER]);
        assert_eq!((config.mdns, level), (false, LogLevel::Info));
        let (config, level) = merged(&["--listen", "/ip4/127.0.0.1/tcp/2", "--rendezvous", NODE, "--debug"], &file);
        assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/2"]);
        assert_eq!(config.rendezvous, [NODE]);
        assert_eq!(level, LogLevel::Debug);
    }

    #[test]
    fn rendezvous_nodes_may_be_repeated_or_separated_by_commas() {
        let commas = format!("{NODE},{OTHER}");
        for arguments in [vec!["--rendezvous", NODE, "--rendezvous", OTHER], vec!["--rendezvous", &commas]] {
            assert_eq!(merged(&arguments, "").0.rendezvous, [NODE, OTHER]);
        }
    }

    #[test]
    fn an_address_that_is_none_is_named_on_one_line() {
        for (arguments, named) in [
            (["--listen", "localhost:80"], "localhost:80"),
            (["--rendezvous", "/ip4/192.0.2.1/tcp/4001"], "/p2p/"),
            (["--rendezvous", "\u{1b}[2J"], "rendezvous"),
        ] {
            let error = options(&arguments).merge("/data".into(), ConfigFile::default()).err().unwrap().to_string();
            assert!(error.contains(named) && !error.contains(['\n', '\u{1b}']), "{error}");
        }
    }

    #[test]
    fn a_mistake_in_the_file_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG_FILE);
        std::fs::write(&path, "mdns = true\nlisten_on = 3\n").unwrap();
        let error = read_file(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("listen_on") && !error.contains('\n'), "{error}");
    }
}
