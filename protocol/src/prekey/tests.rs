use super::*;
use crate::limits::DAY_MS;
use crate::wire::codec::{decode, encode};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const NOW: Timestamp = Timestamp(1_000 * DAY_MS);

struct Bob {
    identity: IdentityKeyPair,
    prekeys: PreKeys,
    rng: ChaCha20Rng,
}

fn bob(seed: u64) -> Bob {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let identity = IdentityKeyPair::generate(&mut rng, NOW);
    let prekeys = PreKeys::generate(&identity, NOW, &mut rng);
    Bob { identity, prekeys, rng }
}

impl Bob {
    fn bundle(&mut self) -> BundleIn {
        BundleIn {
            identity: self.identity.public().to_wire(),
            signed: self.prekeys.signed_public(),
            kit: self.prekeys.take_kit_public(),
        }
    }

    fn maintain(&mut self, now: Timestamp) -> Changes {
        self.prekeys.maintain(&self.identity, now, &mut self.rng)
    }
}

#[test]
fn a_bundle_is_verified_as_it_travels() {
    let mut bob = bob(1);
    let bytes = encode(&bob.bundle(), limits::BUNDLE_MAX_BYTES).unwrap();
    let received: BundleIn = decode(&bytes, limits::BUNDLE_MAX_BYTES).unwrap();
    let verified = received.verify(NOW, Some(bob.identity.account_id())).unwrap();
    assert!(verified.has_kit() && !verified.is_stale(NOW));
    assert_eq!(verified.identity(), bob.identity.public());
}

#[test]
fn a_bundle_of_another_account_is_refused() {
    let other = bob(2).identity.account_id();
    assert_eq!(bob(1).bundle().verify(NOW, Some(other)), Err(BundleError::WrongAccount));
}

#[test]
fn a_signed_prekey_served_as_a_kit_is_refused() {
    let mut bundle = bob(1).bundle();
    let signed = bundle.signed.clone();
    bundle.kit =
        Some(KitIn { id: signed.id, dh_key: signed.dh_key, kem_key: signed.kem_key, signature: signed.signature });
    assert_eq!(bundle.verify(NOW, None), Err(BundleError::KitSignature));
}

#[test]
fn keys_of_another_identity_are_refused() {
    let (mut bundle, other) = (bob(1).bundle(), bob(2).bundle());
    bundle.kit = other.kit;
    assert_eq!(bundle.verify(NOW, None), Err(BundleError::KitSignature));
    bundle.kit = None;
    bundle.signed = other.signed;
    assert_eq!(bundle.verify(NOW, None), Err(BundleError::SignedPreKeySignature));
}

#[test]
fn every_flipped_bit_of_a_bundle_is_refused() {
    let bytes = encode(&bob(1).bundle(), limits::BUNDLE_MAX_BYTES).unwrap();
    // Every bit of every eleventh byte: 11 is prime to all the sizes inside.
    for bit in (0..bytes.len()).step_by(11).flat_map(|byte| byte * 8..byte * 8 + 8) {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let accepted =
            decode::<BundleIn>(&changed, limits::BUNDLE_MAX_BYTES).is_ok_and(|b| b.verify(NOW, None).is_ok());
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn a_signed_prekey_from_the_future_or_from_last_year_is_refused() {
    let mut bob = bob(1);
    let bundle = bob.bundle();
    assert_eq!(bundle.verify(Timestamp(NOW.0 - 2 * DAY_MS), None), Err(BundleError::BadTimes));
    assert!(bundle.verify(Timestamp(NOW.0 - DAY_MS / 2), None).is_ok(), "clocks differ");
    assert_eq!(bundle.verify(NOW.plus_ms(366 * DAY_MS), None), Err(BundleError::Expired));
    let endless = SignedPreKeyIn { expires: Timestamp(u64::MAX), ..bundle.signed.clone() }.signed(&bob.identity);
    let bundle = BundleIn { signed: endless, ..bundle };
    assert_eq!(bundle.verify(NOW, None), Err(BundleError::BadTimes));
}

#[test]
fn someone_away_for_months_stays_reachable_through_their_last_signed_prekey() {
    let mut bob = bob(1);
    let bundle = bob.bundle();
    let later = NOW.plus_ms(100 * DAY_MS);
    assert!(bundle.verify(later, None).unwrap().is_stale(later));
    assert!(bob.maintain(later).rotated, "bob is back");
    assert!(bob.prekeys.lookup(&bundle.signed.id, None, &[0; 32]).is_ok());
    assert!(bob.maintain(later.plus_ms(29 * DAY_MS)).rotated);
    assert!(bob.prekeys.lookup(&bundle.signed.id, None, &[0; 32]).is_ok());
    assert_eq!(bob.maintain(later.plus_ms(31 * DAY_MS)).deleted, 1);
    assert!(matches!(bob.prekeys.lookup(&bundle.signed.id, None, &[0; 32]), Err(LookupError::Unknown)));
}

#[test]
fn the_signed_prekey_rotates_weekly_and_not_before() {
    let mut bob = bob(1);
    let first = bob.prekeys.signed_public().id;
    assert_eq!(bob.maintain(NOW.plus_ms(6 * DAY_MS)), Changes::default());
    assert!(bob.maintain(NOW.plus_ms(7 * DAY_MS)).rotated);
    assert_ne!(bob.prekeys.signed_public().id, first);
    for week in 2..60 {
        bob.maintain(NOW.plus_ms(week * 7 * DAY_MS));
        assert!(bob.prekeys.signed.len() <= 6);
    }
}

#[test]
fn kits_are_refilled_below_twenty() {
    let mut bob = bob(1);
    assert_eq!(bob.prekeys.kits_here(), 50);
    for _ in 0..30 {
        bob.prekeys.take_kit_public().unwrap();
    }
    assert_eq!((bob.maintain(NOW).kits_made, bob.prekeys.kits_here()), (0, 20));
    bob.prekeys.take_kit_public().unwrap();
    assert_eq!((bob.maintain(NOW).kits_made, bob.prekeys.kits_here()), (31, 50));
}

#[test]
fn no_kit_is_given_to_two_holders() {
    let mut bob = bob(1);
    let (one, two) = (KitHolder([1; 32]), KitHolder([2; 32]));
    let ids = |kits: Vec<KitIn>| kits.into_iter().map(|kit| kit.id).collect::<BTreeSet<_>>();
    let (first, second) = (ids(bob.prekeys.kits_for(one, 20)), ids(bob.prekeys.kits_for(two, 20)));
    assert!(first.is_disjoint(&second) && first.len() == 20);
    assert_eq!(ids(bob.prekeys.kits_for(one, 20)), first, "asking again sets none aside");
    bob.prekeys.holder_has_left(one, 15);
    let refilled = ids(bob.prekeys.kits_for(one, 20));
    assert_eq!((refilled.len(), refilled.intersection(&first).count()), (20, 15));
    let given = bob.prekeys.take_kit_public().unwrap().id;
    assert!(!refilled.contains(&given) && !second.contains(&given));
}

#[test]
fn kits_run_out_without_harm() {
    let mut bob = bob(1);
    while bob.prekeys.take_kit_public().is_some() {}
    let bundle = bob.bundle();
    assert!(bundle.kit.is_none());
    assert!(!bundle.verify(NOW, None).unwrap().has_kit());
}

#[test]
fn a_used_kit_and_a_seen_first_message_are_refused() {
    let mut bob = bob(1);
    let bundle = bob.bundle();
    let (signed, kit) = (bundle.signed.id, bundle.kit.unwrap().id);
    bob.prekeys.used(&signed, Some(&kit), &[7; 32]);
    assert!(matches!(bob.prekeys.lookup(&signed, Some(&kit), &[8; 32]), Err(LookupError::Unknown)));
    assert!(matches!(bob.prekeys.lookup(&signed, None, &[7; 32]), Err(LookupError::Replay)));
    assert!(bob.prekeys.lookup(&signed, None, &[8; 32]).is_ok());
}

#[test]
fn a_flood_of_first_messages_fills_a_bounded_memory_and_hastens_the_rotation() {
    let mut bob = bob(1);
    let signed = bob.prekeys.signed_public().id;
    for number in 0..limits::FIRST_MESSAGES_MAX as u32 + 10 {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        bob.prekeys.used(&signed, None, &hash);
    }
    assert!(matches!(bob.prekeys.lookup(&signed, None, &[9; 32]), Err(LookupError::Full)));
    let kit = bob.bundle().kit.unwrap().id;
    assert!(bob.prekeys.lookup(&signed, Some(&kit), &[9; 32]).is_ok(), "who has a kit still gets through");
    assert!(bob.maintain(NOW).rotated);
}

#[test]
fn prekeys_come_back_from_the_vault() {
    let mut bob = bob(1);
    let bundle = bob.bundle();
    bob.prekeys.kits_for(KitHolder([1; 32]), 3);
    bob.prekeys.used(&bundle.signed.id, None, &[7; 32]);
    bob.maintain(NOW.plus_ms(8 * DAY_MS));
    let bytes = bob.prekeys.to_secret_bytes();
    let restored = PreKeys::from_secret_bytes(bytes.expose()).unwrap();
    assert_eq!(restored.to_secret_bytes(), bytes);
    assert_eq!(restored.signed_public(), bob.prekeys.signed_public());
    assert!(matches!(restored.lookup(&bundle.signed.id, None, &[7; 32]), Err(LookupError::Replay)));
    for cut in [0, 1, 5, bytes.len() / 2, bytes.len() - 1] {
        assert!(PreKeys::from_secret_bytes(&bytes.expose()[..cut]).is_err());
    }
}
