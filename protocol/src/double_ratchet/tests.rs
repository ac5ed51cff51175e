use super::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const NOW: Timestamp = Timestamp(1_000_000);
const FRAME: [u8; FRAME_BYTES] = [1, 1];

fn secrets() -> HandshakeSecrets {
    HandshakeSecrets {
        transcript: [4; 32],
        root: Secret::from_bytes([1; 32]),
        initiator_header: Secret::from_bytes([2; 32]),
        responder_header: Secret::from_bytes([3; 32]),
    }
}

struct Pair {
    alice: DoubleRatchet,
    bob: DoubleRatchet,
    rng: ChaCha20Rng,
}

/// Alice has spoken once, and Bob has heard it.
fn pair() -> Pair {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let signed_prekey = SecretKey::generate(&mut rng);
    let mut alice = DoubleRatchet::initiator(secrets(), signed_prekey.public(), &mut rng).unwrap();
    let first = said(&mut alice, b"first", &mut rng);
    let (bob, plaintext) = DoubleRatchet::responder(secrets(), &signed_prekey, &first, &FRAME, NOW).unwrap();
    assert_eq!(plaintext, b"first");
    Pair { alice, bob, rng }
}

fn said(ratchet: &mut DoubleRatchet, text: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut out = Vec::new();
    ratchet.encrypt(text, &FRAME, &mut out, rng).unwrap();
    out
}

fn bytes(ratchet: &DoubleRatchet) -> crate::crypto::secret::SecretBytes {
    let mut out = StateWriter::default();
    ratchet.write(&mut out);
    out.finish()
}

fn refused(ratchet: &mut DoubleRatchet, message: &[u8]) -> RatchetError {
    let before = bytes(ratchet);
    let error = ratchet.decrypt(message, &FRAME, NOW).unwrap_err();
    assert!(bytes(ratchet) == before, "{error:?}");
    error
}

impl Pair {
    /// One message each way.
    fn turn(&mut self) {
        let Self { alice, bob, rng } = self;
        for _ in 0..2 {
            let message = said(bob, b"turn", rng);
            assert_eq!(alice.decrypt(&message, &FRAME, NOW), Ok(b"turn".to_vec()));
            std::mem::swap(alice, bob);
        }
    }

    /// Alice as a hostile client would have her.
    fn alices_chain(&mut self) -> &mut Sending {
        match &mut self.alice.phase {
            Phase::Sending(sending) => sending,
            Phase::Receiving(_) => panic!("alice has nothing to answer"),
        }
    }
}

#[test]
fn each_turn_has_new_keys() {
    let mut pair = pair();
    let mut seen = Vec::new();
    for _ in 0..5 {
        pair.turn();
        let header_key = *pair.alices_chain().header_key.expose();
        for key in [*pair.alice.root.0.expose(), *pair.alice.next_receiving.expose(), header_key] {
            assert!(!seen.contains(&key));
            seen.push(key);
        }
    }
}

#[test]
fn numbers_at_the_end_of_their_range_are_refused_without_work() {
    let mut pair = pair();
    for number in [u32::MAX - 1, 1_002 + 1] {
        pair.alices_chain().next = number;
        let far = said(&mut pair.alice, b"far", &mut pair.rng);
        assert_eq!(refused(&mut pair.bob, &far), RatchetError::SkipLimit);
    }
    pair.alices_chain().next = u32::MAX;
    let mut out = Vec::new();
    assert_eq!(pair.alice.encrypt(b"", &FRAME, &mut out, &mut pair.rng), Err(RatchetError::Exhausted));
}

#[test]
fn an_impossible_length_of_the_chain_before_is_refused() {
    for (previous, error) in [(u32::MAX, RatchetError::SkipLimit), (0, RatchetError::Rollback)] {
        let mut pair = pair();
        let answer = said(&mut pair.bob, b"answer", &mut pair.rng);
        pair.alice.decrypt(&answer, &FRAME, NOW).unwrap();
        let _begins_the_chain = said(&mut pair.alice, b"", &mut pair.rng);
        pair.alices_chain().previous = previous;
        let message = said(&mut pair.alice, b"next", &mut pair.rng);
        assert_eq!(refused(&mut pair.bob, &message), error);
    }
}

#[test]
fn a_ratchet_key_of_low_order_is_refused() {
    let mut pair = pair();
    let answer = said(&mut pair.bob, b"answer", &mut pair.rng);
    pair.alice.decrypt(&answer, &FRAME, NOW).unwrap();
    let _begins_the_chain = said(&mut pair.alice, b"", &mut pair.rng);
    pair.alices_chain().own = SecretKey::from_stored(&Secret::from_bytes([1; 32]), PublicKey::from_bytes([0; 32]));
    let message = said(&mut pair.alice, b"zero", &mut pair.rng);
    assert_eq!(refused(&mut pair.bob, &message), RatchetError::NonContributory);
}

#[test]
fn a_message_that_waits_outlives_many_turns_in_which_nothing_is_missing() {
    let mut pair = pair();
    let late = said(&mut pair.alice, b"late", &mut pair.rng);
    let message = said(&mut pair.alice, b"next", &mut pair.rng);
    pair.bob.decrypt(&message, &FRAME, NOW).unwrap();
    for _ in 0..3 * limits::RECEIVING_CHAINS_MAX {
        pair.turn();
        assert!(pair.bob.chains.len() <= limits::RECEIVING_CHAINS_MAX);
    }
    assert_eq!(pair.bob.decrypt(&late, &FRAME, NOW), Ok(b"late".to_vec()));
    assert_ne!(refused(&mut pair.bob, &late), RatchetError::NotOurs);
}

#[test]
fn padding_that_is_not_canonical_is_refused() {
    let mut pair = pair();
    let transcript = pair.alice.transcript;
    let sending = pair.alices_chain();
    let (key, _) = sending.chain.step();
    let nonce = [7; XNONCE_BYTES];
    let header = Header { ratchet_key: *sending.own.public(), previous: 0, number: sending.next };
    let header = header.seal(&sending.header_key, &nonce, &FRAME);
    let associated = associated(&transcript, &FRAME, &nonce, &header);
    let body = aead::seal(&key.body_key(&nonce), &BODY_NONCE, &associated, &[0x80; 64]);
    let message = [&nonce[..], &header, &body].concat();
    assert_eq!(refused(&mut pair.bob, &message), RatchetError::Malformed);
}

#[test]
fn a_message_for_another_session_or_frame_is_not_ours() {
    let mut pair = pair();
    let message = said(&mut pair.alice, b"text", &mut pair.rng);
    assert_eq!(pair.bob.decrypt(&message, &[1, 2], NOW), Err(RatchetError::NotOurs));
    assert_eq!(refused(&mut pair.alice, &message), RatchetError::NotOurs, "reflected");
    assert_eq!(refused(&mut pair.bob, &message[..80]), RatchetError::Malformed);
}
