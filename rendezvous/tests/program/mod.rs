//! The real program as a process of its own.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A running program. It is killed when this is dropped.
pub struct Program {
    child: Child,
    pub pid: u32,
    pub peer_id: String,
    pub address: String,
    pub lines: Lines<BufReader<ChildStdout>>,
}

/// The program with a data directory, not started yet. Nothing of the caller's environment reaches it.
pub fn command(data_dir: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secure-chat-rendezvous"));
    for name in ["DATA_DIR", "IDENTITY_FILE", "DB_PATH", "FILE_STORAGE", "LOG_LEVEL"] {
        command.env_remove(format!("SECURE_CHAT_{name}"));
    }
    command.arg("--data-dir").arg(data_dir).args(options).kill_on_drop(true);
    command
}

impl Program {
    /// Starts it on loopback and waits until it listens.
    pub async fn start(data_dir: &Path, options: &[&str]) -> Self {
        let mut command = command(data_dir, options);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--log-level", "warn"]);
        Self::spawn(command).await
    }

    /// Starts a command and waits until it listens.
    pub async fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next_line().await.expect("readable output").expect("a line before it ends");
        let event: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        assert_eq!(event["event"], "listening", "{line}");
        let text = |name: &str| event[name].as_str().expect("a text").to_owned();
        let pid = child.id().expect("a process");
        Self { pid, peer_id: text("peer_id"), address: text("address"), child, lines }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.start_kill().expect("it runs");
    }

    /// Sends a signal by its name and waits for the end; answers the exit status.
    pub async fn end_by(&mut self, signal: &str) -> Option<i32> {
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &self.pid.to_string()]).status();
        assert!(sent.expect("the kill command").success());
        self.child.wait().await.expect("it ends").code()
    }
}
