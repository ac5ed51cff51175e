//! The encrypted backup of an account: `docs/backup.md` has its bytes. Written
//! and read as a stream; without sessions, so that nobody goes on with them twice.

use std::io::{self, Read};
use std::path::Path;

use secure_chat_protocol::vault::{Argon2Params, HeaderError, TableKey, UnlockError, VaultHeader};
use zeroize::Zeroizing;

use super::account::{AccountFile, Paths, list_accounts};
use super::copy::{Copy, ROW_MAX_BYTES, Row};
use super::error::StoreError;
use super::vault::{StoreOptions, Vault};

/// What the file starts with.
const MAGIC: &[u8; 8] = b"SCBACKUP";
/// The version that this code writes and reads.
const VERSION: u8 = 1;
/// Plaintext bytes of a chunk.
pub const BACKUP_CHUNK_BYTES: usize = 256 * 1024;
/// Longest sealed chunk: padding and tag included.
const SEALED_MAX_BYTES: usize = 2 * BACKUP_CHUNK_BYTES;
const CHUNK_SCHEMA: u8 = 1;
const DAMAGED: StoreError = StoreError::Damaged { what: "the backup" };

fn place(chunk: u64, last: bool) -> [u8; 9] {
    let mut place = [u8::from(last); 9];
    if let Some(number) = place.first_chunk_mut() {
        *number = chunk.to_be_bytes();
    }
    place
}

/// Seals a stream of bytes in chunks.
struct Sealer<'w> {
    key: TableKey,
    plain: Zeroizing<Vec<u8>>,
    chunk: u64,
    bytes: u64,
    write: &'w mut dyn FnMut(&[u8]) -> io::Result<()>,
}

impl Sealer<'_> {
    fn out(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Ok((self.write)(bytes)?)
    }

    fn row(&mut self, row: &Row) -> Result<(), StoreError> {
        let encoded = row.encode();
        self.plain.extend_from_slice(&u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.plain.extend_from_slice(&encoded);
        while self.plain.len() > BACKUP_CHUNK_BYTES {
            self.seal(BACKUP_CHUNK_BYTES, false)?;
        }
        Ok(())
    }

    fn seal(&mut self, bytes: usize, last: bool) -> Result<(), StoreError> {
        let end = bytes.min(self.plain.len());
        let part = Zeroizing::new(self.plain.drain(..end).collect::<Vec<u8>>());
        let sealed = self.key.seal(&place(self.chunk, last), CHUNK_SCHEMA, &part, &mut rand::rng());
        self.chunk = self.chunk.saturating_add(1);
        let length = u32::try_from(sealed.len()).map_err(|_| StoreError::TooLarge { bytes: sealed.len() })?;
        self.out(&[&[u8::from(last)], length.to_le_bytes().as_slice(), &sealed].concat())
    }
}

impl Vault {
    /// Writes a backup of this moment under `passphrase`, and says how long it is,
    /// in bytes. Memory stays flat. Slow: derives a key.
    ///
    /// # Errors
    /// Those of `write` as [`StoreError::Io`], [`StoreError::Damaged`], [`StoreError::OutOfMemory`].
    pub fn export(
        &self,
        passphrase: &str,
        kdf: Argon2Params,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64, StoreError> {
        let account = self.account_file()?;
        let (header, master) = VaultHeader::create(passphrase, kdf, &mut rand::rng())?;
        let key = master.table_key("backup");
        let mut sealer = Sealer { key, plain: Zeroizing::new(Vec::new()), chunk: 0, bytes: 0, write };
        sealer.out(&[MAGIC.as_slice(), &[VERSION], &header.to_bytes()].concat())?;
        self.store.copy_rows(&account, false, &mut |row| sealer.row(&row))?;
        let rest = sealer.plain.len();
        sealer.seal(rest, true)?;
        Ok(sealer.bytes)
    }
}

/// Opens a stream of chunks.
struct Opener<'r> {
    key: TableKey,
    source: &'r mut dyn Read,
    plain: Zeroizing<Vec<u8>>,
    chunk: u64,
    ended: bool,
}

/// Reads exactly so many bytes; a file that ends before was cut.
fn exactly(source: &mut dyn Read, bytes: &mut [u8]) -> Result<(), StoreError> {
    source.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => DAMAGED,
        _ => StoreError::Io(error),
    })
}

impl Opener<'_> {
    /// Makes sure that so many bytes are here.
    fn fill(&mut self, bytes: usize) -> Result<(), StoreError> {
        while self.plain.len() < bytes {
            if self.ended {
                return Err(DAMAGED);
            }
            let mut front = [0; 5];
            exactly(self.source, &mut front)?;
            let [last, length @ ..] = front;
            let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| DAMAGED)?;
            if last > 1 || length > SEALED_MAX_BYTES {
                return Err(DAMAGED);
            }
            let mut sealed = vec![0; length];
            exactly(self.source, &mut sealed)?;
            let part = self.key.open(&place(self.chunk, last == 1), CHUNK_SCHEMA, &sealed).map_err(|_| DAMAGED)?;
            self.chunk = self.chunk.saturating_add(1);
            self.ended = last == 1;
            self.plain.extend_from_slice(part.expose());
        }
        Ok(())
    }

    fn row(&mut self) -> Result<Row, StoreError> {
        self.fill(4)?;
        let length = self.plain.first_chunk().map_or(u32::MAX, |length| u32::from_le_bytes(*length));
        let length = usize::try_from(length).map_err(|_| DAMAGED)?;
        if length > ROW_MAX_BYTES {
            return Err(DAMAGED);
        }
        let end = length.saturating_add(4);
        self.fill(end)?;
        let row = Row::decode(self.plain.get(4..end).ok_or(DAMAGED)?)?;
        self.plain.drain(..end);
        Ok(row)
    }

    /// Nothing may follow.
    fn end(&mut self) -> Result<(), StoreError> {
        let after = self.source.read(&mut [0; 1]).map_err(StoreError::Io)?;
        if !self.ended || !self.plain.is_empty() || after > 0 { Err(DAMAGED) } else { Ok(()) }
    }
}

fn open<'r>(source: &'r mut dyn Read, passphrase: &str) -> Result<Opener<'r>, StoreError> {
    let mut front = [0; 9];
    exactly(source, &mut front)?;
    let [magic @ .., version] = front;
    if magic != *MAGIC {
        return Err(DAMAGED);
    }
    if version != VERSION {
        return Err(StoreError::UnsupportedVersion { found: u32::from(version) });
    }
    let mut header = vec![0; VaultHeader::BYTES];
    exactly(source, &mut header)?;
    let header = VaultHeader::parse(&header).map_err(|error| match error {
        HeaderError::Damaged => DAMAGED,
        other => other.into(),
    })?;
    let master = header.unlock(passphrase).map_err(|error| match error {
        UnlockError::Damaged => DAMAGED,
        other => other.into(),
    })?;
    Ok(Opener { key: master.table_key("backup"), source, plain: Zeroizing::new(Vec::new()), chunk: 0, ended: false })
}

/// Restores a backup as an account that is not on this device. Its sessions are
/// not in it: the vault says that it was turned back. A crash, or an error,
/// leaves no account.
///
/// # Errors
/// [`StoreError::WrongPassword`] when the passphrase is wrong, [`StoreError::Exists`],
/// [`StoreError::Damaged`], [`StoreError::UnsupportedVersion`], [`StoreError::DiskFull`], or those of the disk.
pub fn restore(
    data_dir: &Path,
    source: &mut dyn Read,
    passphrase: &str,
    password: &str,
    kdf: Argon2Params,
    options: &StoreOptions,
) -> Result<AccountFile, StoreError> {
    let disk = &*options.disk;
    let mut opener = open(source, passphrase)?;
    let Row::Head(head) = opener.row()? else { return Err(DAMAGED) };
    let account = head.account.clone();
    let paths = Paths::new(data_dir, &account.account_id);
    let taken = |other: &AccountFile| other.username.to_lowercase() == account.username.to_lowercase();
    if paths.account(disk)?.is_some() || list_accounts(data_dir)?.iter().any(taken) {
        return Err(StoreError::Exists);
    }
    let aside = paths.aside("new");
    let copied = (|| {
        let mut copy = Copy::begin(disk, aside.clone(), head, password, kdf, true)?;
        loop {
            match opener.row()? {
                Row::End => break,
                Row::Head(_) => return Err(DAMAGED),
                row => copy.row(row)?,
            }
        }
        opener.end()?;
        copy.finish()
    })();
    if let Err(error) = copied {
        // What is left is no account, and goes at the next start at the latest.
        let _ = disk.remove_dir(&aside.folder);
        return Err(error);
    }
    // What is there has no account's file, or there would have been an error above.
    disk.remove_dir(&paths.folder)?;
    disk.move_dir(&aside.folder, &paths.folder)?;
    Ok(account)
}

#[cfg(test)]
mod tests {
    use secure_chat_protocol::vault::MasterKey;

    use super::*;
    use crate::fuzz::survives;
    use crate::store::Table;
    use crate::store::table::Kind;

    /// The rows of a small backup, each behind its length.
    fn rows() -> Vec<u8> {
        let head = [&[0, 1], [7; 32].as_slice(), &[1; 16], &4_u32.to_le_bytes(), b"keysalice"].concat();
        let of = |kind: Kind| Table::ALL.into_iter().find(|table| table.kind() == kind).unwrap();
        let value = || Zeroizing::new(b"value".to_vec());
        let keyed = Row::Keyed { table: of(Kind::Expiring), record_key: [3; 16], day: Some(9), value: value() };
        let numbered = Row::Numbered { table: of(Kind::Numbered), number: 1, value: value() };
        let rows = [head, keyed.encode().to_vec(), numbered.encode().to_vec(), Row::End.encode().to_vec()];
        rows.iter()
            .flat_map(|row| [&u32::try_from(row.len()).unwrap().to_le_bytes(), row.as_slice()].concat())
            .collect()
    }

    /// Sealed in chunks of so many bytes.
    fn sealed(key: TableKey, plain: &[u8], chunk_bytes: usize) -> Vec<u8> {
        let mut file = Vec::new();
        let mut write = |bytes: &[u8]| {
            file.extend_from_slice(bytes);
            Ok(())
        };
        let plain = Zeroizing::new(plain.to_vec());
        let mut sealer = Sealer { key, plain, chunk: 0, bytes: 0, write: &mut write };
        while sealer.plain.len() > chunk_bytes {
            sealer.seal(chunk_bytes, false).unwrap();
        }
        sealer.seal(chunk_bytes, true).unwrap();
        file
    }

    /// What becomes of a file behind its header.
    fn read(key: TableKey, mut source: &[u8]) -> String {
        let plain = Zeroizing::new(Vec::new());
        let mut opener = Opener { key, source: &mut source, plain, chunk: 0, ended: false };
        let mut told = String::new();
        loop {
            match opener.row() {
                Ok(Row::End) => return format!("{told} end {}", opener.end().is_ok()),
                Ok(Row::Head(_)) => told.push('h'),
                Ok(Row::Keyed { .. }) => told.push('k'),
                Ok(Row::Numbered { .. }) => told.push('n'),
                Ok(Row::Message(_)) => told.push('m'),
                Err(error) => return format!("{told} {error}"),
            }
            told.truncate(6);
        }
    }

    #[test]
    fn no_row_of_a_backup_makes_its_reader_panic() {
        let master = MasterKey::generate(&mut rand::rng());
        let key = || master.table_key("backup");
        assert_eq!(read(key(), &sealed(key(), &rows(), 40)), "hkn end true");
        // Whoever has the passphrase can seal what they like.
        survives(&[rows()], |plain| read(key(), &sealed(key(), plain, 64 * 1024)));
    }

    #[test]
    fn no_file_makes_the_reader_of_a_backup_panic() {
        let master = MasterKey::generate(&mut rand::rng());
        let key = || master.table_key("backup");
        let file = sealed(key(), &rows(), 40);
        survives(std::slice::from_ref(&file), |changed| {
            let told = read(key(), changed);
            assert!(!told.ends_with("end true") || changed == file, "a changed backup was taken: {told}");
            told
        });
    }
}
