//! Where there is no display, the program says in one line what to do instead.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

/// What the program says on standard error, and its exit status.
fn started(display: Option<&str>) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_secure-chat"));
    command.env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET").env_remove("DISPLAY");
    if let Some(display) = display {
        command.env("DISPLAY", display);
    }
    let output = command.arg("--data-dir").arg(folder.path()).output().unwrap();
    assert!(output.stdout.is_empty(), "standard output is for whoever pipes it");
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_display_one_line_names_the_commands_that_work_without_one() {
    let (said, status) = started(None);
    assert_eq!(status, Some(2), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    for command in ["secure-chat-node shell", "secure-chat-node rpc", "--example simulation"] {
        assert!(said.contains(command), "{command} is missing: {said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_display_that_does_not_answer_comes_with_its_remedy() {
    let (said, status) = started(Some(":4097"));
    assert_eq!(status, Some(2), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    assert!(said.contains("DISPLAY") || said.contains("Install"), "{said}");
}
