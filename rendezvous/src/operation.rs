//! What the server asks of its storage, and what comes back: an answer for the requester, and what
//! the server itself has to do. Floor 2, over the rules.

use secure_chat_protocol::id::{AccountId, BlobId, EnvelopeId, GroupId, LogId, MailboxId, Timestamp};
use secure_chat_protocol::identity::PublicIdentity;
use secure_chat_protocol::limits::KITS_LOW;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{Refusal, Response, Who};

use crate::blobs::{BlobLimits, Create, Place, Slot};
use crate::directory::{DirectoryLimits, Entry, Search};
use crate::door;
use crate::expiry::{self, Swept};
use crate::group_log::{Append, Appended, LogLimits, ReadLog};
use crate::limits::{HOUR_MS, LISTINGS_NODE_MAX, MAILBOXES_MAX};
use crate::mailbox::{self, Deposit, Deposited, MailboxLimits};
use crate::prekeys::{self, NamedKit};
use crate::registry::{self, Claim, RecordRow, Registered};
use crate::rows::{Read, ServiceTotals, StoreError, Table, Totals, Write, get_row, note_lived_ms};
use crate::{blobs, directory, group_log};

/// When something happens, by both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// How long the node has run in all its lives, in milliseconds.
    pub lived_ms: u64,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Moment {
    /// The hour of the node's life.
    #[must_use]
    pub const fn hour(&self) -> u64 {
        self.lived_ms / HOUR_MS
    }
}

/// Bounds that the configuration sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What mailboxes may hold.
    pub mailbox: MailboxLimits,
    /// How many mailboxes there may be.
    pub mailboxes_max: u64,
    /// How much is listed.
    pub directory: DirectoryLimits,
    /// What logs of groups may hold.
    pub log: LogLimits,
    /// What blobs may hold.
    pub blob: BlobLimits,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mailbox: MailboxLimits::default(),
            mailboxes_max: MAILBOXES_MAX,
            directory: DirectoryLimits { groups: LISTINGS_NODE_MAX },
            log: LogLimits::default(),
            blob: BlobLimits::default(),
        }
    }
}

/// A change of the state.
#[derive(Debug, Clone)]
pub enum Change {
    /// Registers or renews a verified record.
    Register(Box<Claim>),
    /// Forgets an account.
    Unregister(AccountId),
    /// Publishes verified prekeys.
    Publish {
        /// Whose.
        account: AccountId,
        /// The encoded signed prekey.
        signed: Vec<u8>,
        /// The kits.
        kits: Vec<NamedKit>,
        /// Forget those before.
        replace: bool,
    },
    /// Hands out a bundle.
    TakeBundle {
        /// Whose.
        account: AccountId,
        /// With a one-time kit, if there is one.
        with_kit: bool,
    },
    /// Opens a mailbox that was proven to be the caller's.
    Open(MailboxId),
    /// Adds token hashes to a mailbox.
    AddTokens {
        /// Whose.
        mailbox: MailboxId,
        /// The hashes.
        hashes: Vec<[u8; 32]>,
    },
    /// Deletes what was fetched.
    Acknowledge {
        /// Whose.
        mailbox: MailboxId,
        /// Up to and with this position.
        up_to: u64,
    },
    /// Leaves an envelope.
    Deposit(Deposit),
    /// Lists a group, or renews its verified entry.
    PublishGroup(Box<Entry>),
    /// Takes a group off the list.
    WithdrawGroup {
        /// Who asks.
        account: AccountId,
        /// Which.
        group: GroupId,
    },
    /// Appends to a group's log.
    AppendLog(Append),
    /// Makes room for a blob.
    CreateBlob(Create),
    /// Notes that a chunk is durable.
    ChunkStored(Slot),
    /// Deletes a blob.
    DeleteBlob {
        /// Which.
        blob: BlobId,
        /// The hash of what was shown.
        shown: Fixed<32>,
    },
    /// Counts a download.
    CountDownload {
        /// Of which blob.
        blob: BlobId,
        /// The hash of what was shown.
        shown: Fixed<32>,
        /// Counted once.
        receipt: EnvelopeId,
    },
    /// Deletes what expired, and notes how long the node has run.
    Sweep,
}

/// A question to the state.
#[derive(Debug, Clone)]
pub enum Query {
    /// Looks people up.
    Lookup(Who),
    /// The records of these accounts; `more` is passed through.
    Records {
        /// Whose.
        accounts: Vec<AccountId>,
        /// There are others behind them.
        more: bool,
    },
    /// Reads a mailbox.
    Fetch {
        /// Whose.
        mailbox: MailboxId,
        /// Behind this position.
        after: u64,
        /// At most so much.
        max_bytes: usize,
    },
    /// Searches the directory.
    SearchGroups(Search),
    /// The entry of a group.
    GroupEntry {
        /// Which.
        group: GroupId,
        /// By the wall clock.
        now: Timestamp,
    },
    /// Reads a group's log.
    ReadLog(ReadLog),
    /// Where a chunk goes. The outcome is an [`Effect::Placed`].
    PlaceToWrite(Slot),
    /// Where a chunk lies. The outcome is an [`Effect::Placed`].
    PlaceToRead(Slot),
    /// What is there of a blob.
    StatBlob {
        /// Which.
        blob: BlobId,
        /// The hash of what was shown, if it is the owner's.
        as_owner: Fixed<32>,
        /// The hash of what was shown, if it is a reader's.
        as_reader: Fixed<32>,
        /// The hour of the node's life.
        hour: u64,
    },
    /// Whether a blob is known: done, or not found.
    KnownBlob(BlobId),
    /// What the node holds.
    Totals,
}

/// What came of a change or a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// For whoever asked.
    pub response: Response,
    /// For the server.
    pub effect: Effect,
}

/// What the server has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The peer speaks for this account from now on, as do those that the record names; no others do.
    Registered {
        /// Which.
        account: AccountId,
        /// The Ed25519 keys of the peers that the record names.
        peers: Vec<[u8; 32]>,
        /// Whose keys sign for the account.
        identity: Box<PublicIdentity>,
    },
    /// The peer speaks for no account any more.
    Unregistered(AccountId),
    /// The mailbox is the peer's from now on.
    Opened(MailboxId),
    /// Whoever opened this mailbox should hear of it.
    MailArrived {
        /// Which.
        mailbox: MailboxId,
        /// Envelopes that wait.
        waiting: u64,
    },
    /// The owner should hear that few kits are left.
    KitsLow {
        /// Whose.
        account: AccountId,
        /// How many.
        left: u32,
    },
    /// A double vanished.
    Double,
    /// What a sweep did.
    Swept(Swept),
    /// What the node holds.
    Totals(Totals, ServiceTotals),
    /// A new log was made.
    LogMade(LogId),
    /// Where a chunk goes or lies.
    Placed(Place),
    /// The files of these blobs are to be deleted.
    BlobsGone(Vec<BlobId>),
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self { response, effect: Effect::None }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Response::Refused(refusal).into()
    }
}

impl Change {
    /// Carries the change out.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails; a refusal is an outcome, not an error.
    pub fn apply(&self, rows: &mut dyn Write, rules: &Rules, at: Moment) -> Result<Outcome, StoreError> {
        match self {
            Self::Register(claim) => register(rows, claim, at),
            Self::Unregister(account) => {
                let response = registry::unregister(rows, account)?;
                Ok(Outcome { response, effect: Effect::Unregistered(*account) })
            }
            Self::Publish { account, signed, kits, replace } => {
                let left = prekeys::publish(rows, at.hour(), account, signed, kits, *replace)?;
                Ok(Response::Kits { left }.into())
            }
            Self::TakeBundle { account, with_kit } => take_bundle(rows, account, *with_kit),
            Self::Open(mailbox) => {
                let response = mailbox::open(rows, rules.mailboxes_max, at.hour(), mailbox)?;
                let opened = matches!(response, Response::Mailbox { .. });
                Ok(Outcome { response, effect: if opened { Effect::Opened(*mailbox) } else { Effect::None } })
            }
            Self::AddTokens { mailbox, hashes } => Ok(mailbox::add_tokens(rows, mailbox, hashes)?.into()),
            Self::Acknowledge { mailbox, up_to } => Ok(mailbox::acknowledge(rows, mailbox, *up_to)?.into()),
            Self::Deposit(deposit) => Ok(match mailbox::deposit(rows, &rules.mailbox, at.hour(), deposit)? {
                Deposited::Stored { waiting } => Outcome {
                    response: Response::Done,
                    effect: Effect::MailArrived { mailbox: deposit.mailbox, waiting },
                },
                Deposited::Double => Outcome { response: Response::Done, effect: Effect::Double },
                Deposited::Refused(refusal) => refusal.into(),
            }),
            Self::PublishGroup(entry) => Ok(directory::publish(rows, &rules.directory, at.hour(), entry)?.into()),
            Self::WithdrawGroup { account, group } => Ok(directory::withdraw(rows, account, group)?.into()),
            Self::AppendLog(append) => append_log(rows, &rules.log, append, at),
            Self::CreateBlob(create) => Ok(blobs::create(rows, &rules.blob, at.hour(), create)?.into()),
            Self::ChunkStored(slot) => Ok(blobs::chunk_stored(rows, slot)?.into()),
            Self::DeleteBlob { blob, shown } => {
                let (response, gone) = blobs::delete(rows, blob, shown)?;
                Ok(Outcome { response, effect: if gone { Effect::BlobsGone(vec![*blob]) } else { Effect::None } })
            }
            Self::CountDownload { blob, shown, receipt } => {
                Ok(blobs::count_download(rows, blob, shown, receipt)?.into())
            }
            Self::Sweep => {
                note_lived_ms(rows, at.lived_ms)?;
                let swept = expiry::sweep(rows, at.hour())?;
                Ok(Outcome { response: Response::Done, effect: Effect::Swept(swept) })
            }
        }
    }
}

fn append_log(rows: &mut dyn Write, limits: &LogLimits, append: &Append, at: Moment) -> Result<Outcome, StoreError> {
    Ok(match group_log::append(rows, limits, at.hour(), append)? {
        Appended::Stored { position, new } => Outcome {
            response: Response::Appended { position },
            effect: if new { Effect::LogMade(append.log) } else { Effect::None },
        },
        Appended::Double { position } => Outcome { response: Response::Appended { position }, effect: Effect::Double },
        Appended::Refused(refusal) => refusal.into(),
    })
}

fn register(rows: &mut dyn Write, claim: &Claim, at: Moment) -> Result<Outcome, StoreError> {
    Ok(match registry::register(rows, claim, at.wall)? {
        Registered::Accepted { new } => Outcome {
            response: Response::Registered { new, kits_left: prekeys::left(rows, &claim.account)? },
            effect: Effect::Registered {
                account: claim.account,
                peers: claim.peers.clone(),
                identity: Box::new(claim.identity.clone()),
            },
        },
        Registered::Refused(refusal) => refusal.into(),
    })
}

fn take_bundle(rows: &mut dyn Write, account: &AccountId, with_kit: bool) -> Result<Outcome, StoreError> {
    let Some(record) = get_row::<RecordRow>(rows, Table::Records, account.as_bytes())? else {
        return Ok(Refusal::NotFound.into());
    };
    let Some(handed) = prekeys::take(rows, account, with_kit)? else { return Ok(Refusal::NotFound.into()) };
    let bundle = door::bundle(&record.record.0, &handed.signed, handed.kit.as_deref())
        .ok_or_else(|| StoreError::Damaged("a stored prekey does not decode".to_owned()))?;
    let low = handed.kit.is_some() && (handed.left as usize) < KITS_LOW;
    let effect = if low { Effect::KitsLow { account: *account, left: handed.left } } else { Effect::None };
    Ok(Outcome { response: Response::Bundle { bundle: Bytes(bundle) }, effect })
}

impl Query {
    /// Answers the question.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn run(&self, rows: &dyn Read) -> Result<Outcome, StoreError> {
        Ok(match self {
            Self::Lookup(who) => registry::lookup(rows, who)?.into(),
            Self::Records { accounts, more } => registry::records(rows, accounts, *more)?.into(),
            Self::Fetch { mailbox, after, max_bytes } => mailbox::fetch(rows, mailbox, *after, *max_bytes)?.into(),
            Self::SearchGroups(search) => directory::search(rows, search)?.into(),
            Self::GroupEntry { group, now } => directory::entry(rows, group, *now)?.into(),
            Self::ReadLog(asked) => group_log::read(rows, asked)?.into(),
            Self::PlaceToWrite(slot) => placed(blobs::place_to_write(rows, slot)?),
            Self::PlaceToRead(slot) => placed(blobs::place_to_read(rows, slot)?),
            Self::StatBlob { blob, as_owner, as_reader, hour } => {
                blobs::stat(rows, blob, as_owner, as_reader, *hour)?.into()
            }
            Self::KnownBlob(blob) if blobs::is_known(rows, blob)? => Response::Done.into(),
            Self::KnownBlob(_) => Refusal::NotFound.into(),
            Self::Totals => Outcome {
                response: Response::Done,
                effect: Effect::Totals(Totals::load(rows)?, ServiceTotals::load(rows)?),
            },
        })
    }
}

fn placed(place: Place) -> Outcome {
    Outcome { response: Response::Done, effect: Effect::Placed(place) }
}
