//! Where input comes from: the terminal, or lines of standard input.

use tokio::io::AsyncRead;
use zeroize::Zeroizing;

use crate::api::Password;
use crate::lines::{Line, Lines};

type Input = Box<dyn AsyncRead + Send + Sync + Unpin>;

/// Asks the person.
pub(super) enum Ask {
    /// The line editor reads lines; passwords are read without echo.
    Terminal,
    /// Everything comes from one stream, passwords included.
    Lines(Lines<Input>),
}

impl Ask {
    pub(super) fn terminal() -> Self {
        Self::Terminal
    }

    pub(super) fn lines(input: impl AsyncRead + Send + Sync + Unpin + 'static) -> Self {
        Self::Lines(Lines::new(Box::new(input)))
    }

    /// The next line of the stream; `None` at its end. On a terminal the editor reads lines.
    pub(super) async fn line(&mut self) -> Option<Zeroizing<String>> {
        let Self::Lines(lines) = self else { return None };
        match lines.next().await {
            Line::Whole(bytes) => {
                Some(Zeroizing::new(String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned()))
            }
            // As a command it is none, and says so.
            Line::TooLong => Some(Zeroizing::new("(a line that is too long)".to_owned())),
            Line::End => None,
        }
    }

    /// Whether a person sits there who can be asked again.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal)
    }

    /// A password, shown nowhere; `None` when the person gave up.
    pub(super) async fn password(&mut self, prompt: &str) -> Option<Password> {
        if let Self::Lines(_) = self {
            return self.line().await.map(|line| Password::new(line.as_str()));
        }
        let prompt = format!("{prompt}: ");
        let typed = crate::stack::spawn_blocking(move || rpassword::prompt_password(prompt)).await;
        typed.ok().and_then(Result::ok).filter(|text| !text.is_empty()).map(Password::new)
    }
}
