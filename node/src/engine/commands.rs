//! Commands, each handed to whoever carries it out.

use super::Engine;
use super::account::strength;
use super::state::Open;
use super::step::Step;
use super::work::{NetworkWant, Work};
use crate::api::{
    AccountState, ApiError, Command, Counts, Done, ErrorKind, NetworkStatus, NodeStatus, OutboxStatus, StorageStatus,
};

/// Commands while no account is open.
pub(super) fn answer_locked(engine: &mut Engine, command: Command) {
    // Whoever asked may have gone: errors of `send` say just that.
    match command {
        Command::AccountList(_, reply) => drop(reply.send(engine.accounts())),
        Command::AccountStatusGet(_, reply) => drop(reply.send(Ok(engine.account_status()))),
        Command::AccountPasswordStrength(params, reply) => {
            drop(reply.send(Ok(strength(&params.password, params.username.as_deref()))));
        }
        Command::StatusGet(_, reply) => drop(reply.send(Ok(engine.locked_status()))),
        other if engine.account_status().state == AccountState::None => {
            other.refuse(ApiError::new(ErrorKind::NoAccount, "There is no account here yet. Create one first."));
        }
        other => other.refuse(ApiError::locked()),
    }
}

impl Engine {
    fn locked_status(&self) -> NodeStatus {
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            account: self.account_status(),
            network: NetworkStatus { nat: "unknown".into(), ..NetworkStatus::default() },
            storage: StorageStatus { path: self.config.data_dir.display().to_string(), bytes: 0 },
            outbox: OutboxStatus::default(),
            counts: Counts::default(),
        }
    }

    /// A command for the open account.
    pub(crate) fn command(&mut self, open: &mut Open, step: &mut Step<'_>, command: Command) {
        let watches = matches!(
            command,
            Command::AccountStatusGet(..)
                | Command::StatusGet(..)
                | Command::NetworkStatusGet(..)
                | Command::NetworkTraffic(..)
                | Command::NetworkConnections(..)
                | Command::SettingsGet(..)
                | Command::SecurityFactsGet(..)
        );
        if !watches {
            open.active();
        }
        match command {
            Command::AccountList(_, reply) => step.reply(reply, self.accounts()),
            Command::AccountStatusGet(_, reply) => step.reply(reply, Ok(open.account_status())),
            Command::AccountPasswordStrength(params, reply) => {
                step.reply(reply, Ok(strength(&params.password, params.username.as_deref())));
            }
            Command::NetworkHostRendezvous(params, reply) => self.host(step, params.listen.unwrap_or_default(), reply),
            Command::NetworkStopHosting(_, reply) => self.stop_hosting(open, step, reply),
            other => {
                if let Some(other) = open.custody_command(self, step, other) {
                    open.command(step, other);
                }
            }
        }
    }

    fn host(&mut self, step: &mut Step<'_>, listen: Vec<String>, reply: crate::api::Reply<crate::api::HostedAddress>) {
        let Some(host) = self.config.host.clone() else {
            let text = "This program hosts no rendezvous node. Run: secure-chat-rendezvous serve";
            return step.reply(reply, Err(ApiError::new(ErrorKind::NotAllowed, text)));
        };
        if self.hosted.is_some() {
            return step
                .reply(reply, Err(ApiError::new(ErrorKind::Conflict, "A rendezvous node is hosted here already.")));
        }
        step.work(async move { Work::Hosted { result: host.start(listen).await, reply } });
    }

    fn stop_hosting(&mut self, open: &mut Open, step: &mut Step<'_>, reply: crate::api::Reply<Done>) {
        let (Some(host), Some(address)) = (self.config.host.clone(), self.hosted.take()) else {
            return step.reply(reply, Err(ApiError::not_found("No rendezvous node is hosted here.")));
        };
        open.remove_home(step, &address);
        self.runtime.spawn(async move {
            host.stop().await;
            drop(reply.send(Ok(Done {})));
        });
    }

    /// A result of asynchronous work.
    pub(crate) fn worked(&mut self, open: &mut Open, step: &mut Step<'_>, work: Work) {
        match work {
            Work::Hosted { result: Ok(address), reply } => {
                self.hosted = Some(address.clone());
                let added = open.add_home(step, &address);
                step.reply(reply, added);
            }
            Work::Hosted { result: Err(text), reply } => {
                step.reply(reply, Err(ApiError::new(ErrorKind::Internal, text)));
            }
            Work::Network { status: Some(status), want: NetworkWant::All(reply) } => {
                let mut all = self.locked_status();
                all.account = open.account_status();
                all.network = open.network_view(&status);
                all.storage.bytes = open.vault.bytes_on_disk();
                all.outbox.queued = open.queued();
                all.counts = open.counts();
                step.reply(reply, Ok(all));
            }
            Work::PasswordChanged { account, before, result, reply } => {
                self.attempted(&account, before, result.as_ref().err());
                open.password_changed(step, result, reply);
            }
            other => open.worked(step, other),
        }
    }
}

impl Open {
    fn command(&mut self, step: &mut Step<'_>, command: Command) {
        match command {
            Command::AccountInvite(_, reply) => self.ask_network(step, NetworkWant::Invite(reply)),
            Command::NetworkStatusGet(_, reply) => self.ask_network(step, NetworkWant::Status(reply)),
            Command::NetworkConnections(_, reply) => self.ask_network(step, NetworkWant::Connections(reply)),
            Command::NetworkDiagnostics(_, reply) => self.ask_network(step, NetworkWant::Diagnostics(reply)),
            Command::StatusGet(_, reply) => self.ask_network(step, NetworkWant::All(reply)),
            Command::NetworkDial(params, reply) => self.dial(step, &params.address, reply),
            Command::NetworkAddRendezvous(params, reply) => {
                let result = self.add_home(step, params.address.trim());
                step.reply(reply, result);
            }
            Command::NetworkRemoveRendezvous(params, reply) => {
                let result = self.remove_home_checked(step, params.address.trim());
                step.reply(reply, result);
            }
            Command::NetworkTraffic(params, reply) => step.reply(reply, Ok(self.traffic_since(params.since))),
            Command::SettingsGet(params, reply) => step.reply(reply, self.settings.view(params.key.as_deref())),
            Command::SettingsSet(params, reply) => {
                let result = self.set_setting(step, &params.key, params.value);
                step.reply(reply, result);
            }
            Command::UsersOnline(_, reply) => self.users_online(step, reply),
            Command::UsersFind(params, reply) => self.find_user(step, &params.username, reply),
            Command::PresenceSet(params, reply) => {
                let result = self.set_presence(step, params.status);
                step.reply(reply, result);
            }
            other => self.contact_command(step, other),
        }
    }

    fn contact_command(&mut self, step: &mut Step<'_>, command: Command) {
        match command {
            Command::ContactsRequest(params, reply) => self.request(step, params, reply),
            Command::ContactsRequests(_, reply) => step.reply(reply, Ok(self.requests_view())),
            Command::ContactsList(_, reply) => {
                let list = self.contacts_view(step);
                step.reply(reply, list);
            }
            Command::ContactsCancelRequest(params, reply) => {
                let result = self.cancel_request(step, &params.request_id);
                step.reply(reply, result);
            }
            Command::ContactsAccept(params, reply) => {
                let result = self.accept(step, &params.request_id);
                step.reply(reply, result);
            }
            Command::ContactsDecline(params, reply) => {
                let result = self.decline(step, &params.request_id);
                step.reply(reply, result);
            }
            Command::ContactsRemove(params, reply) => {
                let result = self.remove_contact(step, &params.user);
                step.reply(reply, result);
            }
            Command::ContactsBlock(params, reply) => {
                let result = self.block(step, &params.user, true);
                step.reply(reply, result);
            }
            Command::ContactsUnblock(params, reply) => {
                let result = self.block(step, &params.user, false);
                step.reply(reply, result);
            }
            Command::ContactsSafetyNumber(params, reply) => {
                let result = self.safety_number(&params.user);
                step.reply(reply, result);
            }
            Command::ContactsVerify(params, reply) => {
                let result = self.verify(step, &params.user, params.verified);
                step.reply(reply, result);
            }
            Command::ContactsAcceptKeyChange(params, reply) => {
                let result = self.accept_key_change(step, &params.user, &params.fingerprint);
                step.reply(reply, result);
            }
            Command::ContactsMute(params, reply) => {
                let result = self.mute(step, &params.user, params.until);
                step.reply(reply, result);
            }
            other => self.message_command(step, other),
        }
    }

    fn message_command(&mut self, step: &mut Step<'_>, command: Command) {
        match command {
            Command::MessagesSend(params, reply) => {
                let result = self.send_text(step, &params.to, &params.text, params.reply_to.as_deref());
                step.reply(reply, result);
            }
            Command::MessagesEdit(params, reply) => {
                let result = self.edit(step, &params.message_id, &params.text);
                step.reply(reply, result);
            }
            Command::MessagesDelete(params, reply) => {
                let result = self.delete(step, &params.message_id, params.for_everyone.unwrap_or(false));
                step.reply(reply, result);
            }
            Command::MessagesReact(params, reply) => {
                let result = self.react(step, &params.message_id, &params.emoji);
                step.reply(reply, result);
            }
            Command::MessagesRetry(params, reply) => {
                let result = self.retry(step, &params.message_id);
                step.reply(reply, result);
            }
            Command::MessagesTyping(params, reply) => {
                let result = self.typing(step, &params.to);
                step.reply(reply, result);
            }
            Command::MessagesDraft(params, reply) => {
                let result = self.draft(step, &params.conversation, params.text);
                step.reply(reply, result);
            }
            Command::MessagesHistory(params, reply) => {
                let result = self.history(step, &params);
                step.reply(reply, result);
            }
            Command::MessagesMarkRead(params, reply) => {
                let result = self.mark_read(step, &params.conversation, &params.up_to);
                step.reply(reply, result);
            }
            Command::MessagesSearch(params, reply) => self.search(step, params, reply),
            other => self.file_command(step, other),
        }
    }

    fn file_command(&mut self, step: &mut Step<'_>, command: Command) {
        match command {
            Command::FilesShare(params, reply) => self.share_file(step, params, reply),
            Command::FilesList(params, reply) => {
                let list = self.list_files(&params);
                step.reply(reply, list);
            }
            Command::FilesDownload(params, reply) => self.download_file(step, params, reply),
            Command::FilesCancel(params, reply) => {
                let result = self.cancel_file(step, &params.file_id);
                step.reply(reply, result);
            }
            Command::FilesPause(params, reply) => {
                let result = self.pause_file(step, &params.file_id);
                step.reply(reply, result);
            }
            Command::FilesResume(params, reply) => {
                let result = self.resume_file(step, &params.file_id);
                step.reply(reply, result);
            }
            Command::FilesRetry(params, reply) => {
                let result = self.retry_file(step, &params.file_id);
                step.reply(reply, result);
            }
            Command::FilesPreview(params, reply) => {
                let result = self.preview_file(step, &params.file_id);
                step.reply(reply, result);
            }
            Command::FilesDelete(params, reply) => {
                let result = self.delete_file(step, &params.file_id);
                step.reply(reply, result);
            }
            other => {
                if let Some(other) = self.security_command(step, other) {
                    self.group_command(step, other);
                }
            }
        }
    }
}
