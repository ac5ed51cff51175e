//! JSON-RPC on a Unix socket, and the status that asks there.
#![cfg(unix)]

use std::io::{BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::peer::{program, read_lines, run, signal};

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(data_dir: &Path, socket: &Path) -> Served {
    let arguments = ["rpc", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--socket", socket.to_str().unwrap()];
    Served(program(data_dir, &arguments).stdin(Stdio::null()).spawn().unwrap())
}

/// Connects as soon as the peer is there.
fn connect(socket: &Path) -> UnixStream {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(error) if std::time::Instant::now() > deadline => panic!("{error}"),
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn version_of(stream: UnixStream) -> Value {
    (&stream).write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n").unwrap();
    let answers = read_lines(BufReader::new(stream));
    std::iter::from_fn(|| answers.recv().ok()).find(|line| line["id"] == 1).unwrap()["result"]["version"].clone()
}

#[test]
fn a_socket_serves_several_clients_for_this_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("peer.sock");
    let mut served = serve(dir.path(), &socket);
    assert_eq!(version_of(connect(&socket)), env!("CARGO_PKG_VERSION"));
    assert_eq!(
        version_of(connect(&socket)),
        env!("CARGO_PKG_VERSION"),
        "the end of a client is not the end of the peer"
    );
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    let second = run(dir.path(), &["rpc", "--socket", socket.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("another peer serves"));

    let status = run(dir.path(), &["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["running"], &status["account"]["state"]), (&true.into(), &"none".into()));

    signal(&served.0, "TERM");
    assert!(served.0.wait().unwrap().success());
    assert!(!socket.exists());
    let status: Value = serde_json::from_slice(&run(dir.path(), &["status", "--json"]).stdout).unwrap();
    assert_eq!(status["running"], false);
}

#[test]
fn the_socket_of_a_killed_peer_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("peer.sock");
    let mut killed = serve(dir.path(), &socket);
    connect(&socket);
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    assert!(socket.exists(), "nobody could clean up");
    let _next = serve(dir.path(), &socket);
    assert_eq!(version_of(connect(&socket)), env!("CARGO_PKG_VERSION"));
}
