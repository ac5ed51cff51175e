use super::*;

fn moment(ms: u64) -> Moment {
    Moment { lived_ms: ms, wall: Timestamp(ms) }
}

fn desk() -> Desk {
    Desk::new(PeerId::random(), &Limits::default(), [1; 32], Arc::new(Metrics::default()))
}

fn mail(desk: &mut Desk, mailbox: MailboxId, waiting: u64) {
    let outcome = Outcome { response: Response::Done, effect: Effect::MailArrived { mailbox, waiting } };
    desk.finish(desk.server, Context::Plain, Ok(outcome), moment(0));
}

fn open(desk: &mut Desk, peer: PeerId, mailbox: MailboxId) {
    let response = Response::Mailbox { waiting: 0, tokens: 0, new: false };
    let outcome = Outcome { response, effect: Effect::Opened(mailbox) };
    desk.finish(peer, Context::Plain, Ok(outcome), moment(0));
}

#[test]
fn whoever_opened_a_mailbox_hears_of_mail_once_until_it_has_seen_that() {
    let (mut desk, peer, mailbox) = (desk(), PeerId::random(), MailboxId([1; 32]));
    desk.connected(peer, None, moment(0));
    open(&mut desk, peer, mailbox);
    mail(&mut desk, mailbox, 1);
    mail(&mut desk, mailbox, 2);
    assert_eq!(desk.next_push(), Some((peer, Push::Mail { waiting: 2 })));
    mail(&mut desk, mailbox, 3);
    assert_eq!(desk.next_push(), None, "one push is under way at a time");
    desk.push_seen(peer);
    assert_eq!(desk.next_push(), Some((peer, Push::Mail { waiting: 3 })));
    desk.disconnected(&peer, moment(1));
    mail(&mut desk, mailbox, 4);
    assert_eq!(desk.next_push(), None);
    assert!(desk.listeners.is_empty() && desk.peers.is_empty() && desk.due.is_empty());
}

#[test]
fn a_peer_that_never_sees_its_pushes_is_given_up() {
    let (mut desk, peer, mailbox) = (desk(), PeerId::random(), MailboxId([1; 32]));
    desk.connected(peer, None, moment(0));
    open(&mut desk, peer, mailbox);
    mail(&mut desk, mailbox, 1);
    let failures = (1..=PUSH_FAILURES_MAX).map(|_| {
        assert!(desk.next_push().is_some(), "it is tried again");
        desk.push_failed(peer)
    });
    assert_eq!(failures.collect::<Vec<_>>(), vec![false, false, true]);
}

#[test]
fn silent_strangers_are_let_go_and_those_who_use_the_node_are_not() {
    let mut desk = desk();
    let [stranger, reader, relayed] = [PeerId::random(), PeerId::random(), PeerId::random()];
    for peer in [stranger, reader, relayed] {
        desk.connected(peer, None, moment(0));
    }
    open(&mut desk, reader, MailboxId([1; 32]));
    desk.relayed(&relayed, true, moment(0));
    assert_eq!(desk.silent_strangers(1_000, moment(999)), vec![]);
    assert_eq!(desk.silent_strangers(1_000, moment(1_000)), vec![stranger]);
    desk.relayed(&relayed, false, moment(1_000));
    assert_eq!(desk.silent_strangers(1_000, moment(1_999)), vec![stranger]);
    assert_eq!(desk.silent_strangers(1_000, moment(2_000)).len(), 2);
}

#[test]
fn a_device_that_a_newer_record_does_not_name_speaks_for_the_account_no_more() {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use secure_chat_protocol::identity::IdentityKeyPair;
    let mut desk = desk();
    let identity = IdentityKeyPair::generate(&mut ChaCha20Rng::seed_from_u64(1), Timestamp(0)).public().clone();
    let account = identity.account_id();
    let [old, new] = [1, 2].map(|seed| {
        let mut seed = [seed; 32];
        libp2p::identity::Keypair::ed25519_from_bytes(&mut seed).unwrap().public().to_peer_id()
    });
    let keys = [old, new].map(|peer| door::peer_key(&peer).unwrap());
    for (peer, named) in [(old, vec![keys[0]]), (new, vec![keys[1]])] {
        desk.connected(peer, None, moment(0));
        let effect = Effect::Registered { account, peers: named, identity: Box::new(identity.clone()) };
        let response = Response::Registered { new: false, kits_left: 0 };
        desk.finish(peer, Context::Plain, Ok(Outcome { response, effect }), moment(0));
    }
    assert_eq!(desk.peers.get(&old).unwrap().account, None);
    assert_eq!(desk.peers.get(&new).unwrap().account, Some(account));
}

#[test]
fn mistakes_are_forgiven_up_to_a_bound() {
    let (mut desk, peer) = (desk(), PeerId::random());
    desk.connected(peer, None, moment(0));
    let last = (0..FAULTS_MAX).map(|_| desk.fault(&peer, Fault::Garbage)).collect::<Vec<_>>();
    assert_eq!(last.iter().filter(|cut| **cut).count(), 1);
    assert_eq!(last.last(), Some(&true));
}
