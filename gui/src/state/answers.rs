//! What the node answers.

use secure_chat_node::api::{ApiError, Message, MessageState};

use super::{
    Composing, DRAFTS_READ_MAX, Gate, Left, Opened, Overlay, Preferences, Row, ScrollTo, Selection, Session, State,
    Tone,
};
use crate::ask::{Answer, Answered, Ask, account, contacts, messages, network as net};
use crate::strings::tr;
use crate::text::Clock;

impl State {
    /// An answer came in.
    pub(crate) fn answer(&mut self, answer: Answer, clock: Clock, asks: &mut Vec<Ask>) {
        match answer {
            Answer::Account(answer) => self.account_answer(answer, clock, asks),
            Answer::Desktop(answer) => self.desktop_answer(answer, clock, asks),
            // What was asked before the account was locked is not shown after.
            _ if self.opened().is_none() => {}
            Answer::Network(answer) => self.network_answer(answer, clock, asks),
            Answer::Contacts(answer) => self.contacts_answer(answer, clock, asks),
            Answer::Messages(answer) => self.messages_answer(answer, clock, asks),
            Answer::Groups(answer) => self.groups_answer(answer, clock, asks),
            Answer::Files(answer) => self.files_answer(answer, clock, asks),
            Answer::Security(answer) => self.security_answer(answer, clock, asks),
        }
    }

    fn account_answer(&mut self, answer: account::Answer, clock: Clock, asks: &mut Vec<Ask>) {
        use account::Answer;
        match answer {
            Answer::List(Ok(accounts)) => {
                if let Session::Closed(gate) = &mut self.session {
                    gate.accounts = Some(accounts);
                }
            }
            Answer::List(Err(error)) => self.session = Session::Broken(error.message),
            Answer::Created(result) => self.entered(result, true, clock, asks),
            Answer::Unlocked(result) => self.entered(result, false, clock, asks),
            Answer::Strength(strength) => {
                if let Session::Closed(gate) = &mut self.session {
                    gate.strength = strength.ok();
                }
            }
            Answer::Locked(result) => {
                // The window has forgotten everything already, whatever the node says.
                let _ = self.toast_error(result, clock);
            }
            Answer::Status(Ok(status)) => {
                if let Some(opened) = self.opened_mut() {
                    opened.since_ms = status.unlocked_at.map_or(opened.since_ms, |at| at.0.0);
                    opened.locks_at_ms = status.lock_at.map(|at| at.0.0);
                }
            }
            Answer::Invite(invite) => {
                if let Some(opened) = self.opened_mut() {
                    opened.invite = Some(invite.map_err(|error| error.message));
                }
            }
            Answer::Settings(Ok(values)) if self.opened().is_some() => {
                let first = !self.preferences.are_read();
                let early = self.preferences.take_early();
                self.preferences = Preferences::new(values);
                self.preferences_changed = true;
                for (key, value) in early {
                    self.set(key, value, asks);
                }
                if first && !self.tab_chosen && self.chat.selection == Selection::None {
                    self.tab = self.preferences.tab().unwrap_or_default();
                }
            }
            Answer::Set(result) if self.opened().is_some() => {
                if let Some(values) = self.toast_error(result, clock) {
                    self.preferences.merge(values);
                    self.preferences_changed = true;
                }
            }
            Answer::Presence(status, result) => {
                if self.toast_error(result, clock).is_some() {
                    self.preferences.choose_presence(status);
                }
            }
            Answer::Cared(care, result) => self.cared(care, result, clock, asks),
            Answer::Status(Err(_)) | Answer::Settings(_) | Answer::Set(_) => {}
        }
    }

    fn entered(
        &mut self,
        result: Answered<secure_chat_node::api::Account>,
        is_new: bool,
        clock: Clock,
        asks: &mut Vec<Ask>,
    ) {
        match result {
            Ok(account) => self.open(Opened::new(account, clock.now_ms, is_new), asks),
            Err(error) => {
                if let Session::Closed(gate) = &mut self.session {
                    *gate = Gate { busy: false, error: Some(error), ..std::mem::take(gate) };
                }
            }
        }
    }

    fn cared(&mut self, care: account::Care, result: Answered<()>, clock: Clock, asks: &mut Vec<Ask>) {
        use account::Care;
        if let Err(error) = result {
            self.caring = Some(Err(error.message));
            return;
        }
        self.caring = None;
        self.overlay = None;
        let words = match &care {
            Care::PasswordChanged => tr().password_changed.to_owned(),
            Care::Rekeyed => tr().rekeyed.to_owned(),
            Care::Exported { path } => (tr().backup_written)(path),
            Care::Imported => tr().backup_imported.to_owned(),
            Care::Wiped => tr().account_wiped.to_owned(),
        };
        let gone = care == Care::Wiped && self.opened().is_some();
        if gone {
            self.close(Left::Never, asks);
        } else if care == Care::Imported {
            asks.push(account::Ask::List.into());
        }
        self.notices.toast(Tone::Good, words, clock.now_ms);
    }

    fn network_answer(&mut self, answer: net::Answer, clock: Clock, asks: &mut Vec<Ask>) {
        use net::Answer;
        let network = &mut self.network;
        match answer {
            Answer::Status(Ok(status)) => network.status = Some(status),
            Answer::Connections(Ok(connections)) => network.connections = connections,
            Answer::Traffic(Ok(points)) => network.traffic = points,
            Answer::Added(result) => {
                network.adding = false;
                network.add_error = result.as_ref().err().map(|error| error.message.clone());
                if result.is_ok() {
                    self.notices.toast(Tone::Good, tr().rendezvous_added, clock.now_ms);
                }
                asks.extend([Ask::from(net::Ask::Status), account::Ask::Invite.into()]);
            }
            Answer::Removed(result) => {
                if self.toast_error(result, clock).is_some() {
                    self.notices.toast(Tone::Plain, tr().rendezvous_removed, clock.now_ms);
                }
                asks.push(net::Ask::Status.into());
            }
            Answer::Hosting(result) => {
                network.host_starting = false;
                network.host_error = result.as_ref().err().map(|error| error.message.clone());
                network.hosted = result.ok();
                asks.extend([Ask::from(net::Ask::Status), account::Ask::Invite.into()]);
            }
            Answer::Stopped(result) => {
                if self.toast_error(result, clock).is_some() {
                    self.network.hosted = None;
                }
                asks.push(net::Ask::Status.into());
            }
            Answer::Dialled(result) => {
                network.dialling = false;
                network.dial_error = result.as_ref().err().map(|error| error.message.clone());
                if result.is_ok() {
                    self.notices.toast(Tone::Good, tr().dialled, clock.now_ms);
                }
                asks.push(net::Ask::Connections.into());
            }
            Answer::Diagnostics(result) => {
                if let Some(text) = self.toast_error(result, clock) {
                    self.overlay = Some(Overlay::Diagnostics(text));
                }
            }
            // The next reading makes them good.
            Answer::Status(Err(_)) | Answer::Connections(Err(_)) | Answer::Traffic(Err(_)) => {}
        }
    }

    fn contacts_answer(&mut self, answer: contacts::Answer, clock: Clock, asks: &mut Vec<Ask>) {
        use contacts::Answer;
        match answer {
            Answer::List(result) => {
                let Some(list) = self.toast_error(result, clock) else { return };
                let first = !self.people.loaded;
                self.people.set_contacts(list);
                if first {
                    let latest = self.people.contacts().iter().take(DRAFTS_READ_MAX);
                    asks.extend(latest.map(|contact| {
                        let conversation = contact.username.clone();
                        Ask::from(messages::Ask::LoadDraft { conversation })
                    }));
                }
            }
            Answer::Requests(result) => {
                if let Some(requests) = self.toast_error(result, clock) {
                    self.people.set_requests(requests);
                }
            }
            Answer::Online(result) => {
                if let Some(online) = self.toast_error(result, clock) {
                    self.people.online = online;
                }
            }
            Answer::Requested { to, result } => self.requested(&to, result, clock, asks),
            Answer::Accepted { request_id, result } => {
                self.answering.remove(&request_id);
                let Some(conversation) = self.toast_error(result, clock) else { return };
                self.people.close_request(&request_id);
                asks.push(contacts::Ask::List.into());
                self.open_conversation(&conversation, clock, asks);
            }
            Answer::RequestClosed { request_id, result } => {
                self.answering.remove(&request_id);
                if self.toast_error(result, clock).is_some() {
                    self.people.close_request(&request_id);
                    if self.chat.selection == Selection::Request(request_id) {
                        self.chat.selection = Selection::None;
                    }
                    asks.push(contacts::Ask::List.into());
                }
            }
            Answer::SafetyNumber { user, result } => {
                if matches!(&self.overlay, Some(Overlay::SafetyNumber(shown)) if *shown == user) {
                    self.safety = Some(result.map_err(|error| error.message));
                }
            }
            Answer::Changed { user, change, result } => self.contact_changed(&user, change, result, clock, asks),
        }
    }

    fn requested(&mut self, to: &str, result: Answered<()>, clock: Clock, asks: &mut Vec<Ask>) {
        match result {
            Ok(()) => {
                self.requesting = None;
                if matches!(self.overlay, Some(Overlay::NewChat { .. } | Overlay::Online)) {
                    self.overlay = None;
                }
                let name = if contacts::is_invite(to) { None } else { Some(to) };
                self.notices.toast(Tone::Good, (tr().request_sent)(name), clock.now_ms);
                asks.extend([Ask::from(contacts::Ask::Requests), contacts::Ask::List.into()]);
            }
            Err(error) => {
                let sentence = with_fingerprints(&error);
                if !matches!(self.overlay, Some(Overlay::NewChat { .. } | Overlay::Online)) {
                    self.notices.toast(Tone::Bad, sentence.clone(), clock.now_ms);
                }
                self.requesting = Some(Err(sentence));
            }
        }
    }

    fn contact_changed(
        &mut self,
        user: &str,
        change: contacts::Change,
        result: Answered<()>,
        clock: Clock,
        asks: &mut Vec<Ask>,
    ) {
        if self.toast_error(result, clock).is_none() {
            return;
        }
        use contacts::Change;
        let (tone, words) = match change {
            Change::Removed => (Tone::Plain, (tr().contact_removed)(user)),
            Change::Blocked => (Tone::Plain, (tr().contact_blocked)(user)),
            Change::Unblocked => (Tone::Plain, (tr().contact_unblocked)(user)),
            Change::Verified(true) => (Tone::Good, (tr().contact_verified)(user)),
            Change::Verified(false) => (Tone::Plain, (tr().contact_unverified)(user)),
            Change::KeyAccepted => (Tone::Plain, (tr().contact_key_accepted)(user)),
            Change::Muted(true) => (Tone::Plain, (tr().contact_muted)(user)),
            Change::Muted(false) => (Tone::Plain, (tr().contact_unmuted)(user)),
        };
        self.notices.toast(tone, words, clock.now_ms);
        if change == Change::Removed {
            self.people.remove(user);
            if self.chat.conversation() == Some(user) {
                self.leave_conversation(clock, asks);
            }
        }
        asks.push(contacts::Ask::List.into());
    }

    pub(super) fn messages_answer(&mut self, answer: messages::Answer, clock: Clock, asks: &mut Vec<Ask>) {
        use messages::Answer;
        match answer {
            Answer::History { conversation, page, result } => self.page(&conversation, page, result, clock, asks),
            Answer::Sent { conversation, local, result } => self.sent(&conversation, local, result),
            Answer::Changed { message_id, change, result } => {
                if self.toast_error(result, clock).is_some() {
                    self.message_changed(&message_id, change);
                }
            }
            Answer::Draft { conversation, result } => {
                if let Ok(text) = result {
                    self.chat.draft_loaded(&conversation, text);
                }
            }
            Answer::Found { conversation: Some(_), serial, result } => {
                self.chat.search.found(serial, result);
                self.show_hit(asks);
            }
            Answer::Found { conversation: None, serial, result } => self.chat.search_all.found(serial, result),
            Answer::Quiet => {}
        }
    }

    fn page(
        &mut self,
        conversation: &str,
        page: messages::Page,
        result: Answered<(Vec<Message>, bool)>,
        clock: Clock,
        asks: &mut Vec<Ask>,
    ) {
        let me = self.me().to_owned();
        let unread = match self.groups.get(conversation) {
            Some(group) => group.unread,
            None => self.people.contact(conversation).map_or(0, |contact| contact.unread),
        };
        let Some(timeline) = self.chat.timeline.as_mut().filter(|open| open.conversation == conversation) else {
            return;
        };
        let (messages, more) = match result {
            Ok(page) => page,
            Err(error) => {
                timeline.older.loading = false;
                timeline.newer.loading = false;
                timeline.loaded = true;
                self.notices.toast(Tone::Bad, error.message, clock.now_ms);
                return;
            }
        };
        let rows: Vec<Row> = messages.iter().map(|message| Row::new(message, &me)).collect();
        match page {
            messages::Page::Latest => {
                let first = !timeline.loaded;
                timeline.replace(rows, more, false);
                if first {
                    timeline.mark_unread(unread);
                }
            }
            messages::Page::Before(_) => timeline.prepend(rows, more),
            messages::Page::After(_) => timeline.append(rows, more),
            messages::Page::Around(id) => {
                timeline.replace(rows, true, true);
                timeline.scroll_to = Some(ScrollTo::Message(id.clone()));
                timeline.found = Some(id);
            }
            messages::Page::Quote(id) => {
                if let Some(row) = rows.into_iter().find(|row| row.id == id) {
                    timeline.keep_quote(&id, row.quote());
                }
                return;
            }
        }
        let unknown: Vec<String> = timeline
            .rows()
            .iter()
            .filter_map(|row| row.reply_to.as_deref())
            .filter(|id| timeline.quote(id).is_none())
            .take(messages::PAGE_MESSAGES as usize)
            .map(str::to_owned)
            .collect();
        asks.extend(unknown.into_iter().map(|id| {
            Ask::from(messages::Ask::History { conversation: conversation.to_owned(), page: messages::Page::Quote(id) })
        }));
    }

    fn sent(&mut self, conversation: &str, local: u64, result: Answered<String>) {
        let timeline = self.chat.timeline.as_mut().filter(|open| open.conversation == conversation);
        match result {
            Ok(message_id) => {
                if let Some(timeline) = timeline {
                    timeline.sent(local, &message_id);
                }
                // The list knows it by its name from now on, so that its state follows.
                if let Some(last) =
                    self.people.contact_mut(conversation).and_then(|contact| contact.last_message.as_mut())
                    && last.message_id == local_id(local)
                {
                    last.message_id = message_id;
                }
            }
            Err(error) => {
                if let Some(timeline) = timeline {
                    timeline.refused(local, &error.message);
                }
                self.chat.error = Some(error.message);
            }
        }
    }

    /// Moves the conversation to the hit that is chosen.
    pub(super) fn show_hit(&mut self, asks: &mut Vec<Ask>) {
        let search = &self.chat.search;
        let (Some(hit), Some(conversation)) = (search.hits.get(search.at), self.chat.conversation()) else { return };
        let (conversation, id) = (conversation.to_owned(), hit.message_id.clone());
        self.jump(conversation, id, asks);
    }

    fn message_changed(&mut self, message_id: &str, change: messages::Change) {
        use messages::Change;
        if let Some(timeline) = &mut self.chat.timeline {
            match change {
                Change::Edited { text } => {
                    if let Some(row) = timeline.row(message_id).cloned() {
                        timeline.change(Row { text, edited: true, ..row });
                    }
                }
                Change::Deleted { for_everyone } => timeline.delete(message_id, for_everyone),
                Change::Retried => timeline.set_state(message_id, MessageState::Queued, None),
                // The event brings all reactions as they are now.
                Change::Reacted => {}
            }
        }
        if let Composing::Edit { message_id: edited, .. } | Composing::Reply(edited) = &self.chat.composing
            && edited == message_id
            && let Some(conversation) = self.chat.conversation().map(str::to_owned)
        {
            self.chat.end_edit(&conversation);
        }
    }
}

fn with_fingerprints(error: &ApiError) -> String {
    if error.fingerprints.is_empty() {
        error.message.clone()
    } else {
        format!("{}\n{}", error.message, error.fingerprints.join("\n"))
    }
}

/// The name of an own message in the list until the node has named it.
pub(super) fn local_id(local: u64) -> String {
    format!("local {local}")
}
