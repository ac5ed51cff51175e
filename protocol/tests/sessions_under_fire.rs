//! Two people over a network that loses, doubles, delays and reorders, with
//! devices that restart, crash, and come back from backups: whatever happens, a
//! message is opened at most once, what does not open changes nothing, no nonce
//! ever comes twice, and where nothing was lost for good everything arrives.
#![allow(clippy::unwrap_used, reason = "a test: clippy sees the functions around it only as code")]

use std::collections::HashSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::prekey::{BundleIn, PreKeys};
use secure_chat_protocol::session::{DecryptError, SessionSet, peek_initial};

const START: Timestamp = Timestamp(1_700_000_000_000);
const ALICE: usize = 0;
const BOB: usize = 1;

struct Device {
    identity: IdentityKeyPair,
    prekeys: PreKeys,
    sessions: SessionSet,
    opened: HashSet<u32>,
}

impl Device {
    /// What a restart finds in the vault.
    fn stored(&self) -> (Vec<u8>, Vec<u8>) {
        (self.sessions.to_secret_bytes().expose().to_vec(), self.prekeys.to_secret_bytes().expose().to_vec())
    }

    fn load(&mut self, (sessions, prekeys): &(Vec<u8>, Vec<u8>)) {
        self.sessions = SessionSet::from_secret_bytes(sessions).unwrap();
        self.prekeys = PreKeys::from_secret_bytes(prekeys).unwrap();
    }
}

struct UnderWay {
    to: usize,
    number: u32,
    bytes: Vec<u8>,
}

struct World {
    rng: ChaCha20Rng,
    now: Timestamp,
    devices: [Device; 2],
    under_way: Vec<UnderWay>,
    sent: u32,
    nonces: HashSet<[u8; 24]>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let identities = [ALICE, BOB].map(|_| IdentityKeyPair::generate(&mut rng, START));
        let [alice, bob] = [ALICE, BOB].map(|who| identities[who].account_id());
        let [alices, bobs] = identities;
        let mut device = |identity: IdentityKeyPair, peer| Device {
            prekeys: PreKeys::generate(&identity, START, &mut rng),
            sessions: SessionSet::new(identity.account_id(), peer),
            identity,
            opened: HashSet::new(),
        };
        let devices = [device(alices, bob), device(bobs, alice)];
        Self { devices, rng, now: START, under_way: Vec::new(), sent: 0, nonces: HashSet::new() }
    }

    fn initiate(&mut self, who: usize) {
        let peer = &mut self.devices[1 - who];
        let kit = peer.prekeys.take_kit_public();
        let identity = peer.identity.public().to_wire();
        let bundle = BundleIn { identity, signed: peer.prekeys.signed_public(), kit };
        let bundle = bundle.verify(self.now, Some(peer.identity.account_id())).unwrap();
        let device = &mut self.devices[who];
        device.sessions.initiate(&device.identity, &bundle, self.now, &mut self.rng).unwrap();
    }

    fn encrypted(&mut self, who: usize) -> Vec<u8> {
        if !self.devices[who].sessions.can_encrypt() {
            self.initiate(who);
        }
        let text = self.sent.to_le_bytes();
        self.devices[who].sessions.encrypt(&text, self.now, &mut self.rng).unwrap()
    }

    fn send(&mut self, who: usize) {
        let bytes = self.encrypted(who);
        let skip =
            2 + if peek_initial(&bytes).is_ok() { 2 + usize::from(bytes[2]) + 256 * usize::from(bytes[3]) } else { 0 };
        assert!(self.nonces.insert(bytes[skip..skip + 24].try_into().unwrap()), "a nonce came twice");
        self.under_way.push(UnderWay { to: 1 - who, number: self.sent, bytes });
        self.sent += 1;
    }

    /// What the receiver made of it; never opens a message for the second time.
    fn deliver(&mut self, at: usize, keep: bool) -> Result<(), DecryptError> {
        let message = &self.under_way[at];
        let device = &mut self.devices[message.to];
        let before = device.stored();
        let opened = device.sessions.decrypt(&device.identity, &mut device.prekeys, &message.bytes, self.now);
        let verdict = match opened {
            Ok(opened) => {
                assert_eq!(opened.plaintext.expose(), message.number.to_le_bytes());
                assert!(device.opened.insert(message.number), "opened twice");
                Ok(())
            }
            Err(error) => {
                assert!(device.stored() == before, "{error} changed the state");
                Err(error)
            }
        };
        if !keep {
            self.under_way.remove(at);
        }
        verdict
    }

    fn restart(&mut self, who: usize) {
        let stored = self.devices[who].stored();
        self.devices[who].load(&stored);
    }

    /// The device dies between making a message and storing that it did: the message never left.
    fn crash_before_sending(&mut self, who: usize) {
        if self.devices[who].sessions.can_encrypt() {
            let stored = self.devices[who].stored();
            drop(self.encrypted(who));
            self.devices[who].load(&stored);
        }
    }

    /// The device dies between opening a message and storing that it did: it comes again.
    fn crash_before_acknowledging(&mut self, at: usize) {
        let to = self.under_way[at].to;
        let (stored, opened) = (self.devices[to].stored(), self.devices[to].opened.clone());
        let _ = self.deliver(at, true);
        self.devices[to].load(&stored);
        self.devices[to].opened = opened;
    }

    fn any_under_way(&mut self) -> Option<usize> {
        (!self.under_way.is_empty()).then(|| self.rng.random_range(0..self.under_way.len()))
    }

    fn settle(&mut self) {
        while !self.under_way.is_empty() {
            let _ = self.deliver(0, false);
        }
    }

    /// One message each way without any disturbance.
    fn talk(&mut self) -> bool {
        [ALICE, BOB].into_iter().all(|who| {
            self.send(who);
            self.now = self.now.plus_ms(1);
            self.deliver(self.under_way.len() - 1, false).is_ok()
        })
    }
}

#[test]
fn where_nothing_is_lost_for_good_everything_arrives_once() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        if seed % 3 == 0 {
            world.initiate(ALICE);
            world.initiate(BOB);
        }
        for _ in 0..120 {
            let who = world.rng.random_range(0..2);
            // Few enough under way that no chain is given up while it waits.
            let waiting = world.under_way.len();
            match world.rng.random_range(0..10) {
                0..4 if waiting < 4 => world.send(who),
                4 => world.restart(who),
                5 => world.crash_before_sending(who),
                6 => drop(world.any_under_way().map(|at| world.crash_before_acknowledging(at))),
                7 => {
                    // Delivered, and then again.
                    let Some(at) = world.any_under_way() else { continue };
                    assert_eq!(world.deliver(at, true), Ok(()));
                    assert!(world.deliver(at, false).is_err());
                }
                _ => {
                    let Some(at) = world.any_under_way() else { continue };
                    assert_eq!(world.deliver(at, false), Ok(()), "seed {seed}");
                }
            }
            world.now = world.now.plus_ms(1);
        }
        world.settle();
        let opened: usize = world.devices.iter().map(|device| device.opened.len()).sum();
        assert_eq!(opened, usize::try_from(world.sent).unwrap(), "seed {seed}");
        assert!(world.talk() && world.talk());
    }
}

#[test]
fn whatever_happens_nothing_is_opened_twice_and_the_conversation_heals() {
    for seed in 0..60 {
        let mut world = World::new(1_000 + seed);
        let mut backups = [world.devices[ALICE].stored(), world.devices[BOB].stored()];
        for _ in 0..150 {
            let who = world.rng.random_range(0..2);
            match world.rng.random_range(0..20) {
                0..8 => world.send(who),
                8..13 => drop(world.any_under_way().map(|at| world.deliver(at, false))),
                13 => drop(world.any_under_way().map(|at| world.deliver(at, true))),
                14 => drop(world.any_under_way().map(|at| world.under_way.remove(at))),
                15 => world.crash_before_sending(who),
                16 => drop(world.any_under_way().map(|at| world.crash_before_acknowledging(at))),
                17 => world.initiate(who),
                18 => backups[who] = world.devices[who].stored(),
                // A backup comes back: what was opened since would open again for it, so it is another device.
                _ => {
                    world.devices[who].load(&backups[who]);
                    world.devices[who].opened.clear();
                }
            }
            world.now = world.now.plus_ms(1);
        }
        world.settle();
        // Both sides give up their sessions, as they do when they are told of a rollback.
        for who in [ALICE, BOB] {
            world.devices[who].sessions.reset();
            world.devices[who].opened.clear();
        }
        world.initiate(ALICE);
        assert!(world.talk() && world.talk(), "seed {seed}");
    }
}
