use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::limits::{GROUP_CHAIN_IDLE_MS, GROUP_CHAINS_MAX, GROUP_CHAINS_UNREAD_MAX, SKIP_MAX};

const GROUP: GroupId = GroupId([9; 32]);
const VIEW: ViewId = ViewId([8; 32]);
const NOW: Timestamp = Timestamp(1_000);

fn account(number: u8) -> AccountId {
    AccountId([number; 32])
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn roster() -> BTreeSet<AccountId> {
    BTreeSet::from([account(1), account(2), account(3)])
}

fn say(key: &mut SenderKey, text: &[u8]) -> GroupMessageIn {
    let context = SendContext { group: GROUP, author: account(1), view: VIEW, roster: &roster(), heads: &[], now: NOW };
    key.encrypt(&context, text, &mut rng()).unwrap()
}

fn pair() -> (SenderKey, MemberChains) {
    let mut key = SenderKey::generate(VIEW, NOW, &mut rng());
    let mut chains = MemberChains::new(GROUP, account(1));
    assert_eq!(chains.accept(&key.hand_to(account(2)), NOW), Ok(true));
    (key, chains)
}

#[test]
fn each_message_opens_once_and_a_refused_one_changes_nothing() {
    let (mut key, mut chains) = pair();
    let message = say(&mut key, b"hello");
    let before = chains.to_secret_bytes();
    for byte in 0..message.ciphertext.0.len() {
        let mut changed = message.clone();
        changed.ciphertext.0[byte] ^= 1;
        assert_eq!(chains.decrypt(&changed, NOW), Err(GroupDecryptError::Forged));
    }
    assert!(before == chains.to_secret_bytes());
    assert_eq!(chains.decrypt(&message, NOW).unwrap().expose(), b"hello");
    let after = chains.to_secret_bytes();
    assert_eq!(chains.decrypt(&message, NOW), Err(GroupDecryptError::Duplicate));
    assert!(after == chains.to_secret_bytes());
}

#[test]
fn an_insider_with_the_chain_key_cannot_speak_for_its_owner() {
    let (mut key, mut chains) = pair();
    // Carol holds Alice's chain key, and signs with a key of her own.
    let handed = key.hand_to(account(3));
    let mut forger = SenderKey::generate(VIEW, NOW, &mut rng());
    forger.chain = handed.chain;
    forger.key = ChainKey(Secret::from_bytes(handed.key.0));
    forger.signing = SigningKey::from_seed(&Secret::from_bytes([5; 32]));
    assert_eq!(chains.decrypt(&say(&mut forger, b"I am Alice"), NOW), Err(GroupDecryptError::Forged));
    // Nor does she hand it over again under another signing key.
    let mut other = handed;
    other.signing = forger.signing.verifying_key().to_wire();
    assert_eq!(chains.accept(&other, NOW), Err(ChainError::Conflict));
}

#[test]
fn a_message_is_refused_in_another_group_view_or_place() {
    let (mut key, mut chains) = pair();
    let message = say(&mut key, b"hello");
    let mut elsewhere = MemberChains::new(GroupId([1; 32]), account(1));
    elsewhere.accept(&key.hand_to(account(2)), NOW).unwrap();
    assert_eq!(elsewhere.decrypt(&message, NOW), Err(GroupDecryptError::Forged));
    for change in [
        |message: &mut GroupMessageIn| message.view = ViewId([0; 32]),
        |message: &mut GroupMessageIn| message.number = 1,
        |message: &mut GroupMessageIn| message.heads.push(MessageHash([1; 32])),
        |message: &mut GroupMessageIn| message.author = account(2),
    ] {
        let mut changed = message.clone();
        change(&mut changed);
        assert_eq!(chains.decrypt(&changed, NOW), Err(GroupDecryptError::Forged));
    }
    assert!(chains.decrypt(&message, NOW).is_ok());
}

#[test]
fn nothing_is_encrypted_while_somebody_holds_the_chain_who_was_removed() {
    let (mut key, _) = pair();
    key.hand_to(account(3));
    let without: BTreeSet<_> = [account(1), account(2)].into();
    let context = SendContext { group: GROUP, author: account(1), view: VIEW, roster: &without, heads: &[], now: NOW };
    assert_eq!(key.encrypt(&context, b"secret", &mut rng()), Err(GroupEncryptError::MustRotate));
    let old = NOW.plus_ms(GROUP_CHAIN_ROTATE_MS);
    assert!(key.must_rotate(&roster(), old) && !key.must_rotate(&roster(), NOW));
    for _ in 0..GROUP_CHAIN_MAX_MESSAGES {
        say(&mut key, b"");
    }
    assert!(key.must_rotate(&roster(), NOW), "after a hundred messages");
}

#[test]
fn a_newcomer_reads_nothing_from_before() {
    let (mut key, _) = pair();
    let before = say(&mut key, b"before");
    let mut newcomer = MemberChains::new(GROUP, account(1));
    newcomer.accept(&key.hand_to(account(3)), NOW).unwrap();
    assert_eq!(newcomer.decrypt(&before, NOW), Err(GroupDecryptError::TooOld));
    assert_eq!(newcomer.decrypt(&say(&mut key, b"after"), NOW).unwrap().expose(), b"after");
}

#[test]
fn a_flood_of_skipped_numbers_or_chains_is_bounded() {
    let (mut key, mut chains) = pair();
    key.number = SKIP_MAX + 1;
    key.created = NOW;
    // Only the owner could sign this: the bound holds even against them.
    let mut message = say_unchecked(&mut key);
    assert_eq!(chains.decrypt(&message, NOW), Err(GroupDecryptError::SkipLimit));
    message.number = u32::MAX;
    message.signature = message.signed_by(&key.signing, GROUP).to_wire();
    assert_eq!(chains.decrypt(&message, NOW), Err(GroupDecryptError::SkipLimit));
    for seed in 0..80 {
        let mut other = SenderKey::generate(VIEW, NOW, &mut ChaCha20Rng::seed_from_u64(100 + seed));
        chains.accept(&other.hand_to(account(2)), NOW).unwrap();
    }
    assert_eq!(chains.chains.len(), GROUP_CHAINS_UNREAD_MAX);
}

#[test]
fn no_chain_goes_before_it_was_read_and_none_stays_for_long_after() {
    let mut chains = MemberChains::new(GROUP, account(1));
    let mut keys: Vec<SenderKey> =
        (0..20).map(|seed| SenderKey::generate(VIEW, NOW, &mut ChaCha20Rng::seed_from_u64(seed))).collect();
    for key in &mut keys {
        chains.accept(&key.hand_to(account(2)), NOW).unwrap();
    }
    // As somebody reads who was away: what was said first may come last.
    let messages: Vec<_> = keys.iter_mut().flat_map(|key| [say(key, b"one"), say(key, b"two")]).collect();
    for message in messages.iter().rev() {
        assert!(chains.decrypt(message, NOW).is_ok());
    }
    let later = NOW.plus_ms(GROUP_CHAIN_IDLE_MS + 1);
    assert!(chains.expire(later));
    assert_eq!(chains.chains.len(), GROUP_CHAINS_MAX);
    assert!(chains.decrypt(&say(&mut keys[19], b"three"), later).is_ok(), "the newest is kept");
}

#[test]
fn whoever_lost_a_chain_is_handed_it_where_they_got_it_first() {
    let (mut key, _) = pair();
    let _ = say(&mut key, b"before carol");
    let _ = key.hand_to(account(3));
    let missed = say(&mut key, b"missed");
    let mut again = SenderKey::from_secret_bytes(key.to_secret_bytes().expose()).unwrap();
    let handed = again.hand_to(account(3));
    assert_eq!(handed.number, 1, "and no earlier");
    let mut chains = MemberChains::new(GROUP, account(1));
    chains.accept(&handed, NOW).unwrap();
    assert_eq!(chains.decrypt(&missed, NOW).unwrap().expose(), b"missed");
}

fn say_unchecked(key: &mut SenderKey) -> GroupMessageIn {
    let mut message = GroupMessageIn {
        version: GROUP_MESSAGE_VERSION,
        author: account(1),
        chain: key.chain,
        number: key.number,
        view: VIEW,
        heads: Vec::new(),
        ciphertext: Bytes(vec![0; 300]),
        signature: Fixed([0; 64]),
    };
    message.signature = message.signed_by(&key.signing, GROUP).to_wire();
    message
}

#[test]
fn states_read_back_from_the_vault() {
    let (mut key, mut chains) = pair();
    let messages: Vec<_> = (0..4_u8).map(|number| say(&mut key, &[number])).collect();
    chains.decrypt(&messages[3], NOW).unwrap();
    let mut chains = MemberChains::from_secret_bytes(chains.to_secret_bytes().expose()).unwrap();
    assert_eq!(chains.decrypt(&messages[1], NOW).unwrap().expose(), [1]);
    let mut again = SenderKey::from_secret_bytes(key.to_secret_bytes().expose()).unwrap();
    assert_eq!(chains.decrypt(&say(&mut again, b"on"), NOW).unwrap().expose(), b"on");
    assert!(again.holders().eq(key.holders()));
    assert!(chains.expire(NOW.plus_ms(crate::limits::SKIPPED_KEYS_KEEP_MS + 1)));
    assert_eq!(chains.decrypt(&messages[0], NOW), Err(GroupDecryptError::Duplicate));
}

proptest! {
    #[test]
    fn any_order_and_repetition_opens_each_message_once(order in proptest::collection::vec(0..40_usize, 0..120)) {
        let (mut key, mut chains) = pair();
        let messages: Vec<_> = (0..40_u8).map(|number| say(&mut key, &[number])).collect();
        let mut seen = BTreeSet::new();
        for at in order {
            match chains.decrypt(&messages[at], NOW) {
                Ok(opened) => {
                    prop_assert_eq!(opened.expose(), [u8::try_from(at).unwrap()]);
                    prop_assert!(seen.insert(at));
                }
                Err(error) => {
                    prop_assert_eq!(error, GroupDecryptError::Duplicate);
                    prop_assert!(seen.contains(&at));
                }
            }
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = GroupMessageIn::decode(&noise) {
            prop_assert_eq!(message.encode().unwrap(), noise);
        }
    }
}
