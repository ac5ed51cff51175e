//! Passwords, backups, re-keying and the end of accounts: what works on a
//! vault as a whole, and mostly while it is closed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::validate::check_password;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::account::{missing, unlock};
use super::audit::Severity;
use super::export::{Part, file_error};
use super::state::{Held, Open, Opening, rng};
use super::step::{Step, storage};
use super::work::Work;
use super::{Engine, Inboxes};
use crate::api::{Account, ApiError, BackupWritten, Command, Done, ErrorKind, Password, Reply, params};
use crate::security::attempts::Attempts;
use crate::stack::{wiping, wiping_with};
use crate::store::{AccountFile, StoreError, Table, read_attempts, rekey, restore, wipe, write_attempts};

/// Work that still holds a closed vault ends within this time.
const CLOSING: Duration = Duration::from_secs(10);
const CLOSING_STEP: Duration = Duration::from_millis(20);

/// Refuses a password that is too weak.
fn strong(field: &'static str, password: &Password, username: Option<&str>) -> Result<(), ApiError> {
    let report = check_password(password.expose(), username);
    if report.acceptable {
        return Ok(());
    }
    let text = format!("It is too weak. It still needs: {}.", missing(&report).join(", "));
    Err(ApiError::invalid(field, text))
}

fn file(path: &str) -> Result<PathBuf, ApiError> {
    let path = PathBuf::from(path.trim());
    if path.is_absolute() { Ok(path) } else { Err(ApiError::invalid("path", "Name the file with its whole path.")) }
}

/// Tries again while something that ends soon still holds the vault.
fn when_closed<T>(mut attempt: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut waited = Duration::ZERO;
    loop {
        match attempt() {
            Err(StoreError::InUse) if waited < CLOSING => {
                std::thread::sleep(CLOSING_STEP);
                waited += CLOSING_STEP;
            }
            other => return other,
        }
    }
}

/// An answer that tells less than the one that comes, or what failed before it.
fn only_done(
    reply: Reply<Done>,
    mut failed: oneshot::Receiver<ApiError>,
    runtime: &tokio::runtime::Handle,
) -> Reply<Account> {
    let (full, answer) = oneshot::channel::<Result<Account, ApiError>>();
    runtime.spawn(async move {
        let opened = answer.await.unwrap_or_else(|_| Err(ApiError::stopped()));
        let result = opened.and_then(|_| failed.try_recv().map_or(Ok(Done {}), Err));
        // Whoever asked may have gone.
        let _ = reply.send(result);
    });
    full
}

impl Engine {
    /// Whether another password may be tried now. Counts the attempt as wrong
    /// before it is made, so that stopping the program in the middle gains nothing.
    pub(super) fn attempt(&self, account: &AccountFile) -> Result<Attempts, ApiError> {
        let at = self.config.clock.now();
        let before = read_attempts(&self.config.data_dir, account);
        let before = before.map_or_else(Attempts::default, |bytes| Attempts::parse(&bytes, at));
        let wait_ms = before.wait_ms(at);
        if wait_ms > 0 {
            let text = format!("Too many wrong passwords. Try again in {} s.", wait_ms.div_ceil(1_000));
            return Err(ApiError { retry_after_ms: Some(wait_ms), ..ApiError::new(ErrorKind::RateLimited, text) });
        }
        let bytes = before.failed(at).to_bytes();
        write_attempts(&self.config.data_dir, account, Some(&bytes)).map_err(|error| storage(&error))?;
        Ok(before)
    }

    /// How an attempt ended: a wrong password stays counted.
    pub(super) fn attempted(&self, account: &AccountFile, before: Attempts, failure: Option<&ApiError>) {
        let keep = match failure {
            Some(error) if error.kind == ErrorKind::WrongPassword => return,
            // Nobody's password was judged.
            Some(_) if before.wrong > 0 => Some(before.to_bytes()),
            _ => None,
        };
        if let Err(error) = write_attempts(&self.config.data_dir, account, keep.as_deref()) {
            tracing::warn!(%error, "what is kept of wrong passwords could not be written");
        }
    }

    /// Commands that close the account, or open another one.
    pub(super) async fn custody_command(&mut self, command: Command, inboxes: &mut Inboxes) {
        match command {
            Command::AccountRekey(params, reply) => self.begin_rekey(params.password, reply, inboxes).await,
            Command::AccountImport(params, reply) => self.import(params, reply),
            Command::AccountWipe(params, reply) => self.begin_wipe(params, reply, inboxes).await,
            _ => {}
        }
    }

    /// The password is judged while the account is open: a wrong one closes nothing.
    async fn judge(&self, account: &AccountFile, password: Password) -> Result<Password, ApiError> {
        let Some(open) = &self.open else { return Ok(password) };
        let before = self.attempt(account)?;
        let vault = Arc::clone(&open.vault);
        let check = wiping_with(vault, move |vault| {
            let result = vault.check_password(password.expose()).map_err(|error| storage(&error));
            result.map(|()| password)
        });
        let judged = self.runtime.spawn_blocking(check).await.unwrap_or_else(|_| Err(ApiError::stopped()));
        self.attempted(account, before, judged.as_ref().err());
        judged
    }

    fn open_file(&self) -> Option<AccountFile> {
        let open = self.open.as_ref()?;
        Some(AccountFile { username: open.username.as_str().to_owned(), account_id: open.me })
    }

    async fn begin_rekey(&mut self, password: Password, reply: Reply<Done>, inboxes: &mut Inboxes) {
        let Some(account) = self.open_file() else {
            // Whoever asked may have gone.
            return drop(reply.send(Err(ApiError::locked())));
        };
        let password = match self.judge(&account, password).await {
            Ok(password) => password,
            Err(error) => return drop(reply.send(Err(error))),
        };
        self.own_step(|open, step| {
            open.audit(step, "account.rekeyed", Severity::Info, "The whole vault is sealed anew under fresh keys.");
        });
        self.lock(inboxes).await;
        let (tell_failure, failed) = oneshot::channel();
        let reply = only_done(reply, failed, &self.runtime);
        self.begin_opening(reply, None, move |config, (dir, store)| {
            let sealed = when_closed(|| rekey(&dir, &account, password.expose(), config.kdf, &store));
            if let Err(error) = sealed {
                // Whoever asked may have gone.
                let _ = tell_failure.send(storage(&error));
            }
            // Whatever happened, one of the two vaults is there: it is opened again.
            unlock(&dir, &account, &password, store, config.clock.now())
        });
    }

    fn import(&mut self, params: params::AccountImport, reply: Reply<Account>) {
        let busy = ApiError::new(ErrorKind::Conflict, "An account is open here already. Lock it first.");
        let checked = strong("password", &params.password, None).and_then(|()| file(&params.path));
        let path = match checked {
            Ok(path) if self.open.is_none() && !self.opening => path,
            Ok(_) => return drop(reply.send(Err(busy))),
            Err(error) => return drop(reply.send(Err(error))),
        };
        self.begin_opening(reply, None, move |config, (dir, store)| {
            let source = std::fs::File::open(&path).map_err(|error| file_error(&error))?;
            let mut source = std::io::BufReader::new(source);
            let params::AccountImport { passphrase, password, .. } = params;
            let restored = restore(&dir, &mut source, passphrase.expose(), password.expose(), config.kdf, &store);
            let account = restored.map_err(|error| import_error(&error))?;
            let now = config.clock.now();
            another_device(unlock(&dir, &account, &password, store, now)?, now)
        });
    }

    async fn begin_wipe(&mut self, params: params::AccountWipe, reply: Reply<Done>, inboxes: &mut Inboxes) {
        let result = self.wipe(params, inboxes).await;
        // Whoever asked may have gone.
        let _ = reply.send(result);
    }

    async fn wipe(&mut self, params: params::AccountWipe, inboxes: &mut Inboxes) -> Result<Done, ApiError> {
        let params::AccountWipe { password, username } = params;
        if self.opening {
            return Err(ApiError::new(ErrorKind::Conflict, "An account is being opened. Try again when it is."));
        }
        let account = match self.open_file() {
            Some(open) if username.as_deref().is_none_or(|name| name.eq_ignore_ascii_case(&open.username)) => open,
            Some(_) => {
                let text = "Another account is open. Lock it first.";
                return Err(ApiError::new(ErrorKind::Conflict, text));
            }
            None => self.find_account(username.as_deref())?,
        };
        let (dir, store) = (self.config.data_dir.clone(), self.store.clone());
        if self.open.is_some() {
            self.judge(&account, password).await?;
            self.lock(inboxes).await;
        } else {
            let before = self.attempt(&account)?;
            let (dir, file, store) = (dir.clone(), account.clone(), store.clone());
            let now = self.config.clock.now();
            let open = move || unlock(&dir, &file, &password, store, now).map(drop);
            let judged = self.runtime.spawn_blocking(wiping(open)).await.unwrap_or_else(|_| Err(ApiError::stopped()));
            self.attempted(&account, before, judged.as_ref().err());
            judged?;
        }
        let end = move || {
            when_closed(|| wipe(&dir, &account, &store)).map_err(|error| storage(&error))?;
            // Nothing opens them any more.
            let _ = std::fs::remove_dir_all(crate::files::copies::folder(&dir, account.account_id));
            Ok::<(), ApiError>(())
        };
        self.runtime.spawn_blocking(wiping(end)).await.unwrap_or_else(|_| Err(ApiError::stopped()))?;
        Ok(Done {})
    }
}

fn import_error(error: &StoreError) -> ApiError {
    match error {
        StoreError::WrongPassword => ApiError {
            field: Some("passphrase"),
            ..ApiError::new(ErrorKind::WrongPassword, "The passphrase is wrong.")
        },
        StoreError::Exists => ApiError::new(
            ErrorKind::AccountExists,
            "This account is on this device already. Nothing was changed. Wipe it first if the backup is to take its place.",
        ),
        StoreError::Damaged { .. } => ApiError::new(
            ErrorKind::VaultDamaged,
            "This file is no backup, or it was cut short or changed. Nothing was restored; try another copy.",
        ),
        other => storage(other),
    }
}

/// What was restored is another device: it has a network key of its own, and
/// nobody goes on with the sessions that the first device may still use.
fn another_device(opening: Opening, now: Timestamp) -> Result<Opening, ApiError> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    rng().fill_bytes(seed.as_mut_slice());
    let mut txn = opening.vault.begin();
    txn.put(Table::Meta, b"peer", seed.as_slice());
    opening.vault.commit(txn).map_err(|error| storage(&error))?;
    let (held, _) = Held::load(&opening.vault, now).map_err(|error| storage(&error))?;
    Ok(Opening { held, keys_lost: true, restored: true, ..opening })
}

impl Open {
    /// Commands on the vault of the open account; hands all others back.
    pub(super) fn custody_command(
        &mut self,
        engine: &Engine,
        step: &mut Step<'_>,
        command: Command,
    ) -> Option<Command> {
        match command {
            Command::AccountChangePassword(params, reply) => self.change_password(engine, step, params, reply),
            Command::AccountExport(params, reply) => self.back_up(step, params, reply),
            other => return Some(other),
        }
        None
    }

    fn change_password(
        &mut self,
        engine: &Engine,
        step: &mut Step<'_>,
        params: params::AccountChangePassword,
        reply: Reply<Done>,
    ) {
        let account = AccountFile { username: self.username.as_str().to_owned(), account_id: self.me };
        let checked = strong("new", &params.new, Some(self.username.as_str())).and_then(|()| engine.attempt(&account));
        let before = match checked {
            Ok(before) => before,
            Err(error) => return step.reply(reply, Err(error)),
        };
        let vault = Arc::clone(&self.vault);
        step.work(async move {
            let change =
                wiping_with(vault, move |vault| vault.change_password(params.old.expose(), params.new.expose()));
            let changed = crate::stack::spawn_blocking(change).await;
            let result = changed.map_err(|_| ApiError::stopped());
            let result = result.and_then(|changed| changed.map_err(|error| storage(&error)));
            Work::PasswordChanged { account, before, result, reply }
        });
    }

    pub(super) fn password_changed(&mut self, step: &mut Step<'_>, result: Result<(), ApiError>, reply: Reply<Done>) {
        match &result {
            Ok(()) => self.audit(step, "account.password_changed", Severity::Info, "The password was changed."),
            Err(error) if error.kind == ErrorKind::WrongPassword => {
                let text = "A change of the password was tried with a wrong one.";
                self.audit(step, "account.password_change_failed", Severity::Warning, text);
            }
            Err(_) => {}
        }
        step.reply(reply, result.map(|()| Done {}));
    }

    fn back_up(&mut self, step: &mut Step<'_>, params: params::AccountExport, reply: Reply<BackupWritten>) {
        let checked = strong("passphrase", &params.passphrase, Some(self.username.as_str()));
        let path = match checked.and_then(|()| file(&params.path)) {
            Ok(path) => path,
            Err(error) => return step.reply(reply, Err(error)),
        };
        let (vault, kdf) = (Arc::clone(&self.vault), self.config.kdf);
        step.work(async move {
            let write = wiping_with(vault, move |vault| {
                let mut part = Part::create(&path)?;
                let mut failed = None;
                let written = vault.export(params.passphrase.expose(), kdf, &mut |bytes| {
                    part.write(bytes).map_err(|error| {
                        failed = Some(error);
                        std::io::Error::other("the file can't be written")
                    })
                });
                let bytes = written.map_err(|error| failed.unwrap_or_else(|| storage(&error)))?;
                part.finish()?;
                Ok(BackupWritten { bytes })
            });
            let result = crate::stack::spawn_blocking(write).await.unwrap_or_else(|_| Err(ApiError::stopped()));
            Work::BackedUp { result, reply }
        });
    }

    pub(super) fn backed_up(
        &mut self,
        step: &mut Step<'_>,
        result: Result<BackupWritten, ApiError>,
        reply: Reply<BackupWritten>,
    ) {
        if result.is_ok() {
            self.audit(step, "backup.made", Severity::Info, "An encrypted backup was written.");
        }
        step.reply(reply, result);
    }
}
