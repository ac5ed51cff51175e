//! The memory of another process, read as a debugger or a crash dump would.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use anyhow::Context as _;

/// The shortest thing that is looked for, in bytes: shorter ones are found by chance.
const NEEDLE_MIN_BYTES: usize = 8;
/// Read at once, in bytes.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// What is looked for, by name.
#[derive(Debug, Default)]
pub struct Needles {
    needles: Vec<(String, Vec<u8>)>,
}

/// How often each was found, and in which parts of the memory; those that were not are missing.
pub type Found = BTreeMap<String, Vec<String>>;

impl Needles {
    /// Looks for `bytes` too.
    ///
    /// # Panics
    /// When there are fewer than eight, which would be found anywhere.
    pub fn add(&mut self, name: impl Into<String>, bytes: &[u8]) -> &mut Self {
        assert!(bytes.len() >= NEEDLE_MIN_BYTES, "too short to be looked for");
        self.needles.push((name.into(), bytes.to_vec()));
        self
    }

    /// The names of all.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.needles.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Which of them are in `bytes`, and where.
    #[must_use]
    pub fn within(&self, bytes: &[u8]) -> Vec<(&str, usize)> {
        let mut by_start: Vec<Vec<usize>> = vec![Vec::new(); 1 << 16];
        for (number, (_, needle)) in self.needles.iter().enumerate() {
            by_start[usize::from(u16::from_le_bytes([needle[0], needle[1]]))].push(number);
        }
        let mut found = Vec::new();
        for (offset, pair) in bytes.windows(2).enumerate() {
            for number in &by_start[usize::from(u16::from_le_bytes([pair[0], pair[1]]))] {
                let (name, needle) = &self.needles[*number];
                if bytes[offset..].starts_with(needle) {
                    found.push((name.as_str(), offset));
                }
            }
        }
        found
    }

    /// Searches all memory of a process that it may write to: heap, stacks and its own data.
    ///
    /// # Errors
    /// When the system does not let this process look, or has no `/proc`.
    pub fn search(&self, process: u32) -> anyhow::Result<Found> {
        let longest = self.needles.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or_default();
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
        let mut memory = File::open(format!("/proc/{process}/mem")).context("the memory can't be opened")?;
        let mut found = Found::new();
        let mut piece = vec![0_u8; PIECE_BYTES];
        for line in maps.lines() {
            let Some((from, upto, name)) = region(line) else { continue };
            let mut at = from;
            while at < upto {
                let wanted = usize::try_from(upto - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                memory.seek(SeekFrom::Start(at))?;
                // A region may be gone by now, or be one that nobody may read.
                let Ok(read) = memory.read(&mut piece[..wanted]) else { break };
                if read == 0 {
                    break;
                }
                for (needle, offset) in self.within(&piece[..read]) {
                    let place = format!("{name}+{:x}", at - from + offset as u64);
                    found.entry(needle.to_owned()).or_default().push(place);
                }
                // What stands across the end of a piece is whole in the next one.
                let step = if read > longest { read - longest + 1 } else { read };
                at += if at + read as u64 >= upto { read } else { step } as u64;
            }
        }
        Ok(found)
    }
}

/// A line of `maps`: from, up to, and a name, of a region that can be written to.
fn region(line: &str) -> Option<(u64, u64, &str)> {
    let mut fields = line.split_whitespace();
    let (from, upto) = fields.next()?.split_once('-')?;
    let writable = fields.next()?.starts_with("rw");
    let name = fields.nth(3).unwrap_or("anonymous");
    let bounds = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(upto, 16).ok()?);
    writable.then_some((bounds.0, bounds.1, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_found_and_what_is_not_is_not() {
        let mut needles = Needles::default();
        // Made up here, so that it stands nowhere but where it is looked for.
        let secret: Vec<u8> = (0..32_u8).map(|byte| byte.wrapping_mul(37) ^ 0xa5).collect();
        let other: Vec<u8> = secret.iter().map(|byte| !byte).collect();
        needles.add("secret", &secret).add("other", &other);
        let mut elsewhere = Needles::default();
        elsewhere.add("secret", &secret);
        let found = needles.search(std::process::id()).unwrap();
        assert!(found["secret"].len() >= 2, "the needle itself and its origin");
        assert!(elsewhere.search(u32::MAX).is_err());
    }
}
