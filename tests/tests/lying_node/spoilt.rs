//! Bundles that a node has spoilt, and those that their owner made to harm: nothing is said under one.

use secure_chat_node::api::{ApiError, Event};
use secure_chat_protocol::prekey::{BundleIn, KitIn, PreKeys};
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{Request, Response};
use secure_chat_tests::{Persona, TestNet};

use crate::node::LyingNode;
use crate::{Invented, alerted, now};

const BUNDLE_MAX_BYTES: usize = 1 << 16;

fn changed(bundle: &Response, change: impl FnOnce(&mut BundleIn)) -> Response {
    let Response::Bundle { bundle } = bundle else { return bundle.clone() };
    let mut bundle: BundleIn = codec::decode(&bundle.0, BUNDLE_MAX_BYTES).unwrap();
    change(&mut bundle);
    Response::Bundle { bundle: Bytes(codec::encode(&bundle, BUNDLE_MAX_BYTES).unwrap()) }
}

async fn asks(who: &Persona, whom: &str, greeting: &str) {
    let handle = who.handle().unwrap();
    let asked: Result<_, ApiError> =
        handle.contacts_request(Some(whom.to_owned()), None::<String>, Some(greeting.to_owned())).await;
    asked.unwrap();
}

/// What a node may do to a bundle, by name.
type Spoilt = (&'static str, fn(&mut BundleIn));

const SPOILT: [Spoilt; 7] = [
    ("adaline", |bundle| {
        // The signed prekey in place of a kit: the next one would get it as well.
        let signed = &bundle.signed;
        let (id, dh_key, kem_key) = (signed.id, signed.dh_key, signed.kem_key);
        bundle.kit = Some(KitIn { id, dh_key, kem_key, signature: signed.signature });
    }),
    ("beatrix", |bundle| bundle.signed.kem_key = Fixed([0; _])),
    ("clemens", |bundle| {
        let signed = bundle.signed.kem_key;
        bundle.kit.as_mut().expect("a kit").kem_key = signed;
    }),
    ("dorothy", |bundle| bundle.signed.version = bundle.signed.version.wrapping_add(1)),
    ("eleanor", |bundle| bundle.signed.dh_key = Fixed([0; 32])),
    ("florian", |bundle| bundle.kit.as_mut().expect("a kit").dh_key = Fixed([0; 32])),
    ("gabriel", |bundle| {
        let signed = bundle.signed.dh_key;
        bundle.kit.as_mut().expect("a kit").dh_key = signed;
    }),
];

#[tokio::test]
async fn a_bundle_that_a_node_has_spoilt_in_any_way_is_noticed_and_nothing_is_said_under_it() {
    let node = LyingNode::start().await;
    let mut net = TestNet::new().unwrap();
    net.use_home(&node.address);
    let mut bob = net.persona("bob").await.unwrap();
    bob.away().await;
    let mut people = Vec::new();
    for (name, spoil) in SPOILT {
        let mut one = net.persona(name).await.unwrap();
        node.lies(move |request, honest, _| match request {
            Request::TakeBundle { .. } => changed(&honest, spoil),
            _ => honest,
        });
        asks(&one, "bob", &format!("Hello from {name}")).await;
        alerted(&mut one, "bundle.invalid").await;
        assert_eq!(node.known().deposits, 0, "{name}");
        people.push(one);
    }
    // One's own bundle: a session with oneself.
    let mut one = net.persona("hannah").await.unwrap();
    node.lies(|request, honest, known| match request {
        Request::TakeBundle { .. } => known.bundle(&known.named("hannah").unwrap()).unwrap(),
        _ => honest,
    });
    asks(&one, "bob", "Hello from hannah").await;
    alerted(&mut one, "bundle.invalid").await;
    assert_eq!(node.known().deposits, 0);
    people.push(one);
    // All of them come through once there is a true one.
    node.repents();
    bob.back().await.unwrap();
    for _ in &people {
        bob.until(|event| matches!(event, Event::ContactRequest(_)).then_some(())).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_keeps_the_kits_back_gains_nothing() {
    let node = LyingNode::start().await;
    let mut net = TestNet::new().unwrap();
    net.use_home(&node.address);
    let (alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    bob.away().await;
    node.lies(|request, honest, _| match request {
        Request::TakeBundle { .. } => changed(&honest, |bundle| bundle.kit = None),
        _ => honest,
    });
    asks(&alice, "bob", "without a kit").await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while node.known().deposits == 0 {
        assert!(std::time::Instant::now() < deadline, "the request is left at the node");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    bob.back().await.unwrap();
    let greeting = bob.until(|event| match event {
        Event::ContactRequest(request) => Some(request.greeting),
        _ => None,
    });
    assert_eq!(greeting.await.unwrap(), "without a kit");
}

#[tokio::test]
async fn keys_that_give_no_secret_are_refused_though_their_owner_signed_them() {
    let node = LyingNode::start().await;
    let mut net = TestNet::new().unwrap();
    net.use_home(&node.address);
    let mut low = [0; 32];
    low[0] = 1;
    for (name, key, in_kit) in [("alice", [0; 32], false), ("barbara", low, false), ("charles", [0; 32], true)] {
        let mut one = net.persona(name).await.unwrap();
        let mut mallory = Invented::new();
        node.lies(move |request, honest, _| match request {
            Request::Lookup(_) => mallory.found("mallory"),
            Request::TakeBundle { .. } => {
                let keys = PreKeys::generate(&mallory.identity, now(), &mut mallory.rng);
                let (mut signed, mut kit) = (keys.signed_public(), keys.kits_public().remove(0));
                if in_kit {
                    kit.dh_key = Fixed(key);
                } else {
                    signed.dh_key = Fixed(key);
                }
                let identity = &mallory.identity;
                let (signed, kit) = (signed.signed(identity), Some(kit.signed(identity)));
                let bundle = BundleIn { identity: identity.public().to_wire(), signed, kit };
                Response::Bundle { bundle: Bytes(codec::encode(&bundle, BUNDLE_MAX_BYTES).unwrap()) }
            }
            _ => honest,
        });
        asks(&one, "mallory", "Hello").await;
        alerted(&mut one, "bundle.invalid").await;
        assert_eq!(node.known().deposits, 0, "{name}");
    }
}
