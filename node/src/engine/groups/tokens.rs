//! Delivery tokens between members: what lets them deposit in each other's mailboxes
//! without a proof of work. They come with the chain, so that whoever is handed a
//! chain can answer with their own.

use secure_chat_protocol::id::{AccountId, GroupId};
use secure_chat_protocol::limits::GROUP_TOKENS_BATCH;
use secure_chat_protocol::sender_key::ChainIn;
use secure_chat_protocol::wire::content::TokenGrant;
use secure_chat_protocol::wire::group::GroupControl;

use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::messaging::contact::Standing;

impl Open {
    /// Hands a member the own chain, and tokens if they have few.
    pub(super) fn hand_chain(&mut self, step: &mut Step<'_>, to: AccountId, group: GroupId, chain: ChainIn) {
        let tokens = self.lacks_tokens(to, true).then(|| self.grant(step, to)).flatten();
        self.tell_member(step, to, group, GroupControl::Chain { chain, tokens });
    }

    /// Whether a member, who is no contact, has few tokens; or none, if that counts.
    fn lacks_tokens(&self, account: AccountId, none: bool) -> bool {
        let Some(contact) = self.contacts.get(&account) else { return false };
        let few = contact
            .granted
            .as_ref()
            .map_or(none, |granted| granted.issued.saturating_sub(granted.used) < GROUP_TOKENS_BATCH / 2);
        contact.standing == Standing::Member && few
    }

    /// A member has used up most of their tokens: grants more.
    pub(in crate::engine) fn grant_member(&mut self, step: &mut Step<'_>, to: AccountId) {
        let shared = self.groups.values().find(|held| held.is_joined() && held.has(&to)).map(|held| held.row.group);
        let Some(group) = shared.filter(|_| self.lacks_tokens(to, false)) else { return };
        if let Some(tokens) = self.grant(step, to) {
            self.tell_member(step, to, group, GroupControl::Tokens(tokens));
        }
    }

    /// What a member grants us.
    pub(super) fn tokens_told(&mut self, step: &mut Step<'_>, from: AccountId, tokens: TokenGrant) {
        let Some(contact) = self.contacts.get_mut(&from) else { return };
        // What came early is read twice: those spent meanwhile must not come back.
        let older = contact.tokens.as_ref().is_some_and(|own| own.seed == tokens.seed && own.first >= tokens.first);
        if !older {
            contact.tokens = Some(tokens);
            step.contacts.insert(from);
        }
    }
}
