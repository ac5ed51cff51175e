//! Options, environment and configuration file, in this order of precedence.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use secure_chat_rendezvous::{FileConfig, RendezvousConfig};
use tracing_subscriber::EnvFilter;

/// What clap says on several lines, on one, and without the usage.
pub(crate) fn what_is_wrong(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more information").next().unwrap_or_default();
    format!("{} (--help shows all options)", on_one_line(said))
}

/// The same words on one line.
pub(crate) fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Hosts a rendezvous node for Secure Chat.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Host a node (this is what happens without a command)
    Serve,
    /// Check options and configuration, and show what they mean
    CheckConfig,
    /// Ask a running node how it is
    Status {
        /// Its address: a multiaddr that ends in /p2p/PEER_ID
        #[arg(long, value_name = "MULTIADDR")]
        address: String,
        /// Answer as one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Options {
    /// Configuration file [default: config.toml in the data directory, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the node keeps what it keeps [default: the platform's data directory]
    #[arg(long, value_name = "DIR", env = "SECURE_CHAT_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Where to listen; may be repeated [default: TCP and QUIC on free ports of all interfaces]
    #[arg(long, value_name = "MULTIADDR", global = true)]
    listen: Vec<String>,
    /// An address under which the node is reached from outside; may be repeated [default: where it listens]
    #[arg(long, value_name = "MULTIADDR", global = true)]
    external: Vec<String>,
    /// Serve /metrics, /healthz and /readyz here, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDR", global = true)]
    metrics: Option<SocketAddr>,
    /// The identity key [default: identity.key in the data directory]
    #[arg(long, value_name = "FILE", env = "SECURE_CHAT_IDENTITY_FILE", global = true, hide = true)]
    identity_file: Option<PathBuf>,
    /// The database [default: rendezvous.redb in the data directory]
    #[arg(long, value_name = "FILE", env = "SECURE_CHAT_DB_PATH", global = true, hide = true)]
    db_path: Option<PathBuf>,
    /// Where file chunks are kept [default: chunks in the data directory]
    #[arg(long, value_name = "DIR", env = "SECURE_CHAT_FILE_STORAGE", global = true, hide = true)]
    file_storage: Option<PathBuf>,
    /// error, warn, info, debug or trace; logs go to standard error
    #[arg(long, value_name = "LEVEL", env = "SECURE_CHAT_LOG_LEVEL", global = true)]
    log_level: Option<String>,
    /// The same as --log-level debug
    #[arg(long, global = true, conflicts_with = "log_level")]
    debug: bool,
}

/// What all of it comes to.
pub(crate) struct Resolved {
    pub(crate) config: RendezvousConfig,
    pub(crate) log_level: String,
}

const DEFAULT_LOG_LEVEL: &str = "info";

impl Cli {
    /// Puts options, environment and file together.
    pub(crate) fn resolve(&self) -> anyhow::Result<Resolved> {
        let options = &self.options;
        let asked_dir = options.data_dir.clone();
        let file = self.read_file(asked_dir.as_deref())?;
        let data_dir = asked_dir.or_else(|| file.data_dir.clone()).map_or_else(default_data_dir, Ok)?;
        let or = |list: &[String], from_file: Vec<String>| if list.is_empty() { from_file } else { list.to_vec() };
        let mut config = RendezvousConfig::new(data_dir);
        config.identity_file = options.identity_file.clone().or(file.identity_file);
        config.db_path = options.db_path.clone().or(file.db_path);
        config.file_storage = options.file_storage.clone().or(file.file_storage);
        config.listen = or(&options.listen, file.listen);
        config.external = or(&options.external, file.external);
        config.metrics = options.metrics.or(file.metrics);
        config.limits = file.limits;
        config.check()?;
        let log_level = match (&options.log_level, options.debug) {
            (_, true) => "debug".to_owned(),
            (Some(level), _) => level.clone(),
            (None, _) => file.log_level.unwrap_or_else(|| DEFAULT_LOG_LEVEL.to_owned()),
        };
        EnvFilter::try_new(&log_level).with_context(|| format!("{log_level} is not a log level"))?;
        Ok(Resolved { config, log_level })
    }

    fn read_file(&self, data_dir: Option<&std::path::Path>) -> anyhow::Result<FileConfig> {
        if let Some(path) = &self.options.config {
            return Ok(FileConfig::read(path)?);
        }
        let path = data_dir.map_or_else(default_data_dir, |dir| Ok(dir.to_owned()))?.join("config.toml");
        if path.exists() { Ok(FileConfig::read(&path)?) } else { Ok(FileConfig::default()) }
    }
}

fn default_data_dir() -> anyhow::Result<PathBuf> {
    let directories = directories::ProjectDirs::from("", "", "secure-chat-rendezvous");
    let directories = directories.context("no home directory is known: say --data-dir DIR")?;
    Ok(directories.data_dir().to_owned())
}

/// Logs to standard error. Below debug, no identity and no address of a peer is logged: of the
/// libraries, which name both as high as at the level of warnings, nothing is.
pub(crate) fn start_logging(level: &str) {
    tracing_subscriber::fmt().with_env_filter(filter(level)).with_writer(std::io::stderr).init();
}

fn filter(level: &str) -> EnvFilter {
    let quiet = QUIET_LEVELS.iter().any(|quiet| quiet.eq_ignore_ascii_case(level.trim()));
    let level = if quiet { format!("off,{}={}", env!("CARGO_CRATE_NAME"), level.trim()) } else { level.to_owned() };
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("off"))
}

/// The levels at which the node may say no more than an operator has to know.
const QUIET_LEVELS: [&str; 3] = ["error", "warn", "info"];
