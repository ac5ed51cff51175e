//! The vault's header: Argon2id's parameters and the wrapped master key, in a
//! file of fixed size that is read before anything else.

use rand_core::CryptoRng;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::keys::MasterKey;
use crate::crypto::aead::{self, TAG_BYTES, XNONCE_BYTES};
use crate::crypto::argon2id::{self, Argon2Error, Cost};
use crate::crypto::kdf;
use crate::crypto::secret::{Secret, equal_in_constant_time};
use crate::limits::{
    ARGON2_LANES_MAX, ARGON2_MEMORY_KIB, ARGON2_MEMORY_MAX_KIB, ARGON2_MEMORY_MIN_KIB, ARGON2_PASSES,
    ARGON2_PASSES_MAX, ARGON2_PASSES_MIN, PASSWORD_MAX_BYTES,
};

/// What the file starts with.
const MAGIC: &[u8; 8] = b"SCVAULT\0";
/// The version that this code writes and reads.
const VERSION: u8 = 1;
/// The only key derivation there is: Argon2id, version 0x13.
const KDF_ARGON2ID: u8 = 1;
const SALT_BYTES: usize = 32;
const COMMITMENT_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// Magic, version, derivation, memory, passes, lanes, salt, nonce.
const CLEAR_BYTES: usize = 8 + 1 + 1 + 4 + 4 + 1 + SALT_BYTES + XNONCE_BYTES;

/// What the key derivation costs, within the bounds that a vault may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u8,
}

impl Default for Argon2Params {
    /// What a new vault has: 64 MiB, 3 passes, 1 lane.
    fn default() -> Self {
        Self { memory_kib: ARGON2_MEMORY_KIB, passes: ARGON2_PASSES, lanes: 1 }
    }
}

impl Argon2Params {
    /// The least that is accepted: 19 MiB, 2 passes, 1 lane. For machines with
    /// little memory, and for tests.
    pub const LEAST: Self = Self { memory_kib: ARGON2_MEMORY_MIN_KIB, passes: ARGON2_PASSES_MIN, lanes: 1 };

    /// Checks parameters.
    ///
    /// # Errors
    /// [`HeaderError::Weak`] below 19 MiB or 2 passes, [`HeaderError::Absurd`]
    /// above 1 GiB, 64 passes or 16 lanes, or without a lane.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u8) -> Result<Self, HeaderError> {
        if memory_kib < ARGON2_MEMORY_MIN_KIB || passes < ARGON2_PASSES_MIN {
            return Err(HeaderError::Weak);
        }
        let absurd = memory_kib > ARGON2_MEMORY_MAX_KIB || passes > ARGON2_PASSES_MAX;
        if absurd || lanes == 0 || lanes > ARGON2_LANES_MAX {
            return Err(HeaderError::Absurd);
        }
        Ok(Self { memory_kib, passes, lanes })
    }

    /// Its memory, in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Its passes.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    const fn cost(self) -> Cost {
        Cost { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes as u32 }
    }
}

/// Why a header was not accepted. Nobody's password is wrong yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Cut short, too long, or changed.
    #[error("the vault's header is damaged")]
    Damaged,
    /// Written by another version of the program.
    #[error("the vault has version {0}, this program knows version 1")]
    UnsupportedVersion(u8),
    /// The key derivation is weaker than any version of the program makes it.
    #[error("the vault's key derivation was weakened: it is not safe to type the password")]
    Weak,
    /// The key derivation asks for more than any version of the program does.
    #[error("the vault's key derivation asks for an absurd amount of memory or time")]
    Absurd,
}

/// Why a vault was not made, or not wrapped anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The caller's fault: `validate::check_password` would have said so.
    #[error("a password has at most {PASSWORD_MAX_BYTES} bytes")]
    PasswordTooLong,
    /// The environment's fault.
    #[error("there is not enough memory to derive the key")]
    OutOfMemory,
}

/// Why a vault was not unlocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnlockError {
    /// The caller's fault.
    #[error("the password is wrong")]
    WrongPassword,
    /// The environment's fault: the password is right, the wrapped key was changed.
    #[error("the vault's header is damaged")]
    Damaged,
    /// The environment's fault.
    #[error("there is not enough memory to derive the key")]
    OutOfMemory,
}

/// What stands at the front of a vault. Holds no secret that its password does not protect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultHeader {
    params: Argon2Params,
    salt: [u8; SALT_BYTES],
    nonce: [u8; XNONCE_BYTES],
    commitment: [u8; COMMITMENT_BYTES],
    wrapped: [u8; KEY_BYTES + TAG_BYTES],
}

impl VaultHeader {
    /// Bytes of an encoded header.
    pub const BYTES: usize = CLEAR_BYTES + COMMITMENT_BYTES + KEY_BYTES + TAG_BYTES + CHECKSUM_BYTES;

    /// A new vault with a random master key. Slow: derives a key from the password.
    ///
    /// # Errors
    /// [`CreateError`]
    pub fn create<R: CryptoRng + ?Sized>(
        password: &str,
        params: Argon2Params,
        rng: &mut R,
    ) -> Result<(Self, MasterKey), CreateError> {
        let master = MasterKey::generate(rng);
        let header = Self::wrap(&master, password, params, rng)?;
        Ok((header, master))
    }

    /// The same master key under another password, with a new salt. Slow.
    ///
    /// Whoever has an old copy of the header and the old password still has the
    /// master key: against that, only a new vault helps (`account.rekey`).
    ///
    /// # Errors
    /// [`CreateError`]
    pub fn rewrap<R: CryptoRng + ?Sized>(
        &self,
        master: &MasterKey,
        new_password: &str,
        rng: &mut R,
    ) -> Result<Self, CreateError> {
        Self::wrap(master, new_password, self.params, rng)
    }

    fn wrap<R: CryptoRng + ?Sized>(
        master: &MasterKey,
        password: &str,
        params: Argon2Params,
        rng: &mut R,
    ) -> Result<Self, CreateError> {
        if password.len() > PASSWORD_MAX_BYTES {
            return Err(CreateError::PasswordTooLong);
        }
        let mut header = Self {
            params,
            salt: [0; SALT_BYTES],
            nonce: [0; XNONCE_BYTES],
            commitment: [0; COMMITMENT_BYTES],
            wrapped: [0; KEY_BYTES + TAG_BYTES],
        };
        rng.fill_bytes(&mut header.salt);
        rng.fill_bytes(&mut header.nonce);
        let (key, commitment) = header.password_keys(password).map_err(|_| CreateError::OutOfMemory)?;
        header.commitment = *commitment.expose();
        let sealed = aead::xseal(&key, &header.nonce, &header.associated(), master.expose());
        header.wrapped.copy_from_slice(&sealed);
        Ok(header)
    }

    /// Opens the master key. Slow: derives a key from the password.
    ///
    /// # Errors
    /// [`UnlockError`]
    pub fn unlock(&self, password: &str) -> Result<MasterKey, UnlockError> {
        if password.len() > PASSWORD_MAX_BYTES {
            return Err(UnlockError::WrongPassword);
        }
        let (key, commitment) = self.password_keys(password).map_err(|_| UnlockError::OutOfMemory)?;
        // The cipher alone would open under more than one key: the commitment pins it to one.
        if !equal_in_constant_time(commitment.expose(), &self.commitment) {
            return Err(UnlockError::WrongPassword);
        }
        let (body, tag) = self.wrapped.split_last_chunk::<TAG_BYTES>().ok_or(UnlockError::Damaged)?;
        let mut opened = Ok(());
        let master = Secret::<KEY_BYTES>::filled(|out| {
            out.copy_from_slice(body);
            opened = aead::xopen_in_place(&key, &self.nonce, &self.associated(), out, tag);
        });
        opened.map_err(|_| UnlockError::Damaged)?;
        Ok(MasterKey::from_secret(master))
    }

    /// What the key derivation costs.
    #[must_use]
    pub const fn params(&self) -> Argon2Params {
        self.params
    }

    /// The wrapping key and the commitment to it, both bound to every clear field.
    fn password_keys(&self, password: &str) -> Result<(Secret<32>, Secret<32>), Argon2Error> {
        // RFC 8265: the same password typed on another system may come composed differently.
        let mut normal = Zeroizing::new(String::with_capacity(password.len().saturating_mul(3)));
        normal.extend(password.nfc());
        let root: Secret<32> = argon2id::argon2id(normal.as_bytes(), &self.salt, self.params.cost())?;
        let keys: Secret<64> = kdf::hkdf_expand(&root, &[&kdf::label("vault/wrap"), &self.clear_fields()]);
        Ok(keys.split())
    }

    fn clear_fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, KDF_ARGON2ID]);
        out.extend_from_slice(&self.params.memory_kib.to_le_bytes());
        out.extend_from_slice(&self.params.passes.to_le_bytes());
        out.push(self.params.lanes);
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.nonce);
        out
    }

    fn associated(&self) -> Vec<u8> {
        [self.clear_fields().as_slice(), &self.commitment].concat()
    }

    /// The header's bytes, [`Self::BYTES`] of them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.associated();
        out.extend_from_slice(&self.wrapped);
        let checksum = checksum(&out);
        out.extend_from_slice(&checksum);
        out
    }

    /// Reads a header, and refuses one that would make the password's derivation weak or endless.
    ///
    /// # Errors
    /// [`HeaderError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let damaged = HeaderError::Damaged;
        // The version comes first: another one may have another size.
        match bytes.strip_prefix(MAGIC).and_then(|rest| rest.first()) {
            Some(&VERSION) => {}
            Some(version) => return Err(HeaderError::UnsupportedVersion(*version)),
            None => return Err(damaged),
        }
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(damaged)?;
        if bytes.len() != Self::BYTES || checksum(body) != *sum {
            return Err(damaged);
        }
        let mut fields = Fields(body.get(MAGIC.len() + 1..).ok_or(damaged)?);
        if fields.take()? != [KDF_ARGON2ID] {
            return Err(damaged);
        }
        let (memory_kib, passes) = (u32::from_le_bytes(fields.take()?), u32::from_le_bytes(fields.take()?));
        let [lanes] = fields.take()?;
        Ok(Self {
            params: Argon2Params::new(memory_kib, passes, lanes)?,
            salt: fields.take()?,
            nonce: fields.take()?,
            commitment: fields.take()?,
            wrapped: fields.take()?,
        })
    }
}

/// Tells accidents from a wrong password; whoever changes the header on purpose can make a new one.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = kdf::hash_fields("vault/header", &[bytes]);
    std::array::from_fn(|at| hash.get(at).copied().unwrap_or_default())
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(HeaderError::Damaged)?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    const PASSWORD: &str = "correct-Horse7battery";

    fn vault() -> (VaultHeader, MasterKey) {
        VaultHeader::create(PASSWORD, Argon2Params::LEAST, &mut ChaCha20Rng::seed_from_u64(1)).unwrap()
    }

    /// As an attacker would: changed, and the checksum made anew.
    fn tampered(header: &VaultHeader, change: impl FnOnce(&mut [u8])) -> Result<VaultHeader, HeaderError> {
        let bytes = header.to_bytes();
        let mut body = bytes[..VaultHeader::BYTES - CHECKSUM_BYTES].to_vec();
        change(&mut body);
        let sum = checksum(&body);
        body.extend_from_slice(&sum);
        VaultHeader::parse(&body)
    }

    #[test]
    fn the_password_opens_the_vault_and_no_other_does() {
        let (header, master) = vault();
        let read = VaultHeader::parse(&header.to_bytes()).unwrap();
        assert_eq!(read, header);
        assert!(read.unlock(PASSWORD).unwrap().expose() == master.expose());
        assert_eq!(read.unlock("correct-horse7battery").err(), Some(UnlockError::WrongPassword));
        assert_eq!(read.unlock("").err(), Some(UnlockError::WrongPassword));
    }

    #[test]
    fn a_password_is_the_same_however_its_accents_are_composed() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (header, _) = VaultHeader::create("caf\u{e9}", Argon2Params::LEAST, &mut rng).unwrap();
        assert!(header.unlock("cafe\u{301}").is_ok());
    }

    #[test]
    fn a_new_password_keeps_the_master_key_and_shuts_out_the_old_one() {
        let (header, master) = vault();
        let changed = header.rewrap(&master, "another-One5!", &mut ChaCha20Rng::seed_from_u64(2)).unwrap();
        assert!(changed.unlock("another-One5!").unwrap().expose() == master.expose());
        assert_eq!(changed.unlock(PASSWORD).err(), Some(UnlockError::WrongPassword));
        assert!(changed.salt != header.salt && changed.nonce != header.nonce);
    }

    #[test]
    fn every_flipped_bit_is_noticed_before_the_password_is_asked_for() {
        let bytes = vault().0.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(VaultHeader::parse(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_change_with_a_new_checksum_does_not_open() {
        let (header, _) = vault();
        // One byte in each of lanes, salt, nonce, commitment, wrapped key and tag.
        for at in [18, 19, 51, 75, 107, 139] {
            let changed = tampered(&header, |bytes| bytes[at] ^= 2).unwrap();
            let refusal = changed.unlock(PASSWORD).err();
            let expected = if at < 107 { UnlockError::WrongPassword } else { UnlockError::Damaged };
            assert_eq!(refusal, Some(expected), "byte {at}");
        }
    }

    #[test]
    fn a_weakened_or_absurd_header_is_refused() {
        let (header, _) = vault();
        let with =
            |at: usize, value: u32| tampered(&header, |bytes| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes()));
        assert_eq!(with(10, 19 * 1024 - 1), Err(HeaderError::Weak));
        assert_eq!(with(14, 1), Err(HeaderError::Weak));
        assert_eq!(with(10, 1024 * 1024 + 1), Err(HeaderError::Absurd));
        assert_eq!(with(14, 65), Err(HeaderError::Absurd));
        assert_eq!(tampered(&header, |bytes| bytes[18] = 0), Err(HeaderError::Absurd));
        assert_eq!(Argon2Params::new(19 * 1024, 1, 1), Err(HeaderError::Weak));
        assert_eq!(Argon2Params::new(64 * 1024, 3, 1), Ok(Argon2Params::default()));
    }

    #[test]
    fn another_version_and_a_cut_header_are_told_apart() {
        let bytes = vault().0.to_bytes();
        let mut newer = bytes.clone();
        newer[8] = 2;
        newer.push(0);
        assert_eq!(VaultHeader::parse(&newer), Err(HeaderError::UnsupportedVersion(2)));
        for length in 0..bytes.len() {
            assert_eq!(VaultHeader::parse(&bytes[..length]), Err(HeaderError::Damaged));
        }
        assert_eq!(VaultHeader::parse(&[bytes.as_slice(), &[0]].concat()), Err(HeaderError::Damaged));
    }

    proptest! {
        #[test]
        fn what_parses_encodes_to_the_same_bytes(noise in proptest::collection::vec(any::<u8>(), VaultHeader::BYTES - CHECKSUM_BYTES - 19)) {
            let header = VaultHeader { params: Argon2Params::LEAST, salt: [0; 32], nonce: [0; 24], commitment: [0; 32], wrapped: [0; 48] };
            let read = tampered(&header, |bytes| bytes[19..].copy_from_slice(&noise)).unwrap();
            prop_assert_eq!(VaultHeader::parse(&read.to_bytes()).unwrap(), read);
        }
    }
}
