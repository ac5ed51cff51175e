//! The command line of the programs with a peer: one clear line for whoever mistypes.

use clap::Parser;
use clap::error::ErrorKind;

/// The exit status for a mistake on the command line or in the configuration.
pub const EXIT_USAGE: u8 = 2;

/// Reads the command line, or ends the program: with 0 after `--help` and
/// `--version`, with [`EXIT_USAGE`] and one line on standard error when
/// something is wrong.
#[must_use]
pub fn parse<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            error.exit();
        }
        eprintln!("{}", one_line(&error));
        std::process::exit(i32::from(EXIT_USAGE))
    })
}

/// What clap says on several lines, on one, and without the usage.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more information").next().unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().collect();
    format!("{} (--help shows all options)", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        _options: Options,
    }

    #[test]
    fn a_wrong_option_gets_one_line_that_names_it() {
        for (arguments, named) in [
            (vec!["program", "--listne", "x"], "--listne"),
            (vec!["program", "--data-dir"], "--data-dir"),
            (vec!["program", "--log-level", "loud"], "loud"),
            (vec!["program", "--debug", "--log-level", "info"], "--debug"),
            (vec!["program", "stray"], "stray"),
        ] {
            let line = one_line(&Program::try_parse_from(arguments).unwrap_err());
            assert!(line.starts_with("error: ") && line.contains(named) && !line.contains('\n'), "{line}");
        }
    }
}
