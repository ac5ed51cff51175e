//! The headless peer: JSON-RPC, an interactive prompt, and its status.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use secure_chat_node::api::NodeHandle;
use secure_chat_node::config::{LogLevel, NodeConfig, Options};
use secure_chat_node::engine::Node;
use secure_chat_node::status::{self, SocketNote};
use secure_chat_node::stop::{self, Stop};
use secure_chat_node::{cli, rpc, shell};

/// Secure Chat without a window: a peer-to-peer messenger with end-to-end encryption.
#[derive(Parser)]
#[command(name = "secure-chat-node", version, about)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve JSON-RPC 2.0, one object a line, on standard input and output
    Rpc {
        /// Serve a Unix socket at this path instead
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
    },
    /// Chat at an interactive prompt
    Shell,
    /// Say how it stands with the peer of the data directory
    Status {
        /// As one line of JSON
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    let (config, log_level) = match arguments.options.resolve() {
        Ok(resolved) => resolved,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(cli::EXIT_USAGE);
        }
    };
    log_to_standard_error(log_level);
    let outcome = match arguments.command {
        Command::Status { json } => print_status(&config.data_dir, json),
        Command::Rpc { socket } => {
            with_node(config, async |node, data_dir, stop| serve(node, data_dir, socket, stop).await)
        }
        Command::Shell => with_node(config, async |node, _, stop| Ok(shell::run(node, stop).await)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_standard_error(level: LogLevel) {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level.filter()))
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
        .with_writer(std::io::stderr)
        .init();
}

/// Starts a node, opens a door onto it, and ends without waiting for those who still read.
fn with_node(
    config: NodeConfig,
    door: impl AsyncFnOnce(NodeHandle, PathBuf, Stop) -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let stop = stop::on_signals().context("signals can't be handled")?;
        let data_dir = config.data_dir.clone();
        let node = Node::start(config)?;
        door(node, data_dir, stop).await
    });
    // A thread that reads standard input would hold the end up for ever.
    runtime.shutdown_background();
    outcome
}

async fn serve(node: NodeHandle, data_dir: PathBuf, socket: Option<PathBuf>, stop: Stop) -> anyhow::Result<bool> {
    let Some(path) = socket else {
        rpc::serve_stdio(node, stop).await;
        return Ok(true);
    };
    serve_socket(node, &data_dir, &path, stop).await?;
    Ok(true)
}

#[cfg(unix)]
async fn serve_socket(node: NodeHandle, data_dir: &Path, path: &Path, stop: Stop) -> anyhow::Result<()> {
    let socket = match rpc::RpcSocket::bind(path).await {
        Ok(socket) => socket,
        Err(error) => {
            node.shutdown().await;
            return Err(error.into());
        }
    };
    // Only `status` needs the note.
    let _note = SocketNote::write(data_dir, path)
        .inspect_err(|error| tracing::warn!(%error, "the socket could not be noted"))
        .ok();
    socket.serve(node, stop).await;
    Ok(())
}

#[cfg(not(unix))]
async fn serve_socket(node: NodeHandle, _: &Path, _: &Path, _: Stop) -> anyhow::Result<()> {
    node.shutdown().await;
    anyhow::bail!("this system has no Unix sockets; leave --socket away")
}

fn print_status(data_dir: &Path, json: bool) -> anyhow::Result<bool> {
    let status = status::status(data_dir)?;
    let said = if json { status.to_string() } else { status::in_words(&status) };
    match writeln!(std::io::stdout().lock(), "{said}") {
        // Whoever reads may have seen enough, as `grep -q` has.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(true),
        written => Ok(written.map(|()| true)?),
    }
}
