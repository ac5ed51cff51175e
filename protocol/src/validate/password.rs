//! How good a password is, and what it lacks.

use std::fmt;

use crate::limits::{PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS};

/// The estimate that a password must reach, from 0 to 4: more than 10⁸ guesses.
const SCORE_MIN: u8 = 3;

/// What a password lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// At least [`PASSWORD_MIN_CHARS`] characters.
    Length,
    /// A lower-case letter.
    LowerCase,
    /// An upper-case letter.
    UpperCase,
    /// A digit.
    Digit,
    /// A character that is neither letter nor digit.
    Symbol,
    /// It is longer than [`PASSWORD_MAX_BYTES`].
    Shorter,
    /// It follows the rules and still is easy to guess.
    Stronger,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "at least {PASSWORD_MIN_CHARS} characters"),
            Self::LowerCase => f.write_str("a lower-case letter"),
            Self::UpperCase => f.write_str("an upper-case letter"),
            Self::Digit => f.write_str("a digit"),
            Self::Symbol => f.write_str("a symbol"),
            Self::Shorter => write!(f, "at most {PASSWORD_MAX_BYTES} bytes"),
            Self::Stronger => f.write_str("something harder to guess"),
        }
    }
}

/// What there is to say about a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordReport {
    /// How hard it is to guess, from 0 (at once) to 4 (more than 10¹⁰ guesses).
    pub score: u8,
    /// Sentences that say why it is easy to guess, and what would be better.
    pub warnings: Vec<String>,
    /// What it lacks; empty when it is acceptable.
    pub missing: Vec<Missing>,
    /// Whether an account may be made with it.
    pub acceptable: bool,
}

/// Judges `password` for an account that is called `username`.
///
/// The estimate is `zxcvbn`'s: it knows common passwords, names, keyboard
/// patterns, dates and substitutions, and reads at most the first 100
/// characters, so that its work is bounded.
#[must_use]
pub fn check_password(password: &str, username: Option<&str>) -> PasswordReport {
    let mut missing = missing_kinds(password);
    if password.len() > PASSWORD_MAX_BYTES {
        missing.push(Missing::Shorter);
    }
    let name: String = username.unwrap_or_default().chars().take(crate::limits::USERNAME_MAX_CHARS).collect();
    let parts = name.split('_').filter(|part| part.len() > 2);
    let inputs: Vec<&str> = [name.as_str(), "secure-chat", "securechat"]
        .into_iter()
        .chain(parts)
        .filter(|input| !input.is_empty())
        .collect();
    let estimate = zxcvbn::zxcvbn(bounded(password), &inputs);
    let score = u8::from(estimate.score());
    if score < SCORE_MIN {
        missing.push(Missing::Stronger);
    }
    let warnings = estimate.feedback().map(sentences).unwrap_or_default();
    PasswordReport { score, warnings, acceptable: missing.is_empty(), missing }
}

fn missing_kinds(password: &str) -> Vec<Missing> {
    let password = bounded(password);
    let lacks = |kind: fn(char) -> bool| !password.chars().any(kind);
    [
        (Missing::Length, password.chars().count() < PASSWORD_MIN_CHARS),
        (Missing::LowerCase, lacks(char::is_lowercase)),
        (Missing::UpperCase, lacks(char::is_uppercase)),
        (Missing::Digit, lacks(char::is_numeric)),
        (Missing::Symbol, lacks(|c| !c.is_alphanumeric() && !c.is_control())),
    ]
    .into_iter()
    .filter_map(|(what, missing)| missing.then_some(what))
    .collect()
}

/// The part of a password that is judged.
fn bounded(password: &str) -> &str {
    password.get(..password.floor_char_boundary(PASSWORD_MAX_BYTES)).unwrap_or(password)
}

fn sentences(feedback: &zxcvbn::feedback::Feedback) -> Vec<String> {
    use zxcvbn::feedback::Suggestion::NoNeedForSymbolsDigitsOrUppercaseLetters;
    // That suggestion is true of long passphrases, but contradicts the rules here.
    let suggestions = feedback.suggestions().iter().filter(|s| **s != NoNeedForSymbolsDigitsOrUppercaseLetters);
    feedback.warning().iter().map(ToString::to_string).chain(suggestions.map(ToString::to_string)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(password: &str) -> Vec<Missing> {
        check_password(password, Some("alice_smith")).missing
    }

    #[test]
    fn a_good_password_is_accepted() {
        let report = check_password("correct-Horse7battery", Some("alice"));
        assert!(report.acceptable, "{report:?}");
        assert!(report.score >= 3 && report.missing.is_empty());
    }

    #[test]
    fn each_rule_that_is_broken_is_named() {
        assert!(missing("").contains(&Missing::Length));
        assert!(missing("aB3$xyz").contains(&Missing::Length));
        assert!(missing("UPPER7$GARDENXQ").contains(&Missing::LowerCase));
        assert!(missing("lower7$gardenxq").contains(&Missing::UpperCase));
        assert!(missing("Lower$gardenXq").contains(&Missing::Digit));
        assert!(missing("Lower7gardenXq").contains(&Missing::Symbol));
    }

    #[test]
    fn a_password_that_follows_the_rules_and_is_easy_to_guess_is_refused() {
        for easy in ["Password1!", "Passw0rd!", "Qwerty123!", "Alice_Smith1!", "Abcd1234!"] {
            assert_eq!(missing(easy), [Missing::Stronger], "{easy}");
            let report = check_password(easy, Some("alice_smith"));
            assert!(!report.acceptable && !report.warnings.is_empty(), "{easy}: {report:?}");
        }
    }

    #[test]
    fn an_endless_password_is_refused_without_endless_work() {
        let report = check_password(&"aA1$é".repeat(1 << 20), None);
        assert!(report.missing.contains(&Missing::Shorter));
    }

    #[test]
    fn advice_never_contradicts_the_rules() {
        assert!(check_password("", None).warnings.iter().all(|warning| !warning.contains("No need")));
    }
}
