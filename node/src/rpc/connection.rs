//! One client: requests in, answers and events out.

use std::future::Future;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use zeroize::Zeroize as _;

use super::message::{Asked, Call, Item, Response, parse, write_event, write_line};
use crate::api::{EventStream, NodeHandle, submit};
use crate::lines::{Line, Lines};
use crate::stop::{Stop, requested};

/// Lines that are being worked on at a time; reading waits beyond.
const IN_FLIGHT_MAX_LINES: usize = 256;

/// Answers that wait for the writer.
const ANSWERS_WAITING_MAX: usize = 64;

/// What is ready is written at once, up to about this many bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// After a signal to stop, a client that doesn't read is given up after this time.
const DRAIN_MAX: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2_000 });

/// What the end of the client's requests means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// The node was there for this client alone.
    StopNode,
    /// The node goes on.
    LeaveNode,
}

/// An answer in the making: a line, or nothing for a notification.
type Pending = BoxFuture<'static, Option<Vec<u8>>>;
type InFlight = FuturesUnordered<Pending>;

/// Why no more requests are read.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The client asked all it wanted.
    ByClient,
    /// The program is asked to stop.
    ByStop,
}

/// Serves a client to its end. Events flow to it from the first moment.
pub(super) async fn serve(
    handle: NodeHandle,
    input: impl AsyncRead + Unpin + Send,
    output: impl AsyncWrite + Unpin + Send + 'static,
    stop: Stop,
    at_end: AtEnd,
) {
    let (answers, to_write) = mpsc::channel(ANSWERS_WAITING_MAX);
    let mut writer = tokio::spawn(write(to_write, handle.events(), output));
    let mut in_flight = InFlight::new();
    let mut stopped = stop.clone();
    let ended = tokio::select! {
        ended = read(&handle, Lines::new(input), &answers, &mut in_flight, stop.clone()) => ended,
        // Also while a client that doesn't read holds everything up.
        () = requested(&mut stopped) => Ended::ByStop,
    };
    if ended == Ended::ByStop || at_end == AtEnd::StopNode {
        handle.shutdown().await;
    }
    let drain = async {
        while let Some(answer) = in_flight.next().await {
            if send(&answers, answer).await.is_err() {
                break;
            }
        }
        drop(answers);
        // The task ends with its channel; how the client's end fared is its own affair.
        let _ = (&mut writer).await;
    };
    tokio::select! {
        () = drain => {}
        () = async { requested(&mut stopped).await; tokio::time::sleep(DRAIN_MAX).await } => {}
    }
    writer.abort();
}

async fn read<R: AsyncRead + Unpin>(
    handle: &NodeHandle,
    mut lines: Lines<R>,
    answers: &mpsc::Sender<Vec<u8>>,
    in_flight: &mut InFlight,
    mut stop: Stop,
) -> Ended {
    let mut more = true;
    while more || !in_flight.is_empty() {
        tokio::select! {
            Some(answer) = in_flight.next() => {
                if send(answers, answer).await.is_err() {
                    return Ended::ByClient;
                }
            }
            line = lines.next(), if more && in_flight.len() < IN_FLIGHT_MAX_LINES => match line {
                Line::Whole(line) => {
                    let answer = accept(handle, &line).await;
                    in_flight.push(answer);
                }
                Line::TooLong => in_flight.push(ready(&Response::line_too_long())),
                Line::End => more = false,
            },
            () = answers.closed() => return Ended::ByClient,
            () = requested(&mut stop) => return Ended::ByStop,
        }
    }
    Ended::ByClient
}

async fn send(answers: &mpsc::Sender<Vec<u8>>, answer: Option<Vec<u8>>) -> Result<(), mpsc::error::SendError<Vec<u8>>> {
    match answer {
        Some(line) => answers.send(line).await,
        None => Ok(()),
    }
}

/// Puts what a line asks into the engine's queue, in the line's place, and
/// leaves the answers to be awaited.
async fn accept(handle: &NodeHandle, line: &[u8]) -> Pending {
    match parse(line) {
        Asked::Nothing => std::future::ready(None).boxed(),
        Asked::One(item) => {
            begin(handle, item).await.map(|response| response.map(|response| as_line(&response))).boxed()
        }
        Asked::Batch(items) => {
            let mut pending = Vec::with_capacity(items.len());
            for item in items {
                pending.push(begin(handle, item).await);
            }
            let all = join_all(pending).map(|responses| {
                let responses: Vec<Response> = responses.into_iter().flatten().collect();
                (!responses.is_empty()).then(|| as_line(&responses))
            });
            all.boxed()
        }
    }
}

async fn begin(handle: &NodeHandle, item: Item) -> impl Future<Output = Option<Response>> + Send + 'static {
    let Call { id, method, params } = match item {
        Item::Refused(response) => return std::future::ready(Some(response)).boxed(),
        Item::Call(call) => call,
    };
    let submitted = submit(handle, &method, params).await;
    async move {
        let result = match submitted {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        id.map(|id| Response::to(id, result))
    }
    .boxed()
}

fn ready(response: &Response) -> Pending {
    std::future::ready(Some(as_line(response))).boxed()
}

fn as_line(value: &impl serde::Serialize) -> Vec<u8> {
    let mut line = Vec::new();
    write_line(&mut line, value);
    line
}

/// Writes answers and events until all answers are written and `answers` is
/// closed, or until the client is gone. Events wait in the node's bounded
/// buffer, so that a client that reads slowly is told `events.lagged`.
async fn write(
    mut answers: mpsc::Receiver<Vec<u8>>,
    mut events: EventStream,
    mut output: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let mut open = true;
    let mut node_lives = true;
    while open {
        tokio::select! {
            answer = answers.recv() => match answer {
                Some(line) => buffer.extend_from_slice(&line),
                None => open = false,
            },
            event = events.next(), if node_lives => match event {
                Some(event) => write_event(&mut buffer, &event),
                None => node_lives = false,
            },
        }
        loop {
            take_what_is_ready(&mut buffer, &mut answers, &mut events);
            if buffer.is_empty() {
                break;
            }
            output.write_all(&buffer).await?;
            // It held what people wrote.
            buffer.zeroize();
        }
        output.flush().await?;
    }
    Ok(())
}

fn take_what_is_ready(buffer: &mut Vec<u8>, answers: &mut mpsc::Receiver<Vec<u8>>, events: &mut EventStream) {
    while buffer.len() < WRITE_BYTES {
        let answer = answers.try_recv().ok();
        let event = events.try_next();
        if answer.is_none() && event.is_none() {
            return;
        }
        buffer.extend(answer.into_iter().flatten());
        if let Some(event) = event {
            write_event(buffer, &event);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt as _, BufReader, DuplexStream, Lines as ClientLines};
    use tokio::sync::{broadcast, watch};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::api::{AccountState, AccountStatus, Accounts, At, Command, Done, Event, NumberedEvent};

    /// A client on a connection to a node whose engine is the test.
    struct Client {
        output: Option<DuplexStream>,
        input: ClientLines<BufReader<DuplexStream>>,
        engine: mpsc::Receiver<Command>,
        events: broadcast::Sender<NumberedEvent>,
        stop: watch::Sender<bool>,
        served: JoinHandle<()>,
    }

    impl Client {
        fn new(at_end: AtEnd) -> Self {
            let (commands, engine) = mpsc::channel(IN_FLIGHT_MAX_LINES);
            let (events, _) = broadcast::channel(4);
            let (stop, stopped) = watch::channel(false);
            let (output, node_in) = tokio::io::duplex(4096);
            let (input, node_out) = tokio::io::duplex(256);
            let handle = NodeHandle::new(commands, &events);
            let served = tokio::spawn(serve(handle, node_in, node_out, stopped, at_end));
            Self { output: Some(output), input: BufReader::new(input).lines(), engine, events, stop, served }
        }

        async fn say(&mut self, line: &str) {
            let output = self.output.as_mut().unwrap();
            output.write_all(line.as_bytes()).await.unwrap();
            output.write_all(b"\n").await.unwrap();
        }

        async fn hear(&mut self) -> Option<Value> {
            self.input.next_line().await.unwrap().map(|line| serde_json::from_str(&line).unwrap())
        }
    }

    fn request(id: u32, method: &str) -> String {
        json!({"jsonrpc": "2.0", "id": id, "method": method}).to_string()
    }

    fn no_account() -> AccountStatus {
        AccountStatus {
            state: AccountState::None,
            username: None,
            account_id: None,
            peer_id: None,
            fingerprint: None,
            unlocked_at: None,
            lock_at: None,
        }
    }

    #[tokio::test]
    async fn a_slow_request_does_not_hold_up_the_next_one() {
        let mut client = Client::new(AtEnd::StopNode);
        client.say(&request(1, "account.list")).await;
        client.say(&request(2, "account.status")).await;
        let Some(Command::AccountList(_, slow)) = client.engine.recv().await else { panic!() };
        let Some(Command::AccountStatusGet(_, quick)) = client.engine.recv().await else { panic!() };
        quick.send(Ok(no_account())).unwrap();
        assert_eq!(client.hear().await.unwrap(), json!({"jsonrpc": "2.0", "id": 2, "result": {"state": "none"}}));
        slow.send(Ok(Accounts { accounts: vec![] })).unwrap();
        assert_eq!(client.hear().await.unwrap()["id"], 1);
    }

    #[tokio::test]
    async fn bad_lines_are_answered_and_the_next_one_is_served() {
        let mut client = Client::new(AtEnd::StopNode);
        client.say("{").await;
        assert_eq!(client.hear().await.unwrap()["error"]["code"], -32700);
        client.say(&request(1, "account.explode")).await;
        let unknown = client.hear().await.unwrap();
        assert_eq!((&unknown["error"]["code"], &unknown["id"]), (&json!(-32601), &json!(1)));
        client.say(&request(2, "messages.send")).await;
        let missing = client.hear().await.unwrap();
        assert_eq!(missing["error"]["code"], -32602);
        assert_eq!(missing["error"]["data"]["field"], "to");
        client.say("").await;
        client.say(&request(3, "account.status")).await;
        let Some(Command::AccountStatusGet(_, reply)) = client.engine.recv().await else { panic!() };
        reply.send(Ok(no_account())).unwrap();
        assert_eq!(client.hear().await.unwrap()["id"], 3);
    }

    #[tokio::test]
    async fn a_batch_is_answered_as_one_array_without_its_notifications() {
        let mut client = Client::new(AtEnd::StopNode);
        client
            .say(r#"[{"jsonrpc":"2.0","id":"a","method":"account.lock"},{"jsonrpc":"2.0","method":"account.lock"},7]"#)
            .await;
        for _ in 0..2 {
            let Some(Command::AccountLock(_, reply)) = client.engine.recv().await else { panic!() };
            reply.send(Ok(Done {})).unwrap();
        }
        let answer = client.hear().await.unwrap();
        assert_eq!(answer.as_array().unwrap().len(), 2);
        assert_eq!(answer[0], json!({"jsonrpc": "2.0", "id": "a", "result": {}}));
        assert_eq!(answer[1]["error"]["code"], -32600);
    }

    #[tokio::test]
    async fn the_end_of_input_stops_the_node_after_all_is_answered() {
        let mut client = Client::new(AtEnd::StopNode);
        client.say(&request(1, "account.lock")).await;
        drop(client.output.take());
        let Some(Command::AccountLock(_, reply)) = client.engine.recv().await else { panic!() };
        reply.send(Ok(Done {})).unwrap();
        assert_eq!(client.hear().await.unwrap()["id"], 1);
        let Some(Command::Shutdown(done)) = client.engine.recv().await else { panic!() };
        // What the node tells while it stops is still written.
        let last = NumberedEvent { seq: 1, at: At::default(), event: Event::AccountLocked {} };
        client.events.send(last).unwrap();
        done.send(()).unwrap();
        assert_eq!(client.hear().await.unwrap()["params"]["type"], "account.locked");
        assert_eq!(client.hear().await, None);
        client.served.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_of_a_shared_node_leaves_it_running() {
        let mut client = Client::new(AtEnd::LeaveNode);
        drop(client.output.take());
        assert_eq!(client.hear().await, None);
        client.served.await.unwrap();
        assert!(client.engine.try_recv().is_err(), "nothing was asked of the engine");
    }

    #[tokio::test]
    async fn a_signal_stops_the_node_and_answers_what_was_asked() {
        let mut client = Client::new(AtEnd::LeaveNode);
        client.say(&request(1, "account.lock")).await;
        let Some(Command::AccountLock(_, unanswered)) = client.engine.recv().await else { panic!() };
        client.stop.send(true).unwrap();
        let Some(Command::Shutdown(done)) = client.engine.recv().await else { panic!() };
        drop(unanswered);
        done.send(()).unwrap();
        assert_eq!(client.hear().await.unwrap()["error"]["data"]["kind"], "internal");
        client.served.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_can_not_prevent_a_stop() {
        let mut client = Client::new(AtEnd::StopNode);
        for id in 0..200 {
            client.say(&request(id, "no.such.method")).await;
        }
        client.stop.send(true).unwrap();
        let Some(Command::Shutdown(done)) = client.engine.recv().await else { panic!() };
        done.send(()).unwrap();
        client.served.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_is_told_how_much_it_missed() {
        let mut client = Client::new(AtEnd::StopNode);
        client.say(&request(1, "no.such.method")).await;
        assert_eq!(client.hear().await.unwrap()["id"], 1, "the connection listens to events");
        // More than the pipe, the writer and the channel of this test hold together.
        for seq in 1..=5_000 {
            client.events.send(NumberedEvent { seq, at: At::default(), event: Event::SettingsChanged {} }).unwrap();
        }
        let mut next = 1;
        let mut was_told = false;
        while next <= 5_000 {
            let event = client.hear().await.unwrap();
            assert_eq!(event["method"], "event");
            match event["params"]["type"].as_str() {
                Some("events.lagged") => {
                    next += event["params"]["missed"].as_u64().unwrap();
                    was_told = true;
                }
                _ => {
                    assert_eq!(event["params"]["seq"].as_u64(), Some(next), "nothing is lost without a word");
                    next += 1;
                }
            }
        }
        assert!(was_told);
    }
}
