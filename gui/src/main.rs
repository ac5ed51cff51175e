//! The desktop peer. This version has no window yet: it says which commands
//! work in its place.

use std::process::ExitCode;

use clap::Parser;
use secure_chat_node::cli;
use secure_chat_node::config::Options;

/// Secure Chat: a peer-to-peer messenger with end-to-end encryption. This is the window.
#[derive(Parser)]
#[command(name = "secure-chat", version, about)]
struct Arguments {
    #[command(flatten)]
    _options: Options,
}

fn main() -> ExitCode {
    let _: Arguments = cli::parse();
    eprintln!("secure-chat: {}", instead_of_a_window(has_display(|name| std::env::var_os(name))));
    ExitCode::from(cli::EXIT_USAGE)
}

/// Whether this session has a screen: always, where the system doesn't say it by variables.
fn has_display(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    let said_by_variables = cfg!(all(unix, not(target_os = "macos")));
    !said_by_variables
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()))
}

fn instead_of_a_window(display: bool) -> &'static str {
    if display {
        "the window is not part of this version; run `secure-chat-node shell` (a prompt) or `secure-chat-node rpc` (JSON-RPC) instead"
    } else {
        "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); run `secure-chat-node shell` (a prompt) or `secure-chat-node rpc` (JSON-RPC) instead"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_display_both_commands_that_work_are_named_on_one_line() {
        for line in [instead_of_a_window(false), instead_of_a_window(true)] {
            assert!(
                line.contains("secure-chat-node shell")
                    && line.contains("secure-chat-node rpc")
                    && !line.contains('\n')
            );
        }
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn an_empty_variable_is_no_display() {
        assert!(!has_display(|_| Some("".into())));
        assert!(!has_display(|_| None));
        assert!(has_display(|name| (name == "WAYLAND_DISPLAY").then(|| "wayland-0".into())));
    }
}
