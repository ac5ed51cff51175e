//! Colours, where the terminal takes them.

use std::io::IsTerminal as _;

use nu_ansi_term::Color;

/// How text is emphasised: by colours, or not at all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) coloured: bool,
}

impl Style {
    /// Coloured on a terminal, unless `NO_COLOR` (<https://no-color.org>) or a dumb terminal forbids it.
    pub(super) fn for_standard_output() -> Self {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { coloured: !forbidden && std::io::stdout().is_terminal() }
    }

    fn paint(self, style: nu_ansi_term::Style, text: &str) -> String {
        if self.coloured && !text.is_empty() { style.paint(text).to_string() } else { text.to_owned() }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint(nu_ansi_term::Style::new().bold(), text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint(nu_ansi_term::Style::new().dimmed(), text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint(Color::Green.normal(), text)
    }

    pub(super) fn warning(self, text: &str) -> String {
        self.paint(Color::Yellow.normal(), text)
    }

    pub(super) fn error(self, text: &str) -> String {
        self.paint(Color::Red.normal(), text)
    }

    /// The own name.
    pub(super) fn me(self, text: &str) -> String {
        self.paint(Color::Cyan.normal(), text)
    }

    /// Somebody else's name.
    pub(super) fn other(self, text: &str) -> String {
        self.paint(Color::Magenta.bold(), text)
    }
}
