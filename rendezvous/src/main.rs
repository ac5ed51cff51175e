//! `secure-chat-rendezvous`: hosts a rendezvous node, checks a configuration, asks a node how it is.

mod cli;
mod status;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};

use crate::cli::{Cli, Command};

/// A failure at run time.
const EXIT_FAILURE: u8 = 1;
/// A wrong option or configuration.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            error.exit();
        }
        eprintln!("{}", cli::what_is_wrong(&error));
        std::process::exit(i32::from(EXIT_USAGE))
    });
    let resolved = match cli.resolve() {
        Ok(resolved) => resolved,
        Err(error) => {
            eprintln!("secure-chat-rendezvous: {}", cli::on_one_line(&format!("{error:#}")));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    cli::start_logging(&resolved.log_level);
    let outcome = match &cli.command {
        None | Some(Command::Serve) => run(serve(resolved.config)),
        Some(Command::CheckConfig) => check_config(&resolved.config),
        Some(Command::Status { address, json }) => run(status::ask(address, *json)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("secure-chat-rendezvous: {error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

async fn serve(config: RendezvousConfig) -> anyhow::Result<()> {
    let mut stop = std::pin::pin!(stop_asked()?);
    let node = tokio::select! {
        started = RendezvousNode::start(config) => started?,
        () = &mut stop => return Ok(()),
    };
    let mut addresses = node.watch_addresses();
    let mut printed: Vec<String> = Vec::new();
    loop {
        let current = addresses.borrow_and_update().clone();
        for address in current.iter().filter(|address| !printed.contains(address)) {
            print_listening(&node.peer_id(), address)?;
        }
        printed = current;
        tokio::select! {
            () = &mut stop => break,
            changed = addresses.changed() => if changed.is_err() { break },
        }
    }
    node.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn print_listening(peer_id: &str, address: &str) -> anyhow::Result<()> {
    Ok(print(&serde_json::json!({ "event": "listening", "peer_id": peer_id, "address": address }).to_string())?)
}

/// Prints lines. Whoever reads may have seen enough and be gone, as `head` and `grep -q` are: no error.
fn print(lines: &str) -> std::io::Result<()> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", lines.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Ends at Ctrl-C or, where there is such a thing, SIGTERM. Signals count from the moment of this call.
fn stop_asked() -> anyhow::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

fn check_config(config: &RendezvousConfig) -> anyhow::Result<()> {
    config.check()?;
    let mut lines = vec![
        format!("data directory   {}", config.data_dir.display()),
        format!("identity key     {}", config.identity_path().display()),
        format!("database         {}", config.database_path().display()),
        format!("file chunks      {}", config.chunks_path().display()),
    ];
    lines.extend(config.listen.iter().map(|address| format!("listens on       {address}")));
    lines.extend(config.external.iter().map(|address| format!("reached at       {address}")));
    lines.extend(config.metrics.map(|metrics| format!("metrics          http://{metrics}/metrics")));
    lines.push("the configuration is fine".to_owned());
    Ok(print(&lines.join("\n"))?)
}
