//! What other members tell over their pairwise sessions. Every rule about who may
//! do what is kept here, by each receiver, whatever the sender says.

use secure_chat_protocol::id::{AccountId, ChainId, GroupId};
use secure_chat_protocol::membership::{About, Role};
use secure_chat_protocol::sender_key::ChainIn;
use secure_chat_protocol::wire::content::ReceiptKind;
use secure_chat_protocol::wire::group::{GroupControl, PersonIn, SecretIn};

use super::Group;
use crate::api::Event;
use crate::engine::audit::Severity;
use crate::engine::peers::plausible_addresses;
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::messaging::contact::Standing;
use crate::messaging::group::{GroupRow, GroupStanding, Progress};
use crate::messaging::limits::{GROUP_NUMBER_MAX, GROUPS_MAX};

impl Open {
    /// A control message of somebody, who has proved to be `from`.
    pub(in crate::engine) fn group_control(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        group: GroupId,
        payload: &[u8],
    ) {
        let Ok(control) = GroupControl::decode(payload) else {
            let text = "A control message of a group could not be understood.";
            return self.alert(step, "group.malformed", Severity::Warning, Some(from.to_string()), text);
        };
        match control {
            GroupControl::Invitation { about, members } => self.invited(step, from, group, about, members),
            GroupControl::JoinRequest { record, addresses, pass } => {
                self.join_requested(step, from, group, &record, addresses, pass);
            }
            GroupControl::JoinAnswer(answer) => self.join_answered(step, from, group, answer),
            GroupControl::Operations { operations } => self.operations_told(step, from, group, &operations),
            GroupControl::Welcome { heads, secret, people } => {
                self.welcomed(step, from, group, &heads, secret, &people);
            }
            GroupControl::Secret(secret) => self.secret_told(step, from, group, secret),
            GroupControl::Chain { chain, tokens } => {
                if let Some(tokens) = tokens {
                    self.tokens_told(step, from, tokens);
                }
                self.chain_told(step, from, group, &chain, payload);
            }
            GroupControl::ChainRequest { chain } => {
                self.hand_again(step, from, group, Some(chain));
            }
            GroupControl::People { people } => self.people_told(step, from, group, &people, false),
            GroupControl::Receipt { kind: ReceiptKind::Read, ids } => self.group_read(step, from, group, &ids),
            GroupControl::Receipt { kind: ReceiptKind::Delivered, .. } => {}
            GroupControl::Tokens(tokens) => self.tokens_told(step, from, tokens),
            GroupControl::Change { operation, secret, people } => {
                self.operations_told(step, from, group, std::slice::from_ref(&operation));
                if let Some(secret) = secret {
                    self.secret_told(step, from, group, secret);
                    self.settle_secrets(step, group, &operation.0);
                }
                self.people_told(step, from, group, &people, false);
            }
        }
    }

    /// A member has lost our chain, or never got it: they are handed it where they got it first.
    pub(super) fn hand_again(&mut self, step: &mut Step<'_>, to: AccountId, group: GroupId, asked: Option<ChainId>) {
        let member = self.groups.get(&group).is_some_and(|held| held.is_joined() && held.has(&to));
        if !member || self.load_own_chain(step, group).is_err() {
            return;
        }
        let own = self.groups.get_mut(&group).and_then(|held| held.own.as_mut());
        if let Some(own) = own.filter(|own| asked.is_none_or(|asked| own.chain() == asked)) {
            let chain = own.hand_to(to);
            step.chains.insert((group, self.me));
            self.hand_chain(step, to, group, chain);
        }
    }

    /// A contact would have us in a group. Strangers can't.
    fn invited(&mut self, step: &mut Step<'_>, from: AccountId, group: GroupId, about: About, members: u32) {
        let chats = self.contacts.get(&from).is_some_and(|contact| contact.standing == Standing::Accepted);
        let known = self.groups.get(&group).map(|held| held.row.standing);
        let open = !matches!(known, Some(GroupStanding::Joined | GroupStanding::Asking));
        if !chats || !open || (known.is_none() && self.groups.len() >= GROUPS_MAX) {
            return;
        }
        let name = about.name.clone();
        let held = self
            .groups
            .entry(group)
            .or_insert_with(|| Group::new(GroupRow::new(group, GroupStanding::Invited, about.clone()), None));
        held.row.standing = GroupStanding::Invited;
        (held.row.about, held.row.members, held.row.via) = (about, members, Some(from));
        step.groups.insert(group);
        step.tell(Event::GroupInvited {
            group_id: group.to_string(),
            name,
            username: self.conversation_name(from),
            account_id: from.to_string(),
        });
    }

    /// A fresh group secret: only an admin's counts.
    fn secret_told(&mut self, step: &mut Step<'_>, from: AccountId, group: GroupId, secret: SecretIn) {
        let Some(held) = self.groups.get_mut(&group).filter(|held| held.is_coming()) else { return };
        if held.is_joined() && held.role(&from).is_some_and(|role| role >= Role::Admin) {
            if !held.view().is_some_and(|view| held.row.may_follow(view, secret.generation)) {
                return self.secret_refused(step, from);
            }
            held.row.keep_secret(from, secret);
            step.groups.insert(group);
            self.follow_topics(step);
            self.read_log(step, group);
        } else if let Ok(payload) = GroupControl::Secret(secret).encode() {
            // The operation that made them an admin may be on its way.
            held.row.keep_early(from, &payload);
            step.groups.insert(group);
        }
    }

    pub(super) fn secret_refused(&mut self, step: &mut Step<'_>, from: AccountId) {
        let text = "A group's secret was refused: it is so far ahead that no later one could replace it.";
        self.alert(step, "group.invalid_secret", Severity::Warning, Some(from.to_string()), text);
    }

    /// A member's chain. It counts only from its author, who came over their own session, and
    /// only while they are in the roster, or for what counts of them since they are not.
    fn chain_told(&mut self, step: &mut Step<'_>, from: AccountId, group: GroupId, chain: &ChainIn, payload: &[u8]) {
        let Some(held) = self.groups.get_mut(&group).filter(|held| held.is_coming()) else { return };
        // Of whoever has gone it is read as far as all the others have read it: the chain may have
        // waited for us in a mailbox, or with them, while a member told us that they went.
        let heard =
            held.view().is_some_and(|view| view.has(&from) || view.counts_below(&from, &chain.chain) > chain.number);
        // A member's chain may be quicker than the welcome of the admin.
        if !held.is_joined() || !heard {
            held.row.keep_early(from, payload);
            step.groups.insert(group);
            return;
        }
        // Who reads a chain is noted under its name: nobody takes another's.
        let me = self.me;
        let others = |known: &Progress| known.author == me || (known.known && known.author != from);
        if chain.number > GROUP_NUMBER_MAX || held.row.places.get(&chain.chain).is_some_and(others) {
            let text = "A member's chain was refused: it is another member's, or too long.";
            return self.alert(step, "group.invalid_chain", Severity::Warning, Some(from.to_string()), text);
        }
        let now = step.now;
        let Ok(chains) = self.chains_of(step, group, from) else { return };
        match chains.accept(chain, now) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let text = format!("A member's chain was refused: {error}.");
                return self.alert(step, "group.invalid_chain", Severity::Warning, Some(from.to_string()), &text);
            }
        }
        step.chains.insert((group, from));
        let Some(held) = self.groups.get_mut(&group) else { return };
        let missed = held.row.begin_chain(chain.chain, Progress::new(from, true, chain.number, step.now));
        step.groups.insert(group);
        self.retry_waiting(step, group);
        self.read_again_soon(group);
        if missed {
            self.ask_members(step, group, Some(from));
        }
    }

    /// What came before its author was known to be a member.
    pub(super) fn take_early(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        for (from, payload) in std::mem::take(&mut held.row.early) {
            self.group_control(step, from, group, &payload.0);
        }
    }

    /// Where members listen, as another says. Only the admin who lets us in is believed more
    /// than what is known already: anybody could send us elsewhere, or nowhere.
    pub(super) fn people_told(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        group: GroupId,
        people: &[PersonIn],
        welcome: bool,
    ) {
        let Some(held) = self.groups.get(&group).filter(|held| held.is_joined() && held.has(&from)) else { return };
        let members: Vec<&PersonIn> = people.iter().filter(|person| held.has(&person.account)).collect();
        for person in members {
            let told = plausible_addresses(&person.addresses);
            // A contact says for themselves where they listen.
            let Some(contact) = self.contacts.get_mut(&person.account).filter(|_| !told.is_empty()) else { continue };
            let theirs = contact.addresses.is_empty() || (welcome && contact.standing == Standing::Member);
            if theirs && !self.met.values().any(|met| met.account == Some(person.account)) {
                contact.addresses = told;
                step.contacts.insert(person.account);
            }
        }
        self.seek_neighbours(step, group);
    }
}
