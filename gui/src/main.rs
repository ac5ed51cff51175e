//! The desktop peer: opens the window.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use secure_chat_node::config::{LogLevel, NodeConfig, Options};
use secure_chat_node::{cli, engine::Node};
use secure_chat_window::bridge::Bridge;
use secure_chat_window::hosting::Host;
use secure_chat_window::launch::{self, LaunchError};

/// Secure Chat: a peer-to-peer messenger with end-to-end encryption. This is the window.
#[derive(Parser)]
#[command(name = "secure-chat", version, about)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    let (config, log_level) = match arguments.options.resolve() {
        Ok(resolved) => resolved,
        Err(error) => return ended(&error.to_string(), cli::EXIT_USAGE),
    };
    log(log_level);
    if let Err(error) = launch::find_display() {
        return ended(&error.to_string(), cli::EXIT_USAGE);
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<LaunchError>() {
            Some(LaunchError::DisplayClosed) => ended(&error.to_string(), 1),
            Some(_) => ended(&error.to_string(), cli::EXIT_USAGE),
            None => ended(&error.to_string(), 1),
        },
    }
}

fn ended(sentence: &str, status: u8) -> ExitCode {
    eprintln!("secure-chat: {sentence}");
    ExitCode::from(status)
}

fn run(mut config: NodeConfig) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("node").build()?;
    config.host = Some(Arc::new(Host::new(&config.data_dir)));
    let handle = runtime.handle().clone();
    launch::open_window(move |ctx| {
        Bridge::start(handle, ctx, async { Node::start(config).map_err(|error| error.to_string()) })
    })?;
    Ok(())
}

fn log(level: LogLevel) {
    let filter = tracing_subscriber::EnvFilter::new(level.filter());
    // Standard output stays free for whoever pipes it.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
