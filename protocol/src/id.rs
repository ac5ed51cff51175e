//! Identifiers and points in time. Floor 1: imports nothing of the house but [`crate::limits`].

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

/// A text is not the hexadecimal form of an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier: {expected} hexadecimal digits are expected")]
pub struct IdParseError {
    /// How many digits the identifier has.
    pub expected: usize,
}

/// Writes `bytes` in lower-case hexadecimal.
pub fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], IdParseError> {
    let wrong = IdParseError { expected: N.saturating_mul(2) };
    let digit = |c: u8| (c as char).to_digit(16).filter(|_| !c.is_ascii_uppercase()).and_then(|d| u8::try_from(d).ok());
    let mut out = [0_u8; N];
    let digits = text.as_bytes();
    if digits.len() != wrong.expected {
        return Err(wrong);
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return Err(wrong) };
        *byte = (digit(*high).ok_or(wrong)? << 4) | digit(*low).ok_or(wrong)?;
    }
    Ok(out)
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// A random one.
            pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
                let mut bytes = [0_u8; $bytes];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), self.to_string().get(..8).unwrap_or_default())
            }
        }

        impl FromStr for $name {
            type Err = IdParseError;

            fn from_str(text: &str) -> Result<Self, IdParseError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

identifier!(
    /// Who somebody is: `SHA256(L(acct) ‖ IK_sig ‖ IK_dh)`. A username is only a name for one.
    AccountId, 32
);
identifier!(
    /// A group.
    GroupId, 32
);
identifier!(
    /// A mailbox on a rendezvous node: the hash of its authentication key.
    MailboxId, 32
);
identifier!(
    /// A signed prekey or a one-time kit, chosen at random by its owner.
    PreKeyId, 16
);
identifier!(
    /// A message, chosen at random by its sender: unique for one sender.
    MessageId, 16
);
identifier!(
    /// A shared file.
    FileId, 32
);
identifier!(
    /// A group's log on a rendezvous node: the hash of the key that may write it.
    LogId, 32
);
identifier!(
    /// A blob on a rendezvous node: the hash of its capabilities' hashes.
    BlobId, 32
);
identifier!(
    /// An operation on a group's membership: the hash of its encoding.
    OperationId, 32
);
identifier!(
    /// What a group's members agree on: `SHA256(L(view) ‖ roster and roles ‖ heads)`.
    ViewId, 32
);
identifier!(
    /// A member's chain of sender keys, chosen at random by its owner.
    ChainId, 16
);
identifier!(
    /// An encrypted group message: the hash of its encoding.
    MessageHash, 32
);
identifier!(
    /// A sealed envelope in a mailbox: doubles of it vanish.
    EnvelopeId, 16
);

impl AccountId {
    /// The account id in groups of four hexadecimal digits, for people to compare.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hex = self.to_string();
        let groups: Vec<&str> = hex.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
        groups.join(" ")
    }
}

/// A point in time: milliseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This point and `milliseconds` more; stops at the end of time.
    #[must_use]
    pub const fn plus_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to this point; zero when it lies ahead.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A counter of versions of something that only grows, such as a vault's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_reads_back_from_its_text() {
        let id = MessageId([0xab; 16]);
        assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        assert_eq!("abc".parse::<MessageId>(), Err(IdParseError { expected: 32 }));
        assert!("AB".repeat(16).parse::<MessageId>().is_err(), "only one text names an id");
    }

    #[test]
    fn a_fingerprint_has_sixteen_groups() {
        assert_eq!(AccountId([1; 32]).fingerprint().split(' ').count(), 16);
    }
}
