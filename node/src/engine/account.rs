//! Accounts: made, opened, locked. What takes the key derivation runs apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::prekey::PreKeys;
use secure_chat_protocol::sealed::MailboxKeys;
use secure_chat_protocol::validate::{PasswordReport, Username, check_password};
use zeroize::Zeroizing;

use super::audit::Severity;
use super::state::{Held, Open, Opening, rng};
use super::step::{sentence, storage};
use super::work::Done;
use super::{Engine, Inboxes};
use crate::api::{
    self, Account, AccountEntry, AccountState, AccountStatus, Accounts, ApiError, At, Command, ErrorKind, Event,
    Password, PasswordStrength, Reply,
};
use crate::config::{NodeConfig, Transport};
use crate::network::{
    Network, NetworkConfig, NetworkEvent, NetworkHandle, TransportKind, parse_address, parse_rendezvous,
};
use crate::security::attempts::Attempts;
use crate::security::rules::Signal;
use crate::stack::{wipe_stack, wipe_workers, wiping};
use crate::store::{AccountFile, StoreOptions, Table, Txn, Vault, list_accounts};

/// Work in the background that still holds a vault is waited for this long.
const WIPED_WITHIN: Duration = Duration::from_secs(5);

/// Whether a command changes which account is open.
pub(crate) const fn changes_account(command: &Command) -> bool {
    matches!(
        command,
        Command::AccountCreate(..)
            | Command::AccountUnlock(..)
            | Command::AccountLock(..)
            | Command::AccountRekey(..)
            | Command::AccountImport(..)
            | Command::AccountWipe(..)
    )
}

/// How an account was opened.
struct Beginning {
    created: bool,
    restored: bool,
    /// Wrong passwords before the right one.
    wrong: u32,
    rolled_back: bool,
    keys_lost: bool,
}

/// Judges a password.
pub(crate) fn strength(password: &Password, username: Option<&str>) -> PasswordStrength {
    let report = check_password(password.expose(), username);
    PasswordStrength { score: report.score, missing: missing(&report), warnings: report.warnings }
}

pub(super) fn missing(report: &PasswordReport) -> Vec<String> {
    report.missing.iter().map(ToString::to_string).collect()
}

/// What `make` makes, in memory that is wiped when it is freed. Keys pass through frames below
/// this one only, which [`wipe_stack`] reaches: a caller that held them by value would keep a copy.
#[inline(never)]
fn boxed<T>(make: impl FnOnce() -> Result<T, ApiError>) -> Result<Box<T>, ApiError> {
    make().map(Box::new)
}

fn account_view(open: &Open) -> Account {
    Account {
        username: open.username.as_str().to_owned(),
        account_id: open.me.to_string(),
        peer_id: open.peer_id.to_string(),
        fingerprint: open.me.fingerprint(),
    }
}

impl Engine {
    /// Commands that need no open account; all others are answered with `locked`.
    pub(crate) fn locked_command(&mut self, command: Command) {
        super::commands::answer_locked(self, command);
    }

    pub(crate) fn accounts(&self) -> Result<Accounts, ApiError> {
        let accounts = list_accounts(&self.config.data_dir).map_err(|error| storage(&error))?;
        let entry =
            |file: AccountFile| AccountEntry { username: file.username, account_id: file.account_id.to_string() };
        Ok(Accounts { accounts: accounts.into_iter().map(entry).collect() })
    }

    pub(crate) fn account_status(&self) -> AccountStatus {
        let none = self.accounts().is_ok_and(|list| list.accounts.is_empty());
        let state = if none { AccountState::None } else { AccountState::Locked };
        AccountStatus {
            state,
            username: None,
            account_id: None,
            peer_id: None,
            fingerprint: None,
            unlocked_at: None,
            lock_at: None,
        }
    }

    pub(crate) async fn account_command(&mut self, command: Command, inboxes: &mut Inboxes) {
        let busy = || ApiError::new(ErrorKind::Conflict, "An account is open here already. Lock it first.");
        match command {
            Command::AccountLock(_, reply) => {
                self.lock(inboxes).await;
                // Whoever asked may have gone.
                let _ = reply.send(Ok(api::Done {}));
            }
            Command::AccountCreate(params, reply) => {
                let checked = self.check_new(&params.username, &params.password);
                match checked {
                    Ok(username) if self.open.is_none() && !self.opening => {
                        self.begin_opening(reply, None, move |config, store| {
                            create(config, store, &username, &params.password)
                        });
                    }
                    Ok(_) => drop(reply.send(Err(busy()))),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::AccountUnlock(params, reply) => {
                if self.open.is_some() || self.opening {
                    return drop(reply.send(Err(busy())));
                }
                let found = self.find_account(params.username.as_deref());
                match found.and_then(|file| self.attempt(&file).map(|before| (file, before))) {
                    Ok((file, before)) => {
                        self.begin_opening(reply, Some((file.clone(), before)), move |config, store| {
                            unlock(&store.0, &file, &params.password, store.1, config.clock.now())
                        });
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            other => self.custody_command(other, inboxes).await,
        }
    }

    fn check_new(&self, username: &str, password: &Password) -> Result<Username, ApiError> {
        let name =
            Username::parse(username).map_err(|error| ApiError::invalid("username", sentence(&error.to_string())))?;
        let report = check_password(password.expose(), Some(name.as_str()));
        if !report.acceptable {
            let text = format!("The password is too weak. It still needs: {}.", missing(&report).join(", "));
            return Err(ApiError::invalid("password", text));
        }
        let taken = self.accounts()?.accounts.iter().any(|entry| entry.username.eq_ignore_ascii_case(name.as_str()));
        if taken {
            return Err(ApiError::new(ErrorKind::AccountExists, "There is an account of this name here already."));
        }
        Ok(name)
    }

    pub(super) fn find_account(&self, username: Option<&str>) -> Result<AccountFile, ApiError> {
        let mut accounts = list_accounts(&self.config.data_dir).map_err(|error| storage(&error))?;
        if let Some(name) = username {
            accounts.retain(|account| account.username.eq_ignore_ascii_case(name));
        }
        if accounts.len() > 1 {
            return Err(ApiError::invalid("username", "There are several accounts here. Say which one."));
        }
        accounts
            .pop()
            .ok_or_else(|| ApiError::new(ErrorKind::NoAccount, "There is no such account here. Create one first."))
    }

    pub(super) fn begin_opening(
        &mut self,
        reply: Reply<Account>,
        attempt: Option<(AccountFile, Attempts)>,
        work: impl FnOnce(Arc<NodeConfig>, (std::path::PathBuf, StoreOptions)) -> Result<Opening, ApiError> + Send + 'static,
    ) {
        self.opening = true;
        let (config, store, results) = (Arc::clone(&self.config), self.store.clone(), self.results.clone());
        self.runtime.spawn_blocking(move || {
            let dir = config.data_dir.clone();
            // Keys and what the password was turned into pass through the stack.
            let result = wiping(|| boxed(|| work(config, (dir, store))))();
            // An error means that the engine has stopped.
            let _ = results.blocking_send(Done::Opened { result, attempt, reply });
        });
    }

    /// The key derivation has ended: starts the network, and the account is open.
    pub(crate) async fn opened(&mut self, done: Done, inboxes: &mut Inboxes) {
        let Done::Opened { result, attempt, reply } = done else { return };
        self.opening = false;
        let wrong = attempt.as_ref().map_or(0, |(_, before)| before.wrong);
        if let Some((file, before)) = attempt {
            self.attempted(&file, before, result.as_ref().err());
        }
        let result = match result {
            Ok(opening) => self.start(opening, wrong, inboxes).await,
            Err(error) => Err(error),
        };
        // Whoever asked may have gone.
        let _ = reply.send(result);
    }

    async fn start(&mut self, opening: Box<Opening>, wrong: u32, inboxes: &mut Inboxes) -> Result<Account, ApiError> {
        let (created, keys_lost, restored) = (opening.created, opening.keys_lost, opening.restored);
        let rolled_back = opening.vault.rolled_back();
        let (net, events) = self.start_network(&opening)?;
        let (config, now) = (Arc::clone(&self.config), self.config.clock.now());
        let open = boxed(|| Open::new(*opening, config, net, now))?;
        wipe_stack();
        self.generation = self.generation.saturating_add(1);
        self.open = Some(open);
        inboxes.network = Some(events);
        if let Err(error) = self.first_step(&Beginning { created, restored, wrong, rolled_back, keys_lost }) {
            // Whoever is told that it is not open must find it closed.
            if let Some(open) = self.open.take() {
                self.forget(open);
            }
            inboxes.network = None;
            self.wiped().await;
            return Err(error);
        }
        self.step(vec![super::Input::Tick]);
        let view = self.open.as_ref().map(|open| account_view(open)).ok_or_else(ApiError::locked)?;
        self.tell(Event::AccountUnlocked(view.clone()));
        Ok(view)
    }

    #[inline(never)]
    fn start_network(
        &self,
        opening: &Opening,
    ) -> Result<(NetworkHandle, tokio::sync::mpsc::Receiver<NetworkEvent>), ApiError> {
        let network = self.network_config(opening)?;
        let _inside = self.runtime.enter();
        Network::start(network).map_err(|error| ApiError::new(ErrorKind::NotConnected, sentence(&error.to_string())))
    }

    fn network_config(&self, opening: &Opening) -> Result<NetworkConfig, ApiError> {
        let kind = match self.config.transport {
            Transport::Internet => TransportKind::Internet,
            Transport::Memory => TransportKind::Memory,
        };
        let mut network = NetworkConfig::new(Zeroizing::new(*opening.held.peer_seed), kind);
        network.process_memory_max_bytes = self.config.process_memory_max_bytes;
        network.plug = self.config.plug.clone();
        network.partition = self.config.partition.clone();
        let wrong = |error: crate::network::AddressError| ApiError::invalid("listen", sentence(&error.to_string()));
        network.listen =
            self.config.listen.iter().map(|text| parse_address(text).map_err(wrong)).collect::<Result<_, _>>()?;
        network.mdns = self.config.mdns;
        network.upnp = self.config.upnp;
        let homes = self.config.rendezvous.iter().chain(&opening.held.settings.rendezvous);
        network.rendezvous = homes.filter_map(|text| parse_rendezvous(text).ok()).collect();
        Ok(network)
    }

    /// What is written when an account was opened, all at once and before anything else: a rollback
    /// counts as dealt with in the very commit that deals with it, and no session of before is used.
    fn first_step(&mut self, beginning: &Beginning) -> Result<(), ApiError> {
        let &Beginning { created, restored, wrong, rolled_back, keys_lost } = beginning;
        self.in_step(|_, open, step| {
            step.prekeys |= keys_lost;
            if rolled_back {
                step.txn.rollback_handled();
            }
            if created {
                open.audit(step, "account.created", Severity::Info, "The account was created.");
            } else {
                open.audit(step, "account.unlocked", Severity::Info, "The account was unlocked.");
            }
            if wrong > 0 {
                let detail = format!("{wrong} wrong passwords were typed before.");
                open.audit(step, "account.unlock_failed", Severity::Warning, detail);
                open.observe(step, &Signal::WrongPasswords(wrong));
            }
            open.check_audit(step);
            if open.clock.is_doubtful() {
                open.clock_jumped(step);
            }
            if restored {
                let text =
                    "A backup was restored. Its account has a new network key here, and all sessions start anew.";
                open.alert(step, "backup.restored", Severity::Warning, None, text);
                step.new_record = true;
                open.replace_all_sessions(step);
            } else if rolled_back {
                let detail = "The vault is older than it was before: a backup or a copy was put in its place. \
                              All encrypted sessions start anew.";
                open.alert(step, "vault.rolled_back", Severity::Critical, None, detail);
                open.replace_all_sessions(step);
            }
            open.set_homes(step);
        })
    }

    /// Locks the account: closes the network and the vault, and forgets everything.
    pub(crate) async fn lock(&mut self, inboxes: &mut Inboxes) {
        if self.open.is_none() {
            return self.wiped().await;
        }
        self.own_step(|open, step| {
            open.sum_up_repeats(step, true);
            open.audit(step, "account.locked", Severity::Info, "The account was locked.");
        });
        if let Some(open) = self.open.take() {
            // The network answers no more; what is under way comes to a vault that is closed.
            open.net.shutdown().await;
            self.forget(open);
        }
        inboxes.network = None;
        self.wiped().await;
    }

    /// Waits until nothing holds the vault any more: work in the background ends with
    /// the row that it is at, and only then are the keys gone and the account free.
    async fn wiped(&self) {
        let until = Instant::now() + WIPED_WITHIN;
        while self.closed.strong_count() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        wipe_workers(&self.runtime).await;
        wipe_stack();
    }

    /// Drops the open account and everything that was read from it.
    pub(crate) fn forget(&mut self, open: Box<Open>) {
        let net = open.net.clone();
        self.runtime.spawn(async move { net.shutdown().await });
        self.closed = open.vault.alive();
        drop(open);
        self.generation = self.generation.saturating_add(1);
        self.tell(Event::AccountLocked {});
    }

    /// Stops for good.
    pub(crate) async fn close(&mut self, inboxes: &mut Inboxes) {
        self.lock(inboxes).await;
        if let Some(host) = self.config.host.clone().filter(|_| self.hosted.is_some()) {
            host.stop().await;
        }
    }
}

impl Open {
    pub(crate) fn account_status(&self) -> AccountStatus {
        let idle = self.lock_at().map(|idle| idle.saturating_sub(self.last_activity.elapsed()));
        let lock_at =
            idle.map(|left| self.config.clock.now().plus_ms(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
        AccountStatus {
            state: AccountState::Unlocked,
            username: Some(self.username.as_str().to_owned()),
            account_id: Some(self.me.to_string()),
            peer_id: Some(self.peer_id.to_string()),
            fingerprint: Some(self.me.fingerprint()),
            unlocked_at: Some(At(self.unlocked_at)),
            lock_at: lock_at.map(At),
        }
    }
}

fn create(
    config: Arc<NodeConfig>,
    store: (std::path::PathBuf, StoreOptions),
    username: &Username,
    password: &Password,
) -> Result<Opening, ApiError> {
    let (mut rng, now) = (rng(), config.clock.now());
    let identity = IdentityKeyPair::generate(&mut rng, now);
    let mut seed = Zeroizing::new([0_u8; 32]);
    rng.fill_bytes(seed.as_mut_slice());
    let account = identity.account_id();
    let prekeys = PreKeys::generate(&identity, now, &mut rng);
    let mailbox = MailboxKeys::generate(now, &mut rng);
    // Without these the account can't be opened: it is listed only once they are durable.
    let first = |txn: &mut Txn<'_>| {
        txn.put(Table::Meta, b"identity", identity.to_secret_bytes().expose());
        txn.put(Table::Meta, b"username", username.as_str().as_bytes());
        txn.put(Table::Meta, b"peer", seed.as_slice());
        txn.put(Table::Meta, b"mailbox", mailbox.to_secret_bytes().expose());
        txn.put(Table::Meta, b"drained", &now.0.to_le_bytes());
        txn.put(Table::Prekeys, b"own", prekeys.to_secret_bytes().expose());
    };
    let (name, password) = (username.as_str(), password.expose());
    let vault = Vault::create_with(&store.0, name, account, password, config.kdf, store.1, &mut rng, first)
        .map_err(|error| storage(&error))?;
    let (held, _) = Held::load(&vault, now).map_err(|error| storage(&error))?;
    Ok(Opening { vault: Arc::new(vault), held, created: true, keys_lost: false, restored: false })
}

pub(super) fn unlock(
    data_dir: &std::path::Path,
    file: &AccountFile,
    password: &Password,
    store: StoreOptions,
    now: Timestamp,
) -> Result<Opening, ApiError> {
    let vault = Vault::unlock(data_dir, file, password.expose(), store).map_err(|error| storage(&error))?;
    let (held, keys_lost) = Held::load(&vault, now).map_err(|error| storage(&error))?;
    Ok(Opening { vault: Arc::new(vault), held, created: false, keys_lost, restored: false })
}
