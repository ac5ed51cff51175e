//! Commands on contacts and requests.

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::HOUR_MS;

use super::command::{Arguments, Failure, Outcome};
use super::render::{self, safe, table};
use super::session::Session;
use crate::api::{At, ChatRequest, RequestState};

pub(super) async fn online(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let users = session.handle.users_online().await?.users;
    if users.is_empty() {
        return Ok("Nobody is seen online.".into());
    }
    users.iter().for_each(|user| session.note_name(&user.username));
    let rows: Vec<_> = users.iter().map(|user| vec![safe(&user.username), safe(&user.fingerprint)]).collect();
    Ok(table(&rows).into())
}

pub(super) async fn find(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let user = session.handle.users_find(arguments.needed()?).await?;
    session.note_name(&user.username);
    let presence = if user.online { "online" } else { "offline" };
    let name = session.style.other(&safe(&user.username));
    Ok(format!(
        "{name}, {presence}\n    fingerprint {}\n    peer id     {}",
        safe(&user.fingerprint),
        safe(&user.peer_id)
    )
    .into())
}

pub(super) async fn request(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let whom = arguments.needed()?;
    let greeting = Some(arguments.rest().to_owned()).filter(|text| !text.is_empty());
    let (user, invite) = if whom.starts_with("secure-chat:") { (None, Some(whom)) } else { (Some(whom), None) };
    session.handle.contacts_request(user.map(str::to_owned), invite.map(str::to_owned), greeting).await?;
    Ok("Asked. The answer comes when they are there.".into())
}

pub(super) async fn requests(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let requests = session.handle.contacts_requests().await?;
    if requests.incoming.is_empty() && requests.outgoing.is_empty() {
        return Ok("There are no requests.".into());
    }
    let mut lines = Vec::new();
    for (title, list) in [("To you:", &requests.incoming), ("From you:", &requests.outgoing)] {
        if !list.is_empty() {
            lines.push(session.style.bold(title));
            lines.extend(list.iter().map(|request| render::request(session.style, request)));
        }
    }
    Ok(lines.join("\n").into())
}

/// The one waiting request that a name or an id means.
fn the_one(list: Vec<ChatRequest>, named: &str) -> Result<ChatRequest, Failure> {
    let mut meant: Vec<ChatRequest> = list
        .into_iter()
        .filter(|request| request.state == RequestState::Pending)
        .filter(|request| request.username.eq_ignore_ascii_case(named) || request.request_id == named)
        .collect();
    match (meant.pop(), meant.is_empty()) {
        (Some(request), true) => Ok(request),
        (None, _) => Err(Failure::mistyped(format!(
            "There is no waiting request with the name {named:?}: `requests` lists them."
        ))),
        (Some(last), false) => {
            let ids = meant
                .iter()
                .chain([&last])
                .map(|request| format!("\n    {}  {}", request.request_id, request.fingerprint));
            Err(Failure::mistyped(format!(
                "Several people use that name. Name the request instead:{}",
                ids.collect::<String>()
            )))
        }
    }
}

pub(super) async fn accept(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let incoming = session.handle.contacts_requests().await?.incoming;
    let request = the_one(incoming, arguments.needed()?)?;
    session.handle.contacts_accept(request.request_id).await?;
    // The event that follows says how to go on.
    Ok("Accepted.".into())
}

pub(super) async fn decline(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let incoming = session.handle.contacts_requests().await?.incoming;
    let request = the_one(incoming, arguments.needed()?)?;
    session.handle.contacts_decline(request.request_id).await?;
    Ok("Declined.".into())
}

pub(super) async fn cancel(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let outgoing = session.handle.contacts_requests().await?.outgoing;
    let request = the_one(outgoing, arguments.needed()?)?;
    session.handle.contacts_cancel_request(request.request_id).await?;
    Ok("Taken back.".into())
}

pub(super) async fn contacts(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let contacts = session.handle.contacts_list().await?.contacts;
    if contacts.is_empty() {
        return Ok("You have no contacts yet: `request NAME` asks somebody for a chat.".into());
    }
    let rows: Vec<_> = contacts.iter().map(|contact| render::contact(session.style, contact)).collect();
    Ok(table(&rows).into())
}

pub(super) async fn remove(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    session.handle.contacts_remove(arguments.needed()?).await?;
    Ok("Removed. The conversation stays readable.".into())
}

pub(super) async fn block(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    session.handle.contacts_block(arguments.needed()?).await?;
    Ok("Blocked. They are not told.".into())
}

pub(super) async fn unblock(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    session.handle.contacts_unblock(arguments.needed()?).await?;
    Ok("The block is taken back.".into())
}

pub(super) async fn safety(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.needed()?;
    let number = session.handle.contacts_safety_number(name).await?.number;
    let groups: Vec<&str> = number.split_whitespace().collect();
    let lines: Vec<String> = groups.chunks(4).map(|line| format!("    {}", line.join(" "))).collect();
    let name = safe(name);
    Ok(format!(
        "{}\nCompare it with {name} in person or on the phone. If it is the same: `verify {name}`.",
        lines.join("\n")
    )
    .into())
}

pub(super) async fn verify(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.needed()?;
    let verified = match arguments.word() {
        None => true,
        Some("no") => false,
        Some(_) => return Err(arguments.usage()),
    };
    session.handle.contacts_verify(name, verified).await?;
    Ok(if verified { "Noted: verified." } else { "Noted: not verified." }.into())
}

pub(super) async fn trust(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.needed()?;
    if arguments.rest().is_empty() {
        let contacts = session.handle.contacts_list().await?.contacts;
        let contact = contacts.into_iter().find(|contact| contact.username.eq_ignore_ascii_case(name));
        let Some(fingerprint) = contact.and_then(|contact| contact.new_fingerprint) else {
            return Err(Failure::mistyped("No changed keys wait for a decision there."));
        };
        let name = safe(name);
        return Err(Failure::mistyped(format!(
            "Ask {name}, in person or on the phone, whether this is the fingerprint now. If so:\n    trust {name} {}",
            safe(&fingerprint)
        )));
    }
    session.handle.contacts_accept_key_change(name, arguments.rest()).await?;
    Ok("The new keys are accepted. Compare the safety number when you can.".into())
}

pub(super) async fn mute(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.needed()?;
    let hours = arguments.word().map(str::parse::<u64>).transpose().map_err(|_| arguments.usage())?;
    let until = hours.map(|hours| At(Timestamp(At::now().0.0.saturating_add(hours.saturating_mul(HOUR_MS)))));
    session.handle.contacts_mute(name, until).await?;
    Ok(if hours == Some(0) { "No longer muted." } else { "Muted." }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, username: &str, state: RequestState) -> ChatRequest {
        ChatRequest {
            request_id: id.into(),
            username: username.into(),
            account_id: id.into(),
            fingerprint: format!("print-{id}"),
            greeting: String::new(),
            at: At::default(),
            state,
        }
    }

    #[test]
    fn a_name_that_two_people_use_is_never_accepted_for_either() {
        let list = vec![
            request("1", "bob", RequestState::Pending),
            request("2", "Bob", RequestState::Pending),
            request("3", "carol", RequestState::Declined),
        ];
        let asked = the_one(list.clone(), "bob").unwrap_err().to_string();
        assert!(asked.contains("print-1") && asked.contains("print-2"), "{asked}");
        assert_eq!(the_one(list.clone(), "2").unwrap().request_id, "2");
        assert!(the_one(list, "carol").is_err(), "that one was answered");
    }
}
