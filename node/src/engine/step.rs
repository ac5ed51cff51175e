//! One step: what it stages, and what it does once that is durable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use secure_chat_protocol::id::{AccountId, FileId, GroupId, Timestamp};
use secure_chat_protocol::wire::peer::PeerResponse;

use super::state::Open;
use super::work::{Done, Work};
use super::{Engine, Input};
use crate::api::{ApiError, Event, Reply};
use crate::network::Responder;
use crate::store::{StoreError, Table, Txn};

type Finish = Box<dyn FnOnce(Option<&ApiError>) + Send>;

/// What a step stages and will do. Nothing of it happens unless the commit succeeds.
pub(crate) struct Step<'v> {
    /// The staged changes.
    pub(crate) txn: Txn<'v>,
    /// The time of the step.
    pub(crate) now: Timestamp,
    /// Contacts that changed.
    pub(crate) contacts: BTreeSet<AccountId>,
    /// Sessions that changed.
    pub(crate) sessions: BTreeSet<AccountId>,
    /// The own prekeys changed.
    pub(crate) prekeys: bool,
    /// Rows of the outbox that changed or came.
    pub(crate) rows: BTreeSet<u64>,
    /// Groups that changed.
    pub(crate) groups: BTreeSet<GroupId>,
    /// Chains in groups that changed, by their owners.
    pub(crate) chains: BTreeSet<(GroupId, AccountId)>,
    /// What is published after the commit, in this order: topics, and what is sealed for them.
    pub(crate) published: Vec<(String, Vec<u8>)>,
    /// Contacts for whom there may be something to deliver.
    pub(crate) deliver: BTreeSet<AccountId>,
    /// Messages that each sender delivered, taken or not.
    pub(crate) delivered: BTreeMap<AccountId, usize>,
    /// Files that changed.
    pub(crate) files: BTreeSet<FileId>,
    /// The own record has to be made anew.
    pub(crate) new_record: bool,
    /// What was listened to before, where the step changed it: so it still is if it is not stored.
    pub(crate) topics_before: Option<HashMap<String, GroupId>>,
    events: Vec<Event>,
    works: Vec<BoxFuture<'static, Work>>,
    answers: Vec<(Responder, PeerResponse)>,
    finishes: Vec<Finish>,
}

impl<'v> Step<'v> {
    fn new(txn: Txn<'v>, now: Timestamp) -> Self {
        Self {
            txn,
            now,
            contacts: BTreeSet::new(),
            sessions: BTreeSet::new(),
            prekeys: false,
            rows: BTreeSet::new(),
            groups: BTreeSet::new(),
            chains: BTreeSet::new(),
            published: Vec::new(),
            deliver: BTreeSet::new(),
            delivered: BTreeMap::new(),
            files: BTreeSet::new(),
            new_record: false,
            topics_before: None,
            events: Vec::new(),
            works: Vec::new(),
            answers: Vec::new(),
            finishes: Vec::new(),
        }
    }

    /// Tells an event after the commit.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Begins asynchronous work after the commit; its result comes back as an input.
    pub(crate) fn work(&mut self, work: impl Future<Output = Work> + Send + 'static) {
        self.works.push(work.boxed());
    }

    /// Answers a peer after the commit.
    pub(crate) fn answer(&mut self, responder: Responder, response: PeerResponse) {
        self.answers.push((responder, response));
    }

    /// Answers a command after the commit; an error is answered as it is.
    pub(crate) fn reply<T: Send + 'static>(&mut self, reply: Reply<T>, result: Result<T, ApiError>) {
        self.finishes.push(Box::new(move |failed| {
            let result = match failed {
                Some(error) => result.and_then(|_| Err(error.clone())),
                None => result,
            };
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }));
    }
}

impl Engine {
    /// Carries out inputs for the open account in one step.
    pub(crate) fn step(&mut self, inputs: Vec<Input>) {
        if inputs.is_empty() {
            return;
        }
        // Whoever asked was told of a failure, and memory is as the disk is.
        let _ = self.in_step(|engine, open, step| {
            for input in inputs {
                match input {
                    Input::Command(command) => engine.command(open, step, *command),
                    Input::Network(event) => open.network_event(step, *event),
                    Input::Done(done) => engine.work_done(open, step, *done),
                    Input::Tick => open.tick(step),
                    Input::NobodyLeft => {}
                }
            }
        });
    }

    fn work_done(&mut self, open: &mut Open, step: &mut Step<'_>, done: Done) {
        if let Done::Work { generation, work } = done
            && generation == self.generation
        {
            self.worked(open, step, *work);
        }
    }

    /// A step of the engine's own.
    pub(crate) fn own_step(&mut self, act: impl FnOnce(&mut Open, &mut Step<'_>)) {
        // As in `step`.
        let _ = self.in_step(|_, open, step| act(open, step));
    }

    /// Stages what `act` does, commits it, and then acts.
    ///
    /// # Errors
    /// When it could not be stored: nothing of it happened. The account may be locked then.
    pub(crate) fn in_step(&mut self, act: impl FnOnce(&mut Self, &mut Open, &mut Step<'_>)) -> Result<(), ApiError> {
        let Some(mut open) = self.open.take() else { return Err(ApiError::locked()) };
        let vault = Arc::clone(&open.vault);
        let (now, jumped) = open.tell_time(self.config.clock.now());
        let mut step = Step::new(vault.begin(), now);
        if jumped {
            open.clock_jumped(&mut step);
        }
        open.expire_files(&mut step);
        act(self, &mut open, &mut step);
        let outcome = open.finish(&mut step).map_err(|error| storage(&error));
        let Step { txn, events, works, answers, finishes, topics_before, .. } = step;
        let outcome = outcome.and_then(|()| vault.commit(txn).map_err(|error| storage(&error)));
        match outcome {
            Ok(()) => {
                self.open = Some(open);
                self.act(events, works, answers, finishes);
                Ok(())
            }
            Err(error) => {
                // Nothing of this step is on disk: memory goes back to what is.
                tracing::error!(%error, "a step could not be stored");
                finishes.into_iter().for_each(|finish| finish(Some(&error)));
                drop(answers);
                if let Some(before) = topics_before {
                    open.topics = before;
                }
                match open.reload() {
                    Ok(()) => {
                        open.recover_soon();
                        self.open = Some(open);
                    }
                    Err(error) => {
                        tracing::error!(%error, "the vault can't be read: the account is locked");
                        self.forget(open);
                    }
                }
                Err(error)
            }
        }
    }

    fn act(
        &mut self,
        events: Vec<Event>,
        works: Vec<BoxFuture<'static, Work>>,
        answers: Vec<(Responder, PeerResponse)>,
        finishes: Vec<Finish>,
    ) {
        if let Some(open) = &self.open {
            for (responder, response) in answers {
                open.net.respond(responder, response);
            }
        }
        for work in works {
            let (results, generation) = (self.results.clone(), self.generation);
            self.runtime.spawn(async move {
                let work = Box::new(work.await);
                // An error means that the engine has stopped.
                let _ = results.send(Done::Work { generation, work }).await;
            });
        }
        for finish in finishes {
            finish(None);
        }
        for event in events {
            self.tell(event);
        }
    }
}

impl Open {
    /// Stages everything that the step changed in memory.
    fn finish(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        if std::mem::take(&mut step.new_record) {
            self.renew_record(step);
        }
        for account in std::mem::take(&mut step.deliver) {
            self.deliver(step, account);
        }
        if !step.rows.is_empty() {
            step.txn.put(Table::Meta, b"outbox-next", &self.outbox.next_row().to_le_bytes());
        }
        for row in std::mem::take(&mut step.rows) {
            match self.outbox.get(row).map(|outgoing| outgoing.encode()) {
                Some(Ok(bytes)) => step.txn.put_at(Table::Outbox, row, &bytes),
                Some(Err(_)) => tracing::error!("a row of the outbox can't be encoded"),
                None => step.txn.delete_at(Table::Outbox, row),
            }
        }
        for account in std::mem::take(&mut step.sessions) {
            if let Some(sessions) = self.sessions.get(&account) {
                step.txn.put(Table::Sessions, account.as_ref(), sessions.to_secret_bytes().expose());
            }
        }
        self.finish_files(step);
        self.finish_groups(step)?;
        if std::mem::take(&mut step.prekeys) {
            step.txn.put(Table::Prekeys, b"own", self.prekeys.to_secret_bytes().expose());
        }
        for account in std::mem::take(&mut step.contacts) {
            match self.contacts.get(&account).map(|contact| contact.encode()) {
                Some(Ok(bytes)) => step.txn.put(Table::Contacts, account.as_ref(), &bytes),
                Some(Err(_)) => tracing::error!("a contact can't be encoded"),
                None => step.txn.delete(Table::Contacts, account.as_ref()),
            }
        }
        Ok(())
    }
}

/// What the person is told when the vault fails.
pub(crate) fn storage(error: &StoreError) -> ApiError {
    use crate::api::ErrorKind::{
        AccountExists, DiskFull, Locked, NoAccount, NotFound, Storage, TooLarge, UnsupportedVersion, VaultDamaged,
        VaultInUse, WrongPassword,
    };
    let kind = match error {
        StoreError::WrongPassword => WrongPassword,
        StoreError::InUse => VaultInUse,
        StoreError::Damaged { .. } | StoreError::Tampered => VaultDamaged,
        StoreError::UnsupportedVersion { .. } => UnsupportedVersion,
        StoreError::DiskFull => DiskFull,
        StoreError::NoAccount => NoAccount,
        StoreError::Exists => AccountExists,
        StoreError::NoMessage => NotFound,
        StoreError::Locked => Locked,
        StoreError::PasswordTooLong => return ApiError::invalid("password", sentence(&error.to_string())),
        StoreError::TooLarge { .. } => TooLarge,
        StoreError::OutOfMemory | StoreError::Stalled | StoreError::Io(_) => Storage,
    };
    ApiError::new(kind, sentence(&error.to_string()))
}

/// A lower-case error as a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
