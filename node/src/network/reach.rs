//! Reaching a peer: direct addresses at once, relayed ones after a short head
//! start, whichever comes first wins. A state machine: the caller dials, and says
//! what became of each dial.

use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use super::event::DialError;
use super::limits::{DIRECT_ROUNDS_MAX, REACH_TIMEOUT, RELAY_HEAD_START};

/// One attempt to reach a peer.
pub(super) struct Reach {
    deadline: Instant,
    direct: Leg,
    relayed: Leg,
    /// Direct rounds dialled so far.
    rounds: u8,
    /// All direct addresses of this attempt, for another round.
    addresses: Vec<Multiaddr>,
    error: Option<DialError>,
}

/// One of the two ways.
enum Leg {
    /// Dial these at this time.
    Planned(Instant, Vec<Multiaddr>),
    Dialling(ConnectionId),
    Spent,
}

/// What became of a failed dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// Not one of this attempt's.
    Foreign,
    /// Something is still under way.
    GoesOn,
    /// Nothing is left to try.
    Hopeless,
}

impl Reach {
    /// Plans the attempt. With no addresses at all it is hopeless from the start.
    pub(super) fn new(direct: Vec<Multiaddr>, relayed: Vec<Multiaddr>, now: Instant) -> Self {
        let relayed_at = if direct.is_empty() { now } else { now + RELAY_HEAD_START };
        let relayed = if relayed.is_empty() { Leg::Spent } else { Leg::Planned(relayed_at, relayed) };
        let addresses = direct.clone();
        let direct = if direct.is_empty() { Leg::Spent } else { Leg::Planned(now, direct) };
        Self { deadline: now + REACH_TIMEOUT, direct, relayed, rounds: 0, addresses, error: None }
    }

    /// Adds direct addresses that were learned meanwhile.
    pub(super) fn learn(&mut self, addresses: impl IntoIterator<Item = Multiaddr>, now: Instant) {
        let mut new: Vec<_> = addresses.into_iter().filter(|address| !self.addresses.contains(address)).collect();
        if new.is_empty() {
            return;
        }
        self.addresses.extend(new.iter().cloned());
        match &mut self.direct {
            Leg::Planned(_, planned) => planned.append(&mut new),
            // Those under way were dialled without the new ones: they follow in the next round.
            Leg::Dialling(_) => {}
            Leg::Spent => self.direct = Leg::Planned(now, new),
        }
    }

    /// What to dial now. Tell the connection's id with [`Self::dialling`] for each.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Way, Vec<Multiaddr>)> {
        let mut due = Vec::new();
        for (way, leg) in [(Way::Direct, &mut self.direct), (Way::Relayed, &mut self.relayed)] {
            if let Leg::Planned(at, addresses) = leg
                && *at <= now
            {
                due.push((way, std::mem::take(addresses)));
                *leg = Leg::Spent;
            }
        }
        due
    }

    /// The dial of what [`Self::due`] named is under way.
    pub(super) fn dialling(&mut self, way: Way, id: ConnectionId) {
        match way {
            Way::Direct => {
                self.rounds = self.rounds.saturating_add(1);
                self.direct = Leg::Dialling(id);
            }
            Way::Relayed => self.relayed = Leg::Dialling(id),
        }
    }

    /// A dial has failed. A direct one that failed for a `passing` reason is
    /// planned again after `wait`; then the relayed way does not wait any longer.
    pub(super) fn failed(&mut self, id: ConnectionId, passing: bool, wait: Duration, now: Instant) -> Failed {
        if matches!(self.relayed, Leg::Dialling(relayed) if relayed == id) {
            self.relayed = Leg::Spent;
        } else if matches!(self.direct, Leg::Dialling(direct) if direct == id) {
            self.direct = if passing && self.rounds < DIRECT_ROUNDS_MAX {
                Leg::Planned(now + wait, self.addresses.clone())
            } else {
                Leg::Spent
            };
            if let Leg::Planned(at, _) = &mut self.relayed {
                *at = now;
            }
        } else {
            return Failed::Foreign;
        }
        if self.is_hopeless() { Failed::Hopeless } else { Failed::GoesOn }
    }

    /// Somebody else answers at this address. True when there are others to try.
    pub(super) fn forget(&mut self, address: &Multiaddr) -> bool {
        self.addresses.retain(|known| known != address);
        !self.addresses.is_empty()
    }

    /// Keeps the first error of a dial: it is the direct one's, where there is one.
    pub(super) fn note(&mut self, error: DialError) {
        self.error.get_or_insert(error);
    }

    /// Why nothing was reached.
    pub(super) fn error(&self) -> Option<DialError> {
        self.error.clone()
    }

    /// Nothing is planned or under way.
    pub(super) fn is_hopeless(&self) -> bool {
        matches!((&self.direct, &self.relayed), (Leg::Spent, Leg::Spent))
    }

    /// Its time is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now
    }

    /// When something is to be done next.
    pub(super) fn next(&self) -> Instant {
        [&self.direct, &self.relayed]
            .into_iter()
            .filter_map(|leg| if let Leg::Planned(at, _) = leg { Some(*at) } else { None })
            .fold(self.deadline, Instant::min)
    }
}

/// Direct or relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    Relayed,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(50);

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    fn dial(reach: &mut Reach, now: Instant) -> Vec<(Way, ConnectionId)> {
        let due = reach.due(now);
        due.into_iter()
            .map(|(way, addresses)| {
                assert!(!addresses.is_empty());
                let id = ConnectionId::new_unchecked(now.elapsed().subsec_nanos() as usize);
                reach.dialling(way, id);
                (way, id)
            })
            .collect()
    }

    #[test]
    fn direct_addresses_have_a_head_start() {
        let now = Instant::now();
        let mut reach = Reach::new(vec![address(1)], vec![address(2)], now);
        assert_eq!(dial(&mut reach, now).len(), 1);
        assert_eq!(reach.next(), now + RELAY_HEAD_START);
        let relayed = dial(&mut reach, now + RELAY_HEAD_START);
        assert_eq!(relayed[0].0, Way::Relayed);
    }

    #[test]
    fn the_relayed_way_does_not_wait_for_nothing() {
        let now = Instant::now();
        let mut without = Reach::new(Vec::new(), vec![address(2)], now);
        assert_eq!(dial(&mut without, now)[0].0, Way::Relayed);
        let mut refused = Reach::new(vec![address(1)], vec![address(2)], now);
        let direct = dial(&mut refused, now)[0].1;
        assert_eq!(refused.failed(direct, false, WAIT, now), Failed::GoesOn);
        let relayed = dial(&mut refused, now);
        assert_eq!(relayed[0].0, Way::Relayed);
        assert_eq!(refused.failed(relayed[0].1, false, WAIT, now), Failed::Hopeless);
    }

    #[test]
    fn a_passing_failure_is_tried_again_a_few_times() {
        let mut now = Instant::now();
        let mut reach = Reach::new(vec![address(1)], Vec::new(), now);
        for round in 1..=DIRECT_ROUNDS_MAX {
            let id = dial(&mut reach, now)[0].1;
            now += WAIT;
            let expected = if round == DIRECT_ROUNDS_MAX { Failed::Hopeless } else { Failed::GoesOn };
            assert_eq!(reach.failed(id, true, Duration::ZERO, now), expected);
        }
    }

    #[test]
    fn addresses_learned_meanwhile_are_dialled() {
        let now = Instant::now();
        let mut reach = Reach::new(Vec::new(), Vec::new(), now);
        assert!(reach.is_hopeless());
        reach.learn([address(3)], now);
        assert!(!reach.is_hopeless());
        assert_eq!(reach.due(now), [(Way::Direct, vec![address(3)])]);
        assert!(reach.is_over(now + REACH_TIMEOUT));
    }
}
