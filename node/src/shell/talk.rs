//! Commands on messages.

use super::command::{Arguments, Done, Failure, Outcome};
use super::render::{self, count, safe};
use super::session::Session;
use crate::api::Message;

/// Messages that `chat` and `history` show unless told otherwise.
const SHOWN_MESSAGES: u32 = 20;

pub(super) async fn chat(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.needed()?;
    let contacts = session.handle.contacts_list().await?.contacts;
    let known = contacts.into_iter().find(|contact| contact.username.eq_ignore_ascii_case(name));
    let contact = known.ok_or_else(|| {
        Failure::mistyped(format!(
            "{name:?} is not among your contacts: `request {name}` asks for a chat.",
            name = safe(name)
        ))
    })?;
    let text = page(session, &contact.username, None, SHOWN_MESSAGES).await?;
    let hint = session.style.dim("What you type goes there. /back leaves, /help lists the commands.");
    session.chat = Some(contact.username);
    Ok(if text.is_empty() { hint } else { format!("{text}\n{hint}") }.into())
}

pub(super) async fn back(session: &mut Session, _: Arguments<'_>) -> Outcome {
    session.chat = None;
    Ok("".into())
}

/// A page of a conversation, which is read by being shown.
async fn page(session: &mut Session, with: &str, before: Option<String>, limit: u32) -> Result<String, Failure> {
    let latest = before.is_none();
    let page = session.handle.messages_history(with, before, None::<String>, None::<String>, limit).await?;
    let newest = page.messages.iter().rev().find(|message| !message.mine).map(|message| message.message_id.clone());
    if let Some(up_to) = newest.filter(|_| latest) {
        session.handle.messages_mark_read(with, up_to).await?;
    }
    Ok(lines(session, &page.messages))
}

fn lines(session: &mut Session, messages: &[Message]) -> String {
    messages.iter().map(|message| render::message(session, message)).collect::<Vec<_>>().join("\n")
}

async fn send(session: &mut Session, to: &str, text: &str, reply_to: Option<String>) -> Outcome {
    let sent = session.handle.messages_send(to, text, reply_to).await?;
    Ok(session.style.dim(&format!("#{} →", session.numbers.of(&sent.message_id))).into())
}

/// What is typed in an open chat.
pub(super) async fn say_in_chat(session: &mut Session, text: &str) -> Outcome {
    let to = session.chat.clone().unwrap_or_default();
    send(session, &to, text, None).await
}

pub(super) async fn msg(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let to = arguments.needed()?;
    send(session, to, arguments.needed_rest()?, None).await
}

/// The message that the next word means.
fn meant(session: &Session, arguments: &mut Arguments<'_>) -> Result<String, Failure> {
    let word = arguments.needed()?;
    session
        .numbers
        .resolve(word)
        .ok_or_else(|| Failure::mistyped(format!("No message was shown with the number {}.", safe(word))))
}

pub(super) async fn reply(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let to_message = meant(session, &mut arguments)?;
    let text = arguments.needed_rest()?;
    let conversation = conversation_of(session, &to_message).await?;
    send(session, &conversation, text, Some(to_message)).await
}

/// Where a message stands: in the open chat, or with one of the contacts.
async fn conversation_of(session: &Session, message_id: &str) -> Result<String, Failure> {
    let contacts = session.handle.contacts_list().await?.contacts;
    let names = session.chat.clone().into_iter().chain(contacts.into_iter().map(|contact| contact.username));
    for name in names {
        let around = Some(message_id.to_owned());
        if session.handle.messages_history(name.as_str(), None::<String>, None::<String>, around, 1).await.is_ok() {
            return Ok(name);
        }
    }
    Err(Failure::mistyped("That message is in no conversation of yours."))
}

pub(super) async fn edit(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let message = meant(session, &mut arguments)?;
    session.handle.messages_edit(message, arguments.needed_rest()?).await?;
    Ok("Changed.".into())
}

pub(super) async fn delete(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let message = meant(session, &mut arguments)?;
    let for_everyone = match arguments.word() {
        None => false,
        Some("everyone") => true,
        Some(_) => return Err(arguments.usage()),
    };
    session.handle.messages_delete(message, for_everyone).await?;
    Ok(if for_everyone { "Deleted for everyone." } else { "Deleted here." }.into())
}

pub(super) async fn react(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let message = meant(session, &mut arguments)?;
    session.handle.messages_react(message, arguments.rest()).await?;
    Ok(if arguments.rest().is_empty() { "Taken back." } else { "Done." }.into())
}

pub(super) async fn retry(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let message = meant(session, &mut arguments)?;
    session.handle.messages_retry(message).await?;
    Ok("On its way again.".into())
}

pub(super) async fn history(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let (mut with, mut limit, mut before) = (session.chat.clone(), SHOWN_MESSAGES, None);
    let mut first = true;
    while let Some(word) = arguments.word() {
        match word.parse() {
            Ok(number) => limit = number,
            Err(_) if word == "before" => before = Some(meant(session, &mut arguments)?),
            Err(_) if first => with = Some(word.to_owned()),
            Err(_) => return Err(arguments.usage()),
        }
        first = false;
    }
    let with = with.ok_or_else(|| arguments.usage())?;
    let text = page(session, &with, before, limit).await?;
    Ok(if text.is_empty() { "Nothing there.".to_owned() } else { text }.into())
}

pub(super) async fn read(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let with = arguments.needed()?;
    let latest = session.handle.messages_history(with, None::<String>, None::<String>, None::<String>, 1).await?;
    if let Some(message) = latest.messages.last() {
        session.handle.messages_mark_read(with, message.message_id.clone()).await?;
    }
    Ok("Read.".into())
}

pub(super) async fn search(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let query = arguments.needed_rest()?;
    let (conversation, query) = match query.strip_prefix('@') {
        Some(_) => (arguments.word().and_then(|name| name.strip_prefix('@')), arguments.needed_rest()?),
        None => (None, query),
    };
    let mut found = session.handle.messages_search(query, conversation.map(str::to_owned), SHOWN_MESSAGES).await?;
    // They come newest first; the prompt stands below, and so does what is newest.
    found.messages.reverse();
    if found.messages.is_empty() {
        return Ok("Nothing found.".into());
    }
    let mut lines = Vec::new();
    for message in &found.messages {
        let place = session.style.dim(&format!("[{}]", safe(&message.conversation)));
        lines.push(format!("{place} {}", render::message(session, message)));
    }
    if found.more {
        let shown = count(found.messages.len().try_into().unwrap_or(u64::MAX), "message");
        lines.push(session.style.dim(&format!("{shown}; there are more: use more words")));
    }
    Ok(Done::Said(lines.join("\n")))
}

pub(super) async fn draft(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let with = arguments.needed()?;
    let text = Some(arguments.rest().to_owned()).filter(|text| !text.is_empty());
    let draft = session.handle.messages_draft(with, text).await?;
    Ok(render::safe_lines(&draft.text).into())
}

pub(super) async fn typing(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    session.handle.messages_typing(arguments.needed()?).await?;
    Ok("".into())
}
