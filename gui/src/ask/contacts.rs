//! People: contacts, requests, who is online.

use secure_chat_node::api::{At, Contact, NodeHandle, Requests, SafetyNumberView, User};

use super::Answered;

#[derive(Debug)]
pub(crate) enum Ask {
    List,
    Requests,
    Online,
    /// `to` is a name or an invite.
    Request {
        to: String,
        greeting: String,
    },
    Cancel(String),
    Accept(String),
    Decline(String),
    /// Declines and blocks the one who asked.
    DeclineAndBlock {
        request_id: String,
        user: String,
    },
    Remove(String),
    Block(String),
    Unblock(String),
    SafetyNumber(String),
    Verify {
        user: String,
        verified: bool,
    },
    AcceptKeyChange {
        user: String,
        fingerprint: String,
    },
    Mute {
        user: String,
        until: Option<At>,
    },
}

#[derive(Debug)]
pub(crate) enum Answer {
    List(Answered<Vec<Contact>>),
    Requests(Answered<Requests>),
    Online(Answered<Vec<User>>),
    Requested {
        to: String,
        result: Answered<()>,
    },
    Accepted {
        request_id: String,
        result: Answered<String>,
    },
    /// A request was answered, or taken back.
    RequestClosed {
        request_id: String,
        result: Answered<()>,
    },
    SafetyNumber {
        user: String,
        result: Answered<SafetyNumberView>,
    },
    /// A contact was changed.
    Changed {
        user: String,
        change: Change,
        result: Answered<()>,
    },
}

/// What was changed about a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Removed,
    Blocked,
    Unblocked,
    Verified(bool),
    KeyAccepted,
    Muted(bool),
}

impl Ask {
    pub(super) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::List => Answer::List(node.contacts_list().await.map(|list| list.contacts)),
            Self::Requests => Answer::Requests(node.contacts_requests().await),
            Self::Online => Answer::Online(node.users_online().await.map(|online| online.users)),
            Self::Request { to, greeting } => {
                let result = request(node, &to, greeting).await;
                Answer::Requested { to, result }
            }
            Self::Accept(request_id) => {
                let result = node.contacts_accept(request_id.clone()).await.map(|accepted| accepted.conversation);
                Answer::Accepted { request_id, result }
            }
            Self::Cancel(request_id) => {
                let result = node.contacts_cancel_request(request_id.clone()).await.map(|_| ());
                Answer::RequestClosed { request_id, result }
            }
            Self::Decline(request_id) => {
                let result = node.contacts_decline(request_id.clone()).await.map(|_| ());
                Answer::RequestClosed { request_id, result }
            }
            Self::DeclineAndBlock { request_id, user } => {
                let result = match node.contacts_block(user).await {
                    // A block may have ended the request already.
                    Ok(_) => node.contacts_decline(request_id.clone()).await.map(|_| ()).or(Ok(())),
                    Err(error) => Err(error),
                };
                Answer::RequestClosed { request_id, result }
            }
            Self::SafetyNumber(user) => {
                let result = node.contacts_safety_number(user.clone()).await;
                Answer::SafetyNumber { user, result }
            }
            change => change.perform_change(node).await,
        }
    }

    async fn perform_change(self, node: &NodeHandle) -> Answer {
        let (user, change, result) = match self {
            Self::Remove(user) => (user.clone(), Change::Removed, node.contacts_remove(user).await),
            Self::Block(user) => (user.clone(), Change::Blocked, node.contacts_block(user).await),
            Self::Unblock(user) => (user.clone(), Change::Unblocked, node.contacts_unblock(user).await),
            Self::Verify { user, verified } => {
                (user.clone(), Change::Verified(verified), node.contacts_verify(user, verified).await)
            }
            Self::AcceptKeyChange { user, fingerprint } => {
                (user.clone(), Change::KeyAccepted, node.contacts_accept_key_change(user, fingerprint).await)
            }
            Self::Mute { user, until } => {
                // A time that is past ends it.
                let muted = until.is_none_or(|until| until > At::default());
                (user.clone(), Change::Muted(muted), node.contacts_mute(user, until).await)
            }
            // The others are asked above.
            _ => return Answer::List(node.contacts_list().await.map(|list| list.contacts)),
        };
        Answer::Changed { user, change, result: result.map(|_| ()) }
    }
}

async fn request(node: &NodeHandle, to: &str, greeting: String) -> Answered<()> {
    let greeting = (!greeting.trim().is_empty()).then_some(greeting);
    let (user, invite) =
        if is_invite(to) { (None, Some(to.trim().to_owned())) } else { (Some(to.trim().to_owned()), None) };
    node.contacts_request(user, invite, greeting).await.map(|_| ())
}

/// Whether the text is an invite rather than a name.
pub(crate) fn is_invite(text: &str) -> bool {
    text.trim_start().starts_with("secure-chat:")
}
