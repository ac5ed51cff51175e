//! Where peers were last reached or said to be: a bounded memory of addresses.
//! libp2p forgets an address when one dial to it fails; this one does not.

use std::collections::HashMap;
use std::time::Instant;

use libp2p::{Multiaddr, PeerId};

use super::address::{is_relayed, without_peer};
use super::limits::{ADDRESS_BOOK_PEERS_MAX, ADDRESSES_PER_PEER_MAX};

/// Addresses of peers, best first.
#[derive(Default)]
pub(super) struct AddressBook {
    peers: HashMap<PeerId, Page>,
}

struct Page {
    /// Most recently confirmed or named first.
    addresses: Vec<Multiaddr>,
    touched: Instant,
}

impl AddressBook {
    /// Notes addresses that somebody named for `peer`, behind those that worked.
    pub(super) fn add(&mut self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>, now: Instant) {
        let mut addresses = addresses.into_iter().filter(|address| !is_relayed(address)).peekable();
        if addresses.peek().is_none() {
            return;
        }
        let page = self.page(peer, now);
        for address in addresses {
            let address = without_peer(&address);
            if page.addresses.contains(&address) {
                continue;
            }
            if page.addresses.len() == ADDRESSES_PER_PEER_MAX {
                page.addresses.pop();
            }
            // Behind the one that worked last, before older hearsay.
            let at = page.addresses.len().min(1);
            page.addresses.insert(at, address);
        }
    }

    /// Notes that `peer` was reached at `address`: it comes first from now on.
    pub(super) fn worked(&mut self, peer: PeerId, address: &Multiaddr, now: Instant) {
        if is_relayed(address) {
            return;
        }
        let address = without_peer(address);
        let page = self.page(peer, now);
        page.addresses.retain(|known| *known != address);
        page.addresses.insert(0, address);
        page.addresses.truncate(ADDRESSES_PER_PEER_MAX);
    }

    /// Notes that an address is no more.
    pub(super) fn remove(&mut self, peer: PeerId, address: &Multiaddr) {
        let address = without_peer(address);
        if let Some(page) = self.peers.get_mut(&peer) {
            page.addresses.retain(|known| *known != address);
            if page.addresses.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    /// What is known of a peer's direct addresses, best first, without `/p2p/`.
    pub(super) fn addresses(&self, peer: &PeerId) -> &[Multiaddr] {
        self.peers.get(peer).map_or(&[], |page| &page.addresses)
    }

    fn page(&mut self, peer: PeerId, now: Instant) -> &mut Page {
        if self.peers.len() >= ADDRESS_BOOK_PEERS_MAX && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, page)| page.touched).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                self.peers.remove(&oldest);
            }
        }
        let page = self.peers.entry(peer).or_insert_with(|| Page { addresses: Vec::new(), touched: now });
        page.touched = now;
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn an_address_that_worked_comes_first_and_survives_hearsay() {
        let (mut book, peer, now) = (AddressBook::default(), PeerId::random(), Instant::now());
        book.add(peer, [address(1), address(2)], now);
        book.worked(peer, &address(9), now);
        book.add(peer, (100..200).map(address), now);
        assert_eq!(book.addresses(&peer).first(), Some(&address(9)));
        assert_eq!(book.addresses(&peer).len(), ADDRESSES_PER_PEER_MAX);
        assert!(book.addresses(&peer).contains(&address(199)), "the newest hearsay is kept");
    }

    #[test]
    fn the_book_forgets_whom_nobody_asked_for_longest() {
        let (mut book, start) = (AddressBook::default(), Instant::now());
        let peers: Vec<_> = (0..=ADDRESS_BOOK_PEERS_MAX).map(|_| PeerId::random()).collect();
        for (at, peer) in peers.iter().enumerate() {
            book.add(*peer, [address(1)], start + std::time::Duration::from_millis(at as u64));
        }
        assert!(book.addresses(&peers[0]).is_empty());
        assert_eq!(book.addresses(&peers[1]), [address(1)]);
    }
}
