//! Everything with one peer: which of several sessions speaks, how a session comes
//! to be, how two that were started at once become one, and how old ones end. Floor 5.
//!
//! **Which session speaks.** The later one, by the time its initiator gave it in the
//! handshake (and by `TH` between equals): both sides know the same sessions sooner or
//! later, and so come to the same one, whoever started first. Where clocks disagree, a
//! peer that keeps speaking on a session that we met after ours is followed there.
//! The others stay for a while, to open what is still under way.

mod error;
mod frame;

use rand_core::CryptoRng;

pub use self::error::{DecryptError, SessionError};
use self::frame::Frame;
use crate::crypto::kdf;
use crate::crypto::secret::SecretBytes;
use crate::crypto::state::{StateError, StateReader, StateWriter};
use crate::double_ratchet::{DoubleRatchet, OVERHEAD_BYTES, RatchetError};
use crate::handshake::{self, HandshakeError, InitialHeaderIn};
use crate::id::{AccountId, Timestamp};
use crate::identity::{IdentityKeyPair, PublicIdentity};
use crate::limits;
use crate::padding::padded_length;
use crate::prekey::{PreKeys, VerifiedBundle};

/// Version of the stored form.
const STATE_VERSION: u8 = 1;

/// An opened message.
#[derive(Debug, PartialEq, Eq)]
pub struct Decrypted {
    /// What the peer sent.
    pub plaintext: SecretBytes,
    /// It was the first of a session that the peer started.
    pub new_session: bool,
    /// Another session than before speaks from now on: encrypt anew what is not acknowledged.
    pub replaced_active: bool,
}

/// What may be shown about the sessions with a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Sessions, the active one included.
    pub sessions: usize,
    /// Whether one of them speaks.
    pub active: bool,
    /// Whether the peer has answered in the one that speaks.
    pub answered: bool,
    /// When the one that speaks was met here.
    pub since: Option<Timestamp>,
    /// When the one that speaks last sent or received.
    pub last_used: Option<Timestamp>,
    /// Keys kept for messages that did not arrive yet, in all sessions.
    pub skipped_keys: usize,
}

struct Session {
    ratchet: DoubleRatchet,
    /// By the initiator's clock: orders the sessions.
    started: Timestamp,
    /// The hash of the initial header that began it.
    initial_hash: [u8; 32],
    /// The encoded initial header, as long as the peer has not answered this initiator.
    initial: Option<Vec<u8>>,
    /// Counts the sessions in the order in which this side met them.
    met: u32,
    met_at: Timestamp,
    last_used: Timestamp,
    /// Set aside for good: never speaks again.
    retired: bool,
    /// Messages received in a row while another session spoke.
    streak: u8,
}

impl Session {
    fn rank(&self) -> (Timestamp, &[u8; 32]) {
        (self.started, self.ratchet.transcript())
    }
}

/// All sessions with one peer account.
pub struct SessionSet {
    me: AccountId,
    peer: AccountId,
    /// The one that speaks first, if `active`.
    #[expect(clippy::vec_box, reason = "moving sessions themselves would leave copies of their keys behind")]
    sessions: Vec<Box<Session>>,
    active: bool,
    met: u32,
}

impl SessionSet {
    /// None yet.
    #[must_use]
    pub const fn new(me: AccountId, peer: AccountId) -> Self {
        Self { me, peer, sessions: Vec::new(), active: false, met: 0 }
    }

    /// With whom.
    #[must_use]
    pub const fn peer(&self) -> AccountId {
        self.peer
    }

    fn speaker(&self) -> Option<&Session> {
        self.sessions.first().filter(|_| self.active).map(|session| &**session)
    }

    /// Whether [`Self::encrypt`] has a session to use.
    #[must_use]
    pub fn can_encrypt(&self) -> bool {
        self.speaker().is_some()
    }

    /// Whether the session that speaks was never answered: its messages carry the
    /// initial header, 1.3 KiB each.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        self.speaker().is_some_and(|session| session.initial.is_some())
    }

    /// Starts a session from the peer's bundle; it speaks from now on.
    ///
    /// # Errors
    /// [`HandshakeError`]; nothing has changed then.
    pub fn initiate<R: CryptoRng + ?Sized>(
        &mut self,
        me: &IdentityKeyPair,
        bundle: &VerifiedBundle,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<(), HandshakeError> {
        if self.peer == me.account_id() {
            return Err(HandshakeError::Oneself);
        }
        if bundle.identity().account_id() != self.peer {
            return Err(HandshakeError::WrongPeer);
        }
        let latest = self.sessions.iter().map(|session| session.started.plus_ms(1)).max();
        let started = latest.map_or(now, |latest| latest.max(now));
        let (secrets, header) = handshake::initiate(me, bundle, started, rng)?;
        let ratchet = DoubleRatchet::initiator(secrets, &bundle.signed.dh_key, rng)
            .map_err(|_| HandshakeError::NonContributory)?;
        let initial = frame::encode_initial(&header);
        let initial_hash = kdf::sha256(&initial);
        let at = self.add(Session {
            ratchet,
            started,
            initial_hash,
            initial: Some(initial),
            met: self.met,
            met_at: now,
            last_used: now,
            retired: false,
            streak: 0,
        });
        self.speak(at);
        Ok(())
    }

    /// Encrypts for the peer. The state must be durable before the bytes leave.
    ///
    /// # Errors
    /// [`SessionError`]; nothing has changed then.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Vec<u8>, SessionError> {
        if plaintext.len() > limits::PLAINTEXT_MAX_BYTES {
            return Err(SessionError::TooLong { bytes: plaintext.len(), limit_bytes: limits::PLAINTEXT_MAX_BYTES });
        }
        let session = self.sessions.first_mut().filter(|_| self.active).ok_or(SessionError::NoSession)?;
        let body_bytes = padded_length(plaintext.len()).saturating_add(OVERHEAD_BYTES);
        let (mut out, frame) = frame::begin(session.initial.as_deref(), body_bytes);
        session.ratchet.encrypt(plaintext, &frame, &mut out, rng).map_err(|_| SessionError::Exhausted)?;
        session.last_used = now;
        Ok(out)
    }

    /// Opens a message of the peer, starting a session if it is the first of one.
    /// Sessions and prekeys must be durable before it is acknowledged.
    ///
    /// # Errors
    /// [`DecryptError`]; neither `self` nor `prekeys` has changed then.
    pub fn decrypt(
        &mut self,
        me: &IdentityKeyPair,
        prekeys: &mut PreKeys,
        ciphertext: &[u8],
        now: Timestamp,
    ) -> Result<Decrypted, DecryptError> {
        let frame = Frame::parse(ciphertext)?;
        let Some(initial) = frame.initial else {
            return self.decrypt_in_any(&frame, now);
        };
        let hash = kdf::sha256(initial);
        if let Some(at) = self.sessions.iter().position(|session| session.initial_hash == hash) {
            let plaintext = self.open_in(at, &frame, now).ok_or(DecryptError::NoSession)??;
            return Ok(self.opened(at, plaintext, false));
        }
        self.accept(me, prekeys, &frame, initial, now)
    }

    fn decrypt_in_any(&mut self, frame: &Frame<'_>, now: Timestamp) -> Result<Decrypted, DecryptError> {
        for at in 0..self.sessions.len() {
            match self.open_in(at, frame, now) {
                Some(Ok(plaintext)) => return Ok(self.opened(at, plaintext, false)),
                None | Some(Err(RatchetError::NotOurs)) => (),
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Err(DecryptError::NoSession)
    }

    fn open_in(&mut self, at: usize, frame: &Frame<'_>, now: Timestamp) -> Option<Result<Vec<u8>, RatchetError>> {
        let session = self.sessions.get_mut(at)?;
        let opened = session.ratchet.decrypt(frame.message, &frame.start, now);
        if opened.is_ok() {
            session.last_used = now;
            session.initial = None;
        }
        Some(opened)
    }

    /// A message of session `at` was opened: decides which session speaks now.
    fn opened(&mut self, at: usize, plaintext: Vec<u8>, new_session: bool) -> Decrypted {
        let replaced_active = self.consider(at);
        Decrypted { plaintext: SecretBytes::from_vec(plaintext), new_session, replaced_active }
    }

    fn consider(&mut self, at: usize) -> bool {
        let (Some(heard), speaker) = (self.sessions.get(at), self.speaker()) else { return false };
        let Some(speaker) = speaker else {
            // After a reset only a session that is new here may speak.
            if !heard.retired {
                self.speak(at);
            }
            return false;
        };
        if at == 0 {
            self.sessions.iter_mut().for_each(|session| session.streak = 0);
            return false;
        }
        let streak = heard.streak.saturating_add(1);
        let later = heard.rank() > speaker.rank();
        let insists = heard.met > speaker.met && streak >= limits::SESSION_FOLLOW_AFTER;
        if heard.retired || !(later || insists) {
            if let Some(heard) = self.sessions.get_mut(at) {
                heard.streak = streak;
            }
            return false;
        }
        self.speak(at);
        true
    }

    fn speak(&mut self, at: usize) {
        if at < self.sessions.len() {
            let session = self.sessions.remove(at);
            self.sessions.insert(0, session);
            self.sessions.iter_mut().for_each(|session| session.streak = 0);
            self.active = true;
        }
    }

    /// Opens the first message of a session that the peer started.
    fn accept(
        &mut self,
        me: &IdentityKeyPair,
        prekeys: &mut PreKeys,
        frame: &Frame<'_>,
        initial: &[u8],
        now: Timestamp,
    ) -> Result<Decrypted, DecryptError> {
        let header = frame::decode_initial(initial)?;
        let initiator = verified_initiator(&header)?;
        if initiator.account_id() != self.peer || self.peer == me.account_id() {
            return Err(DecryptError::WrongIdentity);
        }
        let (secrets, signed_prekey) = handshake::respond(me, prekeys, &initiator, &header)?;
        let (ratchet, plaintext) = DoubleRatchet::responder(secrets, signed_prekey, frame.message, &frame.start, now)?;
        prekeys.used(&header.signed, header.kit.as_ref(), &handshake::ephemeral_hash(&header));
        let at = self.add(Session {
            ratchet,
            started: header.started,
            initial_hash: kdf::sha256(initial),
            initial: None,
            met: self.met,
            met_at: now,
            last_used: now,
            retired: false,
            streak: 0,
        });
        Ok(self.opened(at, plaintext, true))
    }

    /// Adds a session behind the one that speaks, and drops the longest unused of too many. Its place.
    fn add(&mut self, session: Session) -> usize {
        if self.sessions.len() >= limits::SESSIONS_MAX {
            let others = self.sessions.iter().enumerate().skip(usize::from(self.active));
            if let Some((oldest, _)) = others.min_by_key(|(_, session)| session.last_used) {
                self.sessions.remove(oldest);
            }
        }
        self.met = self.met.saturating_add(1);
        let at = usize::from(self.active).min(self.sessions.len());
        self.sessions.insert(at, Box::new(session));
        at
    }

    /// Sets every session aside: none speaks until [`Self::initiate`], or until the peer
    /// starts one. What is under way can still be opened.
    pub fn reset(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.retired = true);
        self.active = false;
    }

    /// Deletes sessions that were set aside and not used for 30 days, and keys of messages that
    /// did not arrive for as long. Whether anything changed. Not to be called while the clock is in doubt.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.sessions.len();
        let (mut at, active) = (0_usize, self.active);
        self.sessions.retain(|session| {
            let speaks = active && at == 0;
            at = at.saturating_add(1);
            speaks || now.since_ms(session.last_used) <= limits::SESSION_ARCHIVE_KEEP_MS
        });
        let expired = self.sessions.iter_mut().filter_map(|session| session.ratchet.expire(now).then_some(())).count();
        expired > 0 || before != self.sessions.len()
    }

    /// What may be shown.
    #[must_use]
    pub fn facts(&self) -> SessionFacts {
        let speaker = self.speaker();
        SessionFacts {
            sessions: self.sessions.len(),
            active: speaker.is_some(),
            answered: speaker.is_some_and(|session| session.initial.is_none()),
            since: speaker.map(|session| session.met_at),
            last_used: speaker.map(|session| session.last_used),
            skipped_keys: self.sessions.iter().map(|session| session.ratchet.skipped_count()).sum(),
        }
    }

    /// For the vault, after each step: about half a KiB for each session, and 44 bytes
    /// for each message that did not arrive yet.
    #[must_use]
    pub fn to_secret_bytes(&self) -> SecretBytes {
        let mut out = StateWriter::with_capacity(self.sessions.len().saturating_mul(768).saturating_add(128));
        out.u8(STATE_VERSION).fixed(self.me.as_bytes()).fixed(self.peer.as_bytes());
        out.u32(self.met).u8(u8::from(self.active)).count(self.sessions.len());
        for session in &self.sessions {
            session.ratchet.write(&mut out);
            out.time(session.started).fixed(&session.initial_hash).bytes(session.initial.as_deref().unwrap_or(&[]));
            out.u32(session.met).time(session.met_at).time(session.last_used);
            out.u8(u8::from(session.retired)).u8(session.streak);
        }
        out.finish()
    }

    /// From the vault.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are not what [`Self::to_secret_bytes`] wrote.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut from = StateReader::new(bytes);
        if from.u8()? != STATE_VERSION {
            return Err(StateError);
        }
        let (me, peer) = (AccountId(from.fixed()?), AccountId(from.fixed()?));
        let (met, active) = (from.u32()?, from.u8()? == 1);
        let count = from.count(limits::SESSIONS_MAX)?;
        let sessions = (0..count).map(|_| read_session(&mut from)).collect::<Result<_, _>>()?;
        from.finish()?;
        Ok(Self { me, peer, sessions, active, met })
    }
}

fn read_session(from: &mut StateReader<'_>) -> Result<Box<Session>, StateError> {
    let ratchet = DoubleRatchet::read(from)?;
    let (started, initial_hash) = (from.time()?, from.fixed()?);
    let initial = from.bytes(limits::INITIAL_HEADER_MAX_BYTES)?;
    Ok(Box::new(Session {
        ratchet,
        started,
        initial_hash,
        initial: (!initial.is_empty()).then(|| initial.to_vec()),
        met: from.u32()?,
        met_at: from.time()?,
        last_used: from.time()?,
        retired: from.u8()? == 1,
        streak: from.u8()?,
    }))
}

impl std::fmt::Debug for SessionSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionSet({})", self.sessions.len())
    }
}

fn verified_initiator(header: &InitialHeaderIn) -> Result<PublicIdentity, DecryptError> {
    if header.suite != handshake::SUITE {
        return Err(DecryptError::UnknownSuite);
    }
    header.identity.verify().map_err(|_| DecryptError::Malformed)
}

/// Whose first message this claims to be. The identity certifies itself; that it sent the
/// message is only known when [`SessionSet::decrypt`] has opened it.
///
/// # Errors
/// [`DecryptError::NoSession`] when it is no first message, else as [`SessionSet::decrypt`].
pub fn peek_initial(ciphertext: &[u8]) -> Result<PublicIdentity, DecryptError> {
    let initial = Frame::parse(ciphertext)?.initial.ok_or(DecryptError::NoSession)?;
    verified_initiator(&frame::decode_initial(initial)?)
}

#[cfg(test)]
mod tests;
