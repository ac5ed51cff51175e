//! The interactive prompt: a door onto the application API for people, on the
//! top floor. With a terminal it edits lines, completes names and shows what
//! comes in above the prompt; without one it reads a command a line, for scripts.
//!
//! - `style`, `render`, `tell`: what views and events look like as text
//! - `session`: what the shell remembers: the open chat, numbers of messages
//! - `command`: the table of commands; `account`, `people`, `talk`, `network` carry them out
//! - `ask`, `editor`: the terminal

mod account;
mod ask;
mod command;
mod editor;
mod files;
mod groups;
mod network;
mod people;
mod render;
mod security;
mod session;
mod style;
mod talk;
mod tell;

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};

use ask::Ask;
use command::{Done, Failure, carry_out};
use editor::{Editor, Typed};
use session::Session;
use style::Style;

use crate::api::{EventStream, NodeHandle};
use crate::stop::{Stop, requested};

/// Lines about events that wait for the editor to show them.
const BACKLOG_MAX_LINES: usize = 1_000;

/// Runs the prompt until the person quits, the input ends, or `stop` says so;
/// then stops the node. Says whether all went well: without a terminal, a
/// command that failed makes the whole run fail.
pub async fn run(handle: NodeHandle, stop: Stop) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !dumb;
    let style = Style::for_standard_output();
    let events = handle.events();
    let ask = if interactive { Ask::terminal() } else { Ask::lines(tokio::io::stdin()) };
    let mut session = Session::new(handle.clone(), style, ask);
    say(&greeting(&mut session).await);
    let well = if interactive {
        on_terminal(&mut session, events, stop).await;
        true
    } else {
        on_lines(&mut session, events, stop).await
    };
    handle.shutdown().await;
    well
}

async fn greeting(session: &mut Session) -> String {
    let title = session.style.bold(&format!("Secure Chat {}", env!("CARGO_PKG_VERSION")));
    let account = account::whoami_line(session).await;
    format!("{title}\n{account}\nType `help` for the commands, `quit` to leave.")
}

/// Prints to standard output. That nobody listens any more is found out by reading.
fn say(text: &str) {
    if !text.is_empty() {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

/// What became of a line, in words.
fn words_for(session: &Session, outcome: Result<Done, Failure>) -> (String, bool, bool) {
    match outcome {
        Ok(Done::Said(text)) => (text, true, false),
        Ok(Done::Quit) => (String::new(), true, true),
        Err(failure) => (session.style.error(&render::safe_lines(&failure.to_string())), false, false),
    }
}

// --- without a terminal

async fn on_lines(session: &mut Session, mut events: EventStream, mut stop: Stop) -> bool {
    let mut all_well = true;
    loop {
        let line = tokio::select! {
            line = session.ask.line() => line,
            event = events.next() => {
                let Some(event) = event else { return all_well };
                say(&tell::tell(session, &event).await);
                continue;
            }
            () = requested(&mut stop) => return all_well,
        };
        let Some(line) = line else { return all_well };
        let outcome = tokio::select! {
            outcome = carry_out(session, &line) => outcome,
            () = requested(&mut stop) => return all_well,
        };
        let (text, well, quit) = words_for(session, outcome);
        say(&text);
        all_well &= well;
        if quit {
            return all_well;
        }
    }
}

// --- with a terminal

async fn on_terminal(session: &mut Session, mut events: EventStream, mut stop: Stop) {
    let mut backlog = VecDeque::new();
    session.refresh_names().await;
    let mut editor = Editor::start(session.names.clone(), session.style, session.prompt());
    let mut tick = tokio::time::interval(editor::POLL);
    loop {
        tokio::select! {
            typed = editor.typed.recv() => {
                let Some(Typed::Line(line)) = typed else { break };
                let outcome = tokio::select! {
                    outcome = carry_out(session, &line) => outcome,
                    () = requested(&mut stop) => break,
                };
                let (text, _, quit) = words_for(session, outcome);
                say(&text);
                if quit {
                    break;
                }
                session.refresh_names().await;
                editor.prompt(session.prompt());
            }
            event = events.next(), if backlog.len() < BACKLOG_MAX_LINES => {
                let Some(event) = event else { break };
                let text = tell::tell(session, &event).await;
                if !text.is_empty() {
                    backlog.push_back(text);
                }
                editor.show(&mut backlog);
            }
            _ = tick.tick(), if !backlog.is_empty() => editor.show(&mut backlog),
            () = requested(&mut stop) => break,
        }
    }
    editor.end().await;
}
