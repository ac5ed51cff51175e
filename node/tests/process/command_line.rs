//! The command line: one clear line for what is wrong, and the right exit status.

use crate::peer::{program, run};

/// The one line on standard error that comes with exit status 2.
fn usage_error(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn a_mistake_is_named_on_one_line_and_ends_with_status_2() {
    assert!(usage_error(&["rpc", "--lisen", "x"]).contains("--lisen"));
    assert!(usage_error(&["talk"]).contains("talk"));
    assert!(usage_error(&[]).contains("rpc, shell, status"));
    assert!(usage_error(&["rpc", "--listen", "localhost:4001"]).contains("localhost:4001"));
    assert!(usage_error(&["rpc", "--rendezvous", "/ip4/127.0.0.1/tcp/4001"]).contains("/p2p/"));
    assert!(usage_error(&["rpc", "--log-level", "loud"]).contains("loud"));
}

#[test]
fn the_environment_is_read_and_checked_as_options_are() {
    let dir = tempfile::tempdir().unwrap();
    for (variable, value) in [("SECURE_CHAT_RENDEZVOUS", "nowhere"), ("SECURE_CHAT_LOG_LEVEL", "loud")] {
        let output = program(dir.path(), &["status"]).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains(value));
    }
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.toml"), "mdns = true\nrendezvouz = []\n").unwrap();
    let output = run(dir.path(), &["status"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 2") && said.contains("rendezvouz") && said.lines().count() == 1, "{said}");
}

#[test]
fn help_and_version_work_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in
        [["--help"].as_slice(), &["--version"], &["rpc", "--help"], &["shell", "--help"], &["status", "--help"]]
    {
        let output = run(dir.path(), arguments);
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_status_of_an_empty_data_directory_says_so_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["status", "--json"]);
    assert!(output.status.success());
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["account"]["state"], "none");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
#[cfg(unix)]
fn who_has_read_enough_of_the_status_may_go() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [["status"].as_slice(), &["status", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program(dir.path(), arguments).stdout(writer).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
