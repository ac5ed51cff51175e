//! The line editor, on a thread of its own: reading keys blocks.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use reedline::{
    ColumnarMenu, Completer, CompletionResult, Emacs, ExternalPrinter, KeyCode, KeyModifiers, MenuBuilder as _, Prompt,
    PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal, Span, Suggestion,
    default_emacs_keybindings,
};
use tokio::sync::mpsc;

use super::command;
use super::session::Names;
use super::style::Style;

/// How often the editor looks for lines to show above the prompt.
pub(super) const POLL: Duration = Duration::from_millis(50);

/// Lines that wait to be shown.
const PRINTER_LINES: usize = 64;

const COMPLETIONS: &str = "completions";

/// What came from the keyboard.
pub(super) enum Typed {
    /// A line.
    Line(String),
    /// The person leaves, or the terminal is gone.
    End,
}

/// The editor's thread, as the shell sees it.
pub(super) struct Editor {
    pub(super) typed: mpsc::Receiver<Typed>,
    prompts: blocking::Sender<String>,
    printer: blocking::SyncSender<String>,
    interrupt: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Editor {
    /// Starts reading, behind this prompt.
    pub(super) fn start(names: Names, style: Style, prompt: String) -> Self {
        let (to_shell, typed) = mpsc::channel(1);
        let (prompts, next_prompt) = blocking::channel();
        let printer = ExternalPrinter::new(PRINTER_LINES);
        let sender = printer.sender();
        let interrupt = Arc::new(AtomicBool::new(false));
        let editor = editor(names, style, printer, Arc::clone(&interrupt));
        let thread = std::thread::spawn(move || read(editor, prompt, &to_shell, &next_prompt));
        Self { typed, prompts, printer: sender, interrupt, thread: Some(thread) }
    }

    /// The line is dealt with: read the next one, behind this prompt.
    pub(super) fn prompt(&self, prompt: String) {
        // If the thread is gone, `typed` says so.
        let _ = self.prompts.send(prompt);
    }

    /// Shows as many lines above the prompt as the editor takes now.
    pub(super) fn show(&self, backlog: &mut VecDeque<String>) {
        while let Some(text) = backlog.pop_front() {
            if let Err(blocking::TrySendError::Full(text)) = self.printer.try_send(text) {
                backlog.push_front(text);
                return;
            }
        }
    }

    /// Ends the thread, which leaves the terminal as it was.
    pub(super) async fn end(mut self) {
        self.interrupt.store(true, Ordering::Relaxed);
        drop(self.prompts);
        drop(self.typed);
        if let Some(thread) = self.thread.take() {
            // It can only fail if the thread panicked; the terminal is all that suffers.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn read(mut editor: Reedline, first: String, typed: &mpsc::Sender<Typed>, prompts: &blocking::Receiver<String>) {
    let mut prompt = first;
    while let Ok(Signal::Success(line)) = editor.read_line(&ShellPrompt(prompt)) {
        if typed.blocking_send(Typed::Line(line)).is_err() {
            return;
        }
        let Ok(next) = prompts.recv() else { return };
        prompt = next;
    }
    // If nobody listens, the shell is ending anyway.
    let _ = typed.blocking_send(Typed::End);
}

fn editor(names: Names, style: Style, printer: ExternalPrinter<String>, interrupt: Arc<AtomicBool>) -> Reedline {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(COMPLETIONS.to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    let menu = ColumnarMenu::default().with_name(COMPLETIONS);
    // The history stays in memory: texts must not lie on the disk unsealed.
    Reedline::create()
        .with_completer(Box::new(Completion { names }))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .use_bracketed_paste(true)
        .with_ansi_colors(style.coloured)
        .with_external_printer(printer)
        .with_poll_interval(POLL)
        .with_break_signal(interrupt)
}

struct ShellPrompt(String);

impl Prompt for ShellPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("… ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(search: {}) ", search.term))
    }
}

/// Completes commands in the first word and usernames in the second.
struct Completion {
    names: Names,
}

impl Completer for Completion {
    fn complete(&mut self, line: &str, position: usize) -> CompletionResult {
        let before = line.get(..position).unwrap_or(line);
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at.saturating_add(1));
        let word = before.get(start..).unwrap_or_default();
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let words = suggestions(before.get(..start).unwrap_or_default(), word, &names);
        let span = Span::new(start, position);
        let suggestion = |value| Suggestion { value, span, append_whitespace: true, ..Suggestion::default() };
        CompletionResult::fresh(words.into_iter().map(suggestion).collect::<Vec<_>>())
    }
}

fn suggestions(before: &str, word: &str, names: &std::collections::BTreeSet<String>) -> Vec<String> {
    let begins =
        |whole: &str, part: &str| whole.get(..part.len()).is_some_and(|start| start.eq_ignore_ascii_case(part));
    if before.trim().is_empty() {
        let (slash, part) = word.strip_prefix('/').map_or(("", word), |part| ("/", part));
        let commands = command::all().map(|command| command.name).filter(|name| begins(name, part));
        return commands.map(|name| format!("{slash}{name}")).collect();
    }
    let (at, part) = word.strip_prefix('@').map_or(("", word), |part| ("@", part));
    names.iter().filter(|name| begins(name, part)).map(|name| format!("{at}{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_completed_first_and_names_after_them() {
        let names = ["bob", "bella", "carol"].map(str::to_owned).into();
        assert_eq!(suggestions("", "cont", &names), ["contacts"]);
        assert_eq!(suggestions("", "/cont", &names), ["/contacts"]);
        assert_eq!(suggestions("chat ", "B", &names), ["bella", "bob"]);
        assert_eq!(suggestions("search ", "@ca", &names), ["@carol"]);
        assert!(suggestions("chat ", "zoë", &names).is_empty());
    }
}
