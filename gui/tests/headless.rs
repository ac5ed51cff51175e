//! Where there is no display, the program says in one line what to do instead.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

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

/// A virtual screen, where one is installed.
fn virtual_screen() -> Option<(std::process::Child, String)> {
    let mut screen = Command::new("Xvfb");
    screen.args(["-displayfd", "1", "-screen", "0", "1280x800x24"]);
    let mut screen = screen.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut number = String::new();
    BufReader::new(screen.stdout.take()?).read_line(&mut number).ok()?;
    Some((screen, format!(":{}", number.trim())))
}

#[test]
#[cfg(target_os = "linux")]
fn a_display_that_is_closed_ends_the_program_without_a_panic() {
    let Some((mut screen, display)) = virtual_screen() else { return eprintln!("skipped: there is no Xvfb here") };
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_secure-chat"));
    command.env_remove("WAYLAND_DISPLAY").env("DISPLAY", display).env("LIBGL_ALWAYS_SOFTWARE", "1");
    command.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--log-level", "debug", "--data-dir"]);
    let mut program = command.arg(folder.path()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines().map_while(Result::ok);
    // It paints: the window is there. Without a graphics library it says so and ends, which is well, too.
    let painted = lines.by_ref().any(|line| line.ends_with("frame"));
    screen.kill().unwrap();
    screen.wait().unwrap();
    let said: Vec<String> = lines.collect();
    let status = program.wait().unwrap();
    assert!(!said.iter().any(|line| line.contains("panicked")), "{said:#?}");
    assert!(!painted || status.code().is_some(), "{status}");
}
