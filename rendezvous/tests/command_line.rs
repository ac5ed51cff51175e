//! What scripts rely on: options, exit codes, the listening lines, files and environment, metrics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod program;
mod support;

use std::path::Path;

use program::{Program, command};
use secure_chat_protocol::wire::rendezvous::{Request, Response};
use support::{Client, Person, stranger};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn run(data_dir: &Path, options: &[&str]) -> (Option<i32>, String, String) {
    let output = command(data_dir, options).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_wrong_option_a_wrong_address_and_a_wrong_file_exit_2_with_a_line_that_says_what() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    std::fs::write(&file, "[limits]\nconections = 1\n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    for (options, said) in [
        (vec!["--no-such-option"], "--no-such-option"),
        (vec!["no-such-command"], "no-such-command"),
        (vec!["--listen", "localhost:4001"], "localhost:4001"),
        (vec!["--log-level", "=loud="], "=loud="),
        (vec!["--metrics", "nowhere"], "nowhere"),
        (vec!["status"], "--address"),
        (vec!["--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (vec!["check-config", "--config", &file], "conections"),
    ] {
        let (code, out, err) = run(directory.path(), &options).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{options:?}: {err}");
        assert!(err.contains(said), "{options:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{options:?}: {err}");
    }
    assert_eq!(run(directory.path(), &["--version"]).await.0, Some(0));
    assert_eq!(run(directory.path(), &["--help"]).await.0, Some(0));
}

#[tokio::test]
async fn a_database_that_is_in_use_or_damaged_exits_1_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let _running = Program::start(directory.path(), &[]).await;
    let (code, _, err) = run(directory.path(), &["--listen", "/ip4/127.0.0.1/tcp/0"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("in use"), "{err}");
    let other = tempfile::tempdir().unwrap();
    let database = other.path().join("rendezvous.redb");
    std::fs::write(&database, vec![0x5a; 10_000]).unwrap();
    let (code, _, err) = run(other.path(), &["--listen", "/ip4/127.0.0.1/tcp/0"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("rendezvous.redb"), "{err}");
    assert_eq!(std::fs::read(&database).unwrap(), vec![0x5a; 10_000]);
}

#[tokio::test]
async fn sigterm_and_sigint_stop_cleanly_and_the_identity_stays() {
    let directory = tempfile::tempdir().unwrap();
    let alice = Person::new("alice", 1);
    let mut first = Program::start(directory.path(), &[]).await;
    assert!(first.address.ends_with(&format!("/p2p/{}", first.peer_id)));
    alice.join(&first.address).await;
    assert_eq!(first.end_by("TERM").await, Some(0));
    let mut second = Program::start(directory.path(), &["serve"]).await;
    assert_eq!(second.peer_id, first.peer_id);
    let client = alice.connect(&second.address).await;
    assert!(matches!(client.ask(&alice.registration()).await, Response::Registered { new: false, .. }));
    assert_eq!(second.end_by("INT").await, Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn key_database_and_chunks_go_where_the_environment_says_and_the_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| elsewhere.path().join(name);
    let mut command = command(directory.path(), &["--listen", "/ip4/127.0.0.1/tcp/0"]);
    command.env("SECURE_CHAT_IDENTITY_FILE", at("keys/node.key"));
    command.env("SECURE_CHAT_DB_PATH", at("db/state.redb"));
    command.env("SECURE_CHAT_FILE_STORAGE", at("chunks"));
    let mut program = Program::spawn(command).await;
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(at("keys/node.key")), mode(at("db/state.redb"))), (0o600, 0o600));
    assert_eq!((mode(at("keys")), mode(at("chunks"))), (0o700, 0o700));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(program.end_by("TERM").await, Some(0));
}

#[tokio::test]
async fn options_go_before_the_file_and_check_config_says_what_holds() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.toml"), "listen = [\"/ip4/127.0.0.1/tcp/4999\"]\n").unwrap();
    let (code, out, _) = run(directory.path(), &["check-config"]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("/ip4/127.0.0.1/tcp/4999"), "{out}");
    let (_, out, _) = run(directory.path(), &["check-config", "--listen", "/ip4/127.0.0.1/tcp/4998"]).await;
    assert!(out.contains("4998") && !out.contains("4999"), "{out}");
}

#[tokio::test]
async fn status_asks_a_running_node_and_says_when_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(directory.path(), &[]).await;
    let address = program.address.clone();
    let (code, out, err) = run(directory.path(), &["status", "--address", &address, "--json"]).await;
    assert_eq!(code, Some(0), "{err}");
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&status["version"], &status["peer_id"]),
        (&env!("CARGO_PKG_VERSION").into(), &program.peer_id.as_str().into())
    );
    assert!(run(directory.path(), &["status", "--address", &address]).await.1.contains("strangers' work"));
    program.end_by("TERM").await;
    let (code, _, err) = run(directory.path(), &["status", "--address", &address]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("not reached"), "{err}");
    assert_eq!(run(directory.path(), &["status", "--address", "127.0.0.1"]).await.0, Some(1));
}

#[tokio::test]
async fn metrics_health_and_readiness_are_served_where_asked_and_name_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let config = secure_chat_rendezvous::RendezvousConfig {
        metrics: Some("127.0.0.1:0".parse().unwrap()),
        ..support::loopback_node(directory.path())
    };
    let node = secure_chat_rendezvous::RendezvousNode::start(config).await.unwrap();
    let address = node.addresses()[0].clone();
    let alice = Person::new("alice_in_wonderland", 1);
    let client = alice.join(&address).await;
    client.ask(&Request::Info).await;
    let metrics = node.metrics_address().unwrap();
    let text = get(metrics, "/metrics").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains("secure_chat_rendezvous_requests_total{kind=\"register\"} 1"), "{text}");
    for secret in ["alice", &alice.account().to_string(), &client.peer_id.to_string()] {
        assert!(!text.contains(secret), "{secret} is named");
    }
    assert!(get(metrics, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(metrics, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(metrics, "/").await.starts_with("HTTP/1.1 404"));
    node.stop().await;
    assert!(tokio::net::TcpStream::connect(metrics).await.is_err(), "it stops with the node");
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn at_its_usual_level_the_log_names_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut command = command(directory.path(), &["--listen", "/ip4/127.0.0.1/tcp/0"]);
    command.stderr(std::fs::File::create(&log).unwrap());
    let mut program = Program::spawn(command).await;
    let alice = Person::new("alice_in_wonderland", 1);
    let client = alice.join(&program.address).await;
    client.open(&alice.mailbox).await;
    let _ = client.raw(support::Frame::Bytes(vec![1, 0, 0, 0, 0xff])).await;
    let other = Client::connect(stranger(3), &program.address).await;
    other.ask(&Request::Info).await;
    drop((client, other));
    assert_eq!(program.end_by("TERM").await, Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("listening"), "{text}");
    let keys = [alice.account().to_string(), alice.mailbox.mailbox_id().to_string()];
    let peers = [support::keypair(&alice.peer), stranger(3)].map(|key| key.public().to_peer_id().to_string());
    for secret in keys.iter().chain(&peers).map(String::as_str).chain(["alice"]) {
        assert!(!text.contains(secret), "{secret} is named in:\n{text}");
    }
}

#[tokio::test]
#[cfg(unix)]
async fn who_has_read_enough_of_what_is_printed_may_go() {
    let directory = tempfile::tempdir().unwrap();
    let running = Program::start(directory.path(), &[]).await;
    let elsewhere = tempfile::tempdir().unwrap();
    for options in [vec!["check-config"], vec!["status", "--address", &running.address]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(elsewhere.path(), &options).stdout(writer).output().await.unwrap();
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
