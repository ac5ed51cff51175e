//! What events look like; most of them need no words.

use super::render::{self, count, safe, safe_lines};
use super::session::Session;
use crate::api::{Event, MessageState, NumberedEvent, Status};

/// The line for an event, or nothing. What is shown in the open chat counts as read.
pub(super) async fn tell(session: &mut Session, event: &NumberedEvent) -> String {
    let style = session.style;
    match &event.event {
        Event::AccountUnlocked(account) => {
            session.me = Some(account.username.clone());
            String::new()
        }
        Event::AccountLocked {} => {
            // After `lock` this is known already.
            let news = session.me.is_some();
            session.forget();
            if news { style.warning("The account was locked.") } else { String::new() }
        }
        Event::MessageReceived(message) => {
            session.note_name(&message.from);
            if session.chat.as_ref() == Some(&message.conversation) {
                let (conversation, up_to) = (message.conversation.clone(), message.message_id.clone());
                // If it fails, it stays unread, and nothing is lost.
                let _ = session.handle.messages_mark_read(conversation, up_to).await;
            }
            render::message(session, message)
        }
        Event::MessageEdited(message) | Event::MessageReaction(message) => render::message(session, message),
        Event::MessageDeleted { message_id, .. } => match session.numbers.known(message_id) {
            Some(number) => style.dim(&format!("#{number} was deleted")),
            None => String::new(),
        },
        Event::MessageState { message_id, conversation, state, reason } => {
            let shown = session.numbers.known(message_id).filter(|_| {
                let in_chat = session.chat.as_ref() == Some(conversation);
                *state == MessageState::Failed
                    || (in_chat && matches!(state, MessageState::Delivered | MessageState::Read))
            });
            shown
                .map(|number| format!("#{number} {}", render::state(style, *state, reason.as_deref())))
                .unwrap_or_default()
        }
        Event::NetworkState { registered, .. } if *registered != session.registered => {
            session.registered = *registered;
            style.dim(&format!(
                "registered with {}",
                count((*registered).try_into().unwrap_or(u64::MAX), "rendezvous node")
            ))
        }
        Event::GroupMessage(message) => {
            session.note_name(&message.from);
            let name = group_name(session, &message.conversation_id).await;
            format!("{} {}", style.dim(&format!("[{name}]")), render::message(session, message))
        }
        Event::GroupLeft { group_id, reason } => {
            let name = group_name(session, group_id).await;
            style.warning(&format!("You are no longer in the group {name}: {}", safe(reason)))
        }
        other => tell_of_people(session, other),
    }
}

/// The name of a group, escaped, or its id.
async fn group_name(session: &Session, group_id: &str) -> String {
    let groups = session.handle.groups_list().await.map(|list| list.groups).unwrap_or_default();
    let name = groups.into_iter().find(|group| group.group_id == group_id).map(|group| group.name);
    safe(&name.unwrap_or_else(|| group_id.to_owned()))
}

fn tell_of_people(session: &Session, event: &Event) -> String {
    let style = session.style;
    match event {
        Event::ContactRequest(request) => {
            session.note_name(&request.username);
            let name = safe(&request.username);
            let hint = style.dim(&format!("`accept {name}` or `decline {name}`"));
            format!("Asks you for a chat: {}\n    {hint}", render::request(style, request))
        }
        Event::ContactAccepted(contact) => {
            session.note_name(&contact.username);
            let name = safe(&contact.username);
            format!("You and {} can chat now: `chat {name}`", style.other(&name))
        }
        Event::ContactDeclined { username, .. } => format!("{} declined your request", style.other(&safe(username))),
        Event::ContactKeyChanged { username, new_fingerprint, .. } => {
            let name = safe(username);
            let warning = format!("The keys of {name} changed! Nothing is sent until you decide: `trust {name}`");
            format!("{}\n    new fingerprint {}", style.error(&warning), safe(new_fingerprint))
        }
        Event::PresenceChanged { username, status, .. } => {
            let status = match status {
                Status::Online => "online",
                Status::Away => "away",
                Status::Invisible | Status::Offline => "offline",
            };
            style.dim(&format!("{} is {status}", safe(username)))
        }
        Event::Typing { conversation, username, active: true, .. } if session.chat.as_ref() == Some(conversation) => {
            style.dim(&format!("{} is writing…", safe(username)))
        }
        Event::GroupInvited { name, username, .. } => {
            let (name, hint) = (safe(name), format!("`gjoin {}`", safe(name)));
            format!("{} invites you to the group {name}: {}", style.other(&safe(username)), style.dim(&hint))
        }
        Event::GroupJoined(group) => {
            let name = safe(&group.name);
            format!("You are in the group {name}: {}", style.dim(&format!("`gmsg {name} TEXT`")))
        }
        Event::GroupJoinRequested(request) => {
            let name = safe(&request.username);
            format!("{} asks to join a group of yours: {}", style.other(&name), style.dim("`grequests GROUP`"))
        }
        Event::NameConflict { address } => {
            style.warning(&format!("A rendezvous node gives your name to somebody else: {}", safe(address)))
        }
        Event::FileDownloaded { file_id, username, .. } => {
            style.dim(&format!("{} has {} now", safe(username), super::files::short(file_id)))
        }
        Event::FileFailed { file_id, reason, .. } => {
            style.warning(&format!("The file {} does not come: {}", super::files::short(file_id), safe(reason)))
        }
        Event::SecurityAlert { detail, .. } => style.warning(&format!("Security: {}", safe_lines(detail))),
        Event::Lagged { missed } => {
            let what = count(*missed, "event");
            style.warning(&format!("{what} came too fast to be shown: see `contacts`, `requests` and `history`"))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{broadcast, mpsc};

    use super::*;
    use crate::api::{At, ChatRequest, Message, NodeHandle, RequestState};
    use crate::shell::ask::Ask;
    use crate::shell::style::Style;

    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{202e}\r\nalice: yes";

    fn session() -> Session {
        let (commands, _) = mpsc::channel(1);
        let (events, _) = broadcast::channel(1);
        Session::new(NodeHandle::new(commands, &events), Style { coloured: false }, Ask::Terminal)
    }

    fn event(event: Event) -> NumberedEvent {
        NumberedEvent { seq: 1, at: At::default(), event }
    }

    fn message(text: &str) -> Message {
        Message {
            message_id: "m".into(),
            conversation: "mallory".into(),
            conversation_id: "00".into(),
            from: "mallory".into(),
            account_id: "00".into(),
            mine: false,
            text: text.into(),
            at: At::default(),
            state: MessageState::Received,
            reason: None,
            reply_to: None,
            edited: None,
            deleted: false,
            reactions: [(EVIL.to_owned(), vec!["00".to_owned()])].into(),
            file: None,
        }
    }

    #[tokio::test]
    async fn nothing_that_a_peer_sends_acts_on_the_terminal() {
        let mut session = session();
        let request = ChatRequest {
            request_id: "r".into(),
            username: EVIL.into(),
            account_id: "00".into(),
            fingerprint: "00".into(),
            greeting: EVIL.into(),
            at: At::default(),
            state: RequestState::Pending,
        };
        let alert = Event::SecurityAlert {
            alert_id: "1".into(),
            count: 1,
            kind: "x".into(),
            severity: "warning".into(),
            subject: None,
            detail: EVIL.into(),
        };
        for told in [Event::MessageReceived(Box::new(message(EVIL))), Event::ContactRequest(request), alert] {
            let text = tell(&mut session, &event(told)).await;
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r']), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_text_of_several_lines_can_not_pose_as_another_message() {
        let text = tell(&mut session(), &event(Event::MessageReceived(Box::new(message("hi\nalice: yes"))))).await;
        assert!(text.lines().skip(1).all(|line| line.starts_with("    ")), "{text}");
    }
}
