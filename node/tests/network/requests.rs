//! Requests and answers between two peers.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use secure_chat_node::network::limits::{EVENTS_MAX, EVENTS_RESERVED, IN_FLIGHT_PER_PEER_MAX};
use secure_chat_node::network::{DialError, RequestError, Route, Transport};
use secure_chat_protocol::limits::PEER_FRAME_MAX_BYTES;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::peer::{PeerRefusal, PeerRequest, PeerResponse};

use crate::testbed::{MEMORY, PATIENCE, Peer, QUIC, TCP, address, config, echoed, numbered};

async fn both_ask_each_other(listen: &str, transport: Transport) {
    let (mut alice, _) = Peer::listening(1, listen).await;
    let (mut bob, at) = Peer::listening(2, listen).await;
    let asking = {
        let (handle, to) = (alice.handle.clone(), bob.id);
        tokio::spawn(async move { handle.request(to, vec![at], numbered(7)).await })
    };
    let (from, request, responder) = bob.inbound().await;
    assert_eq!((from, request), (alice.id, numbered(7)));
    bob.handle.respond(responder, echoed(7));
    assert_eq!(asking.await.unwrap(), Ok(echoed(7)));

    // The other way round it goes over the connection that is there: no address is needed.
    let asking = {
        let (handle, to) = (bob.handle.clone(), alice.id);
        tokio::spawn(async move { handle.request(to, Vec::new(), PeerRequest::Bundle).await })
    };
    let (from, _, responder) = alice.inbound().await;
    assert_eq!(from, bob.id);
    responder.respond(PeerResponse::Refused(PeerRefusal::HelloFirst));
    assert_eq!(asking.await.unwrap(), Ok(PeerResponse::Refused(PeerRefusal::HelloFirst)));

    let status = alice.handle.status().await.unwrap();
    assert_eq!(status.connections.len(), 1);
    assert_eq!(status.connections[0].peer, bob.id);
    assert_eq!(status.connections[0].route, Route::Direct);
    assert_eq!(status.connections[0].transport, transport);
    let (bytes_in, bytes_out) = alice.handle.traffic();
    assert!(bytes_in > 0 && bytes_out > 0, "traffic is counted");
}

#[tokio::test]
async fn two_peers_exchange_requests_over_memory() {
    both_ask_each_other(MEMORY, Transport::Memory).await;
}

#[tokio::test]
async fn two_peers_exchange_requests_over_tcp() {
    both_ask_each_other(TCP, Transport::Tcp).await;
}

#[tokio::test]
async fn two_peers_exchange_requests_over_quic() {
    both_ask_each_other(QUIC, Transport::Quic).await;
}

async fn all_of_300_are_answered(listen: &str) {
    let alice = Peer::start(config(1, listen));
    let (bob, at) = Peer::listening(2, listen).await;
    let to = bob.id;
    let _echo = bob.echo();
    let mut asking: FuturesUnordered<_> = (0..300)
        .map(|number| {
            let (handle, at) = (alice.handle.clone(), vec![at.clone()]);
            async move { (number, handle.request(to, at, numbered(number)).await) }
        })
        .collect();
    while let Some((number, answer)) = asking.next().await {
        assert_eq!(answer, Ok(echoed(number)));
    }
}

#[tokio::test]
async fn three_hundred_requests_in_flight_are_all_answered_over_tcp() {
    all_of_300_are_answered(TCP).await;
}

#[tokio::test]
async fn three_hundred_requests_in_flight_are_all_answered_over_quic() {
    all_of_300_are_answered(QUIC).await;
}

#[tokio::test]
async fn three_hundred_requests_wait_even_while_nothing_is_answered() {
    let (alice, _) = Peer::listening(1, MEMORY).await;
    let (mut bob, at) = Peer::listening(2, MEMORY).await;
    let to = bob.id;
    let asking: Vec<_> = (0..300)
        .map(|number| {
            let (handle, at) = (alice.handle.clone(), vec![at.clone()]);
            tokio::spawn(async move { handle.request(to, at, numbered(number)).await })
        })
        .collect();
    // As many as the streams carry arrive; the others wait for their turn and get it.
    for _ in 0..300 {
        let (_, request, responder) = bob.inbound().await;
        let PeerRequest::Deliver { mut messages } = request else { panic!("a delivery") };
        responder.respond(PeerResponse::Bundle { bundle: messages.pop().unwrap() });
    }
    for (number, answer) in asking.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), Ok(echoed(number as u32)));
    }
}

#[tokio::test]
async fn a_peer_that_restarts_at_the_same_address_is_reached_again() {
    for listen in [TCP, QUIC] {
        let (alice, _) = Peer::listening(1, listen).await;
        let (bob, at) = Peer::listening(2, listen).await;
        let to = bob.id;
        let (stop, echo) = (bob.handle.clone(), bob.echo());
        assert_eq!(alice.handle.request(to, vec![at.clone()], numbered(1)).await, Ok(echoed(1)));
        stop.shutdown().await;
        echo.abort();
        assert!(alice.handle.request(to, Vec::new(), numbered(2)).await.is_err());

        let fixed = at.to_string();
        let (fixed, _) = fixed.rsplit_once("/p2p/").unwrap();
        let (bob, _) = Peer::listening(2, fixed).await;
        assert_eq!(bob.id, to);
        let _echo = bob.echo();
        // No address is given: the one that worked is remembered.
        assert_eq!(alice.handle.request(to, Vec::new(), numbered(3)).await, Ok(echoed(3)));
    }
}

#[tokio::test]
async fn errors_say_whose_fault_it_is() {
    let (alice, _) = Peer::listening(1, TCP).await;
    let (bob, at) = Peer::listening(2, TCP).await;
    let stranger = Peer::start(config(3, TCP)).id;
    let asked = Instant::now();
    assert_eq!(alice.handle.request(stranger, Vec::new(), numbered(1)).await, Err(RequestError::NoAddress));
    let mine = alice.handle.request(alice.id, Vec::new(), numbered(1)).await;
    assert_eq!(mine, Err(RequestError::DialFailed(DialError::Ourselves)));
    let closed = address("/ip4/127.0.0.1/tcp/1");
    let refused = alice.handle.request(stranger, vec![closed.clone()], numbered(1)).await;
    assert_eq!(refused, Err(RequestError::DialFailed(DialError::Refused)));
    assert_eq!(alice.handle.dial(closed).await, Err(DialError::Refused));
    // Bob's address, but somebody else's key: the request must not reach him.
    let at = address(at.to_string().rsplit_once("/p2p/").unwrap().0);
    let wrong = alice.handle.request(stranger, vec![at.clone()], numbered(1)).await;
    assert_eq!(wrong, Err(RequestError::DialFailed(DialError::WrongPeer { found: bob.id })));
    assert!(wrong.unwrap_err().was_never_sent());
    assert_eq!(alice.handle.dial(at.clone()).await, Ok(bob.id));
    let huge = PeerRequest::Deliver { messages: vec![Bytes(vec![0; PEER_FRAME_MAX_BYTES])] };
    assert_eq!(alice.handle.request(bob.id, vec![at], huge).await, Err(RequestError::TooLarge));
    assert!(asked.elapsed() < Duration::from_secs(5), "what is hopeless fails at once");
    alice.handle.shutdown().await;
    assert_eq!(alice.handle.request(bob.id, Vec::new(), numbered(1)).await, Err(RequestError::Stopped));
    assert_eq!(alice.handle.status().await, None);
}

#[tokio::test]
async fn an_unused_responder_answers_that_nobody_is_available() {
    let (alice, _) = Peer::listening(1, MEMORY).await;
    let (mut bob, at) = Peer::listening(2, MEMORY).await;
    let (handle, to) = (alice.handle.clone(), bob.id);
    let asking = tokio::spawn(async move { handle.request(to, vec![at], numbered(1)).await });
    drop(bob.inbound().await.2);
    assert_eq!(asking.await.unwrap(), Ok(PeerResponse::Refused(PeerRefusal::NotAvailable)));
}

#[tokio::test]
async fn an_owner_that_reads_no_events_refuses_requests_and_loses_no_answer() {
    let (bob, at) = Peer::listening(255, MEMORY).await;
    let to = bob.id;
    // More peers than Bob's channel of events has room for, each with all its streams in use.
    let askers: Vec<_> = (0..20).map(|seed| Peer::start(config(seed, MEMORY))).collect();
    let total = askers.len() * IN_FLIGHT_PER_PEER_MAX;
    assert!(total > EVENTS_MAX);
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..total {
        let (handle, at, told) = (askers[number % askers.len()].handle.clone(), vec![at.clone()], told.clone());
        tokio::spawn(async move { told.send(handle.request(to, at, numbered(number as u32)).await) });
    }
    // Bob's owner reads nothing until the first request is refused.
    let first = tokio::time::timeout(PATIENCE, answers.recv()).await.unwrap().unwrap();
    assert!(matches!(first, Ok(PeerResponse::Refused(PeerRefusal::SlowDown { .. }))), "{first:?}");
    let _echo = bob.echo();
    let (mut answered, mut refused) = (0, 1);
    while answered + refused < total {
        match tokio::time::timeout(PATIENCE, answers.recv()).await.unwrap().unwrap() {
            Ok(PeerResponse::Bundle { .. }) => answered += 1,
            Ok(PeerResponse::Refused(PeerRefusal::SlowDown { .. })) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(answered >= EVENTS_MAX - EVENTS_RESERVED - 2 * askers.len());
}

#[tokio::test]
async fn a_stranger_at_an_old_address_does_not_hide_the_peer_at_its_new_one() {
    let alice = Peer::start(config(1, TCP));
    let (bob, new) = Peer::listening(2, TCP).await;
    let to = bob.id;
    let _echo = bob.echo();
    let strangers = [Peer::listening(3, TCP).await, Peer::listening(4, TCP).await];
    let old = strangers.iter().map(|(_, at)| address(at.to_string().rsplit_once("/p2p/").unwrap().0));
    let mut addresses: Vec<_> = old.collect();
    addresses.push(new);
    assert_eq!(alice.handle.request(to, addresses, numbered(1)).await, Ok(echoed(1)));
}

#[tokio::test]
async fn peers_that_dial_each_other_at_the_same_time_both_succeed() {
    for listen in [TCP, QUIC, MEMORY] {
        for _ in 0..10 {
            let (alice, alices) = Peer::listening(1, listen).await;
            let (bob, bobs) = Peer::listening(2, listen).await;
            let (a, b, a_id, b_id) = (alice.handle.clone(), bob.handle.clone(), alice.id, bob.id);
            let echoes = [alice.echo(), bob.echo()];
            let both =
                tokio::join!(a.request(b_id, vec![bobs], numbered(1)), b.request(a_id, vec![alices], numbered(2)));
            assert_eq!(both, (Ok(echoed(1)), Ok(echoed(2))), "{listen}");
            tokio::join!(a.shutdown(), b.shutdown());
            echoes.into_iter().for_each(|echo| echo.abort());
        }
    }
}
