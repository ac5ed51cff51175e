//! A headless peer in a process of its own, for tests that kill it: the same
//! engine and the same JSON-RPC on standard input and output as
//! `secure-chat-node rpc`, with a key derivation that costs the least allowed.

use clap::Parser;
use secure_chat_node::config::Options;
use secure_chat_node::engine::Node;
use secure_chat_node::{rpc, stop};
use secure_chat_protocol::vault::Argon2Params;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut config, _) = Arguments::parse().options.resolve()?;
    config.kdf = Argon2Params::LEAST;
    let stop = stop::on_signals()?;
    rpc::serve_stdio(Node::start(config)?, stop).await;
    Ok(())
}
