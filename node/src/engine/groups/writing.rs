//! How far each rendezvous node's copy of a group's log was written: each has its own lane,
//! which is kept in memory only.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::messaging::group::Unacknowledged;
use crate::messaging::limits::GROUP_APPEND_PAUSE_MS;
use crate::network::Address;

/// What became of a batch at one node.
pub(crate) struct Appended {
    /// The node has these.
    pub(crate) taken: Vec<Unacknowledged>,
    /// The others.
    pub(crate) rest: Rest,
}

/// What became of the messages of a batch that were not appended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There are none, but for those that the node will never take.
    Nothing,
    /// It ended before the message of this order, so that the others are told.
    From(u64),
    /// The node could not be asked: whatever no other node takes is tried again later.
    Given,
}

/// One node's.
#[derive(Default)]
pub(super) struct Lane {
    /// A batch is on its way.
    busy: bool,
    /// The order of the next message there; without one, the first that no node has.
    pub(super) next: Option<u64>,
    /// It did not answer: it is left alone until then, if there is another.
    paused: Option<Instant>,
}

impl Lane {
    /// A batch is on its way, up to the one before `next`.
    pub(super) const fn begin(&mut self, next: u64) {
        (self.busy, self.next) = (true, Some(next));
    }

    /// The batch came to this.
    pub(super) fn ended(&mut self, appended: &Appended, now: Instant) {
        self.busy = false;
        match appended.rest {
            Rest::Nothing => self.paused = None,
            Rest::From(order) => self.next = Some(order),
            Rest::Given => {
                self.next = None;
                self.paused = Some(now + Duration::from_millis(GROUP_APPEND_PAUSE_MS));
            }
        }
    }
}

/// All nodes of one group.
#[derive(Default)]
pub(super) struct Writing(BTreeMap<String, Lane>);

impl Writing {
    /// The nodes at which a batch may begin: those that answered last, or all if none did.
    pub(super) fn ready<'a>(&mut self, nodes: &'a [Address], now: Instant) -> Vec<&'a Address> {
        self.0.retain(|name, lane| lane.busy || nodes.iter().any(|node| node.to_string() == *name));
        let paused = |node: &Address| {
            let until = self.0.get(&node.to_string()).and_then(|lane| lane.paused);
            until.is_some_and(|until| now < until)
        };
        let all_paused = nodes.iter().all(paused);
        let busy = |node: &Address| self.0.get(&node.to_string()).is_some_and(|lane| lane.busy);
        nodes.iter().filter(|node| (all_paused || !paused(node)) && !busy(node)).collect()
    }

    /// A node's lane.
    pub(super) fn lane(&mut self, node: &str) -> &mut Lane {
        self.0.entry(node.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::parse_rendezvous;

    fn nodes() -> Vec<Address> {
        let names = [
            "/memory/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
            "/memory/2/p2p/12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust",
        ];
        names.iter().map(|name| parse_rendezvous(name).unwrap()).collect()
    }

    fn came_to(rest: Rest) -> Appended {
        Appended { taken: Vec::new(), rest }
    }

    #[test]
    fn a_node_that_did_not_answer_is_left_alone_while_there_is_another() {
        let (nodes, now) = (nodes(), Instant::now());
        let mut writing = Writing::default();
        assert_eq!(writing.ready(&nodes, now).len(), 2);
        let slow = nodes[0].to_string();
        writing.lane(&slow).begin(5);
        assert_eq!(writing.ready(&nodes, now), [&nodes[1]], "one batch after the other");
        writing.lane(&slow).ended(&came_to(Rest::Given), now);
        assert_eq!(writing.ready(&nodes, now), [&nodes[1]]);
        assert_eq!(writing.lane(&slow).next, None, "what no other took comes again");
        let later = now + Duration::from_millis(GROUP_APPEND_PAUSE_MS);
        assert_eq!(writing.ready(&nodes, later).len(), 2);
        assert_eq!(writing.ready(&nodes[..1], now), [&nodes[0]], "there is no other");
    }

    #[test]
    fn a_batch_that_took_long_goes_on_where_it_ended() {
        let (nodes, now) = (nodes(), Instant::now());
        let mut writing = Writing::default();
        let name = nodes[0].to_string();
        writing.lane(&name).begin(16);
        writing.lane(&name).ended(&came_to(Rest::From(4)), now);
        assert_eq!(writing.lane(&name).next, Some(4));
        assert_eq!(writing.ready(&nodes, now).len(), 2);
    }
}
