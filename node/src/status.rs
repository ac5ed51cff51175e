//! `status`: asks the running peer through its socket; without one, looks at
//! the data directory, where everything but names is sealed.

use std::path::{Path, PathBuf};

use secure_chat_protocol::validate::escape_for_terminal;
use serde_json::{Value, json};

use crate::store::{StoreError, list_accounts};

/// Where a peer with a socket notes its path, in the data directory.
const NOTE_FILE: &str = "rpc-socket";

/// A note on where the socket is. Dropping it removes it.
pub struct SocketNote {
    file: PathBuf,
}

impl SocketNote {
    /// Notes `socket` in the data directory, which must be there.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(data_dir: &Path, socket: &Path) -> std::io::Result<Self> {
        let file = data_dir.join(NOTE_FILE);
        std::fs::write(&file, std::path::absolute(socket)?.as_os_str().as_encoded_bytes())?;
        Ok(Self { file })
    }
}

impl Drop for SocketNote {
    fn drop(&mut self) {
        // One that is left behind names a socket on which nobody answers.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The state of the peer of this data directory, as `status` answers it, and
/// with `running`.
///
/// # Errors
/// [`StoreError`] when the data directory can't be read.
pub fn status(data_dir: &Path) -> Result<Value, StoreError> {
    match ask_running(data_dir) {
        Some(Value::Object(mut status)) => {
            status.insert("running".to_owned(), Value::Bool(true));
            Ok(Value::Object(status))
        }
        _ => at_rest(data_dir),
    }
}

fn at_rest(data_dir: &Path) -> Result<Value, StoreError> {
    let accounts = list_accounts(data_dir)?;
    let state = if accounts.is_empty() { "none" } else { "locked" };
    let name = |account: &crate::store::AccountFile| json!({ "username": account.username, "account_id": account.account_id.to_string() });
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "running": false,
        "account": { "state": state },
        "accounts": accounts.iter().map(name).collect::<Vec<_>>(),
        "storage": { "path": data_dir.display().to_string(), "bytes": bytes_under(&data_dir.join("accounts")) },
    }))
}

fn bytes_under(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

/// What the running peer says, if one answers at the noted socket.
#[cfg(unix)]
fn ask_running(data_dir: &Path) -> Option<Value> {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// A peer that doesn't answer in this time is not waited for.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// Events may come before the answer; this is enough of both, in bytes.
    const ANSWER_MAX_BYTES: u64 = 4 * 1024 * 1024;

    let path = PathBuf::from(std::ffi::OsString::from_vec(std::fs::read(data_dir.join(NOTE_FILE)).ok()?));
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":\"status\",\"method\":\"status\"}\n").ok()?;
    for line in BufReader::new(stream.take(ANSWER_MAX_BYTES)).lines() {
        let mut answer: Value = serde_json::from_str(&line.ok()?).ok()?;
        if answer.get("id").and_then(Value::as_str) == Some("status") {
            return answer.get_mut("result").map(Value::take);
        }
    }
    None
}

#[cfg(not(unix))]
fn ask_running(_: &Path) -> Option<Value> {
    None
}

/// A status for people.
#[must_use]
pub fn in_words(status: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => escape_for_terminal(text).into_owned(),
        other => other.to_string(),
    };
    let row = |label: &str, pointer: &str| {
        status.pointer(pointer).filter(|value| !value.is_null()).map(|value| format!("{label:<14}{}", text(value)))
    };
    let running = status.get("running") == Some(&Value::Bool(true));
    let peer = if running { "running" } else { "not running, or running without a socket" };
    let mut lines = vec![format!("{:<14}{peer}", "peer")];
    lines.extend(
        [row("version", "/version"), row("account", "/account/state"), row("name", "/account/username")]
            .into_iter()
            .flatten(),
    );
    for account in status.get("accounts").and_then(Value::as_array).into_iter().flatten() {
        lines.extend(account.get("username").map(|name| format!("{:<14}{}", "", text(name))));
    }
    lines.extend([row("data", "/storage/path"), row("bytes", "/storage/bytes")].into_iter().flatten());
    lines.extend([row("up for s", "/uptime_s"), row("connections", "/network/connections")].into_iter().flatten());
    for node in status.pointer("/network/rendezvous").and_then(Value::as_array).into_iter().flatten() {
        let field = |name| node.get(name).map(text).unwrap_or_default();
        let detail = node.get("detail").map(|detail| format!(" ({})", text(detail))).unwrap_or_default();
        lines.push(format!("{:<14}{} {}{detail}", "rendezvous", field("address"), field("state")));
    }
    for held in status.pointer("/network/held_back").and_then(Value::as_array).into_iter().flatten() {
        let field = |name| held.get(name).map(text).unwrap_or_default();
        lines.push(format!("{:<14}mail for {}: {}", "held back", field("username"), field("detail")));
    }
    let counts =
        [row("waiting", "/outbox/queued"), row("contacts", "/counts/contacts"), row("messages", "/counts/messages")];
    lines.extend(counts.into_iter().flatten());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_peer_the_data_directory_says_what_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let status = status(dir.path()).unwrap();
        assert_eq!((&status["running"], &status["account"]["state"]), (&json!(false), &json!("none")));
        assert!(in_words(&status).contains("not running"));
    }

    #[cfg(unix)]
    #[test]
    fn a_note_on_a_socket_that_is_gone_misleads_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let note = SocketNote::write(dir.path(), &dir.path().join("gone.sock")).unwrap();
        assert_eq!(status(dir.path()).unwrap()["running"], json!(false));
        drop(note);
        assert!(!dir.path().join(NOTE_FILE).exists());
    }

    #[test]
    fn nothing_in_a_status_reaches_the_terminal_as_a_command() {
        let evil = json!({"running": true, "account": {"username": "\u{1b}[2J"}});
        assert!(!in_words(&evil).contains('\u{1b}'));
    }
}
