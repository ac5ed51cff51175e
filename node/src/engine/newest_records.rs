//! The newest records of contacts: what they announce in their messages is asked for, and a node
//! that goes on to give an older one is told of.

use std::time::{Duration, Instant};

use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::record::Record;
use secure_chat_protocol::wire::rendezvous::{Found, PresenceStatus, Request, Response, Who};

use super::audit::Severity;
use super::state::Open;
use super::step::Step;
use super::work::Work;
use crate::messaging::contact::{Contact, Standing};
use crate::network::{Address, parse_rendezvous};
use crate::security::old_records::ASK_AFTER_MS;

fn held(contact: &Contact) -> u64 {
    contact.record().map_or(0, |record| record.seq())
}

impl Open {
    /// Somebody says, under encryption, what number their newest record has.
    pub(super) fn record_announced(&mut self, step: &Step<'_>, of: AccountId, seq: u64) {
        let Some(contact) = self.contacts.get(&of).filter(|contact| contact.standing != Standing::Gone) else { return };
        // One look at the number in the vault's record would check its signatures at every message.
        if self.newest.get(&of).is_some_and(|newest| seq <= *newest) {
            return;
        }
        let held = held(contact);
        self.newest.insert(of, held.max(seq));
        if self.old_records.announced(of, seq, held, step.now) {
            self.wake_at(Instant::now() + Duration::from_millis(ASK_AFTER_MS));
        }
    }

    /// Asks for the records that were announced and did not come.
    pub(super) fn ask_for_records(&mut self, step: &mut Step<'_>) {
        let contacts = &self.contacts;
        let due = self.old_records.due(step.now, |account| contacts.get(account).map_or(u64::MAX, held));
        for account in due {
            self.greet_again(step, account);
            self.ask_nodes_for(step, account);
        }
        if let Some(next) = self.old_records.next() {
            self.wake_at(Instant::now() + Duration::from_millis(next.0.saturating_sub(step.now.0)));
        }
    }

    /// Asks the nodes that may know for somebody's record, and where they listen.
    pub(super) fn ask_nodes_for(&self, step: &mut Step<'_>, account: AccountId) {
        let Some(contact) = self.contacts.get(&account) else { return };
        let theirs = contact.homes.iter().filter_map(|home| parse_rendezvous(home).ok());
        let theirs = theirs.filter(|home| !home.peer_id().is_some_and(|node| self.homes.contains_key(&node)));
        let own = self.ready_homes().into_iter().map(|home| (home, true));
        let nodes: Vec<(Address, bool)> = own.chain(theirs.map(|home| (home, false))).collect();
        let net = self.net.clone();
        step.work(async move {
            let mut found = Vec::new();
            for (node, ours) in nodes {
                let question = Request::Lookup(Who::Accounts(vec![account]));
                if let Ok(Response::Found { people, .. }) = net.ask_about(node.clone(), ours, question).await {
                    found.extend(people.into_iter().map(|person| (node.clone(), person)));
                }
            }
            Work::Records { found }
        });
    }

    /// Takes over what a node says of somebody, and tells if it should have said something newer.
    pub(super) fn learn_at(&mut self, step: &mut Step<'_>, node: &Address, person: &Found) {
        self.learn(step, person);
        let Ok(record) = Record::decode(&person.record.0) else { return };
        let account = record.account_id();
        let Some((contact, peer)) = self.contacts.get(&account).zip(node.peer_id()) else { return };
        // Where they are no longer, an old record is all that there can be.
        let is_theirs = |home: &String| parse_rendezvous(home).is_ok_and(|home| home.peer_id() == Some(peer));
        if !contact.homes.iter().any(is_theirs) {
            return;
        }
        let present = person.presence.status != PresenceStatus::Offline;
        if self.old_records.given(account, record.seq(), held(contact), present, step.now) {
            let text = format!(
                "The rendezvous node {peer} gives an older record of a contact than the one that they say is theirs: \
                 it holds the newer one back, or has lost it."
            );
            self.alert(step, "rendezvous.old_record", Severity::Warning, Some(account.to_string()), &text);
        }
    }
}
