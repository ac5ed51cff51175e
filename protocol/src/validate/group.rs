//! Names and descriptions of groups.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use super::terminal::escape_for_terminal;
use super::text::TextError;
use super::username::skeleton;
use crate::limits::{GROUP_DESCRIPTION_MAX_BYTES, GROUP_NAME_MAX_CHARS};

/// A valid name of a group: 1 to [`GROUP_NAME_MAX_CHARS`] characters of any script that can be
/// seen, words apart by single spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupName(String);

/// Why a text is no name of a group. The fault of whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupNameError {
    /// Nothing is there.
    #[error("the group's name is empty")]
    Empty,
    /// Too many characters.
    #[error("a group's name has at most {GROUP_NAME_MAX_CHARS} characters")]
    TooLong,
    /// A control character, one that can't be seen, or one that reorders the text around it.
    #[error("the group's name holds a character that can't be seen")]
    Hidden,
    /// Spaces at an end, two in a row, or another white space than a space.
    #[error("the group's name has spaces where none belong")]
    Spaces,
}

impl GroupName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`GroupNameError`]
    pub fn parse(text: &str) -> Result<Self, GroupNameError> {
        if text.chars().take(GROUP_NAME_MAX_CHARS + 1).count() > GROUP_NAME_MAX_CHARS {
            return Err(GroupNameError::TooLong);
        }
        if text.trim().is_empty() {
            return Err(GroupNameError::Empty);
        }
        if matches!(escape_for_terminal(text), Cow::Owned(_)) {
            return Err(GroupNameError::Hidden);
        }
        let odd = text.chars().any(|c| c.is_whitespace() && c != ' ');
        if odd || text.trim() != text || text.contains("  ") {
            return Err(GroupNameError::Spaces);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it looks like to a person, in one or two forms: names that share one can be taken for
    /// each other, such as `Rust Fans` and `rust fаns` with a Cyrillic letter.
    #[must_use]
    pub fn looks(&self) -> BTreeSet<String> {
        BTreeSet::from([skeleton(&self.0), skeleton(&self.0.to_lowercase())])
    }

    /// Whether a person may take `other` for this name, or it is the same.
    #[must_use]
    pub fn resembles(&self, other: &Self) -> bool {
        !self.looks().is_disjoint(&other.looks())
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the description of a group, which may be empty. Whoever shows it escapes it.
///
/// # Errors
/// [`TextError`] when it is too long or holds a NUL.
pub fn check_group_description(text: &str) -> Result<&str, TextError> {
    super::text::bounded(text, GROUP_DESCRIPTION_MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_script_is_valid() {
        for name in ["Rust Fans", "кошки", "猫の会", "a", "Team 🏳️‍🌈"] {
            assert_eq!(GroupName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_told_apart() {
        assert_eq!(GroupName::parse(""), Err(GroupNameError::Empty));
        assert_eq!(GroupName::parse(" \u{a0}"), Err(GroupNameError::Empty));
        assert_eq!(GroupName::parse(&"a".repeat(61)), Err(GroupNameError::TooLong));
        assert!(GroupName::parse(&"é".repeat(60)).is_ok());
        for hidden in ["a\u{202e}b", "a\u{200b}b", "a\nb", "a\0b"] {
            assert_eq!(GroupName::parse(hidden), Err(GroupNameError::Hidden), "{hidden:?}");
        }
        for spaces in [" a", "a ", "a  b", "a\u{2003}b"] {
            assert_eq!(GroupName::parse(spaces), Err(GroupNameError::Spaces), "{spaces:?}");
        }
    }

    #[test]
    fn names_that_look_alike_resemble_each_other() {
        let name = |text| GroupName::parse(text).unwrap();
        for other in ["rust fans", "RUST FANS", "Rust F\u{430}ns", "Ru\u{455}t Fans"] {
            assert!(name("Rust Fans").resembles(&name(other)), "{other}");
        }
        assert!(name("Alice").resembles(&name("A1ice")));
        assert!(!name("Rust Fans").resembles(&name("Rust Friends")));
    }
}
