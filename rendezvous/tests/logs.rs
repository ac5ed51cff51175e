//! What the real program writes to its log while people use it, and while others misuse it: at the
//! levels that an operator runs it at, nobody's identity and nobody's address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod program;
mod support;

use std::path::Path;

use program::{Program, command};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{Payment, Request, Response, Who};
use support::{Client, Frame, Person, by_token, envelope_id, frame, stranger};
use tokio::io::AsyncWriteExt as _;

/// Two people and a few who mean no good use a node. Returns what it logged, and what names them.
async fn used(level: Option<&str>) -> (String, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut command = command(&directory.path().join("data"), &["--listen", "/ip4/127.0.0.1/tcp/0"]);
    command.args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]);
    command.args(level.into_iter().flat_map(|level| ["--log-level", level]));
    command.stderr(std::fs::File::create(&log).unwrap());
    let mut program = Program::spawn(command).await;
    let address = program.address.clone();

    let (mut alice, bob) = (Person::new("quartzalice", 1), Person::new("quartzbob", 2));
    let (alices, bobs) = (alice.join(&address).await, bob.join(&address).await);
    assert_eq!(alices.ask(&alice.publication(4)).await, Response::Kits { left: 4 });
    assert!(matches!(bobs.open(&bob.mailbox).await, Response::Mailbox { .. }));
    assert_eq!(bobs.ask(&Request::AddTokens { hashes: bob.tokens.hashes(0..4) }).await, Response::Done);
    let mailbox = bob.mailbox.mailbox_id();
    let sender = Client::connect(stranger(3), &address).await;
    assert_eq!(sender.ask(&by_token(mailbox, &bob.tokens, 0, 1, 700)).await, Response::Done);
    assert_eq!(bobs.fetch_all().await.len(), 1);
    let found = alices.ask(&Request::Lookup(Who::Name("quartzbob".to_owned()))).await;
    assert!(matches!(found, Response::Found { .. }));

    // Who misuses it: without payment, under a name that is taken, with garbage, and with no libp2p at all.
    let unpaid = Payment::Token(Fixed([9; 32]));
    let (id, sealed) = (envelope_id(2), Bytes(vec![7; 700]));
    assert!(matches!(
        sender.ask(&Request::Deposit { mailbox, payment: unpaid, id, sealed }).await,
        Response::Refused(_)
    ));
    let twin = Person::new("quartzalice", 4);
    let twins = twin.connect(&address).await;
    assert!(matches!(twins.ask(&twin.registration()).await, Response::Refused(_)));
    let mut rogue = Client::connect(stranger(5), &address).await;
    let mut cut = frame(&Request::Challenge);
    cut[0] += 9;
    for bytes in [vec![0xff; 64], [&1_u32.to_le_bytes()[..], &[0xff]].concat(), cut].into_iter().cycle().take(12) {
        let _ = rogue.raw(Frame::Bytes(bytes)).await;
    }
    rogue.wait_closed().await;
    let port: u16 = address.split('/').nth(4).unwrap().parse().unwrap();
    for greeting in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0x13, 0xff, 0, 1, 2, 3]] {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        socket.write_all(greeting).await.unwrap();
        socket.shutdown().await.unwrap();
    }
    assert!(matches!(bobs.ask(&Request::Info).await, Response::Info(_)), "it still serves");

    let mut names = vec!["quartz".to_owned(), mailbox.to_string()];
    for person in [&alice, &bob, &twin] {
        names.extend([person.account().to_string(), person.account().fingerprint()]);
    }
    names.extend([&alices, &bobs, &sender, &twins, &rogue].map(|client| client.peer_id.to_string()));
    drop((alices, bobs, sender, twins, rogue));
    assert_eq!(program.end_by("TERM").await, Some(0));
    (told(&log), names)
}

/// The log, without the lines that say where the node itself listens.
fn told(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("stopped") || !log.contains("INFO"), "the log is read to its end: {log}");
    log.lines().filter(|line| !line.contains("listening")).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_debug_no_identity_and_no_address_is_logged() {
    for level in [None, Some("info"), Some("WARN"), Some("error")] {
        let (log, names) = used(level).await;
        let found: Vec<&String> = names.iter().filter(|name| log.contains(name.as_str())).collect();
        assert!(found.is_empty(), "{level:?}: {found:?} in {log}");
        for address in ["/ip4/", "127.0.0.1", "/p2p/", "12D3Koo"] {
            assert!(!log.contains(address), "{level:?}: {address} in {log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_looked_for_is_found_where_an_operator_asks_for_it() {
    let (log, names) = used(Some("debug")).await;
    assert!(names.iter().any(|name| log.contains(name.as_str())), "the search would find nothing: {log}");
}
