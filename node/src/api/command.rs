//! Every command of the application, once: the enum that the engine takes, the
//! methods of [`NodeHandle`], and the calls by name that JSON-RPC makes all
//! come from the one table at the bottom.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::*;

/// Where the engine puts the answer to a command.
pub type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

/// A cheap, cloneable handle on a running node: the whole application API.
#[derive(Clone)]
pub struct NodeHandle {
    commands: mpsc::Sender<Command>,
    /// Weak, so that the streams end with the engine and not with the last handle.
    events: broadcast::WeakSender<NumberedEvent>,
}

impl NodeHandle {
    /// A handle on the engine that takes `commands` and tells `events`. The
    /// engine keeps its sender: dropping it ends the streams.
    pub(crate) fn new(commands: mpsc::Sender<Command>, events: &broadcast::Sender<NumberedEvent>) -> Self {
        Self { commands, events: events.downgrade() }
    }

    /// The events from now on; none at all when the node has stopped.
    #[must_use]
    pub fn events(&self) -> EventStream {
        // A receiver without a sender ends at once.
        EventStream::new(self.events.upgrade().map_or_else(|| broadcast::channel(1).1, |events| events.subscribe()))
    }

    /// Stops the node: closes connections, commits, locks the vault. Returns
    /// when everything is on disk.
    pub async fn shutdown(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Shutdown(reply)).await.is_ok() {
            // An engine that is gone has stopped already, and may not have seen the command.
            tokio::select! {
                _ = done => {}
                () = self.commands.closed() => {}
            }
        }
    }
}

/// The answer to a command that the engine has in its queue.
pub type Answer = BoxFuture<'static, Result<serde_json::Value, CallError>>;

async fn submitted<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(Reply<T>) -> Command,
) -> Result<oneshot::Receiver<Result<T, ApiError>>, ApiError> {
    let (reply, answer) = oneshot::channel();
    commands.send(command(reply)).await.map_err(|_| ApiError::stopped())?;
    Ok(answer)
}

async fn answered<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(Reply<T>) -> Command,
) -> Result<T, ApiError> {
    let answer = submitted(commands, command).await?;
    settled(commands, answer).await
}

/// Waits for an answer, or for the end of the engine: a command that came into the
/// queue at that very moment is neither answered nor dropped.
async fn settled<T>(
    commands: &mpsc::Sender<Command>,
    answer: oneshot::Receiver<Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        result = answer => result.unwrap_or_else(|_| Err(ApiError::stopped())),
        () = commands.closed() => Err(ApiError::stopped()),
    }
}

async fn as_json<T: Serialize>(
    commands: mpsc::Sender<Command>,
    answer: oneshot::Receiver<Result<T, ApiError>>,
) -> Result<serde_json::Value, CallError> {
    let result = settled(&commands, answer).await?;
    serde_json::to_value(result).map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()).into())
}

fn parse<T: DeserializeOwned>(params: serde_json::Value) -> Result<T, CallError> {
    let params = if params.is_null() { serde_json::Value::Object(serde_json::Map::new()) } else { params };
    serde_path_to_error::deserialize(params).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        // A missing or unknown field is named between backticks, not in the path.
        let named = message.split('`').nth(1).filter(|_| path == ".").map(str::to_owned);
        CallError::InvalidParams { field: named.or((path != ".").then_some(path)), message }
    })
}

macro_rules! commands {
    ($($(#[$doc:meta])* $method:literal $variant:ident $function:ident ( $($field:ident : $type:ty),* ) -> $result:ty;)*) => {
        /// The parameters of each command.
        pub mod params {
            #[allow(unused_imports)]
            use super::*;
            $(
                $(#[$doc])*
                #[derive(Debug, serde::Deserialize)]
                #[serde(deny_unknown_fields)]
                pub struct $variant {
                    $(
                        #[allow(missing_docs)] // named in `interfaces.md`
                        pub $field: $type,
                    )*
                }
            )*
        }

        /// What the engine is asked to do.
        #[derive(Debug)]
        pub enum Command {
            $($(#[$doc])* $variant(params::$variant, Reply<$result>),)*
            /// Stop cleanly.
            Shutdown(oneshot::Sender<()>),
        }

        impl Command {
            /// Answers it with an error.
            pub(crate) fn refuse(self, error: ApiError) {
                // Whoever asked may have gone.
                match self {
                    $(Self::$variant(_, reply) => drop(reply.send(Err(error))),)*
                    Self::Shutdown(done) => drop(done.send(())),
                }
            }
        }

        impl NodeHandle {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`ApiError`]: what happened, and what to do now.
                #[allow(clippy::too_many_arguments)] // as many as the method has parameters
                pub async fn $function(&self, $($field: impl Into<$type>),*) -> Result<$result, ApiError> {
                    let params = params::$variant { $($field: $field.into()),* };
                    answered(&self.commands, |reply| Command::$variant(params, reply)).await
                }
            )*
        }

        /// The names of all commands.
        pub const METHODS: &[&str] = &[$($method),*];

        /// Puts a command, by its name and with parameters as JSON, into the
        /// engine's queue. Commands are carried out in the order in which they
        /// were put there, whenever their answers are awaited.
        ///
        /// # Errors
        /// [`CallError`]: no such method, parameters that don't fit, or the
        /// node has stopped. The command's own error comes with the answer.
        pub async fn submit(handle: &NodeHandle, method: &str, params: serde_json::Value) -> Result<Answer, CallError> {
            match method {
                $($method => {
                    let params: params::$variant = parse(params)?;
                    let answer = submitted(&handle.commands, |reply| Command::$variant(params, reply)).await?;
                    Ok(as_json(handle.commands.clone(), answer).boxed())
                })*
                _ => Err(CallError::UnknownMethod(method.to_owned())),
            }
        }
    };
}

/// Calls a command by its name, with parameters and result as JSON.
///
/// # Errors
/// [`CallError`]: no such method, parameters that don't fit, or the command's
/// own error.
pub async fn call(
    handle: &NodeHandle,
    method: &str,
    params: serde_json::Value,
) -> Result<serde_json::Value, CallError> {
    submit(handle, method, params).await?.await
}

commands! {
    /// Lists the accounts of this data directory.
    "account.list" AccountList account_list() -> Accounts;
    /// Makes an account and opens it.
    "account.create" AccountCreate account_create(username: String, password: Password) -> Account;
    /// Opens an account.
    "account.unlock" AccountUnlock account_unlock(password: Password, username: Option<String>) -> Account;
    /// Closes the account and wipes its keys from memory.
    "account.lock" AccountLock account_lock() -> Done;
    /// Says whether an account is open.
    "account.status" AccountStatusGet account_status() -> AccountStatus;
    /// Makes a link with which others reach this account without a directory.
    "account.invite" AccountInvite account_invite() -> Invite;
    /// Judges a password.
    "account.password_strength" AccountPasswordStrength account_password_strength(password: Password, username: Option<String>) -> PasswordStrength;

    /// Changes the password.
    "account.change_password" AccountChangePassword account_change_password(old: Password, new: Password) -> Done;
    /// Seals the whole vault anew under fresh keys: old copies of it and of its keys open nothing new.
    "account.rekey" AccountRekey account_rekey(password: Password) -> Done;
    /// Writes an encrypted backup, without sessions: see `docs/backup.md`.
    "account.export" AccountExport account_export(path: String, passphrase: Password) -> BackupWritten;
    /// Restores a backup as an account that is not on this device yet, and opens it.
    "account.import" AccountImport account_import(path: String, passphrase: Password, password: Password) -> Account;
    /// Deletes an account from this device, for good: the open one, or without one the one of this name.
    "account.wipe" AccountWipe account_wipe(password: Password, username: Option<String>) -> Done;

    /// A page of the audit log, newest first.
    "security.audit_log" SecurityAuditLog security_audit_log(before: Option<u64>, limit: Option<u32>, kind: Option<String>, severity: Option<String>, since: Option<At>, until: Option<At>, query: Option<String>) -> AuditLog;
    /// Alerts that were not dismissed.
    "security.alerts" SecurityAlerts security_alerts() -> Alerts;
    /// Dismisses an alert.
    "security.dismiss" SecurityDismiss security_dismiss(alert_id: String) -> Done;
    /// Sessions, keys, verifications and the vault at a glance.
    "security.facts" SecurityFactsGet security_facts() -> SecurityFacts;
    /// Clears the audit log, if that is confirmed; the clearing is its first entry then.
    "security.clear" SecurityClear security_clear(confirm: Option<bool>) -> Done;
    /// Writes the audit log to a new file, signed by the identity.
    "security.export" SecurityExport security_export(path: String, format: ExportFormat) -> Exported;
    /// Starts the encrypted session with a contact anew.
    "security.reset_session" SecurityResetSession security_reset_session(user: String) -> Done;
    /// What was set aside; with an id, sets a waiting request aside first.
    "security.quarantine" SecurityQuarantine security_quarantine(message_id: Option<String>) -> Quarantine;
    /// Shows what was set aside after all: one, or everything.
    "security.release" SecurityRelease security_release(message_id: Option<String>) -> Quarantine;

    /// How it stands with the network.
    "network.status" NetworkStatusGet network_status() -> NetworkStatus;
    /// Connects to an address.
    "network.dial" NetworkDial network_dial(address: String) -> Dialled;
    /// Uses a rendezvous node from now on.
    "network.add_rendezvous" NetworkAddRendezvous network_add_rendezvous(address: String) -> HostedAddress;
    /// Leaves a rendezvous node.
    "network.remove_rendezvous" NetworkRemoveRendezvous network_remove_rendezvous(address: String) -> Done;
    /// The open connections.
    "network.connections" NetworkConnections network_connections() -> Connections;
    /// Bytes on the wire over time.
    "network.traffic" NetworkTraffic network_traffic(since: Option<At>) -> Traffic;
    /// Hosts a rendezvous node in this process, where the program can.
    "network.host_rendezvous" NetworkHostRendezvous network_host_rendezvous(listen: Option<Vec<String>>) -> HostedAddress;
    /// Stops hosting.
    "network.stop_hosting" NetworkStopHosting network_stop_hosting() -> Done;
    /// Text for a report of trouble, without secrets.
    "network.diagnostics" NetworkDiagnostics network_diagnostics() -> Diagnostics;

    /// Reads settings: one, or all.
    "settings.get" SettingsGet settings_get(key: Option<String>) -> SettingsView;
    /// Changes a setting.
    "settings.set" SettingsSet settings_set(key: String, value: serde_json::Value) -> SettingsView;

    /// Who is online.
    "users.online" UsersOnline users_online() -> OnlineUsers;
    /// Looks somebody up by name.
    "users.find" UsersFind users_find(username: String) -> User;
    /// Sets the own presence.
    "presence.set" PresenceSet presence_set(status: Status) -> Done;

    /// Asks somebody for a chat, by name, account id, peer id or invite.
    "contacts.request" ContactsRequest contacts_request(user: Option<String>, invite: Option<String>, greeting: Option<String>) -> RequestMade;
    /// Takes an unanswered request back.
    "contacts.cancel_request" ContactsCancelRequest contacts_cancel_request(request_id: String) -> Done;
    /// Requests from and to others.
    "contacts.requests" ContactsRequests contacts_requests() -> Requests;
    /// Says yes to a request.
    "contacts.accept" ContactsAccept contacts_accept(request_id: String) -> Accepted;
    /// Says no to a request.
    "contacts.decline" ContactsDecline contacts_decline(request_id: String) -> Done;
    /// All contacts.
    "contacts.list" ContactsList contacts_list() -> Contacts;
    /// Forgets a contact; the conversation stays readable.
    "contacts.remove" ContactsRemove contacts_remove(user: String) -> Done;
    /// Refuses somebody's messages and requests from now on, without telling them.
    "contacts.block" ContactsBlock contacts_block(user: String) -> Done;
    /// Takes a block back.
    "contacts.unblock" ContactsUnblock contacts_unblock(user: String) -> Done;
    /// The number that both compare to be sure of each other's keys.
    "contacts.safety_number" ContactsSafetyNumber contacts_safety_number(user: String) -> SafetyNumberView;
    /// Notes that the safety number was compared, or was not.
    "contacts.verify" ContactsVerify contacts_verify(user: String, verified: bool) -> Done;
    /// Accepts the changed keys of a known name.
    "contacts.accept_key_change" ContactsAcceptKeyChange contacts_accept_key_change(user: String, fingerprint: String) -> Done;
    /// Silences a contact until a time, for good without one; a past time ends it.
    "contacts.mute" ContactsMute contacts_mute(user: String, until: Option<At>) -> Done;

    /// Sends a text; answers once it is durable here.
    "messages.send" MessagesSend messages_send(to: String, text: String, reply_to: Option<String>) -> Sent;
    /// Changes the text of an own message.
    "messages.edit" MessagesEdit messages_edit(message_id: String, text: String) -> Done;
    /// Deletes a message here, or an own one for everyone.
    "messages.delete" MessagesDelete messages_delete(message_id: String, for_everyone: Option<bool>) -> Done;
    /// Reacts to a message; an empty emoji takes the reaction back.
    "messages.react" MessagesReact messages_react(message_id: String, emoji: String) -> Done;
    /// Tries a failed message again.
    "messages.retry" MessagesRetry messages_retry(message_id: String) -> Done;
    /// Tells that the person is writing.
    "messages.typing" MessagesTyping messages_typing(to: String) -> Done;
    /// Keeps, or without a text reads, what was written and not sent.
    "messages.draft" MessagesDraft messages_draft(conversation: String, text: Option<String>) -> Draft;
    /// A page of a conversation.
    "messages.history" MessagesHistory messages_history(conversation: String, before: Option<String>, after: Option<String>, around: Option<String>, limit: Option<u32>) -> Messages;
    /// Marks a conversation as read up to a message.
    "messages.mark_read" MessagesMarkRead messages_mark_read(conversation: String, up_to: String) -> Done;
    /// Full-text search: messages in which every word of the query begins a word.
    "messages.search" MessagesSearch messages_search(query: String, conversation: Option<String>, limit: Option<u32>) -> Messages;

    /// Makes a group, with this account as its owner.
    "groups.create" GroupsCreate groups_create(name: String, description: Option<String>, public: bool, join: JoinPolicy) -> GroupMade;
    /// Public groups in the directories of the rendezvous nodes.
    "groups.search" GroupsSearch groups_search(query: String) -> GroupsFound;
    /// Accepts an invitation, uses a link, or asks to join a public group.
    "groups.join" GroupsJoin groups_join(group_id: Option<String>, invite: Option<String>) -> GroupJoining;
    /// Invites a contact, or without one makes a link.
    "groups.invite" GroupsInvite groups_invite(group_id: String, user: Option<String>, expires: Option<At>) -> GroupInviteMade;
    /// Who asks to join.
    "groups.requests" GroupsRequests groups_requests(group_id: String) -> GroupRequests;
    /// Lets somebody in who asked.
    "groups.approve" GroupsApprove groups_approve(group_id: String, user: String) -> Done;
    /// Does not.
    "groups.reject" GroupsReject groups_reject(group_id: String, user: String) -> Done;
    /// Leaves a group, or takes back a request or an invitation.
    "groups.leave" GroupsLeave groups_leave(group_id: String) -> Done;
    /// All groups.
    "groups.list" GroupsList groups_list() -> Groups;
    /// Who is in a group.
    "groups.members" GroupsMembers groups_members(group_id: String) -> GroupMembers;
    /// Gives a member another role.
    "groups.set_role" GroupsSetRole groups_set_role(group_id: String, user: String, role: Role) -> Done;
    /// Puts somebody out.
    "groups.remove_member" GroupsRemoveMember groups_remove_member(group_id: String, user: String) -> Done;
    /// Changes what a group says of itself.
    "groups.update" GroupsUpdate groups_update(group_id: String, name: Option<String>, description: Option<String>, join: Option<JoinPolicy>) -> Done;
    /// Puts somebody out, and keeps them out.
    "groups.ban" GroupsBan groups_ban(group_id: String, user: String) -> Done;
    /// Ends a ban.
    "groups.unban" GroupsUnban groups_unban(group_id: String, user: String) -> Done;
    /// Makes somebody else the owner.
    "groups.transfer" GroupsTransfer groups_transfer(group_id: String, user: String) -> Done;
    /// Open invite links.
    "groups.invites" GroupsInvites groups_invites(group_id: String) -> GroupInvites;
    /// Ends an invite link: given by its text or id.
    "groups.revoke_invite" GroupsRevokeInvite groups_revoke_invite(group_id: String, invite: String) -> Done;
    /// Silences a group until a time, for good without one; a past time ends it.
    "groups.mute" GroupsMute groups_mute(group_id: String, until: Option<At>) -> Done;
    /// Forgets a group here that was left, with its messages.
    "groups.delete_local" GroupsDeleteLocal groups_delete_local(group_id: String) -> Done;
    /// Marks a group as read up to a message.
    "groups.mark_read" GroupsMarkRead groups_mark_read(group_id: String, up_to: String) -> Done;
    /// Sends a text to a group; answers once it is durable here.
    "groups.send" GroupsSend groups_send(group_id: String, text: String, reply_to: Option<String>) -> Sent;
    /// A page of a group's conversation.
    "groups.history" GroupsHistory groups_history(group_id: String, before: Option<String>, limit: Option<u32>) -> Messages;
    /// Shares a file with a contact or a group; answers once the message that says so is durable here.
    "files.share" FilesShare files_share(path: String, to: Option<String>, group_id: Option<String>, expires: Option<Expiry>, caption: Option<String>, confirm: Option<bool>) -> FileShared;
    /// Shared files, own and others'.
    "files.list" FilesList files_list(source: Option<FileSource>, group_id: Option<String>) -> Files;
    /// Fetches a file into a folder, or under a name; answers when it is whole and verified.
    "files.download" FilesDownload files_download(file_id: String, path: Option<String>, confirm: Option<bool>) -> Downloaded;
    /// Gives a download up, and what came of it.
    "files.cancel" FilesCancel files_cancel(file_id: String) -> Done;
    /// Halts a download until `files.resume`.
    "files.pause" FilesPause files_pause(file_id: String) -> Done;
    /// Goes on with a halted download.
    "files.resume" FilesResume files_resume(file_id: String) -> Done;
    /// Tries a failed download, or an upload for somebody who is away, again.
    "files.retry" FilesRetry files_retry(file_id: String) -> Done;
    /// A small picture of an image.
    "files.preview" FilesPreview files_preview(file_id: String) -> FilePreview;
    /// Takes an own file back from everybody, or forgets somebody else's.
    "files.delete" FilesDelete files_delete(file_id: String) -> Done;

    /// Everything at a glance.
    "status" StatusGet status() -> NodeStatus;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_parameter_is_named() {
        let error = parse::<params::MessagesSend>(serde_json::json!({"to": "bob"})).unwrap_err();
        assert!(matches!(error, CallError::InvalidParams { field: Some(field), .. } if field == "text"));
    }

    #[test]
    fn a_parameter_of_the_wrong_type_is_named() {
        let error = parse::<params::MessagesHistory>(serde_json::json!({"conversation": "bob", "limit": "many"}));
        assert!(matches!(error.unwrap_err(), CallError::InvalidParams { field: Some(field), .. } if field == "limit"));
    }

    #[tokio::test]
    async fn the_streams_of_a_stopped_node_end() {
        let (commands, _engine) = mpsc::channel(1);
        let (events, _) = broadcast::channel(1);
        let handle = NodeHandle::new(commands, &events);
        let mut before = handle.events();
        drop(events);
        assert_eq!(before.next().await, None);
        assert_eq!(handle.events().next().await, None);
    }

    #[tokio::test]
    async fn commands_are_carried_out_in_the_order_of_their_submission() {
        let (commands, mut engine) = mpsc::channel(8);
        let (events, _) = broadcast::channel(1);
        let handle = NodeHandle::new(commands, &events);
        let first = submit(&handle, "account.lock", serde_json::Value::Null).await.unwrap();
        let second = submit(&handle, "account.status", serde_json::Value::Null).await.unwrap();
        drop((second, first));
        assert!(matches!(engine.recv().await, Some(Command::AccountLock(..))));
        assert!(matches!(engine.recv().await, Some(Command::AccountStatusGet(..))));
    }

    #[test]
    fn method_names_are_unique() {
        let unique: std::collections::BTreeSet<_> = METHODS.iter().collect();
        assert_eq!(unique.len(), METHODS.len());
    }
}
