//! The shell without a terminal: a command a line, for scripts.

use crate::peer::{PASSWORD, script};

#[test]
fn a_script_makes_an_account_and_opens_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let (status, said) =
        script(dir.path(), &["register alice", PASSWORD, "whoami", "settings typing false", "lock", "quit"]);
    assert!(status.success(), "{said}");
    assert!(said.contains("Welcome, alice.") && said.contains("fingerprint") && said.contains("Locked."), "{said}");
    assert!(!said.contains(PASSWORD) && !said.contains('\u{1b}'), "neither passwords nor colours in a pipe: {said}");
    let (status, said) = script(dir.path(), &["login", PASSWORD, "contacts"]);
    assert!(status.success(), "{said}");
    assert!(said.contains("Welcome back, alice.") && said.contains("You have no contacts yet"), "{said}");
}

#[test]
fn a_command_that_failed_makes_the_script_fail() {
    let dir = tempfile::tempdir().unwrap();
    let (status, said) = script(dir.path(), &["contacts", "frobnicate", "help"]);
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("no account")
            && said.contains("there is no command \"frobnicate\"")
            && said.contains("register NAME"),
        "{said}"
    );
}
