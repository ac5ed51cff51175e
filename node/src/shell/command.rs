//! The commands, once: this table gives the help, the completion and what is carried out.

use std::time::Duration;

use futures::future::BoxFuture;

use super::session::Session;
use super::{account, files, groups, network, people, security, talk};
use crate::api::{ApiError, CallError};

/// What a command came to.
pub(super) enum Done {
    /// It has something to say, or nothing.
    Said(String),
    /// The person leaves.
    Quit,
}

impl From<String> for Done {
    fn from(text: String) -> Self {
        Self::Said(text)
    }
}

impl From<&str> for Done {
    fn from(text: &str) -> Self {
        Self::Said(text.to_owned())
    }
}

/// Why a command was not carried out, in words for the person.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Typed wrongly.
    #[error("{0}")]
    Mistyped(String),
    /// The node refused or failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The same, of `call`.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Failure {
    pub(super) fn mistyped(text: impl Into<String>) -> Self {
        Self::Mistyped(text.into())
    }
}

pub(super) type Outcome = Result<Done, Failure>;

/// What was typed after the command.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'a> {
    rest: &'a str,
    command: &'static Command,
}

impl<'a> Arguments<'a> {
    /// The next word.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let (word, rest) = first_word(self.rest)?;
        self.rest = rest;
        Some(word)
    }

    /// The next word, without which the command makes no sense.
    pub(super) fn needed(&mut self) -> Result<&'a str, Failure> {
        self.word().ok_or_else(|| self.usage())
    }

    /// All that is left; may be empty.
    pub(super) fn rest(self) -> &'a str {
        self.rest.trim()
    }

    /// All that is left, which must be something.
    pub(super) fn needed_rest(self) -> Result<&'a str, Failure> {
        if self.rest().is_empty() { Err(self.usage()) } else { Ok(self.rest()) }
    }

    /// How the command is typed.
    pub(super) fn usage(self) -> Failure {
        Failure::mistyped(format!("usage: {} {}", self.command.name, self.command.arguments))
    }
}

fn first_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// How long `quit` waits for what has not left yet.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);
/// It looks this often.
const QUIT_POLL: Duration = Duration::from_millis(50);

type Run = for<'a> fn(&'a mut Session, Arguments<'a>) -> BoxFuture<'a, Outcome>;

/// One command.
pub(super) struct Command {
    pub(super) name: &'static str,
    arguments: &'static str,
    about: &'static str,
    /// The methods of the application API that it serves.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds them against the list of all methods"))]
    methods: &'static [&'static str],
    run: Run,
}

macro_rules! commands {
    ($($title:literal { $($name:literal $arguments:literal $about:literal [$($method:literal),*] $run:path;)+ })+) => {
        /// All commands, under their titles.
        pub(super) static COMMANDS: &[(&str, &[Command])] = &[$((
            $title,
            &[$(Command {
                name: $name,
                arguments: $arguments,
                about: $about,
                methods: &[$($method),*],
                run: |session, arguments| Box::pin($run(session, arguments)),
            }),+],
        )),+];
    };
}

commands! {
    "Account" {
        "register" "NAME" "make an account; asks for a password" ["account.create", "account.password_strength"] account::register;
        "login" "[NAME]" "open an account" ["account.unlock", "account.list"] account::login;
        "lock" "" "close the account and forget its keys" ["account.lock"] account::lock;
        "whoami" "" "your name, fingerprint and peer id" ["account.status"] account::whoami;
        "accounts" "" "the accounts of this data directory" ["account.list"] account::accounts;
        "invite" "" "a link with which others reach you without a directory" ["account.invite"] account::invite;
        "presence" "online|away|invisible" "what others see of you" ["presence.set"] account::presence;
        "settings" "[KEY [VALUE]]" "read or change settings" ["settings.get", "settings.set"] account::settings;
    }
    "People" {
        "online" "" "who is online" ["users.online"] people::online;
        "find" "NAME" "look somebody up" ["users.find"] people::find;
        "request" "NAME|INVITE [GREETING]" "ask somebody for a chat" ["contacts.request"] people::request;
        "requests" "" "requests from and to others" ["contacts.requests"] people::requests;
        "accept" "NAME" "say yes to a request" ["contacts.accept"] people::accept;
        "decline" "NAME" "say no to a request" ["contacts.decline"] people::decline;
        "cancel" "NAME" "take your request back" ["contacts.cancel_request"] people::cancel;
        "contacts" "" "your contacts" ["contacts.list"] people::contacts;
        "remove" "NAME" "forget a contact" ["contacts.remove"] people::remove;
        "block" "NAME" "refuse what they send, without telling them" ["contacts.block"] people::block;
        "unblock" "NAME" "take a block back" ["contacts.unblock"] people::unblock;
        "safety" "NAME" "the number that you both compare" ["contacts.safety_number"] people::safety;
        "verify" "NAME [no]" "note that you compared it" ["contacts.verify"] people::verify;
        "trust" "NAME FINGERPRINT" "accept the changed keys of a contact" ["contacts.accept_key_change"] people::trust;
        "mute" "NAME [HOURS]" "silence a contact; 0 hours ends it" ["contacts.mute"] people::mute;
    }
    "Messages" {
        "chat" "NAME" "open a chat: what you type goes there, commands then begin with /" ["messages.history", "messages.mark_read"] talk::chat;
        "back" "" "leave the chat" [] talk::back;
        "msg" "NAME TEXT" "send a text" ["messages.send"] talk::msg;
        "reply" "#N TEXT" "answer a message" ["messages.send"] talk::reply;
        "edit" "#N TEXT" "change a message of yours" ["messages.edit"] talk::edit;
        "delete" "#N [everyone]" "delete a message here, or yours for everyone" ["messages.delete"] talk::delete;
        "react" "#N [EMOJI]" "react to a message; without an emoji, take it back" ["messages.react"] talk::react;
        "retry" "#N" "try a failed message again" ["messages.retry"] talk::retry;
        "history" "[NAME] [COUNT] [before #N]" "read a conversation" ["messages.history"] talk::history;
        "read" "NAME" "mark a conversation as read" ["messages.mark_read"] talk::read;
        "search" "[@NAME] WORDS" "find messages" ["messages.search"] talk::search;
        "draft" "NAME [TEXT]" "keep or read an unsent text" ["messages.draft"] talk::draft;
        "typing" "NAME" "tell that you are writing" ["messages.typing"] talk::typing;
    }
    "Groups" {
        "groups" "" "your groups and invitations" ["groups.list"] groups::groups;
        "gcreate" "NAME [public] [open|approval|invite]" "make a group" ["groups.create"] groups::create;
        "gsearch" "[WORDS]" "find public groups" ["groups.search"] groups::search;
        "gjoin" "GROUP|LINK" "accept an invitation, use a link, or ask to join" ["groups.join"] groups::join;
        "ginvite" "GROUP [NAME]" "invite a contact, or make a link" ["groups.invite"] groups::invite;
        "ginvites" "GROUP" "open links" ["groups.invites"] groups::invites;
        "grevoke" "GROUP LINK|ID" "end a link" ["groups.revoke_invite"] groups::revoke;
        "grequests" "GROUP" "who asks to join" ["groups.requests"] groups::requests;
        "gapprove" "GROUP NAME" "let somebody in" ["groups.approve"] groups::approve;
        "greject" "GROUP NAME" "don't" ["groups.reject"] groups::reject;
        "gmembers" "GROUP" "who is in a group" ["groups.members"] groups::members;
        "grole" "GROUP NAME owner|admin|member" "give somebody a role" ["groups.set_role"] groups::role;
        "gremove" "GROUP NAME" "put somebody out" ["groups.remove_member"] groups::remove;
        "gban" "GROUP NAME" "put somebody out, and keep them out" ["groups.ban"] groups::ban;
        "gunban" "GROUP NAME" "end a ban" ["groups.unban"] groups::unban;
        "gtransfer" "GROUP NAME" "make somebody else the owner" ["groups.transfer"] groups::transfer;
        "gupdate" "GROUP name|about|join TEXT" "change what a group says of itself" ["groups.update"] groups::update;
        "gmsg" "GROUP TEXT" "say something in a group" ["groups.send"] groups::say;
        "ghistory" "GROUP [COUNT]" "read a group" ["groups.history", "groups.mark_read"] groups::history;
        "gmute" "GROUP [HOURS]" "silence a group; 0 hours ends it" ["groups.mute"] groups::mute;
        "gleave" "GROUP" "leave a group" ["groups.leave"] groups::leave;
        "gforget" "GROUP" "forget a group that you left" ["groups.delete_local"] groups::forget;
    }
    "Files" {
        "files" "[personal|group]" "shared files, yours and others'" ["files.list"] files::files;
        "share" "NAME [24h|1w] PATH" "share a file with a contact" ["files.share"] files::share;
        "gshare" "GROUP [24h|1w] PATH" "share a file with a group" ["files.share"] files::share_with_group;
        "download" "FILE [FOLDER]" "fetch a file; answers when it is whole and verified" ["files.download"] files::download;
        "halt" "FILE" "halt a download" ["files.pause"] files::pause;
        "resume" "FILE" "go on with a halted download" ["files.resume"] files::resume;
        "again" "FILE" "try a failed download again, or to leave your file at nodes" ["files.retry"] files::retry;
        "abort" "FILE" "give a download up, or stop leaving your file at nodes" ["files.cancel"] files::cancel;
        "preview" "FILE" "a small picture of an image, as base64" ["files.preview"] files::preview;
        "unshare" "FILE" "take your file back, or forget somebody else's" ["files.delete"] files::delete;
    }
    "Security" {
        "audit" "[WORDS]" "the end of the audit log" ["security.audit_log"] security::audit;
        "audit-export" "json|csv|html FILE" "write the audit log to a file, signed" ["security.export"] security::audit_export;
        "audit-clear" "yes" "empty the audit log" ["security.clear"] security::audit_clear;
        "alerts" "" "what is suspicious" ["security.alerts"] security::alerts;
        "dismiss" "ID" "dismiss an alert" ["security.dismiss"] security::dismiss;
        "facts" "" "keys, sessions and the vault" ["security.facts"] security::facts;
        "reset-session" "NAME" "start the encrypted session with a contact anew" ["security.reset_session"] security::reset;
        "quarantine" "[ID]" "requests that were set aside; with an id, set one aside" ["security.quarantine"] security::quarantine;
        "release" "[ID]" "show what was set aside after all" ["security.release"] security::release;
        "passwd" "" "change the password" ["account.change_password"] security::passwd;
        "rekey" "" "seal the vault anew under fresh keys" ["account.rekey"] security::rekey;
        "backup" "FILE" "write an encrypted backup" ["account.export"] security::backup;
        "restore" "FILE" "restore a backup as an account here" ["account.import"] security::restore;
        "wipe" "[NAME]" "delete an account from this device" ["account.wipe"] security::wipe;
    }
    "Network" {
        "status" "" "everything at a glance" ["status"] network::status;
        "network" "" "addresses and rendezvous nodes" ["network.status"] network::network;
        "connections" "" "open connections" ["network.connections"] network::connections;
        "traffic" "" "bytes on the wire" ["network.traffic"] network::traffic;
        "dial" "ADDRESS" "connect to an address" ["network.dial"] network::dial;
        "rendezvous" "[add|remove ADDRESS]" "use a rendezvous node, or leave it" ["network.add_rendezvous", "network.remove_rendezvous"] network::rendezvous;
        "host" "[ADDRESS]" "host a rendezvous node here, where the program can" ["network.host_rendezvous"] network::host;
        "unhost" "" "stop hosting" ["network.stop_hosting"] network::unhost;
        "diagnostics" "" "text for a report of trouble, without secrets" ["network.diagnostics"] network::diagnostics;
    }
    "Other" {
        "call" "METHOD [JSON]" "call the API by hand" [] network::call;
        "help" "[COMMAND]" "this list" [] help;
        "quit" "" "leave; nothing is lost" [] quit;
    }
}

pub(super) fn all() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().flat_map(|(_, commands)| commands.iter())
}

fn named(name: &str) -> Option<&'static Command> {
    let name = match name {
        "exit" => "quit",
        "?" => "help",
        other => other,
    };
    all().find(|command| command.name.eq_ignore_ascii_case(name))
}

/// Carries a line out: a command, or in an open chat a text to be sent.
pub(super) async fn carry_out(session: &mut Session, line: &str) -> Outcome {
    let line = line.trim();
    if line.is_empty() {
        return Ok("".into());
    }
    let slashed = line.strip_prefix('/');
    if session.chat.is_some() {
        match slashed {
            None => return talk::say_in_chat(session, line).await,
            Some(escaped) if escaped.starts_with('/') => return talk::say_in_chat(session, escaped).await,
            Some(_) => {}
        }
    }
    let (name, rest) =
        first_word(slashed.unwrap_or(line)).ok_or_else(|| Failure::mistyped("a command is missing after /"))?;
    let Some(command) = named(name) else {
        return Err(Failure::mistyped(format!("there is no command {name:?}; `help` lists them")));
    };
    (command.run)(session, Arguments { rest, command }).await
}

async fn help(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    if let Some(name) = arguments.word() {
        let name = name.trim_start_matches('/');
        let command = named(name).ok_or_else(|| Failure::mistyped(format!("there is no command {name:?}")))?;
        return Ok(format!("{} {}\n    {}", command.name, command.arguments, command.about).into());
    }
    let mut text = String::new();
    for (title, commands) in COMMANDS {
        text.push_str(&session.style.bold(title));
        text.push('\n');
        for command in *commands {
            let typed = format!("{} {}", command.name, command.arguments);
            text.push_str(&format!("  {typed:<36} {}\n", session.style.dim(command.about)));
        }
    }
    text.push_str("#N is the number in front of a message. In a chat, commands begin with /.");
    Ok(text.into())
}

/// Leaves, but waits a moment for what was just said to leave, too: to somebody who is away
/// it would only come when both are there.
async fn quit(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let until = tokio::time::Instant::now() + QUIT_PATIENCE;
    while tokio::time::Instant::now() < until && may_still_leave(session).await {
        tokio::time::sleep(QUIT_POLL).await;
    }
    Ok(Done::Quit)
}

async fn may_still_leave(session: &Session) -> bool {
    let Ok(status) = session.handle.status().await else { return false };
    status.outbox.queued > 0 && status.network.rendezvous.iter().any(|node| node.state == "registered")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::sync::{broadcast, mpsc};

    use super::*;
    use crate::api::{
        self, Account, Contact, ContactState, Contacts, Done as Nothing, Messages, NodeHandle, PasswordStrength, Sent,
        Status,
    };
    use crate::shell::ask::Ask;
    use crate::shell::style::Style;

    /// A session whose engine is `answer`, and what is left of its input.
    fn session(input: &'static str, answer: fn(api::Command)) -> Session {
        let (commands, mut engine) = mpsc::channel(1);
        let (events, _) = broadcast::channel(1);
        let handle = NodeHandle::new(commands, &events);
        tokio::spawn(async move {
            while let Some(command) = engine.recv().await {
                answer(command);
            }
        });
        Session::new(handle, Style { coloured: false }, Ask::lines(input.as_bytes()))
    }

    /// What the shell says to a line.
    async fn said(session: &mut Session, line: &str) -> String {
        match carry_out(session, line).await {
            Ok(Done::Said(text)) => text,
            Ok(Done::Quit) => "(quit)".into(),
            Err(failure) => format!("failed: {failure}"),
        }
    }

    fn bob() -> Contact {
        Contact {
            username: "bob".into(),
            account_id: "b0".into(),
            peer_id: String::new(),
            fingerprint: "b0b0".into(),
            state: ContactState::Accepted,
            verified: false,
            online: true,
            status: Status::Online,
            last_seen: None,
            unread: 0,
            muted_until: None,
            last_message: None,
            new_fingerprint: None,
        }
    }

    /// An engine with one contact, whose message ids are what was sent to whom.
    fn with_bob(command: api::Command) {
        match command {
            api::Command::ContactsList(_, reply) => drop(reply.send(Ok(Contacts { contacts: vec![bob()] }))),
            api::Command::MessagesHistory(_, reply) => {
                drop(reply.send(Ok(Messages { messages: vec![], more: false })));
            }
            api::Command::MessagesSend(params, reply) => {
                drop(reply.send(Ok(Sent { message_id: format!("{}: {}", params.to, params.text) })));
            }
            api::Command::MessagesEdit(params, reply) => {
                assert_eq!(params.message_id, "bob: hello", "the number means the message that was sent");
                drop(reply.send(Ok(Nothing {})));
            }
            api::Command::StatusGet(_, reply) => drop(reply.send(Err(ApiError::locked()))),
            other => panic!("{other:?} was not expected"),
        }
    }

    #[tokio::test]
    async fn in_a_chat_texts_are_sent_and_commands_begin_with_a_slash() {
        let mut session = session("", with_bob);
        assert!(said(&mut session, "help").await.contains("register NAME"));
        said(&mut session, "chat BOB").await;
        assert_eq!(session.chat.as_deref(), Some("bob"), "names are compared without case");
        said(&mut session, "hello").await;
        said(&mut session, "//shrug").await;
        said(&mut session, "quit").await;
        for (number, text) in [("1", "bob: hello"), ("2", "bob: /shrug"), ("3", "bob: quit")] {
            assert_eq!(session.numbers.resolve(number).as_deref(), Some(text));
        }
        assert_eq!(said(&mut session, "/edit #1 hello!").await, "Changed.");
        said(&mut session, "/back").await;
        assert_eq!(said(&mut session, "quit").await, "(quit)");
    }

    #[tokio::test]
    async fn what_is_mistyped_is_answered_with_how_to_type_it() {
        let mut session = session("", with_bob);
        assert!(said(&mut session, "frobnicate").await.contains("there is no command \"frobnicate\""));
        assert_eq!(said(&mut session, "msg bob").await, "failed: usage: msg NAME TEXT");
        assert!(said(&mut session, "edit #7 x").await.contains("#7"));
        assert!(said(&mut session, "call status {").await.contains("not JSON"));
        assert!(said(&mut session, "chat mallory").await.contains("not among your contacts"));
        assert_eq!(said(&mut session, "   ").await, "");
    }

    #[tokio::test]
    async fn a_script_gives_the_password_as_the_next_line() {
        let mut session = session("Correct-Horse-7\nnext\n", |command| match command {
            api::Command::AccountPasswordStrength(_, reply) => {
                drop(reply.send(Ok(PasswordStrength { score: 4, warnings: vec![], missing: vec![] })));
            }
            api::Command::AccountCreate(params, reply) => {
                assert_eq!((params.username.as_str(), params.password.expose()), ("alice", "Correct-Horse-7"));
                let id = String::from("a1");
                let account =
                    Account { username: params.username, account_id: id.clone(), peer_id: id.clone(), fingerprint: id };
                drop(reply.send(Ok(account)));
            }
            other => panic!("{other:?} was not expected"),
        });
        assert!(said(&mut session, "register alice").await.starts_with("Welcome, alice."));
        assert_eq!(session.prompt(), "alice> ");
        assert_eq!(session.ask.line().await.unwrap().as_str(), "next", "nothing else was taken from the input");
    }

    #[test]
    fn every_method_of_the_api_has_a_command() {
        let served: BTreeSet<&str> = all().flat_map(|command| command.methods).copied().collect();
        let methods: BTreeSet<&str> = crate::api::METHODS.iter().copied().collect();
        assert_eq!(served, methods);
    }

    #[test]
    fn command_names_are_unique() {
        let names: BTreeSet<&str> = all().map(|command| command.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
