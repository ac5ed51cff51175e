//! A headless peer in a process of its own, for tests that kill it: the same
//! engine and the same JSON-RPC on standard input and output as
//! `secure-chat-node rpc`, with a key derivation that costs the least allowed.

use clap::Parser;
use secure_chat_node::config::Options;
use secure_chat_node::engine::Node;
use secure_chat_node::{rpc, stop};
use secure_chat_protocol::vault::Argon2Params;

/// What is logged to standard error, when it is set.
const LOG: &str = "PEER_PROCESS_LOG";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Is reached through relays alone.
    #[arg(long)]
    listens_nowhere: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Ok(filter) = std::env::var(LOG) {
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        log.with_writer(std::io::stderr).init();
    }
    let arguments = Arguments::parse();
    let (mut config, _) = arguments.options.resolve()?;
    config.kdf = Argon2Params::LEAST;
    if arguments.listens_nowhere {
        config.listen.clear();
    }
    let stop = stop::on_signals()?;
    rpc::serve_stdio(Node::start(config)?, stop).await;
    Ok(())
}
