//! A headless peer in a process of its own, and how to talk to it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

/// Nothing here takes that long; what does has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const PASSWORD: &str = "Correct-Horse-7-Battery";

/// The program with these arguments, on loopback and in an environment of its own.
pub(crate) fn program(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secure-chat-node"));
    command.args(arguments).arg("--data-dir").arg(data_dir);
    for variable in ["SECURE_CHAT_DATA_DIR", "SECURE_CHAT_RENDEZVOUS", "SECURE_CHAT_LOG_LEVEL"] {
        command.env_remove(variable);
    }
    command
}

/// Runs the program to its end, with nothing to read.
pub(crate) fn run(data_dir: &Path, arguments: &[&str]) -> Output {
    program(data_dir, arguments).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// `secure-chat-node rpc` on standard input and output. Killed when dropped.
pub(crate) struct Peer {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<Value>,
    events: VecDeque<Value>,
    answers: VecDeque<Value>,
    last_id: u64,
}

impl Peer {
    pub(crate) fn start(data_dir: &Path) -> Self {
        let mut command = program(data_dir, &["rpc", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let lines = read_lines(BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, lines, events: VecDeque::new(), answers: VecDeque::new(), last_id: 0 }
    }

    /// With an account, unlocked.
    pub(crate) fn with_account(data_dir: &Path, username: &str) -> Self {
        let mut peer = Self::start(data_dir);
        peer.result("account.create", json!({"username": username, "password": PASSWORD}));
        peer
    }

    /// Writes a line as it is.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    /// Asks without waiting; gives the id.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        self.say(&json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}).to_string());
        self.last_id
    }

    /// The next line that is not an event; `None` when standard output has ended.
    pub(crate) fn next_answer(&mut self) -> Option<Value> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        loop {
            let line = self.next_line()?;
            if line["method"] != "event" {
                return Some(line);
            }
            self.events.push_back(line["params"].clone());
        }
    }

    fn next_line(&mut self) -> Option<Value> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing came from the peer"),
        }
    }

    /// Asks and waits for the whole answer.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        let mut others = VecDeque::new();
        loop {
            let answer = self.next_answer().unwrap_or_else(|| panic!("the peer ended before it answered {method}"));
            if answer["id"] == json!(id) {
                others.append(&mut self.answers);
                self.answers = others;
                return answer;
            }
            others.push_back(answer);
        }
    }

    /// Asks and waits for the result.
    pub(crate) fn result(&mut self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Asks and waits for an error; gives its kind.
    pub(crate) fn refusal(&mut self, method: &str, params: Value) -> String {
        let answer = self.call(method, params);
        answer["error"]["data"]["kind"]
            .as_str()
            .unwrap_or_else(|| panic!("{method} was not refused: {answer}"))
            .to_owned()
    }

    /// The next event.
    pub(crate) fn next_event(&mut self) -> Value {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        loop {
            let line = self.next_line().expect("the peer ended before the event");
            if line["method"] == "event" {
                return line["params"].clone();
            }
            self.answers.push_back(line);
        }
    }

    /// The next event of this type; those before it are dropped.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        std::iter::repeat_with(|| self.next_event()).find(|event| event["type"] == kind).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Closes standard input and waits for the end.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.end_input();
        self.child.wait().unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines of JSON on a thread of its own.
pub(crate) fn read_lines(reader: impl BufRead + Send + 'static) -> mpsc::Receiver<Value> {
    let (lines, received) = mpsc::channel();
    std::thread::spawn(move || {
        for line in reader.lines() {
            let Ok(line) = line else { return };
            let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a line of JSON: {line}"));
            if lines.send(value).is_err() {
                return;
            }
        }
    });
    received
}

/// Runs `secure-chat-node shell` on a script, to its end.
pub(crate) fn script(data_dir: &Path, lines: &[&str]) -> (ExitStatus, String) {
    let mut command = program(data_dir, &["shell", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // A pipe holds more than any script here: this can't block.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(stdin);
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}
