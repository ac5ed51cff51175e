//! What views look like as text. Whatever a peer or a file named is escaped here.

use chrono::{DateTime, Local, TimeZone as _};
use secure_chat_protocol::validate::{escape_for_terminal, escape_lines_for_terminal};

use super::session::Session;
use super::style::Style;
use crate::api::{
    At, ChatRequest, Connection, Contact, ContactState, Message, MessageState, NetworkStatus, RequestState, Route,
    Status,
};

/// A name or another text of one line, with nothing in it that a terminal obeys.
pub(super) fn safe(text: &str) -> String {
    escape_for_terminal(text).into_owned()
}

/// A text of several lines, with nothing else in it that a terminal obeys.
pub(super) fn safe_lines(text: &str) -> String {
    escape_lines_for_terminal(text).into_owned()
}

/// The number in `#12` or `12`.
pub(super) fn strip_number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    // No id is as short as a number.
    (digits.len() <= 12).then(|| digits.parse().ok()).flatten()
}

/// `1 message`, `2 messages`.
pub(super) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The local time; with the date, if it is not today's.
pub(super) fn when(at: At) -> String {
    let local =
        |at: At| -> Option<DateTime<Local>> { Local.timestamp_millis_opt(i64::try_from(at.0.0).ok()?).single() };
    let Some(then) = local(at) else { return at.to_rfc3339() };
    let today = local(At::now()).is_some_and(|now| now.date_naive() == then.date_naive());
    then.format(if today { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
}

/// Rows with their columns under each other. Colours come in the last column
/// only, as widths are counted in characters.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell: &String| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `#12 14:03 bob: text`, with further lines indented.
pub(super) fn message(session: &mut Session, message: &Message) -> String {
    let style = session.style;
    let number = style.dim(&format!("#{}", session.numbers.of(&message.message_id)));
    let reply = message.reply_to.as_deref().map(|id| match session.numbers.known(id) {
        Some(number) => style.dim(&format!("↳#{number} ")),
        None => style.dim("↳ "),
    });
    let from = if message.mine { style.me(&safe(&message.from)) } else { style.other(&safe(&message.from)) };
    let mut text = if message.deleted { style.dim("(deleted)") } else { indented(&safe_lines(&message.text)) };
    if let Some(file) = &message.file {
        let shown = format!("{} ({})", safe(&file.name), super::files::size(file.size));
        let hint = style.dim(&format!(" `download {}`", super::files::short(&file.file_id)));
        let gap = if text.is_empty() { "" } else { "\n    " };
        text = format!("{shown}{}{gap}{text}", if message.mine { String::new() } else { hint });
    }
    let at = style.dim(&when(message.at));
    let marks = marks(style, message);
    format!("{number} {at} {from}: {}{text}{marks}", reply.unwrap_or_default())
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// What there is to say of a message beside its text.
fn marks(style: Style, message: &Message) -> String {
    let mut marks = Vec::new();
    if message.edited.is_some() {
        marks.push(style.dim("edited"));
    }
    let reactions = message.reactions.iter().map(|(emoji, who)| match who.len() {
        1 => safe(emoji),
        several => format!("{} {several}", safe(emoji)),
    });
    marks.extend(reactions);
    if let Some(reason) = message.reason.as_deref().filter(|_| !message.mine) {
        marks.push(style.warning(&safe(reason)));
    }
    if message.mine {
        marks.push(state(style, message.state, message.reason.as_deref()));
    }
    if marks.is_empty() { String::new() } else { format!("  [{}]", marks.join(", ")) }
}

/// How far a message got.
pub(super) fn state(style: Style, state: MessageState, reason: Option<&str>) -> String {
    match state {
        MessageState::Queued => style.dim("queued"),
        MessageState::Sent => style.dim("sent"),
        MessageState::Delivered => style.good("delivered"),
        MessageState::Read => style.good("read"),
        MessageState::Failed => style.error(&format!("failed: {}", safe(reason.unwrap_or("no reason was given")))),
        MessageState::Received => style.dim("received"),
    }
}

/// A contact as a row of [`table`].
pub(super) fn contact(style: Style, contact: &Contact) -> Vec<String> {
    let presence = match (contact.status, contact.last_seen) {
        (Status::Online, _) => "online".to_owned(),
        (Status::Away, _) => "away".to_owned(),
        (_, Some(at)) => format!("last seen {}", when(at)),
        _ => "offline".to_owned(),
    };
    let unread = if contact.unread > 0 { format!("{} unread", contact.unread) } else { String::new() };
    let verified = if contact.verified { "verified" } else { "" };
    let state = match contact.state {
        ContactState::Accepted => String::new(),
        ContactState::Requested => style.dim("your request waits for an answer"),
        ContactState::Blocked => style.warning("blocked"),
        ContactState::KeyChanged => style.error("the keys changed: compare the safety number, then `trust`"),
    };
    vec![safe(&contact.username), presence, unread, verified.to_owned(), state]
}

/// A chat request, on two or three lines.
pub(super) fn request(style: Style, request: &ChatRequest) -> String {
    let state = match request.state {
        RequestState::Pending => "",
        RequestState::Accepted => "  (accepted)",
        RequestState::Declined => "  (declined)",
        RequestState::Cancelled => "  (taken back)",
        RequestState::Expired => "  (expired)",
        RequestState::Failed => "  (failed)",
    };
    let mut text = format!("{} {}{state}", style.other(&safe(&request.username)), style.dim(&when(request.at)));
    text.push_str(&format!("\n    {}", style.dim(&safe(&request.fingerprint))));
    if !request.greeting.is_empty() {
        text.push_str(&format!("\n    {}", indented(&safe_lines(&request.greeting))));
    }
    text
}

/// How it stands with the network.
pub(super) fn network(status: &NetworkStatus) -> String {
    let mut rows = vec![vec!["connections".to_owned(), status.connections.to_string()]];
    if !status.peer_id.is_empty() {
        rows.push(vec!["peer id".to_owned(), safe(&status.peer_id)]);
    }
    rows.extend(status.listen.iter().map(|address| vec!["listening".to_owned(), safe(address)]));
    for node in &status.rendezvous {
        let rtt = node.rtt_ms.map(|ms| format!(", {ms:.1} ms")).unwrap_or_default();
        let detail = node.detail.as_deref().map(|detail| format!(" ({})", safe(detail))).unwrap_or_default();
        rows.push(vec![
            "rendezvous".to_owned(),
            format!("{}: {}{rtt}{detail}", safe(&node.address), safe(&node.state)),
        ]);
    }
    if !status.nat.is_empty() {
        rows.push(vec!["address translation".to_owned(), safe(&status.nat)]);
    }
    rows.extend(status.relayed_via.iter().map(|relay| vec!["relayed via".to_owned(), safe(relay)]));
    for held in &status.held_back {
        let (who, why) = (safe(&held.username), safe(&held.detail));
        rows.push(vec!["held back".to_owned(), format!("mail for {who}: {why}; again in {} s", held.retry_in_s)]);
    }
    table(&rows)
}

/// A connection as a row of [`table`].
pub(super) fn connection(connection: &Connection) -> Vec<String> {
    let route = match connection.route {
        Route::Direct => "direct",
        Route::Relayed => "relayed",
    };
    let rtt = connection.rtt_ms.map(|ms| format!("{ms:.1} ms")).unwrap_or_default();
    let who = connection.username.as_deref().unwrap_or(&connection.peer_id);
    let since = format!("since {}", when(connection.since));
    vec![safe(who), route.to_owned(), safe(&connection.transport), rtt, since, safe(&connection.address)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
        assert_eq!(table(&rows), "a     b\nlong  c");
    }

    #[test]
    fn nothing_that_a_peer_says_reaches_the_terminal_as_a_command() {
        let evil = "a\u{1b}[2J\u{202e}b\rc";
        assert!(!safe(evil).contains(['\u{1b}', '\u{202e}', '\r']));
        assert!(!safe_lines(evil).contains(['\u{1b}', '\u{202e}', '\r']));
        assert_eq!(safe("one\ntwo").lines().count(), 1);
    }

    #[test]
    fn a_message_id_is_not_taken_for_a_number() {
        assert_eq!(strip_number("#12"), Some(12));
        assert_eq!(strip_number(&"1".repeat(32)), None);
        assert_eq!(strip_number("12a"), None);
    }
}
