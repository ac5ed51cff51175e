//! What the application is shown of groups.

use secure_chat_protocol::membership::{JoinPolicy, Role};
use serde::{Deserialize, Serialize};

use super::{At, Message};

/// How it stands between this account and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupState {
    /// A contact invited us: `groups.join` accepts.
    Invited,
    /// We asked, and wait for an admin.
    Pending,
    /// We are in it.
    Joined,
    /// We left, or were removed.
    Left,
}

/// `groups.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMade {
    /// Names the group.
    pub group_id: String,
}

/// `groups.join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupJoining {
    /// Names the group.
    pub group_id: String,
    /// `joined` or `pending`.
    pub state: GroupState,
}

/// `groups.invite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupInviteMade {
    /// A link for `groups.join`; none when a user was invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// `groups.search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupsFound {
    /// Public groups whose name or description fits.
    pub groups: Vec<GroupFound>,
}

/// A public group in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupFound {
    /// Names the group.
    pub group_id: String,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// How many members it says to have.
    pub members: u32,
    /// How one comes in.
    pub join: JoinPolicy,
}

/// `groups.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Groups {
    /// Those we are in, invited to, wait for or have left, the liveliest first.
    pub groups: Vec<Group>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Names it.
    pub group_id: String,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// How it stands.
    pub state: GroupState,
    /// The own role; none outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// How many are in it.
    pub members: u32,
    /// How one comes in.
    pub join: JoinPolicy,
    /// It is listed in the directory.
    pub public: bool,
    /// Messages not read yet.
    pub unread: u64,
    /// Unread messages that name us.
    pub mentions: u64,
    /// Names the membership that is known here: the same for all who know the same.
    pub view: String,
    /// Who invited us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<String>,
    /// Their account id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invited_by_account_id: Option<String>,
    /// Requests to join that wait for us.
    pub requests: usize,
    /// Muted until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<At>,
    /// The last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Message>,
}

/// `groups.members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMembers {
    /// In the order of their coming in.
    pub members: Vec<GroupMember>,
    /// Who is kept out.
    pub banned: Vec<GroupBanned>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    /// Their name.
    pub username: String,
    /// Their account.
    pub account_id: String,
    /// Their peer id.
    pub peer_id: String,
    /// The account id in groups of four digits.
    pub fingerprint: String,
    /// What they may do.
    pub role: Role,
    /// Whether they are there.
    pub online: bool,
    /// It is this account.
    pub me: bool,
}

/// Somebody who is kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupBanned {
    /// Their name.
    pub username: String,
    /// Their account.
    pub account_id: String,
}

/// `groups.requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupRequests {
    /// The oldest first.
    pub requests: Vec<GroupRequest>,
}

/// Somebody asks to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupRequest {
    /// The group.
    pub group_id: String,
    /// Their name.
    pub username: String,
    /// Their account.
    pub account_id: String,
    /// The account id in groups of four digits.
    pub fingerprint: String,
    /// When.
    pub at: At,
}

/// `groups.invites`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupInvites {
    /// Links that are open.
    pub invites: Vec<GroupInviteLink>,
}

/// A link that lets in whoever has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupInviteLink {
    /// Names it, for `groups.revoke_invite`.
    pub invite_id: String,
    /// The link, where it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// Who made it.
    pub by: String,
    /// Their account id.
    pub account_id: String,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<At>,
}
