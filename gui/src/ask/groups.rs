//! Groups, their members and what they write.

use secure_chat_node::api::{At, Message, NodeHandle};
use serde::Deserialize;
use serde_json::json;

use super::messages::{PAGE_MESSAGES, Page};
use super::{Answered, by_name};

/// A group that this account is in.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Group {
    pub(crate) group_id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    /// `owner`, `admin` or `member`; none outside.
    #[serde(default)]
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) members: u64,
    #[serde(default)]
    pub(crate) unread: u64,
    #[serde(default)]
    pub(crate) muted_until: Option<At>,
    #[serde(default)]
    pub(crate) join: Option<String>,
    #[serde(default)]
    pub(crate) public: bool,
    /// `invited`, `pending`, `joined` or `left`.
    #[serde(default = "joined")]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) invited_by: Option<String>,
    /// Requests to join that wait for us.
    #[serde(default)]
    pub(crate) requests: u64,
    #[serde(default)]
    pub(crate) mentions: u64,
    #[serde(default)]
    pub(crate) last_message: Option<Written>,
}

fn joined() -> String {
    "joined".to_owned()
}

impl Group {
    /// Whether this account is in it, and can write there.
    pub(crate) fn is_in(&self) -> bool {
        self.state == "joined"
    }

    /// Whether this account may change the group and its members.
    pub(crate) fn leads(&self) -> bool {
        matches!(self.role.as_deref(), Some("owner" | "admin"))
    }
}

/// A public group that was found.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct FoundGroup {
    pub(crate) group_id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) members: u64,
    #[serde(default)]
    pub(crate) join: String,
}

/// Somebody in a group.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Member {
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) account_id: String,
    #[serde(default)]
    pub(crate) fingerprint: String,
    #[serde(default)]
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) online: bool,
}

/// A link that lets in whoever has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Link {
    pub(crate) invite_id: String,
    /// The link, where it was made here.
    #[serde(default)]
    pub(crate) invite: Option<String>,
    #[serde(default)]
    pub(crate) by: String,
    #[serde(default)]
    pub(crate) expires: Option<At>,
}

/// The last message of a group, as far as the list shows it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Written {
    #[serde(default)]
    pub(crate) from: String,
    #[serde(default)]
    pub(crate) mine: bool,
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) file: Option<WrittenFile>,
    #[serde(default)]
    pub(crate) at: At,
}

/// The file that it shares.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct WrittenFile {
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// A new group, or what is changed about one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) public: bool,
    /// `open`, `approval` or `invite`.
    pub(crate) join: &'static str,
}

#[derive(Debug)]
pub(crate) enum Ask {
    List,
    Create(Draft),
    Update {
        group_id: String,
        draft: Draft,
    },
    /// `serial` tells the answer from that of an earlier query.
    Search {
        query: String,
        serial: u64,
    },
    /// By id, or by an invite.
    Join {
        group_id: Option<String>,
        invite: Option<String>,
    },
    Members(String),
    Requests(String),
    /// Somebody by name, or a link without.
    Invite {
        group_id: String,
        user: Option<String>,
    },
    /// Its open invite links.
    Links(String),
    /// Ends a link, named by its id.
    Revoke {
        group_id: String,
        invite_id: String,
    },
    Leave(String),
    DeleteLocal(String),
    Mute {
        group_id: String,
        until: Option<At>,
    },
    MarkRead {
        group_id: String,
        up_to: String,
    },
    /// What is done to somebody: `groups.approve`, `reject`, `remove_member`, `ban`, `unban`, `transfer`.
    ToMember {
        group_id: String,
        user: String,
        method: &'static str,
    },
    SetRole {
        group_id: String,
        user: String,
        role: &'static str,
    },
    History {
        group_id: String,
        page: Page,
    },
    Send {
        group_id: String,
        text: String,
        reply_to: Option<String>,
        local: u64,
    },
}

#[derive(Debug)]
pub(crate) enum Answer {
    List(Answered<Vec<Group>>),
    Created(Answered<String>),
    Updated {
        group_id: String,
        result: Answered<()>,
    },
    Found {
        serial: u64,
        result: Answered<Vec<FoundGroup>>,
    },
    Joined(Answered<String>),
    Members {
        group_id: String,
        /// Who is in, and who is kept out.
        result: Answered<(Vec<Member>, Vec<Member>)>,
    },
    Requests {
        group_id: String,
        result: Answered<Vec<Member>>,
    },
    Invited {
        group_id: String,
        user: Option<String>,
        result: Answered<Option<String>>,
    },
    Links {
        group_id: String,
        result: Answered<Vec<Link>>,
    },
    Revoked {
        group_id: String,
        result: Answered<()>,
    },
    Left {
        group_id: String,
        result: Answered<()>,
    },
    Changed {
        group_id: String,
        result: Answered<()>,
    },
    /// Nothing that the person waits for.
    Quiet,
    /// The same as of a conversation with one person.
    Message(super::messages::Answer),
}

#[derive(Deserialize)]
struct Groups<T> {
    #[serde(alias = "requests", alias = "invites")]
    groups: Vec<T>,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
    #[serde(default)]
    banned: Vec<Member>,
}

#[derive(Deserialize)]
struct Created {
    group_id: String,
}

#[derive(Deserialize)]
struct Joined {
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
struct Invited {
    #[serde(default)]
    invite: Option<String>,
}

#[derive(Deserialize)]
struct Sent {
    message_id: String,
}

impl Ask {
    pub(super) fn in_order(&self) -> bool {
        matches!(self, Self::Send { .. } | Self::MarkRead { .. })
    }

    pub(super) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::List => {
                let result = by_name::ask::<Groups<Group>>(node, "groups.list", json!({})).await;
                Answer::List(result.map(|list| list.groups))
            }
            Self::Create(draft) => {
                let params = json!({"name": draft.name, "description": draft.description,
                    "public": draft.public, "join": draft.join});
                let result = by_name::ask::<Created>(node, "groups.create", params).await;
                Answer::Created(result.map(|created| created.group_id))
            }
            Self::Update { group_id, draft } => {
                let params = json!({"group_id": group_id, "name": draft.name,
                    "description": draft.description, "join": draft.join});
                Answer::Updated { group_id, result: by_name::tell(node, "groups.update", params).await }
            }
            Self::Search { query, serial } => {
                let result = by_name::ask::<Groups<FoundGroup>>(node, "groups.search", json!({"query": query})).await;
                Answer::Found { serial, result: result.map(|found| found.groups) }
            }
            Self::Join { group_id, invite } => {
                let params = json!({"group_id": group_id, "invite": invite});
                let result = by_name::ask::<Joined>(node, "groups.join", params).await;
                Answer::Joined(result.map(|joined| joined.state))
            }
            ask => ask.about_members(node).await,
        }
    }

    async fn about_members(self, node: &NodeHandle) -> Answer {
        match self {
            Self::Members(group_id) => {
                let params = json!({"group_id": group_id});
                let result = by_name::ask::<Members>(node, "groups.members", params).await;
                Answer::Members { group_id, result: result.map(|all| (all.members, all.banned)) }
            }
            Self::Requests(group_id) => {
                let params = json!({"group_id": group_id});
                let result = by_name::ask::<Groups<Member>>(node, "groups.requests", params).await;
                Answer::Requests { group_id, result: result.map(|list| list.groups) }
            }
            Self::Invite { group_id, user } => {
                let params = json!({"group_id": group_id, "user": user});
                let result = by_name::ask::<Invited>(node, "groups.invite", params).await;
                Answer::Invited { group_id, user, result: result.map(|invited| invited.invite) }
            }
            Self::Links(group_id) => {
                let params = json!({"group_id": group_id});
                let result = by_name::ask::<Groups<Link>>(node, "groups.invites", params).await;
                Answer::Links { group_id, result: result.map(|list| list.groups) }
            }
            Self::Revoke { group_id, invite_id } => {
                let params = json!({"group_id": group_id, "invite": invite_id});
                Answer::Revoked { group_id, result: by_name::tell(node, "groups.revoke_invite", params).await }
            }
            Self::ToMember { group_id, user, method } => {
                let result = by_name::tell(node, method, json!({"group_id": group_id, "user": user})).await;
                Answer::Changed { group_id, result }
            }
            Self::SetRole { group_id, user, role } => {
                let params = json!({"group_id": group_id, "user": user, "role": role});
                Answer::Changed { group_id, result: by_name::tell(node, "groups.set_role", params).await }
            }
            ask => ask.about_oneself(node).await,
        }
    }

    async fn about_oneself(self, node: &NodeHandle) -> Answer {
        match self {
            Self::Leave(group_id) => {
                let result = by_name::tell(node, "groups.leave", json!({"group_id": group_id})).await;
                Answer::Left { group_id, result }
            }
            Self::DeleteLocal(group_id) => {
                let result = by_name::tell(node, "groups.delete_local", json!({"group_id": group_id})).await;
                Answer::Left { group_id, result }
            }
            Self::Mute { group_id, until } => {
                let params = json!({"group_id": group_id, "until": until});
                Answer::Changed { group_id, result: by_name::tell(node, "groups.mute", params).await }
            }
            Self::MarkRead { group_id, up_to } => {
                // Losing one is not worth a word: the next one makes it good.
                let params = json!({"group_id": group_id, "up_to": up_to});
                let _ = by_name::tell(node, "groups.mark_read", params).await;
                Answer::Quiet
            }
            Self::History { group_id, page } => {
                let result = history(node, &group_id, &page).await;
                Answer::Message(super::messages::Answer::History { conversation: group_id, page, result })
            }
            Self::Send { group_id, text, reply_to, local } => {
                let params = json!({"group_id": group_id, "text": text, "reply_to": reply_to});
                let result = by_name::ask::<Sent>(node, "groups.send", params).await.map(|sent| sent.message_id);
                Answer::Message(super::messages::Answer::Sent { conversation: group_id, local, result })
            }
            // The others are asked above.
            _ => Answer::Quiet,
        }
    }
}

async fn history(node: &NodeHandle, group_id: &str, page: &Page) -> Answered<(Vec<Message>, bool)> {
    let before = match page {
        Page::Latest => None,
        Page::Before(before) => Some(before.clone()),
        // Places inside of a conversation are read by the methods of all conversations.
        page => return super::messages::history(node, group_id, page).await,
    };
    let page = node.groups_history(group_id, before, PAGE_MESSAGES).await?;
    Ok((page.messages, page.more))
}
