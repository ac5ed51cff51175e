use super::*;
use crate::limits::DAY_MS;
use crate::prekey::BundleIn;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const NOW: Timestamp = Timestamp(1_000 * DAY_MS);

/// Somebody with an identity, prekeys, and the sessions with one peer.
struct Person {
    identity: IdentityKeyPair,
    prekeys: PreKeys,
    sessions: SessionSet,
    rng: ChaCha20Rng,
    now: Timestamp,
}

impl Person {
    fn bundle(&mut self) -> VerifiedBundle {
        let kit = self.prekeys.take_kit_public();
        self.bundle_with(kit)
    }

    fn bundle_with(&self, kit: Option<crate::prekey::KitIn>) -> VerifiedBundle {
        let bundle = BundleIn { identity: self.identity.public().to_wire(), signed: self.prekeys.signed_public(), kit };
        bundle.verify(self.now, None).unwrap()
    }

    fn initiate(&mut self, bundle: &VerifiedBundle) {
        self.sessions.initiate(&self.identity, bundle, self.now, &mut self.rng).unwrap();
    }

    fn says(&mut self, text: &str) -> Vec<u8> {
        self.sessions.encrypt(text.as_bytes(), self.now, &mut self.rng).unwrap()
    }

    fn opens(&mut self, ciphertext: &[u8]) -> Result<Decrypted, DecryptError> {
        let before = (self.sessions.to_secret_bytes(), self.prekeys.to_secret_bytes());
        let opened = self.sessions.decrypt(&self.identity, &mut self.prekeys, ciphertext, self.now);
        if opened.is_err() {
            assert!(before == (self.sessions.to_secret_bytes(), self.prekeys.to_secret_bytes()), "{opened:?}");
        }
        opened
    }

    fn hears(&mut self, ciphertext: &[u8], text: &str) -> Decrypted {
        let opened = self.opens(ciphertext).unwrap();
        assert_eq!(opened.plaintext.expose(), text.as_bytes());
        opened
    }

    fn refuses(&mut self, ciphertext: &[u8]) -> DecryptError {
        self.opens(ciphertext).unwrap_err()
    }

    /// What a backup of the sessions would bring back.
    fn restored(&self) -> SessionSet {
        SessionSet::from_secret_bytes(self.sessions.to_secret_bytes().expose()).unwrap()
    }

    fn speaks_on(&self) -> [u8; 32] {
        *self.sessions.speaker().unwrap().ratchet.transcript()
    }
}

fn people() -> (Person, Person) {
    people_seeded(1)
}

fn people_seeded(seed: u64) -> (Person, Person) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let (alice, bob) = (IdentityKeyPair::generate(&mut rng, NOW), IdentityKeyPair::generate(&mut rng, NOW));
    let (alices, bobs) = (alice.account_id(), bob.account_id());
    let mut person = |identity: IdentityKeyPair, peer, seed| Person {
        prekeys: PreKeys::generate(&identity, NOW, &mut rng),
        sessions: SessionSet::new(identity.account_id(), peer),
        identity,
        rng: ChaCha20Rng::seed_from_u64(seed),
        now: NOW,
    };
    (person(alice, bobs, seed + 100), person(bob, alices, seed + 200))
}

/// Alice has started a session, and Bob has answered.
fn in_session() -> (Person, Person) {
    let (mut alice, mut bob) = people();
    alice.initiate(&bob.bundle());
    let hello = alice.says("hello");
    assert!(bob.hears(&hello, "hello").new_session);
    let hi = bob.says("hi");
    assert!(!alice.hears(&hi, "hi").new_session);
    (alice, bob)
}

#[test]
fn a_conversation_goes_back_and_forth() {
    let (mut alice, mut bob) = in_session();
    assert!(!alice.sessions.awaits_answer());
    for turn in 0..20 {
        for number in 0..turn % 4 + 1 {
            let text = format!("{turn} {number}");
            let said = alice.says(&text);
            bob.hears(&said, &text);
        }
        let said = bob.says("yes");
        alice.hears(&said, "yes");
    }
    assert_eq!(alice.speaks_on(), bob.speaks_on());
    assert_eq!(alice.sessions.facts().sessions, 1);
    assert_eq!(alice.sessions.facts().skipped_keys, 0);
}

#[test]
fn first_messages_carry_the_initial_header_until_the_answer() {
    let (mut alice, mut bob) = people();
    alice.initiate(&bob.bundle());
    assert!(alice.sessions.can_encrypt() && alice.sessions.awaits_answer());
    let first: Vec<Vec<u8>> = (0..3).map(|n| alice.says(&n.to_string())).collect();
    // They arrive in any order, and the last is lost.
    assert!(bob.hears(&first[1], "1").new_session);
    assert!(!bob.hears(&first[0], "0").new_session);
    let answer = bob.says("hi");
    assert_eq!(answer.len(), 2 + OVERHEAD_BYTES + 256);
    alice.hears(&answer, "hi");
    assert!(!alice.sessions.awaits_answer());
    assert!(alice.says("now short").len() < 400 && first[0].len() > 1_500);
    bob.hears(&first[2], "2");
}

#[test]
fn a_stranger_can_be_told_from_their_first_message() {
    let (mut alice, mut bob) = people();
    alice.initiate(&bob.bundle());
    let hello = alice.says("hello");
    assert_eq!(&peek_initial(&hello).unwrap(), alice.identity.public());
    bob.hears(&hello, "hello");
    let answer = bob.says("hi");
    assert_eq!(peek_initial(&answer), Err(DecryptError::NoSession));
}

#[test]
fn a_session_can_start_without_a_kit() {
    let (mut alice, mut bob) = people();
    let bundle = bob.bundle_with(None);
    alice.initiate(&bundle);
    let hello = alice.says("hello");
    bob.hears(&hello, "hello");
    let hi = bob.says("hi");
    alice.hears(&hi, "hi");
}

#[test]
fn a_kit_serves_one_session_only() {
    let (mut alice, mut bob) = people();
    let bundle = bob.bundle();
    alice.initiate(&bundle);
    let first = alice.says("first");
    alice.initiate(&bundle);
    let second = alice.says("second");
    bob.hears(&first, "first");
    assert_eq!(bob.refuses(&second), DecryptError::UnknownPreKey);
}

#[test]
fn a_first_message_can_not_be_replayed() {
    for with_kit in [true, false] {
        let (mut alice, mut bob) = people();
        let bundle = if with_kit { bob.bundle() } else { bob.bundle_with(None) };
        alice.initiate(&bundle);
        let hello = alice.says("hello");
        bob.hears(&hello, "hello");
        assert_eq!(bob.refuses(&hello), DecryptError::Duplicate, "while the session is there");
        bob.sessions = SessionSet::new(bob.identity.account_id(), alice.identity.account_id());
        assert_eq!(bob.refuses(&hello), DecryptError::Replay, "after it is gone");
    }
}

#[test]
fn a_message_of_another_account_is_refused() {
    let (mut alice, mut bob) = people();
    alice.initiate(&bob.bundle());
    let hello = alice.says("hello");
    // Reflected to its sender, and delivered as if it came from somebody else.
    assert_eq!(alice.refuses(&hello), DecryptError::NoSession);
    alice.sessions = SessionSet::new(alice.identity.account_id(), bob.identity.account_id());
    assert_eq!(alice.refuses(&hello), DecryptError::WrongIdentity);
    bob.sessions = SessionSet::new(bob.identity.account_id(), AccountId([9; 32]));
    assert_eq!(bob.refuses(&hello), DecryptError::WrongIdentity);
}

#[test]
fn there_are_no_sessions_with_oneself_or_with_another_than_the_peer() {
    let (mut alice, mut bob) = people();
    let own = alice.bundle();
    let refused = alice.sessions.initiate(&alice.identity, &own, NOW, &mut alice.rng);
    assert_eq!(refused, Err(HandshakeError::WrongPeer));
    let mut with_self = SessionSet::new(alice.identity.account_id(), alice.identity.account_id());
    assert_eq!(with_self.initiate(&alice.identity, &own, NOW, &mut alice.rng), Err(HandshakeError::Oneself));
    assert!(!with_self.can_encrypt());
    let stranger = bob.bundle();
    let mut with_carol = SessionSet::new(alice.identity.account_id(), AccountId([3; 32]));
    let refused = with_carol.initiate(&alice.identity, &stranger, NOW, &mut alice.rng);
    assert_eq!(refused, Err(HandshakeError::WrongPeer));
}

#[test]
fn every_flipped_bit_is_refused_and_changes_nothing() {
    let (mut alice, mut bob) = people();
    alice.initiate(&bob.bundle());
    let initial = alice.says("hello");
    // Every bit of an ordinary message; of the long first ones, of every seventh byte.
    let flips = |length: usize, step: usize| (0..length).step_by(step).flat_map(|byte| byte * 8..byte * 8 + 8);
    for bit in flips(initial.len(), 7) {
        let mut changed = initial.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        bob.refuses(&changed);
    }
    let second = alice.says("and");
    bob.hears(&initial, "hello");
    for bit in flips(second.len(), 7) {
        let mut changed = second.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        bob.refuses(&changed);
    }
    bob.hears(&second, "and");
    let ordinary = bob.says("hi");
    for bit in flips(ordinary.len(), 1) {
        let mut changed = ordinary.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        alice.refuses(&changed);
    }
    alice.hears(&ordinary, "hi");
}

#[test]
fn garbage_and_other_versions_are_refused() {
    let (mut alice, mut bob) = in_session();
    let said = alice.says("text");
    for length in 0..said.len() {
        bob.refuses(&said[..length]);
    }
    let longer = [said.as_slice(), &[0]].concat();
    assert_eq!(bob.refuses(&longer), DecryptError::Changed);
    let mut other = said.clone();
    other[0] = 2;
    assert_eq!(bob.refuses(&other), DecryptError::UnknownVersion);
    other[..2].copy_from_slice(&[1, 3]);
    assert_eq!(bob.refuses(&other), DecryptError::Malformed);
    assert_eq!(bob.refuses(&vec![1; limits::CIPHERTEXT_MAX_BYTES + 1]), DecryptError::Malformed);
    bob.hears(&said, "text");
}

#[test]
fn an_unknown_suite_is_refused_as_such() {
    let (mut alice, mut bob) = people();
    alice.initiate(&bob.bundle());
    let mut hello = alice.says("hello");
    // version, kind, length, then the suite.
    hello[4] = 2;
    assert_eq!(bob.refuses(&hello), DecryptError::UnknownSuite);
    assert_eq!(peek_initial(&hello), Err(DecryptError::UnknownSuite));
}

#[test]
fn a_message_that_is_too_long_is_refused_by_its_sender() {
    let (mut alice, mut bob) = in_session();
    let longest = vec![7; limits::PLAINTEXT_MAX_BYTES];
    let said = alice.sessions.encrypt(&longest, NOW, &mut alice.rng).unwrap();
    assert!(said.len() <= limits::CIPHERTEXT_MAX_BYTES);
    assert_eq!(bob.opens(&said).unwrap().plaintext.expose(), longest);
    let refused = alice.sessions.encrypt(&[&longest[..], &[7]].concat(), NOW, &mut alice.rng);
    assert!(matches!(refused, Err(SessionError::TooLong { .. })));
}

#[test]
fn both_sides_starting_at_once_come_to_one_session_and_lose_nothing() {
    for seed in 1..=8 {
        for alice_first in [true, false] {
            let (mut alice, mut bob) = people_seeded(seed);
            let (for_alice, for_bob) = (bob.bundle(), alice.bundle());
            alice.initiate(&for_alice);
            bob.initiate(&for_bob);
            let (a, b) = (alice.says("a"), bob.says("b"));
            if alice_first {
                bob.hears(&a, "a");
                alice.hears(&b, "b");
            } else {
                alice.hears(&b, "b");
                bob.hears(&a, "a");
            }
            assert_eq!(alice.speaks_on(), bob.speaks_on());
            let (a, b) = (alice.says("a2"), bob.says("b2"));
            bob.hears(&a, "a2");
            alice.hears(&b, "b2");
            assert_eq!(alice.speaks_on(), bob.speaks_on());
            assert!(alice.sessions.facts().answered && bob.sessions.facts().answered);
        }
    }
}

#[test]
fn messages_that_cross_a_simultaneous_start_all_arrive() {
    let (mut alice, mut bob) = people();
    let (for_alice, for_bob) = (bob.bundle(), alice.bundle());
    alice.initiate(&for_alice);
    bob.initiate(&for_bob);
    let texts: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    let from_alice: Vec<_> = texts.iter().map(|text| alice.says(text)).collect();
    let from_bob: Vec<_> = texts.iter().map(|text| bob.says(text)).collect();
    for at in [3, 0, 5, 1, 4, 2] {
        bob.hears(&from_alice[at], &texts[at]);
        alice.hears(&from_bob[at], &texts[at]);
    }
    for round in 0..4 {
        let (a, b) = (alice.says("a"), bob.says("b"));
        bob.hears(&a, "a");
        alice.hears(&b, "b");
        assert!(round == 0 || alice.speaks_on() == bob.speaks_on());
    }
}

#[test]
fn a_peer_that_lost_its_state_starts_anew_and_is_followed() {
    let (mut alice, mut bob) = in_session();
    bob.sessions = SessionSet::new(bob.identity.account_id(), alice.identity.account_id());
    let unopened = alice.says("lost");
    assert_eq!(bob.refuses(&unopened), DecryptError::NoSession);
    bob.now = NOW.plus_ms(1_000);
    bob.initiate(&alice.bundle());
    let anew = bob.says("anew");
    let opened = alice.hears(&anew, "anew");
    assert!(opened.new_session && opened.replaced_active);
    let again = alice.says("again");
    bob.hears(&again, "again");
    assert_eq!(alice.speaks_on(), bob.speaks_on());
}

#[test]
fn a_peer_whose_clock_is_wrong_is_followed_when_it_insists() {
    let (mut alice, mut bob) = in_session();
    bob.sessions = SessionSet::new(bob.identity.account_id(), alice.identity.account_id());
    bob.now = Timestamp(NOW.0 - DAY_MS);
    bob.initiate(&alice.bundle());
    for round in 1..=limits::SESSION_FOLLOW_AFTER {
        let said = bob.says("hello?");
        let opened = alice.hears(&said, "hello?");
        assert_eq!(opened.replaced_active, round == limits::SESSION_FOLLOW_AFTER);
    }
    let said = alice.says("hello");
    bob.hears(&said, "hello");
}

#[test]
fn old_messages_do_not_bring_an_old_session_back() {
    let (mut alice, mut bob) = in_session();
    let old: Vec<_> = (0..10).map(|n| bob.says(&n.to_string())).collect();
    bob.now = NOW.plus_ms(1_000);
    bob.initiate(&alice.bundle());
    let anew = bob.says("anew");
    assert!(alice.hears(&anew, "anew").replaced_active);
    for (n, message) in old.iter().enumerate() {
        assert!(!alice.hears(message, &n.to_string()).replaced_active);
    }
    assert_eq!(alice.speaks_on(), bob.speaks_on());
}

#[test]
fn after_a_reset_only_a_new_session_speaks() {
    let (mut alice, mut bob) = in_session();
    let under_way = bob.says("under way");
    alice.sessions.reset();
    assert!(!alice.sessions.can_encrypt());
    assert_eq!(alice.sessions.encrypt(b"x", NOW, &mut alice.rng), Err(SessionError::NoSession));
    alice.hears(&under_way, "under way");
    assert!(!alice.sessions.can_encrypt(), "the old session stays silent");
    alice.initiate(&bob.bundle());
    for _ in 0..5 {
        let insists = bob.says("old");
        assert!(!alice.hears(&insists, "old").replaced_active);
    }
    let anew = alice.says("anew");
    assert!(bob.hears(&anew, "anew").replaced_active);
    assert_eq!(alice.speaks_on(), bob.speaks_on());
}

#[test]
fn a_session_that_was_reset_stays_silent_even_if_it_ranks_later() {
    let (mut alice, mut bob) = in_session();
    let old = bob.says("old");
    alice.sessions.reset();
    bob.sessions = SessionSet::new(bob.identity.account_id(), alice.identity.account_id());
    bob.now = Timestamp(NOW.0 - DAY_MS);
    bob.initiate(&alice.bundle());
    let anew = bob.says("anew");
    assert!(alice.hears(&anew, "anew").new_session);
    assert!(!alice.hears(&old, "old").replaced_active);
    assert_eq!(alice.speaks_on(), bob.speaks_on());
}

#[test]
fn a_restored_backup_never_repeats_a_key_with_a_nonce_and_is_noticed() {
    let (mut alice, mut bob) = in_session();
    let first = alice.says("first");
    bob.hears(&first, "first");
    let backup = alice.restored();
    let second = alice.says("second");
    bob.hears(&second, "second");
    alice.sessions = backup;
    let other = alice.says("other");
    assert_ne!(other[..26], second[..26], "another nonce, so another key");
    assert_eq!(bob.refuses(&second), DecryptError::Duplicate, "the same message again is harmless");
    assert_eq!(bob.refuses(&other), DecryptError::Rollback, "another one in its place is not");
    // Bob starts anew, and the conversation heals.
    bob.sessions.reset();
    bob.initiate(&alice.bundle());
    let healed = bob.says("healed");
    assert!(alice.hears(&healed, "healed").replaced_active);
    let yes = alice.says("yes");
    bob.hears(&yes, "yes");
}

#[test]
fn a_clone_that_goes_on_with_an_ended_chain_is_noticed() {
    let (mut alice, mut bob) = in_session();
    let m = alice.says("1");
    bob.hears(&m, "1");
    let clone = alice.restored();
    let answer = bob.says("2");
    alice.hears(&answer, "2");
    let m = alice.says("3");
    bob.hears(&m, "3");
    alice.sessions = clone;
    let beyond = alice.says("beyond the end of the old chain");
    assert_eq!(bob.refuses(&beyond), DecryptError::Rollback);
}

#[test]
fn a_flood_of_skipped_messages_is_bounded() {
    let (mut alice, mut bob) = in_session();
    let said: Vec<_> = (0..=limits::SKIP_MAX + 1).map(|n| alice.says(&n.to_string())).collect();
    assert_eq!(bob.refuses(said.last().unwrap()), DecryptError::SkipLimit);
    let last = said.len() - 2;
    bob.hears(&said[last], &last.to_string());
    assert_eq!(bob.sessions.facts().skipped_keys, 1_000);
    bob.hears(&said[last + 1], &(last + 1).to_string());
    for (n, message) in said.iter().enumerate().take(10) {
        bob.hears(message, &n.to_string());
        assert_eq!(bob.refuses(message), DecryptError::Duplicate);
    }
    // A second gap in the same chain still fits, a third one does not.
    for gap in [1_000, 100] {
        (0..gap).for_each(|_| drop(alice.says("")));
        let said = alice.says("far");
        assert_eq!(bob.opens(&said).is_ok(), gap == 1_000);
    }
    assert!(bob.sessions.facts().skipped_keys <= limits::SKIPPED_KEYS_MAX);
}

#[test]
fn many_chains_with_gaps_are_bounded() {
    let (mut alice, mut bob) = in_session();
    let mut lost = Vec::new();
    for round in 0..12 {
        lost.push(alice.says(&format!("lost {round}")));
        let said = alice.says("there");
        bob.hears(&said, "there");
        let said = bob.says("yes");
        alice.hears(&said, "yes");
    }
    assert_eq!(bob.sessions.facts().skipped_keys, limits::RECEIVING_CHAINS_MAX);
    assert_eq!(bob.refuses(&lost[0]), DecryptError::NoSession);
    bob.hears(&lost[11], "lost 11");
    bob.hears(&lost[7], "lost 7");
}

#[test]
fn skipped_keys_and_set_aside_sessions_expire() {
    let (mut alice, mut bob) = in_session();
    let late = alice.says("late");
    let said = alice.says("there");
    bob.hears(&said, "there");
    bob.now = NOW.plus_ms(DAY_MS);
    bob.initiate(&alice.bundle());
    assert!(!bob.sessions.expire(NOW.plus_ms(29 * DAY_MS)));
    assert_eq!(
        bob.sessions.facts(),
        SessionFacts {
            sessions: 2,
            active: true,
            answered: false,
            since: Some(bob.now),
            last_used: Some(bob.now),
            skipped_keys: 1,
        }
    );
    assert!(bob.sessions.expire(NOW.plus_ms(31 * DAY_MS)));
    assert_eq!(bob.sessions.facts().sessions, 1);
    assert!(bob.sessions.can_encrypt(), "the one that speaks stays");
    assert_eq!(bob.refuses(&late), DecryptError::NoSession);
}

#[test]
fn sessions_with_one_peer_are_bounded() {
    let (mut alice, mut bob) = in_session();
    for day in 1..20 {
        bob.now = NOW.plus_ms(day * DAY_MS);
        bob.initiate(&alice.bundle());
        let said = bob.says("again");
        assert!(alice.hears(&said, "again").replaced_active);
        assert!(alice.sessions.facts().sessions <= limits::SESSIONS_MAX);
    }
}

#[test]
fn a_damaged_vault_row_is_refused() {
    let (mut alice, mut bob) = in_session();
    let _lost = alice.says("lost");
    let said = alice.says("there");
    bob.hears(&said, "there");
    let bytes = bob.sessions.to_secret_bytes();
    assert!(bytes.len() < 1_024, "small enough to be written on each step: {}", bytes.len());
    assert!(bob.restored().to_secret_bytes() == bytes);
    for cut in 0..bytes.len() {
        assert!(SessionSet::from_secret_bytes(&bytes.expose()[..cut]).is_err());
    }
}
