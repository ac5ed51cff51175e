//! Whoever would join asks one admin; if that one never comes, the others in turn.
//! The first who lets them in settles it.

use std::time::{Duration, Instant};

use secure_chat_protocol::id::{AccountId, GroupId};
use secure_chat_protocol::limits::GROUP_INVITE_OTHERS_MAX;
use secure_chat_protocol::record::Record;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::group::{GroupControl, OtherAdmin};
use secure_chat_protocol::wire::rendezvous::{Found, Request, Response, Who};

use super::Group;
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::messaging::contact::{Contact, Standing};
use crate::messaging::group::GroupStanding;
use crate::messaging::limits::GROUP_ASK_NEXT_MS;
use crate::network::{Address, parse_rendezvous};

impl Open {
    /// Other admins for a link to name, with a node that knows them.
    pub(super) fn other_admins(&self, group: GroupId) -> Vec<OtherAdmin> {
        let admins = self.groups.get(&group).and_then(Group::view).map(|view| view.admins()).unwrap_or_default();
        let others = admins.into_iter().filter(|account| *account != self.me).filter_map(|account| {
            let home = self.contacts.get(&account).and_then(|contact| contact.homes.first().cloned())?;
            Some(OtherAdmin { account, home })
        });
        others.take(GROUP_INVITE_OTHERS_MAX).collect()
    }

    /// These admins are asked in turn, if the one who was asked first does not answer.
    pub(super) fn may_ask(&mut self, step: &mut Step<'_>, group: GroupId, others: Vec<OtherAdmin>) {
        let now = step.now;
        let me = self.me;
        let Some(held) = self.groups.get_mut(&group) else { return };
        let asked = &held.row.asked;
        held.row.others = others.into_iter().filter(|o| o.account != me && !asked.contains(&o.account)).collect();
        held.row.ask_next = (!held.row.others.is_empty()).then(|| now.plus_ms(GROUP_ASK_NEXT_MS));
        step.groups.insert(group);
        self.wake_at(Instant::now() + Duration::from_millis(GROUP_ASK_NEXT_MS));
    }

    /// Asks the next admins where nobody has answered yet.
    pub(super) fn ask_next_admins(&mut self, step: &mut Step<'_>) {
        let now = step.now;
        let (mut next, mut wait) = (Vec::new(), None::<u64>);
        for held in self.groups.values_mut().filter(|held| held.row.standing == GroupStanding::Asking) {
            let Some(at) = held.row.ask_next else { continue };
            if at > now {
                wait = Some(wait.map_or(at.since_ms(now), |known| known.min(at.since_ms(now))));
                continue;
            }
            let other = if held.row.others.is_empty() { None } else { Some(held.row.others.remove(0)) };
            held.row.ask_next = (!held.row.others.is_empty()).then(|| now.plus_ms(GROUP_ASK_NEXT_MS));
            step.groups.insert(held.row.group);
            next.extend(other.map(|other| (held.row.group, other)));
        }
        if let Some(wait) = wait {
            self.wake_at(Instant::now() + Duration::from_millis(wait));
        }
        for (group, other) in next {
            if self.contacts.get(&other.account).is_some_and(|contact| !contact.record.0.is_empty()) {
                self.ask_admin(step, group, other.account);
            } else {
                self.look_up_admin(step, group, other);
            }
        }
    }

    fn look_up_admin(&mut self, step: &mut Step<'_>, group: GroupId, other: OtherAdmin) {
        let mut homes: Vec<(Address, bool)> = self.ready_homes().into_iter().map(|home| (home, true)).collect();
        let theirs = parse_rendezvous(&other.home).ok().map(|home| (home, false));
        homes.extend(theirs.filter(|(home, _)| !homes.iter().any(|(ours, _)| ours == home)));
        let net = self.net.clone();
        step.work(async move {
            let mut found = Vec::new();
            for (home, ours) in homes {
                let request = Request::Lookup(Who::Accounts(vec![other.account]));
                if let Ok(Response::Found { people, .. }) = net.ask_about(home, ours, request).await {
                    found.extend(people);
                }
            }
            Work::AdminFound { group, admin: other.account, found }
        });
    }

    /// The nodes said how another admin is reached, or did not.
    pub(in crate::engine) fn admin_found(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        admin: AccountId,
        found: &[Found],
    ) {
        let known = found.iter().filter_map(|person| self.meet_admin(step, person)).any(|account| account == admin);
        if known {
            self.ask_admin(step, group, admin);
        }
    }

    /// Takes over what a node says of an admin: whoever it is, they signed it.
    pub(super) fn meet_admin(&mut self, step: &mut Step<'_>, person: &Found) -> Option<AccountId> {
        let record = Record::decode(&person.record.0).ok()?;
        let account = record.account_id();
        if account == self.me {
            return None;
        }
        let contact = self.contacts.entry(account).or_insert_with(|| {
            Contact::new(account, record.identity().to_wire(), record.name().as_str(), Standing::Member)
        });
        if contact.standing == Standing::Gone {
            contact.standing = Standing::Member;
        }
        contact.learn(&record);
        if contact.addresses.is_empty() {
            contact.addresses.clone_from(&person.addresses);
        }
        step.contacts.insert(account);
        Some(account)
    }

    /// Asks an admin to be let in.
    pub(super) fn ask_admin(&mut self, step: &mut Step<'_>, group: GroupId, admin: AccountId) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        if held.row.standing != GroupStanding::Asking || !held.row.asked.insert(admin) {
            return;
        }
        let pass = held.row.pass;
        step.groups.insert(group);
        let record = Bytes(self.record.encoded().to_vec());
        let addresses = if self.settings.share_addresses { self.told_addresses() } else { Vec::new() };
        self.tell_member(step, admin, group, GroupControl::JoinRequest { record, addresses, pass });
    }

    /// An admin can't let us in: the next one, now. Says whether anybody is left who may.
    pub(super) fn ask_another(&mut self, step: &mut Step<'_>, group: GroupId, instead_of: AccountId) -> bool {
        let now = step.now;
        let Some(held) = self.groups.get_mut(&group) else { return false };
        held.row.asked.remove(&instead_of);
        let others = !held.row.others.is_empty();
        if others {
            held.row.ask_next = Some(now);
        }
        let left = others || !held.row.asked.is_empty();
        step.groups.insert(group);
        self.ask_next_admins(step);
        left
    }
}
