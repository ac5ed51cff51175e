//! Usernames: 3 to 30 of `[A-Za-z0-9_]`, compared without case.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::terminal::{escape_char, is_hidden};
use crate::limits::{USERNAME_MAX_CHARS, USERNAME_MIN_CHARS};

/// A valid username. It keeps the case it was written in for display; two that
/// differ in nothing else are the same name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// Why a text is no username. The fault of whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Fewer than [`USERNAME_MIN_CHARS`] characters.
    #[error("a username has at least {USERNAME_MIN_CHARS} characters, this one has {chars}")]
    TooShort {
        /// How many it has.
        chars: usize,
    },
    /// More than [`USERNAME_MAX_CHARS`] characters.
    #[error("a username has at most {USERNAME_MAX_CHARS} characters")]
    TooLong,
    /// A character outside `[A-Za-z0-9_]`.
    #[error("a username has only the letters A to Z, digits and underscores; {found} is {kind}")]
    Forbidden {
        /// The character, escaped so that it can be shown anywhere.
        found: String,
        /// What is wrong with it.
        kind: ForbiddenKind,
    },
}

/// What is wrong with a character that usernames don't have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForbiddenKind {
    /// A control character.
    Control,
    /// A character that can't be seen, or that reorders the text around it.
    Invisible,
    /// White space.
    Space,
    /// A character that looks like others that are allowed, which it stands for.
    LookAlike(String),
    /// Any other character.
    NotAllowed,
}

impl fmt::Display for ForbiddenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("a control character"),
            Self::Invisible => f.write_str("an invisible character"),
            Self::Space => f.write_str("a space"),
            Self::LookAlike(of) => write!(f, "a look-alike of \"{of}\""),
            Self::NotAllowed => f.write_str("not allowed"),
        }
    }
}

impl Username {
    /// Checks a username.
    ///
    /// # Errors
    /// [`UsernameError`] says which rule it breaks, and names the first character that is wrong.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        // One more than is allowed: the rest of an overlong text needs no reading.
        for (at, c) in text.chars().enumerate().take(USERNAME_MAX_CHARS + 1) {
            if !(c.is_ascii_alphanumeric() || c == '_') {
                return Err(UsernameError::Forbidden { found: name_char(c), kind: kind_of(c) });
            }
            if at >= USERNAME_MAX_CHARS {
                return Err(UsernameError::TooLong);
            }
        }
        // All characters are ASCII by now.
        if text.len() < USERNAME_MIN_CHARS {
            return Err(UsernameError::TooShort { chars: text.len() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case: equal for equal names, so it is what indexes use.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether `other` is another name that a person may take for this one, such as `A1ice` for `Alice`.
    #[must_use]
    pub fn resembles(&self, other: &Self) -> bool {
        let looks = |name: &Self| [skeleton(&name.0), skeleton(&name.folded())];
        let theirs = looks(other);
        self != other && looks(self).iter().any(|mine| theirs.contains(mine))
    }
}

/// The UTS 39 skeleton of `text`, without case: two texts with the same skeleton
/// look alike to a person. For comparison only, never for display or storage
/// (it changes with the version of Unicode).
#[must_use]
pub fn skeleton(text: &str) -> String {
    let once: String = unicode_security::skeleton(text).flat_map(char::to_lowercase).collect();
    // Lowering the case can make new look-alikes, and a second pass changes nothing else.
    unicode_security::skeleton(&once).collect()
}

fn kind_of(c: char) -> ForbiddenKind {
    if c.is_control() {
        return ForbiddenKind::Control;
    }
    if c.is_whitespace() {
        return ForbiddenKind::Space;
    }
    if is_hidden(c) {
        return ForbiddenKind::Invisible;
    }
    if c.is_ascii() {
        return ForbiddenKind::NotAllowed;
    }
    let stands_for: String = unicode_security::skeleton(c.encode_utf8(&mut [0; 4])).collect();
    if !stands_for.is_empty() && stands_for.chars().all(|s| s.is_ascii_alphanumeric() || s == '_') {
        ForbiddenKind::LookAlike(stands_for)
    } else {
        ForbiddenKind::NotAllowed
    }
}

/// The character in quotes where it can be told from its neighbours, with its code point where it is not ASCII.
fn name_char(c: char) -> String {
    if c.is_control() || is_hidden(c) || c.is_whitespace() && c != ' ' {
        escape_char(c)
    } else if c.is_ascii() {
        format!("\"{c}\"")
    } else {
        format!("\"{c}\" (U+{:04X})", u32::from(c))
    }
}

impl PartialEq for Username {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Username {}

impl Hash for Username {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl PartialOrd for Username {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Username {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Username({})", self.0)
    }
}

impl AsRef<str> for Username {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = UsernameError;

    fn from_str(text: &str) -> Result<Self, UsernameError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Username {
    type Error = UsernameError;

    fn try_from(text: String) -> Result<Self, UsernameError> {
        Self::parse(&text)
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Username {
        Username::parse(text).unwrap()
    }

    fn hash(name: &Username) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        name.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn a_name_keeps_its_case_and_is_compared_without_it() {
        assert_eq!(name("Alice_1"), name("aLICE_1"));
        assert_eq!(hash(&name("Alice_1")), hash(&name("aLICE_1")));
        assert_eq!(name("Bob").cmp(&name("bob")), std::cmp::Ordering::Equal);
        assert!(name("alice") < name("Bob"));
        assert_eq!(name("Alice_1").to_string(), "Alice_1");
        assert_eq!(name("Alice_1").folded(), "alice_1");
    }

    #[test]
    fn three_to_thirty_characters() {
        assert_eq!(Username::parse(""), Err(UsernameError::TooShort { chars: 0 }));
        assert_eq!(Username::parse("ab"), Err(UsernameError::TooShort { chars: 2 }));
        assert!(Username::parse("abc").is_ok());
        assert!(Username::parse(&"a".repeat(30)).is_ok());
        assert_eq!(Username::parse(&"a".repeat(31)), Err(UsernameError::TooLong));
        assert_eq!(Username::parse(&"a".repeat(1 << 20)), Err(UsernameError::TooLong));
    }

    #[test]
    fn the_error_names_the_character_and_what_is_wrong_with_it() {
        let text = |name: &str| Username::parse(name).unwrap_err().to_string();
        assert!(
            text("\u{430}lice").ends_with("\"\u{430}\" (U+0430) is a look-alike of \"a\""),
            "{}",
            text("\u{430}lice")
        );
        assert!(text("al\u{200b}ice").ends_with("\\u{200b} is an invisible character"));
        assert!(text("al\u{202e}ice").ends_with("\\u{202e} is an invisible character"));
        assert!(text("ali\u{1b}ce").ends_with("\\u{1b} is a control character"));
        assert!(text("ali ce").ends_with("\" \" is a space"));
        assert!(text("ali-ce").ends_with("\"-\" is not allowed"));
        assert!(text("日本語").ends_with("\"日\" (U+65E5) is not allowed"));
    }

    #[test]
    fn names_that_look_alike_are_noticed() {
        assert!(name("Alice").resembles(&name("A1ice")));
        assert!(name("Alice").resembles(&name("AIice")));
        assert!(name("bob").resembles(&name("b0b")));
        assert!(name("marnie").resembles(&name("mamie")));
        assert!(!name("Alice").resembles(&name("aLICE")), "the same name is no look-alike");
        assert!(!name("alice").resembles(&name("bob")));
        assert_eq!(skeleton("\u{430}lice"), skeleton("alice"));
    }

    #[test]
    fn a_decoded_name_is_checked_too() {
        assert!(serde_json::from_str::<Username>("\"alice\"").is_ok());
        assert!(serde_json::from_str::<Username>("\"al ice\"").is_err());
    }

    proptest! {
        #[test]
        fn a_name_is_what_the_rule_says(text in "\\PC{0,40}|[A-Za-z0-9_]{0,40}") {
            let rule = (3..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            prop_assert_eq!(Username::parse(&text).is_ok(), rule);
        }
    }
}
