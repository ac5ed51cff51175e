//! The Double Ratchet with header encryption (Perrin and Marlinspike, revision 4,
//! section 4). Floor 5.
//!
//! A message is opened on the side: what it would change is planned first, and
//! carried out only when the body has authenticated, so that a refused message
//! leaves the state as it was, and nothing large is ever copied.
//!
//! The own ratchet key is made when it is first needed to send, not when the other
//! side's arrives: opening a message needs no randomness, and a state that was
//! restored from a backup begins a chain of its own.

mod chain;
mod header;

use rand_core::CryptoRng;

use self::chain::{ChainKey, ReceivingChain, RootKey};
use self::header::{Header, SEALED_BYTES};
use crate::crypto::aead::{self, NONCE_BYTES, TAG_BYTES, XNONCE_BYTES};
use crate::crypto::secret::Secret;
use crate::crypto::state::{StateError, StateReader, StateWriter};
use crate::crypto::x25519::{PublicKey, SecretKey};
use crate::handshake::HandshakeSecrets;
use crate::id::Timestamp;
use crate::limits;
use crate::padding;

/// The body key is used once, so that its nonce needs not differ.
const BODY_NONCE: [u8; NONCE_BYTES] = [0; NONCE_BYTES];
/// Bytes of the framing that a session puts before a ratchet message: version and kind.
pub(crate) const FRAME_BYTES: usize = 2;
/// Bytes that a ratchet message has besides its padded plaintext.
pub(crate) const OVERHEAD_BYTES: usize = XNONCE_BYTES + SEALED_BYTES + TAG_BYTES;

/// Why a ratchet message was not opened, or none could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RatchetError {
    /// No header key of this session opens it.
    NotOurs,
    /// Its header is authentic, and yet it is not a message of this version.
    Malformed,
    /// Its header is authentic, its body was changed under way.
    BodyChanged,
    /// Its key was used already, for what may well be this same message.
    Duplicate,
    /// Another message used its key, or its sender counts backwards.
    Rollback,
    /// It lies too far ahead.
    SkipLimit,
    /// The ratchet key is of low order.
    NonContributory,
    /// The chain is at its end (2³² − 1 messages without an answer).
    Exhausted,
}

impl From<crate::crypto::x25519::NonContributory> for RatchetError {
    fn from(_: crate::crypto::x25519::NonContributory) -> Self {
        Self::NonContributory
    }
}

/// This side has a ratchet key that the other side may answer.
struct Sending {
    own: SecretKey,
    header_key: Secret<32>,
    chain: ChainKey,
    /// The number of the next message.
    next: u32,
    /// The length of this side's chain before.
    previous: u32,
    /// For the headers of this side's next chain.
    next_sending: Secret<32>,
}

/// The other side has a ratchet key that this side did not answer yet.
struct Receiving {
    theirs: PublicKey,
    /// The length of this side's last chain.
    previous: u32,
    /// For the headers of this side's next chain.
    next_sending: Secret<32>,
}

enum Phase {
    Sending(Sending),
    Receiving(Receiving),
}

/// One session's ratchet.
pub(crate) struct DoubleRatchet {
    /// `TH`, associated data of every message.
    transcript: [u8; 32],
    root: RootKey,
    phase: Phase,
    /// For the headers of the other side's next chain.
    next_receiving: Secret<32>,
    /// Newest last.
    #[expect(clippy::vec_box, reason = "moving chains themselves would leave copies of their keys behind")]
    chains: Vec<Box<ReceivingChain>>,
}

/// A ratchet message taken apart.
struct Parts<'a> {
    nonce: &'a [u8; XNONCE_BYTES],
    header: &'a [u8; SEALED_BYTES],
    body: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Parts<'a> {
    fn of(message: &'a [u8]) -> Option<Self> {
        let (nonce, rest) = message.split_first_chunk()?;
        let (header, rest) = rest.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        Some(Self { nonce, header, body, tag })
    }

    fn mark(&self) -> u32 {
        self.nonce.first_chunk().map_or(0, |start| u32::from_le_bytes(*start))
    }

    /// Opens the body with `key`, into a new vector without the padding.
    fn open(
        &self,
        key: &chain::MessageKey,
        transcript: &[u8; 32],
        frame: &[u8; FRAME_BYTES],
    ) -> Result<Vec<u8>, RatchetError> {
        let associated = associated(transcript, frame, self.nonce, self.header);
        let mut plaintext = self.body.to_vec();
        aead::open_in_place(&key.body_key(self.nonce), &BODY_NONCE, &associated, &mut plaintext, self.tag)
            .map_err(|_| RatchetError::BodyChanged)?;
        let length = padding::unpad(&plaintext).map_err(|_| RatchetError::Malformed)?.len();
        plaintext.truncate(length);
        Ok(plaintext)
    }
}

const ASSOCIATED_BYTES: usize = 32 + FRAME_BYTES + XNONCE_BYTES + SEALED_BYTES;

/// `TH ‖ version ‖ kind ‖ nonce ‖ encrypted header`.
fn associated(
    transcript: &[u8; 32],
    frame: &[u8; FRAME_BYTES],
    nonce: &[u8; XNONCE_BYTES],
    header: &[u8; SEALED_BYTES],
) -> [u8; ASSOCIATED_BYTES] {
    let mut out = [0; ASSOCIATED_BYTES];
    let mut rest = out.as_mut_slice();
    for part in [transcript.as_slice(), frame, nonce, header] {
        if let Some((place, after)) = std::mem::take(&mut rest).split_at_mut_checked(part.len()) {
            place.copy_from_slice(part);
            rest = after;
        }
    }
    out
}

impl DoubleRatchet {
    /// The initiator's: can send at once.
    pub(crate) fn initiator<R: CryptoRng + ?Sized>(
        secrets: HandshakeSecrets,
        signed_prekey: &PublicKey,
        rng: &mut R,
    ) -> Result<Self, RatchetError> {
        let own = SecretKey::generate(rng);
        let turn = RootKey(secrets.root).turn(&own, signed_prekey)?;
        let sending = Sending {
            own,
            header_key: secrets.initiator_header,
            chain: turn.chain,
            next: 0,
            previous: 0,
            next_sending: turn.next_header,
        };
        Ok(Self {
            transcript: secrets.transcript,
            root: turn.root,
            phase: Phase::Sending(sending),
            next_receiving: secrets.responder_header,
            chains: Vec::new(),
        })
    }

    /// The responder's, from the first message that arrives, and its plaintext.
    pub(crate) fn responder(
        secrets: HandshakeSecrets,
        signed_prekey: &SecretKey,
        message: &[u8],
        frame: &[u8; FRAME_BYTES],
        now: Timestamp,
    ) -> Result<(Self, Vec<u8>), RatchetError> {
        let parts = Parts::of(message).ok_or(RatchetError::Malformed)?;
        let header = Header::open(&secrets.initiator_header, parts.nonce, frame, parts.header)
            .ok_or(RatchetError::NotOurs)?
            .map_err(|_| RatchetError::Malformed)?;
        let turn = RootKey(secrets.root).turn(signed_prekey, &header.ratchet_key)?;
        let mut chain = ReceivingChain::new(secrets.initiator_header, turn.chain, now);
        let step = chain.plan(header.number, parts.mark(), limits::SKIPPED_KEYS_MAX, now)?;
        let plaintext = parts.open(&step.key, &secrets.transcript, frame)?;
        chain.commit(step, header.number, parts.mark(), now);
        let receiving = Receiving { theirs: header.ratchet_key, previous: 0, next_sending: secrets.responder_header };
        let ratchet = Self {
            transcript: secrets.transcript,
            root: turn.root,
            phase: Phase::Receiving(receiving),
            next_receiving: turn.next_header,
            chains: vec![Box::new(chain)],
        };
        Ok((ratchet, plaintext))
    }

    /// Unique to the session.
    pub(crate) const fn transcript(&self) -> &[u8; 32] {
        &self.transcript
    }

    /// Keys of messages that did not arrive yet.
    pub(crate) fn skipped_count(&self) -> usize {
        self.chains.iter().map(|chain| chain.skipped_count()).sum()
    }

    /// Appends `plaintext`, padded and encrypted, to `out`.
    pub(crate) fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        frame: &[u8; FRAME_BYTES],
        out: &mut Vec<u8>,
        rng: &mut R,
    ) -> Result<(), RatchetError> {
        if let Phase::Receiving(receiving) = &self.phase {
            let (root, sending) = answer(&self.root, receiving, rng)?;
            self.root = root;
            self.phase = Phase::Sending(sending);
        }
        let Phase::Sending(sending) = &mut self.phase else { return Err(RatchetError::Malformed) };
        let next = sending.next.checked_add(1).ok_or(RatchetError::Exhausted)?;
        let (key, next_chain) = sending.chain.step();
        let mut nonce = [0; XNONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let header = Header { ratchet_key: *sending.own.public(), previous: sending.previous, number: sending.next };
        let header = header.seal(&sending.header_key, &nonce, frame);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&header);
        let start = out.len();
        padding::pad_into(plaintext, out);
        let associated = associated(&self.transcript, frame, &nonce, &header);
        if let Some(body) = out.get_mut(start..) {
            let tag = aead::seal_in_place(&key.body_key(&nonce), &BODY_NONCE, &associated, body);
            out.extend_from_slice(&tag);
        }
        sending.chain = next_chain;
        sending.next = next;
        Ok(())
    }

    /// Opens `message`. On an error nothing has changed.
    pub(crate) fn decrypt(
        &mut self,
        message: &[u8],
        frame: &[u8; FRAME_BYTES],
        now: Timestamp,
    ) -> Result<Vec<u8>, RatchetError> {
        let parts = Parts::of(message).ok_or(RatchetError::Malformed)?;
        let newest = self.chains.len().checked_sub(1);
        if let Some(at) = newest
            && let Some(opened) = self.decrypt_in_chain(at, &parts, frame, now)
        {
            return opened;
        }
        if matches!(self.phase, Phase::Sending(_))
            && let Some(header) = Header::open(&self.next_receiving, parts.nonce, frame, parts.header)
        {
            return self.decrypt_in_new_chain(header.map_err(|_| RatchetError::Malformed)?, &parts, frame, now);
        }
        for at in (0..newest.unwrap_or(0)).rev() {
            if let Some(opened) = self.decrypt_in_chain(at, &parts, frame, now) {
                return opened;
            }
        }
        Err(RatchetError::NotOurs)
    }

    /// `None` when the message is not of this chain.
    fn decrypt_in_chain(
        &mut self,
        at: usize,
        parts: &Parts<'_>,
        frame: &[u8; FRAME_BYTES],
        now: Timestamp,
    ) -> Option<Result<Vec<u8>, RatchetError>> {
        let chain = self.chains.get(at)?;
        let header = match Header::open(chain.header_key(), parts.nonce, frame, parts.header)? {
            Ok(header) => header,
            Err(_) => return Some(Err(RatchetError::Malformed)),
        };
        let opened = chain.plan(header.number, parts.mark(), self.room(), now).and_then(|step| {
            let plaintext = parts.open(&step.key, &self.transcript, frame)?;
            Ok((step, plaintext))
        });
        let (step, plaintext) = match opened {
            Ok(opened) => opened,
            Err(error) => return Some(Err(error)),
        };
        self.chains.get_mut(at)?.commit(step, header.number, parts.mark(), now);
        Some(Ok(plaintext))
    }

    fn decrypt_in_new_chain(
        &mut self,
        header: Header,
        parts: &Parts<'_>,
        frame: &[u8; FRAME_BYTES],
        now: Timestamp,
    ) -> Result<Vec<u8>, RatchetError> {
        let Phase::Sending(sending) = &self.phase else { return Err(RatchetError::NotOurs) };
        let room = self.room();
        let end = self.chains.last().map(|chain| chain.plan_end(header.previous, room, now)).transpose()?;
        let room = room.saturating_sub(end.as_ref().map_or(0, chain::ChainEnd::skipped_count));
        let turn = self.root.turn(&sending.own, &header.ratchet_key)?;
        let mut chain = ReceivingChain::new(self.next_receiving.duplicate(), turn.chain, now);
        let step = chain.plan(header.number, parts.mark(), room, now)?;
        let plaintext = parts.open(&step.key, &self.transcript, frame)?;

        chain.commit(step, header.number, parts.mark(), now);
        if let (Some(last), Some(end)) = (self.chains.last_mut(), end) {
            last.end(end, now);
        }
        let receiving = Receiving {
            theirs: header.ratchet_key,
            previous: sending.next,
            next_sending: sending.next_sending.duplicate(),
        };
        self.phase = Phase::Receiving(receiving);
        self.root = turn.root;
        self.next_receiving = turn.next_header;
        self.chains.push(Box::new(chain));
        self.drop_a_chain();
        Ok(plaintext)
    }

    fn room(&self) -> usize {
        limits::SKIPPED_KEYS_MAX.saturating_sub(self.skipped_count())
    }

    /// Of too many chains, the oldest that waits for nothing goes, or else the oldest.
    fn drop_a_chain(&mut self) {
        if self.chains.len() > limits::RECEIVING_CHAINS_MAX {
            let older = self.chains.split_last().map_or(&[][..], |(_newest, older)| older);
            let at = older.iter().position(|chain| chain.skipped_count() == 0).unwrap_or(0);
            self.chains.remove(at);
        }
    }

    /// Forgets the keys of messages that did not arrive for too long. Whether there were any.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        let before = (self.chains.len(), self.skipped_count());
        self.chains.retain_mut(|chain| chain.expire(now));
        before != (self.chains.len(), self.skipped_count())
    }

    pub(crate) fn write(&self, out: &mut StateWriter) {
        out.fixed(&self.transcript).fixed(self.root.0.expose()).fixed(self.next_receiving.expose());
        match &self.phase {
            Phase::Sending(sending) => {
                out.u8(0).x25519(&sending.own).fixed(sending.header_key.expose()).fixed(sending.chain.0.expose());
                out.u32(sending.next).u32(sending.previous).fixed(sending.next_sending.expose());
            }
            Phase::Receiving(receiving) => {
                out.u8(1).fixed(receiving.theirs.as_bytes());
                out.u32(receiving.previous).fixed(receiving.next_sending.expose());
            }
        }
        out.count(self.chains.len());
        self.chains.iter().for_each(|chain| chain.write(out));
    }

    pub(crate) fn read(from: &mut StateReader<'_>) -> Result<Self, StateError> {
        let (transcript, root, next_receiving) = (from.fixed()?, RootKey(from.secret()?), from.secret()?);
        let phase = match from.u8()? {
            0 => Phase::Sending(Sending {
                own: from.x25519()?,
                header_key: from.secret()?,
                chain: ChainKey(from.secret()?),
                next: from.u32()?,
                previous: from.u32()?,
                next_sending: from.secret()?,
            }),
            1 => Phase::Receiving(Receiving {
                theirs: PublicKey::from_bytes(from.fixed()?),
                previous: from.u32()?,
                next_sending: from.secret()?,
            }),
            _ => return Err(StateError),
        };
        let count = from.count(limits::RECEIVING_CHAINS_MAX)?;
        let chains = (0..count).map(|_| ReceivingChain::read(from).map(Box::new)).collect::<Result<_, _>>()?;
        Ok(Self { transcript, root, phase, next_receiving, chains })
    }
}

/// Begins this side's next chain: a new ratchet key, and a turn of the root key with it.
fn answer<R: CryptoRng + ?Sized>(
    root: &RootKey,
    receiving: &Receiving,
    rng: &mut R,
) -> Result<(RootKey, Sending), RatchetError> {
    let own = SecretKey::generate(rng);
    let turn = root.turn(&own, &receiving.theirs)?;
    let sending = Sending {
        own,
        header_key: receiving.next_sending.duplicate(),
        chain: turn.chain,
        next: 0,
        previous: receiving.previous,
        next_sending: turn.next_header,
    };
    Ok((turn.root, sending))
}

#[cfg(test)]
mod tests;
