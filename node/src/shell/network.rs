//! Commands on the network, and the API by hand.

use super::command::{Arguments, Failure, Outcome};
use super::render::{self, count, safe, safe_lines, table};
use super::session::Session;
use crate::api::{At, call as call_api};

pub(super) async fn status(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let status = session.handle.status().await?;
    let account = status.account.username.as_deref().map_or_else(|| "locked".to_owned(), safe);
    let counts = status.counts;
    let rows = [
        vec!["version".to_owned(), status.version],
        vec!["running for".to_owned(), format!("{} s", status.uptime_s)],
        vec!["account".to_owned(), account],
        vec!["storage".to_owned(), format!("{} ({} KiB)", safe(&status.storage.path), status.storage.bytes / 1024)],
        vec!["waiting".to_owned(), count(status.outbox.queued.try_into().unwrap_or(u64::MAX), "message")],
        vec!["contacts".to_owned(), counts.contacts.to_string()],
        vec!["messages".to_owned(), counts.messages.to_string()],
    ];
    Ok(format!("{}\n{}", table(&rows), render::network(&status.network)).into())
}

pub(super) async fn network(session: &mut Session, _: Arguments<'_>) -> Outcome {
    Ok(render::network(&session.handle.network_status().await?).into())
}

pub(super) async fn connections(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let connections = session.handle.network_connections().await?.connections;
    if connections.is_empty() {
        return Ok("There are no open connections.".into());
    }
    Ok(table(&connections.iter().map(render::connection).collect::<Vec<_>>()).into())
}

pub(super) async fn traffic(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let points = session.handle.network_traffic(None::<At>).await?.points;
    let sum = |bytes: fn(&crate::api::TrafficPoint) -> u64| points.iter().map(bytes).fold(0, u64::saturating_add);
    let (received, sent) = (sum(|point| point.bytes_in), sum(|point| point.bytes_out));
    let since = points.first().map(|point| format!(" since {}", render::when(point.at))).unwrap_or_default();
    Ok(format!("{} KiB received, {} KiB sent{since}", received / 1024, sent / 1024).into())
}

pub(super) async fn dial(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let peer = session.handle.network_dial(arguments.needed()?).await?.peer_id;
    Ok(format!("Connected to {}.", safe(&peer)).into())
}

pub(super) async fn rendezvous(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    match arguments.word() {
        None => network(session, arguments).await,
        Some("add") => {
            session.handle.network_add_rendezvous(arguments.needed()?).await?;
            Ok("Added.".into())
        }
        Some("remove") => {
            session.handle.network_remove_rendezvous(arguments.needed()?).await?;
            Ok("Removed.".into())
        }
        Some(_) => Err(arguments.usage()),
    }
}

pub(super) async fn host(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let listen = arguments.word().map(|address| vec![address.to_owned()]);
    let address = session.handle.network_host_rendezvous(listen).await?.address;
    Ok(format!("Hosting at {}", safe(&address)).into())
}

pub(super) async fn unhost(session: &mut Session, _: Arguments<'_>) -> Outcome {
    session.handle.network_stop_hosting().await?;
    Ok("No longer hosting.".into())
}

pub(super) async fn diagnostics(session: &mut Session, _: Arguments<'_>) -> Outcome {
    Ok(safe_lines(&session.handle.network_diagnostics().await?.text).into())
}

pub(super) async fn call(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let method = arguments.needed()?;
    let params = match arguments.rest() {
        "" => serde_json::Value::Null,
        text => serde_json::from_str(text)
            .map_err(|error| Failure::mistyped(format!("the parameters are not JSON: {error}")))?,
    };
    let result = call_api(&session.handle, method, params).await?;
    Ok(safe_lines(&serde_json::to_string_pretty(&result).unwrap_or_default()).into())
}
